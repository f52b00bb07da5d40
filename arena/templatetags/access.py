"""What a template asks about the user's rights. One query at most, and none for visitors and staff."""

from typing import Any

from django import template

from arena.access import may_ask_models, role_of
from arena.models import Arena, Membership
from arena.submissions.policy import may_submit

register = template.Library()


@register.simple_tag
def manages(user: Any, arena: Arena) -> bool:
    return bool(user) and _role(user, arena) == Membership.Role.MAINTAINER


@register.simple_tag(takes_context=True)
def may_submit_to(context: Any, arena: Arena) -> bool:
    user = context.get("user")
    return bool(user) and not may_submit(user, arena, role=_role(user, arena))


def _role(user: Any, arena: Arena) -> Membership.Role | None:
    """Asked once for all tags of a page: whoever asks is the request's user, made anew with each."""
    known = user.__dict__.setdefault("_roles_on_this_page", {})
    if arena.pk not in known:
        known[arena.pk] = role_of(user, arena)
    return known[arena.pk]


@register.inclusion_tag("components/may_not_ask.html")
def say_if_models_may_not_be_asked(user: Any) -> dict[str, str]:
    return {"refusal": may_ask_models(user)}
