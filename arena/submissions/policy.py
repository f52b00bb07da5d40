"""Who may submit systems to an arena, how many, and how they are ranked."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from arena.models import Arena, Membership

WHO = {
    "nobody": "Nobody",
    "maintainers": "Maintainers",
    "researchers": "Members who are researchers or maintainers",
    "accounts": "Anyone with an account who sees the arena",
}
MOST_JUDGES = 10
# name: (least, most)
BOUNDS = {
    "battles": (10, 100_000),
    "width": (1, 2_000),
    "budget": (0, 100_000),
    "least_share": (0, 1),
    "most_private": (0, 1_000),
    "most_a_week": (0, 10_000),
    "most_refused_a_day": (1, 10_000),
}
WHOLE = ("battles", "most_private", "most_a_week", "most_refused_a_day")


class SubmissionPolicyError(ValueError):
    """A policy that can't be followed; str() says which part and what would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionPolicy:
    """``judges`` are addresses: all are asked, and the first one's leaderboard gives the provisional place.

    ``battles`` is the most that is spent on one system, ``width`` the rating points under which its 95 %
    interval is enough, ``budget`` in USD for all the models that are asked about one system.
    ``least_share`` is the part of the arena's prompts that must be answered, ``most_private`` how many
    systems of one account may be hidden in all, those that were withdrawn unpublished counted too.
    """

    who: str = "researchers"
    judges: tuple[str, ...] = ()
    battles: int = 400
    width: float = 100.0
    budget: float = 1.0
    least_share: float = 1.0
    most_private: int = 3
    most_a_week: int = 20
    most_refused_a_day: int = 50
    refuses_leaks: bool = False

    def __post_init__(self) -> None:
        if self.who not in WHO:
            raise SubmissionPolicyError(f"who: {self.who!r} is not one of {', '.join(WHO)}.")
        if len(self.judges) > MOST_JUDGES or not all(isinstance(j, str) for j in self.judges):
            raise SubmissionPolicyError(
                f"judges: a list of at most {MOST_JUDGES} addresses of judges was expected."
            )
        if not isinstance(self.refuses_leaks, bool):
            raise SubmissionPolicyError("refuses_leaks: true or false was expected.")
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not least <= value <= most:
                raise SubmissionPolicyError(
                    f"{name}: {value!r} is not a number from {least:,} to {most:,}."
                )
            if name in WHOLE and value != int(value):
                raise SubmissionPolicyError(f"{name}: a whole number was expected.")

    @classmethod
    def of(cls, arena: Arena) -> Self:
        return cls.from_json(arena.submission_policy)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """What isn't there takes its usual value. Raises SubmissionPolicyError."""
        if not isinstance(stored, dict):
            raise SubmissionPolicyError("A policy is an object of names and values.")
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(stored) - set(known)):
            raise SubmissionPolicyError(
                f"{unknown[0]}: not a part of a policy, which are {', '.join(known)}."
            )
        judges = stored.get("judges", ())
        if not isinstance(judges, list | tuple):
            raise SubmissionPolicyError("judges: a list of addresses of judges was expected.")
        return cls(**{**stored, "judges": tuple(judges)})

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"judges": list(self.judges)}


def may_submit(user: Any, arena: Arena, *, role: Membership.Role | None) -> str:
    """Empty when the user may submit to an arena that they see; otherwise why not, and what to do.

    ``role`` is what the user is in the arena: see ``arena.access.role_of``.
    """
    who = SubmissionPolicy.of(arena).who
    if not user.is_authenticated:
        return "Submitting needs an account. Sign in or make one, and you come back here."
    if role == Membership.Role.MAINTAINER and who != "nobody":
        return ""
    if who == "accounts" or (who == "researchers" and role == Membership.Role.RESEARCHER):
        return ""
    if who == "nobody":
        return "This arena takes no submissions."
    wanted = "its maintainers" if who == "maintainers" else "its researchers"
    return (
        f"In this arena only {wanted} submit systems. Ask whoever runs it for an invitation: it makes you "
        "a member."
    )
