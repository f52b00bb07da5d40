"""Which battles a run is about: from words to rows.

A selection is plain JSON, every key of which may be missing:

    {"battles": "existing" | "voted" | "all", "systems": [slug, …], "pairs": [[slug, slug], …],
     "prompts": [id, …], "categories": [slug, …], "limit": 200, "failed_of": run id, "until_width": 60}

"existing" are the battles that there are, "voted" those that people voted on, "all" every two outputs to the
same prompt: battles that are missing are made. One system: its battles against all others; several: the
battles between them. A limit takes a sample that is spread over all that was chosen, the same every time.
Of a judge that hears others first (judges.runs.hearing): the battles that all of them have decided.

With "until_width" battles are asked in rounds (judges.runs.rounds) until every system's 95 % interval by this
judge is narrower than so many rating points; the limit is then the most battles of all rounds together.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import (
    BigIntegerField,
    BinaryField,
    Exists,
    Expression,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    TextField,
    Value,
)
from django.db.models.functions import Cast, Coalesce

from arena.matchmaking import make_battles, plan_pairs
from arena.models import HIDDEN, Arena, Battle, Category, Output, Prompt, System
from judges.models import Judge, JudgeCall, Score, Verdict
from judges.runs.errors import RunError
from judges.runs.hearing import all_heard

BATCH = 500
MOST_NAMED = 1_000  # systems, pairs or prompts by name: more than that is a category, or all
MOST_LIMIT = 1_000_000
WAYS = ("existing", "voted", "all")
KEYS = {
    "battles", "systems", "pairs", "prompts", "categories", "limit", "failed_of", "until_width"
}  # fmt: skip
NARROWEST, WIDEST = 1, 2_000  # rating points
# Knuth's multiplicative hash: a spread-out order of rows that every database computes alike.
_FACTORS = (2_654_435_761, 40_503)


class Chosen(NamedTuple):
    """A battle of a selection, and how long the texts are that its judge will read, in bytes."""

    battle: int
    pair: int
    prompt: int
    output_a: int
    output_b: int
    prompt_bytes: int
    reference_bytes: int
    a_bytes: int
    b_bytes: int
    system_a: int
    system_b: int


def checked_selection(selection: Mapping[str, Any], *, arena: Arena) -> dict[str, Any]:
    """The selection with its way of choosing, all of whose names exist. Raises RunError."""
    unknown = sorted(set(selection) - KEYS)
    if unknown:
        raise RunError(f"A selection has no {unknown[0][:60]!r}: it has {', '.join(sorted(KEYS))}.")
    checked: dict[str, Any] = {}
    for key, model in (("systems", System), ("categories", Category)):
        if names := _list(selection, key, str):
            _all_there(names, model, "slug", arena, key)
            checked[key] = names
    if prompts := _list(selection, "prompts", int):
        _all_there(prompts, Prompt, "pk", arena, "prompts")
        checked["prompts"] = prompts
    if pairs := _list(selection, "pairs", list | tuple):
        if any(len(pair) != 2 or pair[0] == pair[1] for pair in pairs):
            raise RunError("Each of the pairs must be two different systems, by their addresses.")
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        _all_there(names, System, "slug", arena, "pairs")
        checked["pairs"] = [list(pair) for pair in pairs]
    limit = selection.get("limit", 0)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= MOST_LIMIT:
        raise RunError(f"limit must be a whole number up to {MOST_LIMIT:,}; 0 is for no limit.")
    if limit:
        checked["limit"] = limit
    width = selection.get("until_width")
    if width is not None:
        is_number = isinstance(width, int | float) and not isinstance(width, bool)
        if not is_number or not NARROWEST <= width <= WIDEST:
            raise RunError(
                f"until_width is a number of rating points from {NARROWEST} to {WIDEST:,}."
            )
        checked["until_width"] = width
    failed_of = selection.get("failed_of")
    if failed_of is not None:
        if not isinstance(failed_of, int) or not arena.runs.filter(pk=failed_of).exists():
            raise RunError(f"failed_of names no run of this arena: {str(failed_of)[:20]!r}.")
        checked["failed_of"] = failed_of
    named = any(key in checked for key in ("systems", "pairs", "prompts"))
    checked["battles"] = selection.get("battles", "all" if named else "existing")
    if checked["battles"] not in WAYS:
        raise RunError(f"battles must be one of {', '.join(WAYS)}.")
    return checked


def universe(*, judge: Judge, selection: Mapping[str, Any]) -> QuerySet:
    """The chosen battles that the judge hasn't decided, as rows of Chosen's fields.

    ``battle`` and ``pair`` are missing (None) where battles are yet to be made. Without a limit in the order of
    prompts, with one a sample.
    """
    rows_of = _of_outputs if selection["battles"] == "all" else _of_battles
    rows = rows_of(judge, selection)
    if limit := selection.get("limit"):
        rows = rows.order_by("spread", "output_a_pk", "output_b_pk")[:limit]
    return rows


def chosen(*, judge: Judge, selection: Mapping[str, Any]) -> Iterator[list[Chosen]]:
    """The battles of the universe in batches; those that are missing are made."""
    arena = judge.arena
    making = selection["battles"] == "all"
    if making:
        plan_pairs(arena=arena)
    for rows in _batches(judge, selection):
        yield _as_chosen(arena, rows, making=making)


def batches_of(
    judge: Judge, selection: Mapping[str, Any], rows: list[tuple]
) -> Iterator[list[Chosen]]:
    """The same of some rows of the universe."""
    for some in _batched(rows):
        yield _as_chosen(judge.arena, some, making=selection["battles"] == "all")


def _as_chosen(arena: Arena, rows: list[tuple], *, making: bool) -> list[Chosen]:
    if not making:
        return [Chosen(*row) for row in rows]
    battles = make_battles(arena=arena, of={(row[3], row[4]): row[2] for row in rows})
    return [Chosen(*battles[row[3], row[4]], *row[2:]) for row in rows]


def outputs_to_score(
    *, judge: Judge, batch: list[Chosen], repetition: int
) -> dict[int, tuple[int, int, int, int]]:
    """(prompt, bytes of prompt, of reference, of the output) by output, of those that have no score yet."""
    sizes = {}
    for row in batch:
        for output, size in ((row.output_a, row.a_bytes), (row.output_b, row.b_bytes)):
            sizes[output] = (row.prompt, row.prompt_bytes, row.reference_bytes, size)
    scored = Score.objects.filter(
        judge=judge, output__in=sizes, criterion="", repetition=repetition
    ).values_list("output_id", flat=True)
    for output in scored:
        del sizes[output]
    return sizes


# --- which ------------------------------------------------------------------------------------------------

_FIELDS = (
    "battle_pk", "pair_pk", "prompt_pk", "output_a_pk", "output_b_pk",
    "prompt_bytes", "reference_bytes", "a_bytes", "b_bytes", "system_a_pk", "system_b_pk",
)  # fmt: skip


def public_battles(*, judge: Judge, selection: Mapping[str, Any]) -> QuerySet:
    """The same rows of battles that there are, whether or not the judge has decided them; none of a system
    that is hidden, since what comes of them is for everybody to see."""
    hidden = System.objects.filter(arena=judge.arena_id, standing__in=HIDDEN).values("pk")
    seen = ~Q(system_a__in=hidden) & ~Q(system_b__in=hidden)
    rows = _battles(judge, selection, seen)
    if limit := selection.get("limit"):
        rows = rows.order_by("spread", "output_a_pk", "output_b_pk")[:limit]
    return rows


def _of_battles(judge: Judge, selection: Mapping[str, Any]) -> QuerySet:
    decided = [
        ~Exists(
            Verdict.objects.filter(
                judge=judge, battle=OuterRef("pk"), criterion="", repetition=repetition
            )
        )
        for repetition in range(judge.configuration["repetitions"])
    ]
    return _battles(judge, selection, _any(decided), *all_heard(judge))


def _battles(judge: Judge, selection: Mapping[str, Any], *conditions: Any) -> QuerySet:
    battles = Battle.objects.filter(
        *conditions,
        _which(selection, system="system_a", opponent="system_b", arena_id=judge.arena_id),
        arena_id=judge.arena_id,
        output_a__isnull=False,
    )
    if selection["battles"] == "voted":
        people = Verdict.objects.filter(judge__kind=Judge.Kind.CROWD, battle=OuterRef("pk"))
        battles = battles.filter(Exists(people))
    if failed_of := selection.get("failed_of"):
        battles = battles.filter(_failed(failed_of, "pk", "output_a", "output_b"))
    return battles.annotate(
        spread=spread_of("output_a_id", "output_b_id"),
        battle_pk=F("pk"),
        pair_pk=F("pair_id"),
        prompt_pk=F("prompt_id"),
        output_a_pk=F("output_a_id"),
        output_b_pk=F("output_b_id"),
        system_a_pk=F("system_a_id"),
        system_b_pk=F("system_b_id"),
        **_sizes("prompt__", "output_a__", "output_b__"),
    ).values_list(*_FIELDS)


def _of_outputs(judge: Judge, selection: Mapping[str, Any]) -> QuerySet:
    other = "prompt__outputs"
    met = Battle.objects.filter(output_a=OuterRef("pk"), output_b=OuterRef(f"{other}__pk"))
    heard = all_heard(judge)
    met = met.filter(*heard)
    # What nobody was asked about yet, nobody can discuss.
    open_ = [] if heard else [~Exists(met)]
    for repetition in range(judge.configuration["repetitions"]):
        decided = Verdict.objects.filter(
            judge=judge, battle=OuterRef("pk"), criterion="", repetition=repetition
        )
        open_.append(Exists(met.filter(~Exists(decided))))
    # One filter, so that all of its conditions speak of the same other output.
    outputs = Output.objects.filter(
        _which(selection, system="system", opponent=f"{other}__system", arena_id=judge.arena_id),
        _any(open_),
        _failed(selection.get("failed_of"), None, "pk", f"{other}__pk"),
        arena_id=judge.arena_id,
        prompt__outputs__system__gt=F("system"),
    ).order_by()
    nothing = Value(None, output_field=BigIntegerField())
    return outputs.annotate(
        spread=spread_of("pk", f"{other}__pk"),
        battle_pk=nothing,
        pair_pk=nothing,
        prompt_pk=F("prompt_id"),
        output_a_pk=F("pk"),
        output_b_pk=F(f"{other}__pk"),
        system_a_pk=F("system_id"),
        system_b_pk=F(f"{other}__system_id"),
        **_sizes("prompt__", "", f"{other}__"),
    ).values_list(*_FIELDS)


def _which(selection: Mapping[str, Any], *, system: str, opponent: str, arena_id: int) -> Q:
    which = Q()
    slugs = selection.get("systems")
    if slugs:
        ids = list(
            System.objects.filter(arena=arena_id, slug__in=slugs).values_list("pk", flat=True)
        )
        if len(ids) == 1:
            which &= Q(**{system: ids[0]}) | Q(**{opponent: ids[0]})
        else:
            which &= Q(**{f"{system}__in": ids, f"{opponent}__in": ids})
    if pairs := selection.get("pairs"):
        names = {slug for pair in pairs for slug in pair}
        ids_of = dict(
            System.objects.filter(arena=arena_id, slug__in=names).values_list("slug", "pk")
        )
        ordered = [sorted(ids_of[slug] for slug in pair) for pair in pairs]
        which &= _any([Q(**{system: low, opponent: high}) for low, high in ordered])
    if prompts := selection.get("prompts"):
        which &= Q(prompt__in=prompts)
    if categories := selection.get("categories"):
        labelled = Prompt.categories.through.objects.filter(
            category__arena=arena_id, category__slug__in=categories
        )
        which &= Q(prompt__in=labelled.values("prompt"))
    return which


def _failed(run: int | None, battle: str | None, output_a: str, output_b: str) -> Q:
    if run is None:
        return Q()
    calls = JudgeCall.objects.filter(run=run, state=JudgeCall.State.ERROR)
    failed = Q(**{f"{output_a}__in": calls.filter(output__isnull=False).values("output")}) | Q(
        **{f"{output_b}__in": calls.filter(output__isnull=False).values("output")}
    )
    of_battles = calls.filter(battle__isnull=False)
    if battle:
        return failed | Q(**{f"{battle}__in": of_battles.values("battle")})
    met = Battle.objects.filter(
        output_a=OuterRef(output_a), output_b=OuterRef(output_b), pk__in=of_battles.values("battle")
    )
    return failed | Q(Exists(met))


def _any(conditions: list) -> Q:
    either = Q()
    for condition in conditions:
        either |= Q(condition)
    return either


def spread_of(a: str, b: str) -> Expression:
    """By which a sample is taken."""
    return (F(a) % 2**31 * _FACTORS[0] + F(b) % 2**31 * _FACTORS[1]) % 2**32


def _sizes(prompt: str, a: str, b: str) -> dict[str, Expression]:
    return {
        "prompt_bytes": bytes_of(Cast(f"{prompt}messages", TextField())),
        "reference_bytes": bytes_of(F(f"{prompt}reference")),
        "a_bytes": bytes_of(F(f"{a}text")),
        "b_bytes": bytes_of(F(f"{b}text")),
    }


def bytes_of(text: Any) -> Expression:
    """How long a text is where it is stored."""
    if connection.vendor == "postgresql":
        size = Func(text, function="OCTET_LENGTH", output_field=BigIntegerField())
    else:
        size = Func(Cast(text, BinaryField()), function="LENGTH", output_field=BigIntegerField())
    return Coalesce(size, Value(0), output_field=BigIntegerField())


# --- in batches -------------------------------------------------------------------------------------------


def _batches(judge: Judge, selection: Mapping[str, Any]) -> Iterator[list[tuple]]:
    """By key, not by offset: rows that are written meanwhile change nothing."""
    rows = universe(judge=judge, selection=selection)
    if selection.get("limit"):
        yield from _batched(list(rows))
    elif selection["battles"] != "all":
        last = 0
        rows = rows.order_by("pk")
        while batch := list(rows.filter(pk__gt=last)[:BATCH]):
            yield batch
            last = batch[-1][0]
    else:
        rows = rows.order_by("prompt_id", "pk", "output_b_pk")
        prompts = Prompt.objects.filter(arena_id=judge.arena_id).order_by("pk")
        last = 0
        while some := list(prompts.filter(pk__gt=last).values_list("pk", flat=True)[:20]):
            yield from _batched(rows.filter(prompt_id__in=some).iterator(BATCH))
            last = some[-1]


def _batched(rows: Iterable[tuple]) -> Iterator[list[tuple]]:
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        yield batch


def _list(selection: Mapping[str, Any], key: str, kind: Any) -> list:
    values = selection.get(key) or []
    if not isinstance(values, list | tuple) or not all(isinstance(v, kind) for v in values):
        raise RunError(f"{key} must be a list of {'ids' if kind is int else 'addresses'}.")
    if len(values) > MOST_NAMED:
        raise RunError(f"At most {MOST_NAMED:,} {key} can be named: choose a category, or all.")
    return list(values)


def _all_there(names: list, model: Any, field: str, arena: Arena, key: str) -> None:
    found = set(
        model.objects.filter(arena=arena, **{f"{field}__in": names}).values_list(field, flat=True)
    )
    missing = [str(name) for name in names if name not in found]
    if missing:
        raise RunError(
            f"This arena has none of these {key}: {', '.join(missing[:5])[:200]}. Nothing was started."
        )
