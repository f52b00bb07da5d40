"""Where one system wins and loses: grouped by the database, never a row per verdict.

Battles against hidden systems are left out, whoever asks, as they are in leaderboards; the system itself may be
hidden, and is then seen by its owner and the maintainers only, which pages see to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connection
from django.db.models import Case, Count, F, FloatField, IntegerField, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Cast, Sqrt

from arena.models import HIDDEN, Battle, Category, Output, Pair, System
from judges.cuts import Cut, watermark
from judges.models import Outcome, Verdict
from ratings.clustered_rates import FEWEST_PROMPTS, Rate, Sums, Z, mean_interval, rate, sign_test
from ratings.scales import Bar, Scale
from ratings.slices import Slice

if TYPE_CHECKING:
    from ratings.engine.paired_versions import PairedDifference

LONGER = (
    "less than half as long",
    "half to four fifths as long",
    "about as long",
    "1.25 to twice as long",
    "more than twice as long",
)
MOST_LISTED = 500  # battles of a list, the clearest first
FEWEST_VOTERS = 2
PERCENT = Scale(0.0, 1.0, lambda value: f"{value * 100:.0f}")


class Line(NamedTuple):
    """One row of a table: a part of the system's battles."""

    key: str  # what programs call it: an address, a language, a bin's name
    name: str
    rate: Rate
    bar: Bar


@dataclass(frozen=True, slots=True)
class Report:
    overall: Line | None  # None: nobody has decided a battle of it
    categories: list[Line]
    opponents: list[Line]
    lengths: list[Line]
    languages: list[Line]

    @property
    def tables(self) -> list[tuple[str, list[Line]]]:
        return [
            ("category", self.categories),
            ("opponent", self.opponents),
            ("length", self.lengths),
            ("language", self.languages),
        ]


class Decided(NamedTuple):
    """A battle, and how often of ``n`` verdicts the system got it; a tie is half."""

    battle: Battle
    n: int
    points: float
    judge_n: int = 0
    judge_points: float = 0.0

    @property
    def share(self) -> float:
        return self.points / self.n

    @property
    def against(self) -> float:
        return 1 - self.share

    @property
    def judge_share(self) -> float:
        return self.judge_points / self.judge_n


class Disagreement(NamedTuple):
    """How a judge's decisions on a system's battles stand to those of people, battle by battle."""

    n: int  # battles that both decided
    n_prompts: int
    better: int  # the judge put the system higher than people did
    worse: int
    net: float  # (better - worse) / n, with its interval clustered by prompt
    lower: float | None
    upper: float | None
    p_value: float  # exact sign test of better against worse


class Versions(NamedTuple):
    """What two versions did on the same prompts against the same opponents, prompt by prompt."""

    rows: list[tuple[int, int, float]]  # prompt id, opponents, sum of the differences of win shares
    n_opponents: int
    direct: Rate | None  # battles between the two: how often this one won


# --- which verdicts, and what they are worth ------------------------------------------------------
def _verdicts(system: System, slice: Slice, cut: Cut) -> QuerySet[Verdict]:
    from ratings.cells import counted_verdicts  # with numpy, which the web process loads when asked

    public = ~Q(system_a__standing__in=HIDDEN), ~Q(system_b__standing__in=HIDDEN)
    pairs = Pair.objects.filter(arena=system.arena).order_by()
    met = pairs.filter(Q(system_a=system) & public[1] | Q(system_b=system) & public[0])
    verdicts = counted_verdicts(arena=system.arena, slice=slice, up_to=cut)
    return verdicts.filter(pair__in=met.values("pk"))


def _points(system: System) -> Sum:
    """In halves: a win is two, a tie (or both bad) one."""
    return Sum(
        Case(
            When(outcome__in=(Outcome.TIE, Outcome.BOTH_BAD), then=1),
            When(pair__system_a=system, outcome=Outcome.A, then=2),
            When(pair__system_b=system, outcome=Outcome.B, then=2),
            default=0,
            output_field=IntegerField(),
        )
    )


def _ask(sql: str, parameters: Iterable[Any]) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, tuple(parameters))
        return cursor.fetchall()


