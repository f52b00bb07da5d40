"""A cascade comes into being: its thresholds are calibrated on people's votes, once and for good.

Battles are divided at random, by a hash of what is compared and of the seed: into one part for every tier, and
one that is held out. A tier's part tells its threshold; only battles that the tiers before it passed on count.
Parts of their own keep the tiers' guarantees exact: no tier is tested on battles that decided another's
threshold.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction

from arena.audit import note
from arena.models import Arena, Battle
from judges import derivations
from judges.cascades.confidence import SOURCES, folded
from judges.cascades.deriving import sure_of
from judges.cuts import Cut, watermark
from judges.derivations import chunks_of
from judges.juries.making import LONGEST_NAME, new_version
from judges.majorities import majorities
from judges.member_votes import Said, said_by
from judges.models import Judge, Outcome

if TYPE_CHECKING:
    import numpy as np

TIERS = (Judge.Kind.LLM, Judge.Kind.PROGRAM, Judge.Kind.IMPORTED, Judge.Kind.JURY)
TIES = ("count", "leave out")
UNITS = ("battle", "prompt")
# Parts that aren't calibrated on: held out, and without a reference.
HELD_OUT = -1
ELSEWHERE = -2


class CascadeError(ValueError):
    """A cascade that can't be made; str() says what is wrong and what would do."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A judge and what tells how sure it is: one of `confidence.SOURCES`."""

    judge: Judge
    confidence: str = "stored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a cascade is made to claim, and how it is calibrated.

    ``target`` is the agreement with the majority of people among what is decided, ``delta`` the chance that
    the claim is wrong. A majority needs ``votes`` votes at least. ``ties``: "count" takes a tie for an outcome
    like others; "leave out" speaks only of battles on which people prefer a side, and a tier that says tie
    passes on. ``unit``: "battle" claims for battles drawn like those that people voted on, "prompt" for battles
    on other prompts, by one battle a prompt. ``share`` is the part of the battles that is calibrated on, the
    rest is held out.
    """

    target: float
    delta: float = 0.1
    seed: int = 0
    votes: int = 3
    ties: str = "count"
    unit: str = "battle"
    share: float = 0.5

    def check(self) -> None:
        """Raises CascadeError."""
        for name in ("target", "delta", "share"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 < value < 1:
                raise CascadeError(f"{name} is a number between 0 and 1, not {value!r}.")
        for name, least in (("seed", 0), ("votes", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise CascadeError(f"{name} is a whole number from {least} up, not {value!r}.")
        for name, values in (("ties", TIES), ("unit", UNITS)):
            if getattr(self, name) not in values:
                raise CascadeError(
                    f"{name} is one of {', '.join(values)}, not {getattr(self, name)!r}."
                )

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def make_cascade(
    *,
    arena: Arena,
    name: str,
    tiers: Sequence[Tier],
    terms: Terms,
    description: str = "",
    actor: Any = None,
) -> Judge:
    """Calibrate a cascade on what people have said so far; the cheapest judge comes first.

    The thresholds, with what they rest on, are part of the configuration: to calibrate again is to make a new
    version. On the same votes the same terms give the judge that is there. A tier that fails the test
    abstains on everything, and a cascade of such tiers passes every battle on to people. Raises CascadeError.
    """
    terms.check()
    check_cascade(arena, name, tiers)
    cut = watermark()
    configuration = {
        "tiers": [
            {"slug": t.judge.slug, "digest": t.judge.digest, "confidence": t.confidence}
            for t in tiers
        ],
        **terms.as_json(),
        "calibration": calibrate_tiers(arena=arena, tiers=tiers, terms=terms, cut=cut),
    }
    with transaction.atomic():
        last = Judge.objects.filter(arena=arena, name=name).order_by("-version").first()
        if last is not None and _same(last.configuration, configuration):
            return last
        judge = new_version(
            arena=arena,
            name=name,
            kind=Judge.Kind.CASCADE,
            configuration=configuration,
            description=description
            or f"Decides what {', then '.join(t.judge.slug for t in tiers)} can be trusted with, and "
            "leaves the rest to people.",
        )
        derivations.start(judge=judge, sources=[tier.judge for tier in tiers])
        note(arena=arena, actor=actor, act="make cascade", subject=str(judge), target=terms.target)
    return judge


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """But for the cut: votes that tell nothing of a battle with a majority change nothing."""

    def without_cut(configuration: dict[str, Any]) -> dict[str, Any]:
        calibration = {k: v for k, v in configuration["calibration"].items() if k != "cut"}
        return {**configuration, "calibration": calibration}

    return without_cut(json.loads(json.dumps(one))) == without_cut(json.loads(json.dumps(other)))


def check_cascade(arena: Arena, name: str, tiers: Sequence[Tier]) -> None:
    """What can be told of it before anything is read. Raises CascadeError."""
    if not name.strip() or len(name) > LONGEST_NAME:
        raise CascadeError(f"Give the cascade a name of at most {LONGEST_NAME} characters.")
    others = Judge.objects.filter(arena=arena, name=name).exclude(kind=Judge.Kind.CASCADE)
    if other := others.first():
        raise CascadeError(
            f"{name!r} is the name of a judge already ({other.get_kind_display()}): choose another."
        )
    if not tiers:
        raise CascadeError("A cascade needs a tier: name at least one judge, the cheapest first.")
    for tier in tiers:
        if tier.judge.arena_id != arena.pk:
            raise CascadeError(f"{tier.judge} is a judge of another arena: take judges of {arena}.")
        if tier.judge.kind not in TIERS:
            raise CascadeError(
                f"{tier.judge} is {tier.judge.get_kind_display()}: tiers are LLMs, juries, programs and "
                "imported judges."
            )
        if tier.confidence not in SOURCES:
            raise CascadeError(
                f"{tier.confidence!r} tells no confidence: there are {', '.join(SOURCES)}."
            )
    if len({tier.judge.pk for tier in tiers}) < len(tiers):
        raise CascadeError("A judge has one tier: name every judge once.")


class Read(NamedTuple):
    """All battles of an arena, as far as a calibration asks: one row a battle, one column a tier."""

    battle: np.ndarray  # (n,) ids
    decision: np.ndarray  # (n, tiers), -1 where the judge said nothing
    confidence: np.ndarray  # (n, tiers), nan where it states none
    people: np.ndarray  # (n,) the reference, -1 where there is none
    part: np.ndarray  # (n,) 0 … tiers − 1, HELD_OUT, or ELSEWHERE without a reference


def calibrate_tiers(
    *, arena: Arena, tiers: Sequence[Tier], terms: Terms, cut: Cut
) -> dict[str, Any]:
    """The thresholds, what they rest on, and how they do on what was held out; plain JSON.

    The same at any time for the same cut, as long as the judges and people's votes are those.
    """
    from judges.cascades.calibration import calibrate_cascade, interval

    read, without_majority, digest = _read(arena, tiers, terms, cut)
    found = calibrate_cascade(
        read.decision,
        read.confidence,
        read.people,
        read.part,
        risk=1 - terms.target,
        delta=terms.delta,
    )
    results = [
        {
            "threshold": tier.threshold,
            "n": tier.n,
            "accepted": tier.accepted,
            "errors": tier.errors,
            "bound": round(tier.bound, 9),
            "tested": tier.tested,
            "delta": terms.delta / len(tiers),
            "reason": tier.reason,
        }
        for tier in found.tiers
    ]
    held = read.part == HELD_OUT
    kept = held & (found.decided >= 0)
    right = int((found.decided[kept] == read.people[kept]).sum())
    return {
        "cut": list(cut),
        "digest": digest,
        "references": int((read.people >= 0).sum()),
        "without_majority": without_majority,
        "tiers": results,
        "held_out": {
            "n": int(held.sum()),
            "accepted": int(kept.sum()),
            "right": right,
            "interval": [round(end, 9) for end in interval(right, int(kept.sum()))],
        },
    }


def _read(arena: Arena, tiers: Sequence[Tier], terms: Terms, cut: Cut) -> tuple[Read, int, str]:
    """(what was read, battles with votes enough but no majority, digest of what is calibrated on)."""
    import numpy as np

    people, without_majority = {}, 0
    for battle, outcome in majorities(arena=arena, up_to=cut, at_least=terms.votes):
        if outcome is None or (terms.ties == "leave out" and outcome is Outcome.TIE):
            without_majority += 1
        else:
            people[battle] = int(outcome)
    keys = dict(_keys(arena, people))
    if terms.unit == "prompt":
        people = _one_a_prompt(people, keys, seed=terms.seed)
    annotators = [tier.judge.pk for tier in tiers if tier.confidence == "annotators"]
    blocks = [np.empty((0, 3 + 2 * len(tiers)))]  # numbers only: an arena has many battles
    used = []
    for battles in chunks_of(arena):
        said = said_by(
            [tier.judge.pk for tier in tiers], battles, up_to=cut, with_orders=annotators
        )
        rows: list[list[float]] = []
        for battle in battles:
            if battle.pk not in said:
                continue
            row = _row(said[battle.pk], tiers, terms)
            reference, part = -1, ELSEWHERE
            if battle.pk in people:
                reference, part = people[battle.pk], _part(keys[battle.pk], terms, len(tiers))
                used.append(_canonical(keys[battle.pk], reference, row))
            rows.append([battle.pk, reference, part, *row])
        if rows:
            blocks.append(np.array(rows, dtype=float))
    table = np.concatenate(blocks)
    ints = table[:, :3].astype(np.int64)
    read = Read(
        battle=ints[:, 0],
        decision=table[:, 3::2].astype(np.int64),
        confidence=table[:, 4::2],
        people=ints[:, 1],
        part=ints[:, 2],
    )
    digest = hashlib.sha256(json.dumps(sorted(used)).encode()).hexdigest()
    return read, without_majority, digest


def _row(
    by_judge: Mapping[int, Sequence[Said]], tiers: Sequence[Tier], terms: Terms
) -> list[float]:
    """Of each tier what it says, -1 where it is silent, and how sure it is, nan where it doesn't say."""
    row: list[float] = []
    for tier in tiers:
        sure = sure_of(by_judge.get(tier.judge.pk, ()), tier.confidence, ties=terms.ties)
        if sure is None:
            row += [-1, math.nan]
        else:
            known = sure.confidence
            row += [int(folded(sure.decision)), math.nan if known is None else known]
    return row


