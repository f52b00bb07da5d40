"""The log of what maintainers do: one entry for every act, in the act's own transaction."""

from typing import Any

from arena.models import Arena, AuditEntry


def account_of(actor: Any) -> Any:
    """Whose name is kept of an act: an account, or None where a command or nobody known did it."""
    return actor if actor is not None and actor.is_authenticated else None


def note(*, arena: Arena, actor: Any, act: str, subject: str = "", **details: Any) -> AuditEntry:
    """Add an entry. ``actor`` is an account, or None where a command did it.

    ``act`` is a verb and its object ("exclude voter"), ``subject`` whom or what it was done to, shortened
    to the column; ``details`` must be JSON. To be called inside the transaction of the act, so that there is
    no act without its entry, and no entry without its act.
    """
    return AuditEntry.objects.create(
        arena=arena,
        actor=account_of(actor),
        act=act,
        subject=subject[: AuditEntry._meta.get_field("subject").max_length],
        details=details,
    )
