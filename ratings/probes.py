"""What a run of probes says of its judge: computed from its comparisons when somebody asks."""

from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import QuerySet

from arena.access import unseen_pairs
from arena.models import HIDDEN, Arena, System
from judges.models import JudgeRun, ProbeResult
from judges.probes import PROBES, RETEST, Probe
from judges.runs.probing import can_be_shown, shown_answers
from judges.runs.progress import UNDER_WAY
from ratings.kept_figures import recent

ROUNDS = 1_000
NO_SIDE = -1


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """One probe of a run. Figures are those of ratings.engine.robustness, as plain dicts: rows are kept in
    the cache, so they hold nothing but data."""

    name: str
    n: int  # battles that were compared so far
    n_fooled: int
    unchanged: dict[str, Any]
    retest: dict[str, Any]
    beyond_noise: dict[str, Any]
    towards: dict[str, Any]
    p_towards: float | None
    n_towards: int
    n_away: int
    is_weak: bool  # more than noise, as far as 95 % can tell of all probes together
    falls_towards: bool  # more changes for the changed answer than a coin's, likewise
    falls_away: bool

    @property
    def probe(self) -> Probe:
        return PROBES[self.name]

    @property
    def p(self) -> str:
        if self.p_towards is None:
            return ""
        return (
            "p < .001" if self.p_towards < 0.001 else f"p {self.p_towards:.3f}".replace("0.", ".")
        )

    def as_dict(self) -> dict[str, Any]:
        figures = {
            name: getattr(self, name) for name in ("unchanged", "retest", "beyond_noise", "towards")
        }
        return {
            "probe": self.name,
            "title": self.probe.title,
            "what": self.probe.what,
            "counts_as_fooled": str(self.probe.counts),
            "n": self.n,
            "n_fooled": self.n_fooled,
            **figures,
            "n_towards": self.n_towards,
            "n_away": self.n_away,
            "p_towards": self.p_towards,
            "is_weak": self.is_weak,
            "falls_towards": self.falls_towards,
            "falls_away": self.falls_away,
        }


@dataclass(frozen=True, slots=True)
class Probed:
    """``retest`` is of all battles that were asked about again."""

    n_battles: int
    n_prompts: int
    retest: dict[str, Any]
    rows: list[ProbeRow]

    @property
    def n_fooled(self) -> int:
        return sum(row.n_fooled for row in self.rows)


def results_of(run: JudgeRun, arena: Arena, *, user: Any = None) -> QuerySet[ProbeResult]:
    """The comparisons of a run that the user, or the public, may know of."""
    return ProbeResult.objects.filter(run=run).exclude(pair__in=unseen_pairs(user, arena))


def probed(run: JudgeRun, arena: Arena) -> Probed:
    """The figures of what there is by now: the same for everybody, without hidden systems."""
    hidden = System.objects.filter(arena=arena, standing__in=HIDDEN).order_by("pk")
    of = [*hidden.values_list("pk", flat=True)]
    # While calls come in, slow figures are computed twenty times in all and not with each of them.
    step = run.done * 20 // run.total if run.state in UNDER_WAY and run.total else f"{run.done}."
    return recent(lambda: _computed(run, arena), "probes", run.pk, step, str(of)).value


def _computed(run: JudgeRun, arena: Arena) -> Probed:
    # Here, since no web process imports numpy when it starts.
    import numpy as np

    from ratings.engine.robustness import holm, retest, robustness

    columns = ("battle", "prompt", "changed_side", "before", "after", "is_fooled")
    found: dict[str, list[tuple]] = {name: [] for name in (RETEST, *run.probes["names"])}
    for name, *values in results_of(run, arena).values_list("probe", *columns):
        if name in found:
            found[name].append(tuple(values))
    again = {battle: after for battle, _, _, _, after, _ in found[RETEST]}

    def arrays(rows: list[tuple]) -> tuple[Any, ...]:
        table = [
            (prompt, NO_SIDE if side is None else side, before, after, again.get(battle, -1))
            for battle, prompt, side, before, after, _ in rows
        ]
        return tuple(np.array(table, dtype=np.int64).reshape(len(table), 5).T)

    prompt, _, before, after, _ = arrays(found[RETEST])
    seed = run.probes["seed"]
    overall = retest(before=before, again=after, prompt=prompt, rounds=ROUNDS, seed=seed)
    names = [name for name in run.probes["names"] if name in PROBES]
    figures = {}
    for name in names:
        prompt, side, before, after, known = arrays(found[name])
        figures[name] = robustness(
            before=before,
            after=after,
            again=known,
            side=side,
            prompt=prompt,
            rounds=ROUNDS,
            seed=seed,
            family=len(names),
        )
    uneven = holm([figures[name].p_towards for name in names])
    rows = [
        ProbeRow(
            name=name,
            n=len(found[name]),
            n_fooled=sum(row[-1] for row in found[name]),
            falls_towards=is_uneven and figures[name].n_towards > figures[name].n_away,
            falls_away=is_uneven and figures[name].n_towards < figures[name].n_away,
            **asdict(figures[name]),
        )
        for name, is_uneven in zip(names, uneven, strict=True)
    ]
    return Probed(
        n_battles=len({row[0] for rows_ in found.values() for row in rows_}),
        n_prompts=len({row[1] for rows_ in found.values() for row in rows_}),
        retest=asdict(overall),
        rows=rows,
    )


