"""Runs that go on in rounds until every interval is narrow enough.

What an interval is, this room doesn't know: whoever fits ratings hears ``run_waits`` (``judges.signals``), and
answers with ``add_round`` or ``end_rounds``. A run that waits has no open calls. Both verbs do nothing to a run
that doesn't wait any more, so an answer that comes twice is taken once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.utils import timezone

from arena.audit import note
from arena.matchmaking import plan_pairs
from judges.models import JudgeCall, JudgeRun
from judges.runs.calls import locked
from judges.runs.rows import write_round
from judges.runs.selection import KEYS, universe
from judges.signals import run_waits

State = JudgeRun.State
LEAST_IN_A_ROUND = 50  # battles
SHARE_OF_A_ROUND = 0.1  # of the battles asked so far
MOST_PAIRS = 100  # of one round
Pairs = Mapping[tuple[int, int], int]


def wait_for_figures(run: JudgeRun) -> None:
    """A round is over, or none has begun. Called with the run's row locked; the caller saves it."""
    run.state, run.error, run.claimed_until = State.WAITING, "", None
    run_waits.send(sender=JudgeRun, run_id=run.pk, now=False)


def answer_here(run: JudgeRun) -> None:
    """Have a waiting run answered in this process: where somebody works on it without a worker."""
    run_waits.send(sender=JudgeRun, run_id=run.pk, now=True)


def waiting_runs() -> list[int]:
    """Runs that wait for an answer that nobody is working on."""
    return list(
        JudgeRun.objects.unclaimed().filter(state=State.WAITING).values_list("pk", flat=True)
    )


def open_battles(run: JudgeRun) -> QuerySet:
    """Of the run's selection what its judge hasn't decided, and this run hasn't asked; see ``universe``."""
    selection = {name: value for name, value in run.selection.items() if name in KEYS - {"limit"}}
    rows = universe(judge=run.judge, selection=selection)
    calls = JudgeCall.objects.filter(run=run)
    of_outputs = calls.filter(output__isnull=False, state=JudgeCall.State.ERROR)
    if selection["battles"] == "all":
        asked = calls.filter(
            battle__output_a=OuterRef("output_a_pk"), battle__output_b=OuterRef("output_b_pk")
        )
    else:
        asked = calls.filter(battle=OuterRef("battle_pk"))
    return (
        rows.filter(~Exists(asked))
        .exclude(output_a_pk__in=of_outputs.values("output"))
        .exclude(output_b_pk__in=of_outputs.values("output"))
    )


def open_pairs(run: JudgeRun) -> dict[tuple[int, int], int]:
    """How many battles are open, by (system, system), the lower id first."""
    if run.selection["battles"] == "all":
        plan_pairs(arena=run.arena)
    pairs = open_battles(run).order_by().values_list("system_a_pk", "system_b_pk")
    return {(a, b): n for a, b, n in pairs.annotate(n=Count("output_a_pk"))}


def asked_so_far(run: JudgeRun) -> int:
    """Battles that were chosen in the rounds so far."""
    return int(run.rounds.get("battles", 0))


def room_for(run: JudgeRun) -> int:
    """How many battles the next round may have: within the run's limit; 0 where it is reached."""
    asked = asked_so_far(run)
    size = max(LEAST_IN_A_ROUND, round(SHARE_OF_A_ROUND * asked))
    limit = run.selection.get("limit")
    return size if not limit else max(0, min(size, limit - asked))


@transaction.atomic
def add_round(*, run: JudgeRun, wanted: Pairs, figures: Mapping[str, Any]) -> bool:
    """Ask about so many more battles of these pairs; whether the run was waiting and there were any.

    ``figures`` is plain JSON that tells where the run stands: "widest" and "system", if they are known.
    """
    from judges.runs.verbs import request_work

    row = locked(run.pk)
    if row.state != State.WAITING or row.rounds.get("n", 0) != run.rounds.get("n", 0):
        return False
    chosen = _chosen(row, wanted)
    if not chosen:
        return False
    cast = write_round(row, chosen)
    row.total = row.calls.count()
    row.verdicts_cast += cast
    row.rounds = {
        **row.rounds,
        **figures,
        "n": row.rounds.get("n", 0) + 1,
        "battles": asked_so_far(row) + len(chosen),
        "verdicts_before": row.verdicts_cast - cast,
    }
    row.started_at = row.started_at or timezone.now()
    row.state, row.claimed_until, row.attempts = State.RUNNING, None, 0
    row.save()
    request_work(row)
    return True


@transaction.atomic
def end_rounds(
    *, run: JudgeRun, said: str, figures: Mapping[str, Any], failed: bool = False
) -> bool:
    """The run is over for this reason; whether it was waiting, and in the round that was looked at."""
    row = locked(run.pk)
    if row.state != State.WAITING or row.rounds.get("n", 0) != run.rounds.get("n", 0):
        return False
    row.rounds = {**row.rounds, **figures, "said": said}
    row.claimed_until, row.attempts = None, 0
    if failed:
        row.state, row.error = State.FAILED, said
    else:
        row.state, row.error, row.finished_at = State.DONE, "", timezone.now()
    row.save()
    note(arena=row.arena, actor=None, act="end rounds", subject=str(row), run=row.pk, said=said)
    return True


def _chosen(run: JudgeRun, wanted: Pairs) -> list[tuple]:
    """Rows of the universe: of each pair as many as are wanted, spread over its prompts."""
    left = Counter(dict(wanted))
    rows = []
    for row in open_battles(run).order_by("spread", "output_a_pk", "output_b_pk").iterator(5_000):
        a, b = row[-2:]
        if left[a, b] > 0:
            left[a, b] -= 1
            rows.append(row)
    return rows


def spread_over(shares: Sequence[tuple[tuple[int, int], float]], n: int, room: Pairs) -> Pairs:
    """``n`` battles over pairs in proportion to their shares, no pair more than it has open.

    The largest remainders are rounded up. At most MOST_PAIRS pairs take part, those with the largest shares.
    """
    best = sorted(shares, key=lambda item: (-item[1], item[0]))[:MOST_PAIRS]
    found: Counter[tuple[int, int]] = Counter()
    while best and sum(found.values()) < n:
        left = n - sum(found.values())
        total = sum(share for _, share in best)
        exact = {pair: left * share / total if total else left / len(best) for pair, share in best}
        given = {pair: min(int(value), room[pair] - found[pair]) for pair, value in exact.items()}
        if not any(given.values()):
            for pair, _ in sorted(
                exact.items(), key=lambda item: (int(item[1]) - item[1], item[0])
            ):
                if left and room[pair] > found[pair]:
                    given[pair], left = 1, left - 1
        found.update(given)
        best = [(pair, share) for pair, share in best if room[pair] > found[pair]]
    return {pair: count for pair, count in found.items() if count}