def _sums(verdicts: QuerySet[Verdict], system: System, key: Any) -> dict[Any, Rate]:
    """Rates by the value of ``key``: grouped by prompt first, then over prompts, both in the database."""
    by_prompt = (
        verdicts.annotate(part=key)
        .values("part", "prompt_id")
        .annotate(n=Count("pk"), s=_points(system))
    )
    return _rates(*by_prompt.query.sql_with_params())


def _rates(sql: str, parameters: Iterable[Any]) -> dict[Any, Rate]:
    """From SQL that gives part, prompt_id, n and s: a rate for each part."""
    rows = _ask(
        f"SELECT part, SUM(n), SUM(s), COUNT(*), SUM(s * s), SUM(s * n), SUM(n * n) FROM ({sql}) AS prompts "  # noqa: S608 (Django wrote it)
        "WHERE part IS NOT NULL GROUP BY part",
        parameters,
    )
    return {part: rate(Sums(*map(int, sums))) for part, *sums in rows}


# --- the report -----------------------------------------------------------------------------------
def report(*, system: System, slice: Slice) -> Report:
    """Where it wins and loses by one judge: five questions to the database, whatever the number of verdicts."""
    verdicts = _verdicts(system, slice, watermark())
    overall = _sums(verdicts, system, Value(0))
    if not overall:
        return Report(None, [], [], [], [])
    categories = {
        category.pk: (category.slug, category.name)
        for category in Category.objects.filter(arena=system.arena)
    }
    pairs = Pair.objects.filter(Q(system_a=system) | Q(system_b=system), arena=system.arena)
    other_of = {
        pair.pk: pair.system_b if pair.system_a_id == system.pk else pair.system_a
        for pair in pairs.select_related("system_a", "system_b").order_by()
    }
    opponents = {pk: (other.slug, str(other)) for pk, other in other_of.items()}
    bins = {number: (name.replace(" ", "-"), name) for number, name in enumerate(LONGER)}
    languages = _sums(verdicts, system, F("prompt__language"))
    return Report(
        overall=_line("all", "All its battles", overall[0]),
        categories=_lines(_sums(verdicts, system, F("prompt__categories")), categories),
        opponents=_lines(_sums(verdicts, system, F("pair_id")), opponents),
        lengths=_lines(_by_length(verdicts, system), bins, keep_order=True),
        languages=_lines(
            languages, {code: (code or "none", code or "not stated") for code in languages}
        ),
    )


def _by_length(verdicts: QuerySet[Verdict], system: System) -> dict[int, Rate]:
    """By the bins of LONGER: how long its output is to the opponent's, in characters."""
    sql, parameters = (
        verdicts.values("battle_id", "prompt_id")
        .annotate(n=Count("pk"), s=_points(system))
        .query.sql_with_params()
    )
    # By battle first: a text is measured once, however many verdicts its battle has.
    lengths = (
        "SELECT v.prompt_id, v.n, v.s, "  # noqa: S608 (of fixed parts)
        "CASE WHEN b.system_a_id = %s THEN LENGTH(x.text) ELSE LENGTH(y.text) END AS own, "
        "CASE WHEN b.system_a_id = %s THEN LENGTH(y.text) ELSE LENGTH(x.text) END AS other "
        f"FROM ({sql}) AS v JOIN {Battle._meta.db_table} AS b ON b.id = v.battle_id "
        f"JOIN {Output._meta.db_table} AS x ON x.id = b.output_a_id "
        f"JOIN {Output._meta.db_table} AS y ON y.id = b.output_b_id"
    )
    by_prompt = (
        "SELECT part, prompt_id, SUM(n) AS n, SUM(s) AS s FROM (SELECT prompt_id, n, s, CASE "  # noqa: S608 (of fixed parts)
        "WHEN other > own * 2 THEN 0 WHEN other > own * 1.25 THEN 1 WHEN own <= other * 1.25 THEN 2 "
        f"WHEN own <= other * 2 THEN 3 ELSE 4 END AS part FROM ({lengths}) AS lengths) AS parts "
        "GROUP BY part, prompt_id"
    )
    return _rates(by_prompt, [system.pk, system.pk, *parameters])


def _line(key: str, name: str, found: Rate) -> Line:
    value = None if found.is_too_few else found.value
    return Line(key, name, found, PERCENT.bar(value, found.lower, found.upper))


