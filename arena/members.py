"""Who belongs to an arena: invitations by link, and members with their roles.

The log names accounts by their user name, which says nothing: an address would outlive its account there.
An invitation's token is shown once, to whoever made it; the database keeps only its digest.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from arena.audit import note
from arena.models import Arena, Invitation, Membership

Role = Membership.Role
# What each may do includes what those before it may.
ORDER = (Role.VOTER, Role.RESEARCHER, Role.MAINTAINER)
LONGEST_DAYS = 365


class InvitationError(ValueError):
    """One sentence: why this invitation can't be accepted, and what to do."""


class LastMaintainer(ValueError):
    def __init__(self) -> None:
        super().__init__(
            "This is the last maintainer: without one nobody could manage the arena. Nothing was changed. "
            "Make somebody else a maintainer first."
        )


@transaction.atomic
def invite(
    *, arena: Arena, role: str, days: int, actor: Any, note_to_self: str = "", token: str = ""
) -> tuple[Invitation, str]:
    """Make an invitation that is good for so many days; it and its token, which nobody can look up again.

    ``token`` must be as hard to guess as what is drawn without it. A second call with the same gives the
    invitation that is there (``is_new`` of it says so); raises InvitationError when that is another one.
    """
    if role not in Role.values:
        raise ValueError(f"There is no role {role!r}.")
    if not 1 <= days <= LONGEST_DAYS:
        raise ValueError(f"An invitation is good for 1 to {LONGEST_DAYS} days, not {days}.")
    token = token or secrets.token_urlsafe(32)
    invitation, is_new = Invitation.objects.get_or_create(
        token_digest=_digest(token),
        defaults={
            "arena": arena,
            "role": role,
            "note": note_to_self,
            "created_by": actor,
            "expires_at": timezone.now() + timedelta(days=days),
        },
    )
    invitation.is_new = is_new
    if not is_new:
        if (invitation.arena_id, invitation.role, invitation.note) != (
            arena.pk,
            role,
            note_to_self,
        ):
            raise InvitationError(
                "Another invitation was made with this key: choose another key for this one. Nothing was made."
            )
        return invitation, token
    note(
        arena=arena,
        actor=actor,
        act="make invitation",
        subject=note_to_self or f"invitation {invitation.pk}",
        invitation=invitation.pk,
        role=role,
        days=days,
    )
    return invitation, token


@transaction.atomic
def revoke_invitation(*, invitation: Invitation, actor: Any) -> bool:
    """Make the link useless; whether it wasn't before. Who came by it stays a member."""
    fresh = Invitation.objects.filter(pk=invitation.pk, revoked_at=None)
    if not fresh.update(revoked_at=timezone.now()):
        return False
    note(
        arena=invitation.arena,
        actor=actor,
        act="revoke invitation",
        subject=invitation.note or f"invitation {invitation.pk}",
        invitation=invitation.pk,
    )
    return True


def find_invitation(token: str) -> Invitation:
    """The invitation with this token. Raises InvitationError when it isn't good (any more)."""
    found = Invitation.objects.filter(token_digest=_digest(token)).select_related("arena").first()
    if found is None:
        raise InvitationError(
            "There is no such invitation: perhaps the link was copied incompletely. Ask whoever sent it "
            "for the whole link."
        )
    if found.revoked_at is not None:
        raise InvitationError(
            "This invitation was revoked. Ask whoever sent it whether you should get another."
        )
    if found.expires_at <= timezone.now():
        raise InvitationError("This invitation has expired. Ask whoever sent it for another.")
    return found


@transaction.atomic
def accept_invitation(*, token: str, user: Any) -> Membership:
    """Become a member, or get the invitation's role if it is the higher one; a second time changes nothing.

    Raises InvitationError.
    """
    invitation = find_invitation(token)
    membership, made = Membership.objects.select_for_update().get_or_create(
        arena=invitation.arena, user=user, defaults={"role": invitation.role}
    )
    if not made:
        if ORDER.index(membership.role) >= ORDER.index(invitation.role):
            return membership
        membership.role = invitation.role
        membership.save(update_fields=["role"])
    Invitation.objects.filter(pk=invitation.pk).update(used=F("used") + 1)
    note(
        arena=invitation.arena,
        actor=user,
        act="accept invitation",
        subject=user.get_username(),
        account=user.pk,
        invitation=invitation.pk,
        role=str(invitation.role),
    )
    return membership


@transaction.atomic
def change_role(*, membership: Membership, role: str, actor: Any) -> bool:
    """Give a member another role; whether it is another. Raises LastMaintainer."""
    if role not in Role.values:
        raise ValueError(f"There is no role {role!r}.")
    kept = _locked(membership)
    if kept is None or kept.role == role:
        return False
    _keep_a_maintainer(kept)
    before, kept.role = kept.role, role
    kept.save(update_fields=["role"])
    note(
        arena=kept.arena,
        actor=actor,
        act="change role",
        subject=kept.user.get_username(),
        account=kept.user_id,
        before=str(before),
        after=str(role),
    )
    return True


@transaction.atomic
def remove_member(*, membership: Membership, actor: Any) -> bool:
    """End a membership; whether there was one. Votes stay. Raises LastMaintainer."""
    kept = _locked(membership)
    if kept is None:
        return False
    _keep_a_maintainer(kept)
    note(
        arena=kept.arena,
        actor=actor,
        act="remove member",
        subject=kept.user.get_username(),
        account=kept.user_id,
        role=str(kept.role),
    )
    kept.delete()
    return True


def name_of(user: Any) -> str:
    """What maintainers call an account: its e-mail address, or its name where it has none."""
    return user.email or user.get_username()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _locked(membership: Membership) -> Membership | None:
    # The arena's row: two maintainers who remove each other wait for one another.
    Arena.objects.select_for_update().get(pk=membership.arena_id)
    return Membership.objects.filter(pk=membership.pk).select_related("arena", "user").first()


def _keep_a_maintainer(membership: Membership) -> None:
    if membership.role != Role.MAINTAINER:
        return
    others = Membership.objects.filter(arena=membership.arena_id, role=Role.MAINTAINER)
    if not others.exclude(pk=membership.pk).exists():
        raise LastMaintainer
