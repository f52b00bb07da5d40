"""What a template asks about the user's rights. At most one query, and none for visitors and staff."""

from typing import Any

from django import template

from arena.access import role_of
from arena.models import Arena, Membership

register = template.Library()


@register.simple_tag
def manages(user: Any, arena: Arena) -> bool:
    return bool(user) and role_of(user, arena) == Membership.Role.MAINTAINER