def _lines(
    rates: dict[Any, Rate], names: dict[Any, tuple[str, str]], *, keep_order: bool = False
) -> list[Line]:
    """Those that rest on enough prompts first, the best first."""
    lines = [_line(*names[key], found) for key, found in sorted(rates.items()) if key in names]
    if keep_order:
        return lines
    return sorted(lines, key=lambda line: (line.rate.is_too_few, -line.rate.value, line.name))


# --- battles --------------------------------------------------------------------------------------
def clearest(*, system: System, slice: Slice, won: bool, start: int, size: int) -> list[Decided]:
    """Battles on which most of at least FEWEST_VOTERS verdicts were for it, or against it.

    Those first whose share has the highest lower bound (Wilson, 95 %): 9 of 9 before 2 of 2.
    """
    halves = F("s") if won else 2 * F("n") - F("s")
    share = Cast(halves, FloatField()) / (2.0 * F("n"))
    bound = (
        F("share")
        + Z**2 / (2.0 * F("n"))
        - Z * Sqrt(F("share") * (1.0 - F("share")) / F("n") + Z**2 / (4.0 * F("n") * F("n")))
    ) / (1.0 + Z**2 / F("n"))
    found = (
        _verdicts(system, slice, watermark())
        .values("battle_id")
        .annotate(n=Cast(Count("pk"), FloatField()), s=_points(system))
        .filter(n__gte=FEWEST_VOTERS)
        .annotate(share=share)
        .filter(share__gt=0.5)
        .annotate(bound=bound)
        .order_by("-bound", "battle_id")
        .values_list("battle_id", "n", "s")
    )
    last = min(start + size, MOST_LISTED)
    rows = list(found[start:last]) if start < last else []
    battles = _battles([pk for pk, _, _ in rows])
    return [Decided(battles[pk], int(n), s / 2) for pk, n, s in rows]


def _battles(ids: Sequence[int]) -> dict[int, Battle]:
    return (
        Battle.objects.select_related("system_a", "system_b", "prompt")
        .defer("prompt__reference")
        .in_bulk(list(ids))
    )


def _joined(system: System, people: Slice, judge: Slice) -> tuple[str, list[Any]]:
    """SQL of the battles that both decided: id, prompt, and each side's verdicts and points."""
    cut = watermark()
    sides = [
        _verdicts(system, slice, cut)
        .values("battle_id", "prompt_id")
        .annotate(n=Count("pk"), s=_points(system))
        .query.sql_with_params()
        for slice in (people, judge)
    ]
    sql = (
        "SELECT p.battle_id, p.prompt_id, p.n AS pn, p.s AS ps, j.n AS jn, j.s AS js, "  # noqa: S608 (Django wrote it)
        "CASE WHEN p.s > p.n THEN 1 WHEN p.s < p.n THEN -1 ELSE 0 END AS said, "
        "CASE WHEN j.s > j.n THEN 1 WHEN j.s < j.n THEN -1 ELSE 0 END AS judged "
        f"FROM ({sides[0][0]}) AS p JOIN ({sides[1][0]}) AS j ON p.battle_id = j.battle_id"
    )
    return sql, [*sides[0][1], *sides[1][1]]


def disagreement(*, system: System, people: Slice, judge: Slice) -> Disagreement | None:
    """None: they have no battle in common on which people lean to one side."""
    sql, parameters = _joined(system, people, judge)
    [(n, up, down, n_prompts, dd, dn, nn)] = _ask(
        "SELECT SUM(n), SUM(up), SUM(down), COUNT(*), SUM((up - down) * (up - down)), SUM((up - down) * n), "  # noqa: S608 (of fixed parts)
        "SUM(n * n) FROM (SELECT prompt_id, COUNT(*) AS n, "
        "SUM(CASE WHEN judged > said THEN 1 ELSE 0 END) AS up, "
        "SUM(CASE WHEN judged < said THEN 1 ELSE 0 END) AS down "
        f"FROM ({sql}) AS battles WHERE said <> 0 GROUP BY prompt_id) AS prompts",
        parameters,
    )
    if not n_prompts:
        return None
    n, up, down, dd, dn, nn = (int(value) for value in (n, up, down, dd, dn, nn))
    net, lower, upper = mean_interval(
        up - down,
        n,
        n_prompts=int(n_prompts),
        squares=lambda mean: dd - 2 * mean * dn + mean**2 * nn,
    )
    return Disagreement(n, int(n_prompts), up, down, net, lower, upper, sign_test(up, down))