def sentences(found: Probed) -> list[str]:
    """What it comes to, in plain words."""
    retest = found.retest["value"]
    if retest is None:
        return ["Too little has been compared yet to say anything"]
    n = found.retest["n"]
    if retest == 1:
        noise = f"on all {n:,} battles: it shows no noise of its own"
    else:
        noise = (
            f"on {100 * retest:.0f} % of {n:,} battles: the rest is its own noise, and only what goes beyond "
            "it is weakness"
        )
    said = [f"Asked the very same again, the judge decides the same {noise}"]
    known = [row for row in found.rows if row.beyond_noise["value"] is not None]
    weak = sorted((row for row in known if row.is_weak), key=lambda row: -row.beyond_noise["value"])
    if weak:
        moved = ", ".join(
            f"{row.probe.title.lower()} ({100 * row.beyond_noise['value']:.0f} points)"
            for row in weak
        )
        said.append(f"More than noise moves it: {moved}")
    elif known:
        said.append("No probe is shown to move it more than its own noise does")
    falls = [row.probe.title.lower() for row in known if row.falls_towards and not row.probe.swaps]
    if falls:
        said.append(f"It moves for the changed answer, more than a coin would: {', '.join(falls)}")
    swap = next((row for row in known if row.probe.swaps), None)
    if swap is not None and (swap.falls_towards or swap.falls_away):
        which = "first" if swap.falls_towards else "second"
        said.append(
            f"When the order is exchanged, its changes favour the answer that comes {which}"
        )
    return said


@dataclass(frozen=True, slots=True)
class Fooled:
    """One comparison with what the judge was shown, in that order; empty where it can't be rendered again."""

    result: ProbeResult
    title: str
    shown: list[tuple[str, str, bool]]  # (side, text, whether it is the changed one)


A_PAGE = 10


def fooled_page(
    run: JudgeRun, arena: Arena, *, user: Any, probe: str = "", after: int | None = None
) -> tuple[list[Fooled], int | None]:
    """(those after that id, the id to go on from): of one probe or of all, at most A_PAGE at a time."""
    found = results_of(run, arena, user=user).filter(is_fooled=True)
    if probe:
        found = found.filter(probe=probe)
    if after is not None:
        found = found.filter(pk__gt=after)
    rows = list(
        found.select_related(
            "prompt",
            "battle__output_a",
            "battle__output_b",
            "battle__system_a",
            "battle__system_b",
        ).order_by("pk")[: A_PAGE + 1]
    )
    shown = [_fooled(run, row) for row in rows[:A_PAGE]]
    return shown, rows[A_PAGE - 1].pk if len(rows) > A_PAGE else None


def _fooled(run: JudgeRun, result: ProbeResult) -> Fooled:
    probe = PROBES.get(result.probe)
    title = probe.title if probe else result.probe
    if probe is None or not can_be_shown(run):
        return Fooled(result, title, [])
    first, texts = shown_answers(result.battle, result.probe, seed=run.probes["seed"])
    sides = ("A", "B") if first == 0 else ("B", "A")
    changed = None if result.changed_side is None or probe.swaps else "AB"[result.changed_side]
    return Fooled(
        result,
        title,
        [(side, text, side == changed) for side, text in zip(sides, texts, strict=True)],
    )
