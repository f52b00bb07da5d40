"""A jury's verdicts, from what its members have said."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from arena.models import System
from judges.derivations import BattleRow, DerivationError, Derived
from judges.juries.rules import (
    Ruling,
    Vote,
    committee,
    council,
    majority,
    mean,
    own_vote,
    weighted,
    without_families,
)
from judges.member_votes import Said, said_by
from judges.models import Derivation, Judge, Outcome, Score
from judges.programs.verdicts import Decision

DIGITS = 9
_WORDS = {Decision.A: "A", Decision.B: "B", Decision.TIE: "tie", Decision.BOTH_BAD: "both bad"}


def vote_of(verdicts: Sequence[Said]) -> Decision:
    """What a judge says that was asked once or more often: its own majority, else a tie."""
    return own_vote([Decision(said.outcome) for said in verdicts])


class Panel:
    """The rule of `judges.derivations` for a jury. Made for one pass."""

    def __init__(self, judge: Judge) -> None:
        self.configuration = judge.configuration
        self.options = self.configuration["options"]
        self.members = members_of(judge)
        # Whose verdicts are the votes: the members', or those that they gave after a discussion.
        self.voices = dict(zip([m.slug for m in self.members], self.members, strict=True))
        if second := self.configuration.get("second"):
            voices = judges_named(judge, second)
            self.voices = dict(zip(self.voices, voices, strict=True))
        self.first: dict[int, dict[str, Vote]] = {}
        self.family_of = {member.slug: member.family for member in self.members}
        systems = System.objects.filter(arena=judge.arena_id)
        self.families = dict(systems.values_list("pk", "family"))
        self.waiting = self.nobody_may = 0
        self.outcomes: Counter[str] = Counter()
        self.voted: Counter[str] = Counter()
        self.dissented: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()

    def decide(self, battles: list[BattleRow]) -> dict[int, Derived]:
        votes, latest = (self._scores if self._by_score else self._verdicts)(battles)
        self.first = self._said(self.members, battles)[0] if self._discusses else {}
        derived = {}
        for battle in battles:
            if battle.pk not in votes:
                continue
            families = [self.families[battle.system_a], self.families[battle.system_b]]
            panel = [votes[battle.pk].get(m.slug, Vote(m.slug, None)) for m in self.members]
            ruling = self._rule(panel, families, self._before(battle.pk))
            if ruling is None:
                self.waiting += 1
                continue
            if ruling.outcome is None:
                self.nobody_may += 1
                continue
            self._note(panel, ruling)
            derived[battle.pk] = self._derived(battle.pk, panel, ruling, latest[battle.pk])
        return derived

    def figures(self) -> dict[str, Any]:
        return {
            "waiting": self.waiting,
            "nobody_may": self.nobody_may,
            "outcomes": dict(self.outcomes),
            "members": {
                m.slug: {"voted": self.voted[m.slug], "dissented": self.dissented[m.slug]}
                | ({"changed": self.changed[m.slug]} if self._discusses else {})
                for m in self.members
            },
        }

    def keep(self, derivation: Derivation) -> dict[str, Any]:
        return {}

    @property
    def _by_score(self) -> bool:
        return self.options.get("values") == "scores"

    @property
    def _discusses(self) -> bool:
        return "second" in self.configuration

    def _before(self, battle: int) -> list[Vote]:
        """What the members said before they discussed the battle."""
        first = self.first.get(battle, {})
        return [first.get(member.slug, Vote(member.slug, None)) for member in self.members]

    def _verdicts(
        self, battles: list[BattleRow]
    ) -> tuple[dict[int, dict[str, Vote]], dict[int, datetime]]:
        """(votes by battle and member, when the last of them was cast by battle)."""
        return self._said(list(self.voices.values()), battles)

    def _said(
        self, voices: Sequence[Judge], battles: list[BattleRow]
    ) -> tuple[dict[int, dict[str, Vote]], dict[int, datetime]]:
        """The same of these judges' verdicts, the first of whom speaks for the first member, and so on."""
        votes, latest = {}, {}
        for battle, by_member in said_by([voice.pk for voice in voices], battles).items():
            votes[battle] = {
                m.slug: Vote(m.slug, vote_of(by_member[voice.pk]))
                for m, voice in zip(self.members, voices, strict=True)
                if voice.pk in by_member
            }
            latest[battle] = max(s.cast_at for verdicts in by_member.values() for s in verdicts)
        return votes, latest

    def _scores(
        self, battles: list[BattleRow]
    ) -> tuple[dict[int, dict[str, Vote]], dict[int, datetime]]:
        """The same from the members' scores of both outputs, means over repetitions."""
        outputs = {
            output for b in battles for output in (b.output_a, b.output_b) if output is not None
        }
        rows = (
            Score.objects.filter(judge__in=self.members, criterion="", output__in=outputs)
            .order_by("judge_id", "output_id", "repetition")
            .values_list("judge_id", "output_id", "value", "created_at")
        )
        values: dict[tuple[int, int], list[float]] = defaultdict(list)
        times: dict[tuple[int, int], datetime] = {}
        for judge, output, value, at in rows:
            values[judge, output].append(value)
            times[judge, output] = max(at, times.get((judge, output), at))
        votes: dict[int, dict[str, Vote]] = {}
        latest: dict[int, datetime] = {}
        for battle in battles:
            if battle.output_a is None or battle.output_b is None:
                continue
            for member in self.members:
                sides = [(member.pk, battle.output_a), (member.pk, battle.output_b)]
                if not all(side in values for side in sides):
                    continue
                a, b = (sum(values[side]) / len(values[side]) for side in sides)
                decision = Decision.TIE if a == b else Decision.A if a > b else Decision.B
                votes.setdefault(battle.pk, {})[member.slug] = Vote(member.slug, decision, a - b)
                at = max(times[side] for side in sides)
                latest[battle.pk] = max(at, latest.get(battle.pk, at))
        return votes, latest

    def _rule(self, panel: list[Vote], families: list[str], before: list[Vote]) -> Ruling | None:
        """None where too few have spoken yet."""
        rule = self.configuration["rule"]
        sitting = panel
        if rule == "council":
            sitting, _ = without_families(panel, family_of=self.family_of, families=families)
        quorum = self.options["quorum"] or len(sitting)
        spoken = sum(vote.decision is not None for vote in sitting)
        if spoken < min(quorum, len(sitting)):
            return None
        if rule == "majority":
            return majority(panel)
        if rule == "mean":
            return mean(panel, tie_margin=self.options["tie_margin"])
        if rule == "weighted":
            exam = self.configuration["exam"]["members"]
            return weighted(panel, {slug: result["weight"] for slug, result in exam.items()})
        if rule == "council":
            return council(panel, family_of=self.family_of, families=families)
        if rule == "committee":
            return committee(before, panel)
        raise DerivationError(f"{rule!r} is not a rule of this release: make a new version.")

    def _note(self, panel: list[Vote], ruling: Ruling) -> None:
        self.outcomes[_WORDS[Decision(ruling.outcome)]] += 1
        self.voted.update(
            v.member for v in panel if v.decision is not None and v.member not in ruling.left_out
        )
        self.dissented.update(ruling.dissenters)
        self.changed.update(ruling.changed)

    def _derived(
        self, battle: int, panel: list[Vote], ruling: Ruling, cast_at: datetime
    ) -> Derived:
        outcome = Decision(ruling.outcome)
        sitting = [vote for vote in panel if vote.member not in ruling.left_out]
        said = {v.member: _WORDS[v.decision] for v in sitting if v.decision is not None}
        parse: dict[str, Any] = {
            "votes": said,
            "dissenters": list(ruling.dissenters),
            "abstentions": list(ruling.abstentions),
            "left_out": list(ruling.left_out),
            "margin": round(ruling.margin, DIGITS),
            "support": round(ruling.support, DIGITS),
        }
        if self._by_score:
            parse["values"] = {
                v.member: round(v.value, DIGITS) for v in sitting if v.value is not None
            }
        if self._discusses:
            parse["first"] = {
                v.member: _WORDS[v.decision] for v in self._before(battle) if v.decision is not None
            }
            parse["changed"] = list(ruling.changed)
        return Derived(
            outcome=Outcome(outcome),
            # Weights that add up to all of it may be a rounding more.
            confidence=min(1.0, parse["support"]),
            cast_at=cast_at,
            rationale=self._words(said, ruling, outcome),
            parse=parse,
        )

    def _words(self, said: dict[str, str], ruling: Ruling, outcome: Decision) -> str:
        votes = ", ".join(f"{member}: {word}" for member, word in said.items())
        rule = self.configuration["rule"]
        sentences = [f"{rule.capitalize()} of {ruling.seated}: {_WORDS[outcome]}.", f"{votes}."]
        for words, names in (
            ("Dissent", ruling.dissenters),
            ("Changed their minds", ruling.changed),
            ("Abstained", ruling.abstentions),
            ("Left out, of the family of a system", ruling.left_out),
        ):
            if names:
                sentences.append(f"{words}: {', '.join(names)}.")
        return " ".join(sentences)


def members_of(judge: Judge) -> list[Judge]:
    """The members of a jury, as they were named. Raises DerivationError."""
    return judges_named(judge, judge.configuration["members"])


def judges_named(judge: Judge, named: Sequence[dict[str, Any]]) -> list[Judge]:
    """The judges that a part of the configuration names, in its order. Raises DerivationError."""
    slugs = [each["slug"] for each in named]
    found = {
        other.slug: other for other in Judge.objects.filter(arena=judge.arena_id, slug__in=slugs)
    }
    for each in named:
        other = found.get(each["slug"])
        if other is None or other.digest != each["digest"]:
            raise DerivationError(
                f"The judge {each['slug']!r} that {judge} was made with isn't there: make a new version."
            )
    return [found[slug] for slug in slugs]
