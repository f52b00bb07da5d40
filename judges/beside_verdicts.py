"""What an import brings beside verdicts: exclusions of voters, scores, rankings, and versions of systems."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from django.db.models import Q

from arena.models import Arena, Output, System
from judges.bulk import Stage, in_batches, moment
from judges.formats.records import RankingRecord, ScoreRecord, VoterRecord
from judges.models import Exclusion, RankedOutput, Ranking, Score
from judges.registers import Counts

AT_ONCE = 200  # outputs that one query looks for


class Beside:
    """Adds what isn't there. ``judges`` are those whose verdicts are counted otherwise than before."""

    def __init__(self, arena: Arena, now: datetime) -> None:
        self.arena, self.now = arena, now
        self.judges: set[int] = set()
        self.scores, self.rankings = Counts(), Counts()
        self.stage = Stage(
            "score",
            {"judge_id": "bigint", "output_id": "bigint", "criterion": "text",
             "value": "double precision", "repetition": "integer"},
        )  # fmt: skip

    def store_exclusions(self, wanted: list[tuple[int, int, VoterRecord]]) -> None:
        """``wanted`` are (voter id, judge id, what is said). Decisions that are there aren't repeated."""
        there: dict[int, set[tuple]] = {}
        for voters in in_batches({voter for voter, _, _ in wanted}):
            rows = Exclusion.objects.filter(voter_id__in=voters)
            for voter, *said in rows.values_list("voter_id", "is_excluded", "reason", "created_at"):
                there.setdefault(voter, set()).add(tuple(said))
        new, times = [], []
        for voter, judge, record in wanted:
            for said in record.exclusions:
                if said in there.get(voter, ()):
                    continue
                is_excluded, reason, at = said
                new.append(Exclusion(voter_id=voter, is_excluded=is_excluded, reason=reason))
                times.append(at)
                self.judges.add(judge)
        Exclusion.objects.bulk_create(new, batch_size=500)
        for exclusion, at in zip(new, times, strict=True):
            exclusion.created_at = at  # which is the time of writing until it is said otherwise
        Exclusion.objects.bulk_update(new, ["created_at"], batch_size=500)

    def store_scores(
        self, wanted: Sequence[tuple[int, tuple[int, int], ScoreRecord]]
    ) -> Iterator[ScoreRecord]:
        """``wanted`` are (judge id, (system id, prompt id), score); yields those without an output."""
        outputs = _outputs(key for _, key, _ in wanted)
        rows = []
        for judge, key, said in wanted:
            if key not in outputs:
                yield said
                continue
            rows.append((judge, outputs[key], said.criterion, said.value, said.repetition))
        if rows:
            constants = {"arena_id": self.arena.pk, "created_at": moment(self.now)}
            added = self.stage.insert(Score._meta.db_table, constants, rows)
            self.scores.added += added
            self.scores.already_there += len(rows) - added

    def store_rankings(
        self, wanted: Sequence[tuple[int, int, list[int], RankingRecord]]
    ) -> Iterator[RankingRecord]:
        """``wanted`` are (voter id, prompt id, system ids, ranking); yields those without an output."""
        outputs = _outputs(
            (system, prompt) for _, prompt, systems, _ in wanted for system in systems
        )
        there: set[tuple[int, int, int]] = set()
        for voters in in_batches({voter for voter, _, _, _ in wanted}):
            rows = Ranking.objects.filter(arena=self.arena, voter_id__in=voters)
            there.update(rows.values_list("voter_id", "prompt_id", "repetition"))
        new, shown = [], []
        for voter, prompt, systems, said in wanted:
            if any((system, prompt) not in outputs for system in systems):
                yield said
                continue
            if (voter, prompt, said.repetition) in there:
                self.rankings.already_there += 1
                continue
            new.append(
                Ranking(
                    arena=self.arena,
                    voter_id=voter,
                    prompt_id=prompt,
                    state=Ranking.State.UNDONE if said.is_retracted else Ranking.State.DECIDED,
                    is_ordered=True,
                    repetition=said.repetition,
                    comment=said.comment,
                    decided_at=said.decided_at,
                    dwell_ms=said.dwell_ms,
                )
            )
            shown.append((prompt, systems, said.ranks))
        Ranking.objects.bulk_create(new, batch_size=500)
        RankedOutput.objects.bulk_create(
            [
                RankedOutput(
                    ranking=ranking,
                    prompt_id=prompt,
                    system_id=system,
                    output_id=outputs[system, prompt],
                    position=position,
                    rank=rank,
                    is_ordered=True,
                )
                for ranking, (prompt, systems, ranks) in zip(new, shown, strict=True)
                for position, (system, rank) in enumerate(zip(systems, ranks, strict=True))
            ],
            batch_size=500,
        )
        self.rankings.added += len(new)


def _outputs(keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """(system id, prompt id) to the id of the output."""
    wanted = sorted(set(keys))
    found = {}
    for start in range(0, len(wanted), AT_ONCE):
        some = Q()
        for system, prompt in wanted[start : start + AT_ONCE]:
            some |= Q(system_id=system, prompt_id=prompt)
        rows = Output.objects.filter(some).values_list("system_id", "prompt_id", "pk")
        found.update({(system, prompt): pk for system, prompt, pk in rows})
    return found


def link_versions(arena: Arena, followed: Mapping[tuple[str, str], tuple[str, str]]) -> None:
    """Say of systems, by name and version, which version each follows, where that isn't said yet."""
    if not followed:
        return
    names = {name for pair in followed.items() for name, _ in pair}
    systems = {}
    for some in in_batches(names):
        for system in System.objects.filter(arena=arena, name__in=some):
            systems[system.name, system.version] = system
    changed = []
    for key, older in followed.items():
        system = systems[key]
        if system.follows_id is None:
            system.follows = systems[older]
            changed.append(system)
    System.objects.bulk_update(changed, ["follows"], batch_size=500)
