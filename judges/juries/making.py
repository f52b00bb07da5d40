"""A jury comes into being: who sits on it and by which rule, for good."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from arena.audit import note
from arena.models import Arena
from arena.slugs import free_slug
from judges import derivations
from judges.cuts import watermark
from judges.derivations import chunks_of
from judges.juries.deriving import vote_of
from judges.juries.discussing import DiscussionError, second_round
from judges.juries.exam import Exam, examine, weight_of
from judges.majorities import majorities
from judges.member_votes import said_by
from judges.models import Judge
from judges.programs.verdicts import Decision

MEMBERS = (Judge.Kind.LLM, Judge.Kind.PROGRAM, Judge.Kind.IMPORTED)
# What a rule may be told, and what it takes where it isn't told.
OPTIONS: dict[str, dict[str, Any]] = {
    "majority": {"quorum": None},
    "mean": {"quorum": None, "values": "verdicts", "tie_margin": 0.0},
    "weighted": {"quorum": None, "weighting": "log odds"},
    "council": {"quorum": None},
    "committee": {"quorum": None},
}
CHOICES = {"values": ("verdicts", "scores"), "weighting": ("log odds", "accuracy")}
LONGEST_NAME = 120


class JuryError(ValueError):
    """A jury that can't be made; str() says what is wrong and what would do."""


@transaction.atomic
def make_jury(
    *,
    arena: Arena,
    name: str,
    members: Sequence[Judge],
    rule: str = "majority",
    options: Mapping[str, Any] | None = None,
    description: str = "",
    actor: Any = None,
) -> Judge:
    """The jury of that name, these members and this rule; the one that is there if there is one.

    Another configuration under a name that is taken is a new version. ``options``: ``quorum``, how many
    members must have decided a battle before the jury does, the others abstaining (all, if it isn't said;
    of a council, all who sit); of mean, ``values`` ("verdicts", or "scores" of members that score on one
    scale) and ``tie_margin``; of weighted, ``weighting`` ("log odds" or "accuracy"). The weights come from an
    exam against the people of the arena, now and once. The members of a committee are LLM judges of battles,
    and for each a judge is made that decides once more after it heard the others (judges.juries.discussing):
    these are to be run, then the committee decides. ``actor`` is an account, None where a command makes it.
    Raises JuryError.
    """
    members = sorted(members, key=lambda member: member.slug)
    second: list[Judge] = []
    chosen = _checked(arena, name, members, rule, options or {})
    configuration: dict[str, Any] = {
        "rule": rule,
        "members": [{"slug": member.slug, "digest": member.digest} for member in members],
        "options": chosen,
    }
    if rule == "committee":
        try:
            second = second_round(arena=arena, members=members, actor=actor)
        except DiscussionError as error:
            raise JuryError(str(error)) from error
        configuration["second"] = [{"slug": each.slug, "digest": each.digest} for each in second]
    if found := _same(arena, name, configuration):
        return found
    if rule == "weighted":
        configuration["exam"] = _hold_exam(arena, members, chosen["weighting"])
    judge = new_version(
        arena=arena,
        name=name,
        kind=Judge.Kind.JURY,
        configuration=configuration,
        description=description
        or f"Decides by what its {len(members)} members have said ({rule}).",
    )
    derivations.start(judge=judge, sources=[*members, *second])
    note(arena=arena, actor=actor, act="make jury", subject=str(judge), rule=rule)
    return judge


def new_version(
    *, arena: Arena, name: str, kind: Judge.Kind, configuration: dict[str, Any], description: str
) -> Judge:
    """A new judge, of the version after those of its name."""
    # Of two who make a judge at once the second finds the first one's name and slug taken.
    Arena.objects.select_for_update().get(pk=arena.pk)
    judges = Judge.objects.filter(arena=arena)
    before = judges.filter(name=name).order_by("-version").values_list("version", flat=True).first()
    version = (before or 0) + 1
    slug = free_slug(
        name if version == 1 else f"{name} v{version}",
        taken={"people", *judges.values_list("slug", flat=True)},
        otherwise=kind,
        longest=LONGEST_NAME,
    )
    return Judge.objects.create(
        arena=arena,
        name=name,
        slug=slug,
        version=version,
        kind=kind,
        configuration=configuration,
        description=description,
    )


