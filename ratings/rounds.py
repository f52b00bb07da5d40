"""Whether a run of a judge has asked enough: its own leaderboard is fitted, and the next battles are chosen.

Intervals are those of the judge's leaderboard in closed form (the sandwich), by prompt where there are prompts
enough: what the bootstrap of the published one comes near to, in milliseconds.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction

from arena.models import Output, System
from judges.models import JudgeRun
from judges.runs import rounds
from ratings import placing
from ratings.slices import Slice

if TYPE_CHECKING:
    import numpy as np

    from ratings.engine.tallies import Tallies

Z = 1.959964
# Of the draws of a round: as where people are asked, so that what luck made look wide isn't all that is asked.
ACTIVE, UNIFORM = 0.7, 0.3
LEAST_VERDICTS = 20  # of a system: on fewer the closed form says too little
MAX_ATTEMPTS = 3


def answer_soon(key: int) -> None:
    """Once the transaction in which the run began to wait is committed."""
    from ratings.tasks import answer_run

    transaction.on_commit(partial(answer_run.delay, key))


def sweep() -> int:
    """Answer again the runs that wait; how many were asked for."""
    from ratings.tasks import answer_run

    keys = rounds.waiting_runs()
    for key in keys:
        answer_run.delay(key)
    return len(keys)


def answer(key: int) -> bool:
    """Give a run that waits another round, or end it; whether it was waiting for that and nobody was at it."""
    waiting = JudgeRun.objects.filter(pk=key, state=JudgeRun.State.WAITING)
    if submission := waiting.values_list("submission", flat=True).first():
        # Which battles such a run asks about is decided with all of its submission's judges.
        return placing.step(submission)
    if not waiting.exists() or not waiting.claim(key):
        return False
    run = JudgeRun.objects.select_related("arena", "judge").get(pk=key)
    if run.attempts > MAX_ATTEMPTS:
        said = f"Its ratings were begun {MAX_ATTEMPTS} times and never came: see the worker's log."
        return rounds.end_rounds(run=run, said=said, figures={}, failed=True)
    wanted = run.selection["until_width"]
    standing = _standing(run)
    figures = {"widest": standing.widest, "system": standing.system}
    if standing.widest is not None and standing.widest < wanted:
        said = (
            f"Every 95 % interval is under {wanted:g} rating points: the widest, of {standing.system}, is "
            f"{standing.widest:.0f}."
        )
        return rounds.end_rounds(run=run, said=said, figures=figures)
    if run.rounds.get("n") and run.verdicts_cast <= run.rounds.get("verdicts_before", -1):
        said = "A whole round gave no verdict: see why its calls failed, then resume the run."
        return rounds.end_rounds(run=run, said=said, figures=figures, failed=True)
    n = rounds.room_for(run)
    room = rounds.open_pairs(run)
    if not n or not room:
        why = (
            f"The limit of {run.selection['limit']:,} battles is reached"
            if not n
            else "Every battle that was chosen is asked"
        )
        return rounds.end_rounds(
            run=run, said=f"{why}, and {standing.in_words(wanted)}", figures=figures
        )
    shares = _shares(run, standing, room)
    return rounds.add_round(run=run, wanted=rounds.spread_over(shares, n, room), figures=figures)


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where the judge's leaderboard stands. ``widest`` is None while ``system`` has no interval to speak of."""

    systems: "np.ndarray"
    tallies: "Tallies"
    widest: float | None
    system: str

    def in_words(self, wanted: float) -> str:
        if self.widest is None:
            return f"{self.system or 'a system'} still has no interval."
        return f"the widest interval, of {self.system}, is {self.widest:.0f} points, not under {wanted:g}."


def _standing(run: JudgeRun) -> _Standing:
    """Fitted now: the widest interval in rating points, over the systems that the run's battles are about."""
    import numpy as np

    from ratings import cells
    from ratings.engine.bradley_terry import fit_bradley_terry
    from ratings.engine.sandwich import sandwich_sd
    from ratings.engine.scale import PER_LOG_STRENGTH
    from ratings.snapshots import MIN_PROMPTS_TO_RESAMPLE

    counted = cells.count(arena=run.arena, slice=Slice(judge=run.subject.slug))
    by_prompt = counted.prompts_known and len(counted.prompt_ids) >= MIN_PROMPTS_TO_RESAMPLE
    data: Any = counted.clustered() if by_prompt else counted.tallies()
    tallies = data.tallies if by_prompt else data
    about = np.isin(counted.system_ids, list(_systems_of(run)))
    ids = counted.system_ids
    if not counted.n_verdicts:
        return _Standing(ids, tallies, None, "")
    sd = sandwich_sd(data, fit_bradley_terry(tallies))
    width = np.where(about, 2 * Z * PER_LOG_STRENGTH * sd, -1.0)
    wins = tallies.win_matrix()
    unranked = (np.isnan(width) | ((wins + wins.T).sum(axis=1) < LEAST_VERDICTS)) & about
    names = {s.pk: str(s) for s in System.objects.filter(arena=run.arena_id)}
    if unranked.any():
        return _Standing(ids, tallies, None, names[int(ids[np.argmax(unranked)])])
    at = int(np.argmax(width))
    return _Standing(ids, tallies, round(float(width[at]), 2), names[int(ids[at])])


def _systems_of(run: JudgeRun) -> set[int]:
    """Those that the selection names, or all that answered something."""
    slugs = set(run.selection.get("systems", ()))
    slugs |= {slug for pair in run.selection.get("pairs", ()) for slug in pair}
    there = Output.objects.filter(arena=run.arena_id)
    if len(slugs) > 1:
        there = there.filter(system__slug__in=slugs)
    return set(there.order_by().values_list("system_id", flat=True).distinct())


def _shares(
    run: JudgeRun, standing: _Standing, room: rounds.Pairs
) -> list[tuple[tuple[int, int], float]]:
    """Which part of the next round each pair with open battles gets."""
    import numpy as np

    from ratings.engine.sampling import pair_weights

    place = {int(pk): index for index, pk in enumerate(standing.systems)}
    possible = np.zeros((len(place), len(place)), dtype=bool)
    for one, other in room:
        possible[place[one], place[other]] = True
    weights = pair_weights(standing.tallies, possible=possible)
    mixed = weights.mixed(active=ACTIVE, least_judged=0.0, uniform=UNIFORM)
    return [(pair, float(mixed[place[pair[0]], place[pair[1]]])) for pair in room]
