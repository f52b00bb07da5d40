"""A cascade's verdicts: of the first tier that is sure enough, else of nobody, and people are asked."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db.models import Count, Sum
from django.utils import timezone

from arena.audit import note
from arena.wanted import keep_wanted
from judges.cascades.confidence import Sure, folded, probabilities, simulated_annotators
from judges.derivations import BattleRow, Derived
from judges.juries.deriving import judges_named, members_of, vote_of
from judges.majorities import majority_of, votes_on
from judges.member_votes import Said, said_by
from judges.models import Derivation, Judge, Outcome, VerdictTrace
from judges.programs.verdicts import Decision

DIGITS = 9
_WORDS = {Decision.A: "A", Decision.B: "B", Decision.TIE: "tie", Decision.BOTH_BAD: "both bad"}


def sure_of(said: Sequence[Said], source: str, *, ties: str) -> Sure | None:
    """What a judge says of a battle and how sure it is, by a source of `confidence`; None where it is silent.

    Of several repetitions the own majority counts, with the mean confidence of those that say the same. Where
    ties are left out, one that says tie isn't sure of anything.
    """
    if not said:
        return None
    if source == "annotators":
        sure = simulated_annotators(
            [
                [
                    probabilities(Decision(outcome), confidence)
                    for outcome, confidence in s.orders or [(s.outcome, s.confidence)]
                ]
                for s in said
            ]
        )
    else:
        decision = vote_of(said)
        stated = [s.confidence for s in said if s.outcome == decision and s.confidence is not None]
        mean = round(sum(stated) / len(stated), DIGITS) if stated else None
        sure = Sure(decision, 1.0 if source == "none" else mean)
    if ties == "leave out" and folded(sure.decision) is Decision.TIE:
        return Sure(sure.decision, None)
    return sure


class Tiers:
    """The rule of `judges.derivations` for a cascade. Made for one pass."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.configuration = judge.configuration
        self.ties = self.configuration["ties"]
        self.cut = self.configuration["calibration"]["cut"]
        named = self.configuration["tiers"]
        self.judges = judges_named(judge, named)
        self.sources = [tier["confidence"] for tier in named]
        self.with_orders = [
            judge.pk
            for judge, source in zip(self.judges, self.sources, strict=True)
            if source == "annotators"
        ]
        calibrated = self.configuration["calibration"]["tiers"]
        self.thresholds = [tier["threshold"] for tier in calibrated]
        self.reached: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.abstained = self.waiting = self.wanted = 0
        self.after = [
            0,
            0,
        ]  # battles that people decided since, and on how many of them as the cascade

    def decide(self, battles: list[BattleRow]) -> dict[int, Derived]:
        said = said_by([judge.pk for judge in self.judges], battles, with_orders=self.with_orders)
        votes = votes_on(self.judge.arena_id, battles, since=self.cut[0])
        derived: dict[int, Derived] = {}
        wanted: list[int] = []
        for battle in battles:
            by_judge = said.get(battle.pk)
            found = self._decide(by_judge) if by_judge else None
            n = sum(votes[battle.pk].all) if battle.pk in votes else 0
            if isinstance(found, Derived):
                derived[battle.pk] = found
                if battle.pk in votes:
                    self._watch(found, votes[battle.pk].all, votes[battle.pk].before)
            elif found == "abstained" and n < self.configuration["votes"]:
                wanted.append(battle.pk)
        self.wanted += keep_wanted(
            arena_id=self.judge.arena_id,
            source=self.judge.slug,
            among=[battle.pk for battle in battles],
            wanted=wanted,
            votes=self.configuration["votes"],
        )
        return derived

    def _decide(self, by_judge: dict[int, list[Said]]) -> Derived | str:
        """A verdict, "abstained" where every tier has passed, or "waiting" for a tier."""
        asked: list[list[Any]] = []
        for judge, source, threshold in zip(
            self.judges, self.sources, self.thresholds, strict=True
        ):
            if threshold is None:
                continue  # it would abstain whatever it says
            verdicts = by_judge.get(judge.pk, [])
            sure = sure_of(verdicts, source, ties=self.ties)
            if sure is None:
                self.waiting += 1
                return "waiting"
            self.reached[judge.slug] += 1
            asked.append([judge.slug, _WORDS[sure.decision], sure.confidence])
            if sure.confidence is not None and sure.confidence >= threshold:
                self.accepted[judge.slug] += 1
                return Derived(
                    outcome=Outcome(sure.decision),
                    confidence=sure.confidence,
                    cast_at=max(s.cast_at for s in verdicts),
                    rationale=self._words(asked, threshold),
                    parse={"tier": judge.slug, "threshold": threshold, "asked": asked},
                )
        self.abstained += 1
        return "abstained"

    def _words(self, asked: list[list[Any]], threshold: float) -> str:
        *passed, (slug, word, confidence) = asked
        words = f"{slug}: {word}, confidence {confidence:.2f} (trusted from {threshold:.2f} on)."
        if passed:
            words += f" Passed on by {', '.join(name for name, _, _ in passed)}."
        return words

    def _watch(self, found: Derived, votes: Sequence[int], before: int) -> None:
        """Battles whose majority came after the calibration tell whether the claim still holds."""
        needed = self.configuration["votes"]
        if before >= needed or sum(votes) < needed:
            return
        people = majority_of(votes)
        if people is None or (self.ties == "leave out" and people is Outcome.TIE):
            return
        self.after[0] += 1
        self.after[1] += Decision(people) is folded(Decision(found.outcome))

    def figures(self) -> dict[str, Any]:
        from judges.cascades.calibration import evidence_against, interval

        n, agreed = self.after
        decided = sum(self.accepted.values())
        complete = decided + self.abstained
        evidence = evidence_against(agreed, n, target=self.configuration["target"])
        return {
            "waiting": self.waiting,
            "abstained": self.abstained,
            "coverage": decided / complete if complete else None,
            "wanted": self.wanted,
            "tiers": {
                judge.slug: {
                    "reached": self.reached[judge.slug],
                    "accepted": self.accepted[judge.slug],
                }
                for judge in self.judges
            },
            "after": {
                "n": n,
                "agreed": agreed,
                "interval": [round(end, DIGITS) for end in interval(agreed, n)],
                "evidence": round(evidence, DIGITS),
            },
            "cost": self._cost(complete),
        }

    def keep(self, derivation: Derivation) -> dict[str, Any]:
        """The claim is withdrawn when the evidence against it is enough, and stays withdrawn."""
        from judges.cascades.calibration import evidence_against

        n, agreed = self.after
        evidence = evidence_against(agreed, n, target=self.configuration["target"])
        broken = evidence >= 1 / self.configuration["delta"]
        if derivation.withdrawn_at is None and broken:
            judge = derivation.judge
            note(
                arena=judge.arena, actor=None, act="withdraw claim", subject=str(judge),
                agreed=agreed, n=n,
            )  # fmt: skip
            return {"withdrawn_at": timezone.now()}
        return {}

    def _cost(self, battles: int) -> dict[str, Any]:
        """What the battles that it went through cost, and what its dearest judge alone would have."""
        each = {judge.slug: cost_of_a_battle(judge) for judge in self.judges}
        if None in each.values():
            return {"per_battle": each, "cascade": None, "dearest": None, "dearest_alone": None}
        dearest = max(each, key=lambda slug: each[slug] or 0.0)
        cascade = sum((each[slug] or 0.0) * n for slug, n in self.reached.items())
        return {
            "per_battle": each,
            "cascade": round(cascade, DIGITS),
            "dearest": dearest,
            "dearest_alone": round((each[dearest] or 0.0) * battles, DIGITS),
        }


def cost_of_a_battle(judge: Judge) -> float | None:
    """In USD, the mean over its battles: of a jury what its members cost. None where no cost is known."""
    if judge.kind == Judge.Kind.PROGRAM:
        return 0.0
    if judge.kind == Judge.Kind.JURY:
        costs = [cost_of_a_battle(member) for member in members_of(judge)]
        return None if None in costs else sum(cost or 0.0 for cost in costs)
    paid = VerdictTrace.objects.filter(verdict__judge=judge, cost__isnull=False).aggregate(
        cost=Sum("cost"), battles=Count("verdict__battle", distinct=True)
    )
    return float(paid["cost"]) / paid["battles"] if paid["battles"] else None