def _checked(
    arena: Arena, name: str, members: Sequence[Judge], rule: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    if not name.strip() or len(name) > LONGEST_NAME:
        raise JuryError(f"Give the jury a name of at most {LONGEST_NAME} characters.")
    if other := Judge.objects.filter(arena=arena, name=name).exclude(kind=Judge.Kind.JURY).first():
        raise JuryError(
            f"{name!r} is the name of a judge already ({other.get_kind_display()}): choose another."
        )
    if rule not in OPTIONS:
        raise JuryError(f"{rule!r} is not a rule: there are {', '.join(OPTIONS)}.")
    if not members:
        raise JuryError("A jury needs members: name at least one judge.")
    for member in members:
        if member.arena_id != arena.pk:
            raise JuryError(f"{member} is a judge of another arena: take judges of {arena}.")
        if member.kind not in MEMBERS:
            raise JuryError(
                f"{member} is {member.get_kind_display()}: members are LLMs, programs and imported judges."
            )
    if len({member.pk for member in members}) < len(members):
        raise JuryError("A member has one seat: name every judge once.")
    return _options(rule, options, len(members))


def _options(rule: str, options: Mapping[str, Any], n: int) -> dict[str, Any]:
    known = OPTIONS[rule]
    if unknown := sorted(set(options) - set(known)):
        raise JuryError(f"{unknown[0]!r} is no option of {rule}, which has {', '.join(known)}.")
    chosen = {**known, **options}
    quorum = chosen["quorum"]
    whole = isinstance(quorum, int) and not isinstance(quorum, bool)
    if quorum is not None and not (whole and 1 <= quorum <= n):
        raise JuryError(f"The quorum is a number of members from 1 to {n}, not {quorum!r}.")
    for option, values in CHOICES.items():
        if option in chosen and chosen[option] not in values:
            raise JuryError(f"{option} is one of {', '.join(values)}, not {chosen[option]!r}.")
    margin = chosen.get("tie_margin", 0.0)
    number = isinstance(margin, int | float) and not isinstance(margin, bool)
    if not number or not (math.isfinite(margin) and margin >= 0):
        raise JuryError(f"The margin of a tie is a number from 0 up, not {margin!r}.")
    return chosen


def _same(arena: Arena, name: str, configuration: dict[str, Any]) -> Judge | None:
    """The latest version, if it is the same but for its exam: who passed once isn't examined again."""
    last = Judge.objects.filter(arena=arena, name=name).order_by("-version").first()
    if last is None:
        return None
    stored = {key: value for key, value in last.configuration.items() if key != "exam"}
    return last if stored == configuration else None


def _hold_exam(arena: Arena, members: Sequence[Judge], weighting: Any) -> dict[str, Any]:
    """Every member against what most people said, on all battles that both decided.

    With the cut through time at which it was held, so that it can be held again.
    """
    cut = watermark()
    people = dict(majorities(arena=arena, up_to=cut))
    answers: dict[int, list[tuple[Decision, Decision]]] = defaultdict(list)
    for battles in chunks_of(arena):
        asked = [battle for battle in battles if people.get(battle.pk) is not None]
        if not asked:
            continue
        said = said_by([member.pk for member in members], asked, up_to=cut)
        for battle in asked:
            for member, verdicts in said.get(battle.pk, {}).items():
                answers[member].append((vote_of(verdicts), Decision(people[battle.pk])))
    exams: dict[str, Exam] = {m.slug: examine(answers[m.pk]) for m in members}
    weights = {slug: weight_of(exam, weighting=weighting) for slug, exam in exams.items()}
    if not any(weights.values()):
        n = max(exam.n for exam in exams.values())
        raise JuryError(
            f"No member agrees with people better than a coin would, on {n:,} battles at most that people "
            "decided for one side: let more people vote first, or choose other members or another rule."
        )
    return {
        "cut": list(cut),
        "members": {
            slug: {
                "n": exam.n,
                "right": exam.right,
                "accuracy": round(exam.accuracy, 9),
                "weight": round(weights[slug], 9),
            }
            for slug, exam in exams.items()
        },
    }