def disagreed(
    *, system: System, people: Slice, judge: Slice, better: bool, start: int, size: int
) -> list[Decided]:
    """The battles in which the judge put it higher (or lower) than people, those first on which most people
    agreed."""
    sql, parameters = _joined(system, people, judge)
    size = min(size, MOST_LISTED - start)
    if size <= 0:
        return []
    rows = _ask(
        f"SELECT battle_id, pn, ps, jn, js FROM ({sql}) AS battles "  # noqa: S608 (of fixed parts)
        f"WHERE said <> 0 AND judged {'>' if better else '<'} said "
        "ORDER BY ABS(ps - pn) * 1.0 / (pn + 2) DESC, battle_id LIMIT %s OFFSET %s",
        [*parameters, size, start],
    )
    battles = _battles([row[0] for row in rows])
    return [Decided(battles[pk], n, s / 2, jn, js / 2) for pk, n, s, jn, js in rows]


# --- versions -------------------------------------------------------------------------------------
def versions_of(system: System, seen: QuerySet[System]) -> list[System]:
    """The other versions among ``seen``: of the same name, the one before, and those that follow it."""
    family = Q(name=system.name) | Q(follows=system)
    if system.follows_id:
        family |= Q(pk=system.follows_id)
    return list(seen.filter(family).exclude(pk=system.pk).order_by("-pk")[:50])


def paired(*, system: System, other: System, slice: Slice) -> Versions:
    """What both did against common opponents on common prompts; each prompt and opponent weighs the same."""
    cut = watermark()
    sides = []
    for one, not_counted in ((system, other), (other, system)):
        opponent = Case(
            When(pair__system_a=one, then=F("pair__system_b_id")), default=F("pair__system_a_id")
        )
        by_cell = (
            _verdicts(one, slice, cut)
            .annotate(opponent=opponent)
            .exclude(opponent=not_counted.pk)
            .values("prompt_id", "opponent")
            .annotate(n=Count("pk"), s=_points(one))
        )
        sides.append(by_cell.query.sql_with_params())
    cells = (
        f"({sides[0][0]}) AS x JOIN ({sides[1][0]}) AS y "
        "ON x.prompt_id = y.prompt_id AND x.opponent = y.opponent"
    )
    parameters = [*sides[0][1], *sides[1][1]]
    rows = _ask(
        f"SELECT x.prompt_id, COUNT(*), SUM(x.s * 0.5 / x.n - y.s * 0.5 / y.n) FROM {cells} "  # noqa: S608 (Django wrote it)
        "GROUP BY x.prompt_id ORDER BY x.prompt_id",
        parameters,
    )
    [(n_opponents,)] = _ask(f"SELECT COUNT(DISTINCT x.opponent) FROM {cells}", parameters)  # noqa: S608 (Django wrote it)
    return Versions(
        [(prompt, n, float(total)) for prompt, n, total in rows],
        n_opponents,
        _direct(system, other, slice, cut),
    )


def tested(found: Versions, *, seed: int) -> "PairedDifference | None":
    """The engine's test of what ``paired`` found; None where the prompts are too few for it."""
    from ratings.engine.paired_versions import paired_difference

    if len(found.rows) < FEWEST_PROMPTS:
        return None
    return paired_difference(
        [total for _, _, total in found.rows], [n for _, n, _ in found.rows], seed=seed
    )


def _direct(system: System, other: System, slice: Slice, cut: Cut) -> Rate | None:
    from ratings.cells import counted_verdicts

    both = Pair.objects.filter(arena=system.arena, system_a__in=(system, other))
    both = both.filter(system_b__in=(system, other)).order_by()
    verdicts = counted_verdicts(arena=system.arena, slice=slice, up_to=cut)
    return _sums(verdicts.filter(pair__in=both.values("pk")), system, Value(0)).get(0)
