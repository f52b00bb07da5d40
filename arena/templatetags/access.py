"""What a template asks about the user's rights. At most one query, and none for visitors and staff."""

from typing import Any

from django import template

from arena.access import may_ask_models, role_of
from arena.models import Arena, Membership

register = template.Library()


@register.simple_tag
def manages(user: Any, arena: Arena) -> bool:
    return bool(user) and role_of(user, arena) == Membership.Role.MAINTAINER


@register.inclusion_tag("components/may_not_ask.html")
def say_if_models_may_not_be_asked(user: Any) -> dict[str, str]:
    return {"refusal": may_ask_models(user)}