def _canonical(key: _Key, reference: int, row: Sequence[float]) -> str:
    """What is calibrated on, with the systems in the order of their names: the same in every database."""

    def turned(outcome: float) -> int:
        return 1 - int(outcome) if key.is_turned and outcome in (0, 1) else int(outcome)

    sure = ["" if math.isnan(value) else repr(value) for value in row[1::2]]
    return json.dumps([key.name, turned(reference), [turned(said) for said in row[0::2]], sure])


class _Key(NamedTuple):
    """Names a battle and its prompt without ids of the database: the same data is divided alike anywhere."""

    name: str
    prompt: str
    is_turned: bool  # whether the battle's A is the second of its systems by name


def _keys(arena: Arena, people: Mapping[int, int]) -> Iterator[tuple[int, _Key]]:
    names = (
        "prompt__digest",
        "system_a__name",
        "system_a__version",
        "system_b__name",
        "system_b__version",
    )
    rows = Battle.objects.filter(arena=arena).order_by("pk").values_list("pk", "source_key", *names)
    for pk, source_key, prompt, *systems in rows.iterator(chunk_size=5_000):
        if pk in people:
            a, b = "\x1f".join(systems[:2]), "\x1f".join(systems[2:])
            name = json.dumps([prompt, *sorted((a, b)), source_key])
            yield pk, _Key(name, prompt, a > b)


def _draw(seed: int, word: str) -> float:
    """In [0, 1), evenly: the first 53 bits of a hash."""
    digest = hashlib.sha256(f"{seed}\x1f{word}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


def _part(key: _Key, terms: Terms, tiers: int) -> int:
    drawn = _draw(terms.seed, key.prompt if terms.unit == "prompt" else key.name)
    return int(drawn / terms.share * tiers) if drawn < terms.share else HELD_OUT


def _one_a_prompt(
    people: Mapping[int, int], keys: Mapping[int, _Key], *, seed: int
) -> dict[int, int]:
    """A random battle of every prompt: these are independent, as battles on one prompt aren't."""
    chosen: dict[str, tuple[float, int]] = {}
    for pk in people:
        drawn = (_draw(seed, f"one of {keys[pk].name}"), pk)
        chosen[keys[pk].prompt] = min(drawn, chosen.get(keys[pk].prompt, drawn))
    return {pk: people[pk] for _, pk in sorted(chosen.values(), key=lambda row: row[1])}
