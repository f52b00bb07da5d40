"""The tables of an export: which columns they have, and their rows in blocks, in the order of their ids.

Rows are free of database ids, so equal data gives equal rows in every database. Each block is a query of its
own, which begins where the last one ended: nothing is held open, on either database, however slowly a
reader takes what he asked for.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet

from arena.models import Battle, Category, Output, Prompt, System
from arena.sharing import Sharing
from judges.archive.scope import Scope
from judges.bulk import in_batches
from judges.models import GoldItem, Outcome, RankedOutput, Ranking, Score, Verdict, Voter

SLIM = 2_000  # rows of a block
WIDE = 500  # of rows that hold long texts
WINNERS = {Outcome.A: "a", Outcome.B: "b", Outcome.TIE: "tie", Outcome.BOTH_BAD: "both_bad"}
MIRRORED_WINNERS = {0: "b", 1: "a", 2: "tie", 3: "both_bad"}
_WINNERS = {int(outcome): word for outcome, word in WINNERS.items()}
SIDES = ("a", "b")

SYSTEM_FACTS = (
    "name", "version", "organisation", "family", "licence", "link", "description", "base_model", "size",
    "decoding", "standing",
)  # fmt: skip

Row = dict[str, Any]
Blocks = Iterator[list[Row]]


@dataclass(frozen=True, slots=True)
class Column:
    """``kind``: string, strings, messages, integer, double, bool, time (ISO 8601 in UTC) or json (a text)."""

    name: str
    kind: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    meaning: str
    columns: tuple[Column, ...]
    blocks: Callable[[Scope], Blocks]
    is_public: bool = True
    part_of: str = ""  # outputs or verdicts, where an arena may choose not to share it

    def is_shared(self, sharing: Sharing) -> bool:
        return self.is_public and (not self.part_of or getattr(sharing, self.part_of))


def tables_of(scope: Scope) -> list[Table]:
    """Those of this export, in the order in which they are written.

    What refers comes before what it refers to: rows are only ever added, so whatever a verdict names is there
    when its own table is read later.
    """
    return [table for table in TABLES if scope.is_whole or table.is_shared(scope.sharing)]


def column_names(table: Table, scope: Scope) -> list[str]:
    """Its columns here: without the words behind verdicts where they aren't shared."""
    if table.name == "verdicts" and not scope.sharing.rationales and not scope.is_whole:
        return [column.name for column in table.columns if column.name not in WORDS]
    return [column.name for column in table.columns]


# --- reading ------------------------------------------------------------------------------------------


def _pages(rows: QuerySet[Any], fields: tuple[str, ...], *, up_to: int, size: int) -> Iterator[Any]:
    """Lists of tuples of the fields, of which the first is the id."""
    beyond = 0
    while True:
        found = rows.filter(pk__gt=beyond, pk__lte=up_to).order_by("pk").values_list(*fields)
        block = list(found[:size])
        if block:
            yield block
        if len(block) < size:
            return
        beyond = block[-1][0]


def _last(rows: QuerySet[Any]) -> int:
    return rows.order_by("-pk").values_list("pk", flat=True).first() or 0


def time_text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def json_text(value: Any) -> str:
    """Canonical, so that it is the same in every database."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _money(value: Any) -> float | None:
    return None if value is None else float(value)


def _categories(scope: Scope) -> Blocks:
    rows = Category.objects.filter(arena=scope.arena)
    for page in _pages(rows, ("pk", "slug", "name"), up_to=_last(rows), size=SLIM):
        yield [{"category": slug, "name": name} for _, slug, name in page]


def _prompts(scope: Scope) -> Blocks:
    rows = Prompt.objects.filter(arena=scope.arena)
    up_to = _last(rows) if scope.last_prompt is None else scope.last_prompt
    fields = ("pk", "digest", "messages", "source_id", "title", "reference", "language")
    links = Prompt.categories.through.objects
    for page in _pages(rows, fields, up_to=up_to, size=WIDE):
        labels: dict[int, list[str]] = {}
        for some in in_batches(row[0] for row in page):
            found = links.filter(prompt_id__in=some).values_list("prompt_id", "category__slug")
            for prompt, slug in found:
                labels.setdefault(prompt, []).append(slug)
        yield [
            {
                "prompt": digest,
                "messages": [{key: said[key] for key in sorted(said)} for said in messages],
                "source_id": source_id,
                "title": title,
                "reference": reference,
                "language": language,
                "categories": sorted(labels.get(pk, ())),
            }
            for pk, digest, messages, source_id, title, reference, language in page
        ]


def _systems(scope: Scope) -> Blocks:
    rows = System.objects.filter(arena=scope.arena)
    fields = (*SYSTEM_FACTS, "standing_since", "price_in", "price_out", "follows_id")
    for page in _pages(rows, ("pk", *fields), up_to=_last(rows), size=WIDE):
        yield [
            {
                "system": scope.systems[pk].slug,
                **dict(zip(SYSTEM_FACTS, facts, strict=True)),
                "standing_since": since and time_text(since),
                "price_in": _money(price_in),
                "price_out": _money(price_out),
                "follows": scope.systems[older].slug if older in scope.systems else None,
            }
            for pk, *facts, since, price_in, price_out, older in page
            if pk in scope.systems
        ]


def _outputs(scope: Scope) -> Blocks:
    rows = Output.objects.filter(arena=scope.arena)
    fields = (
        "pk",
        "prompt_id",
        "prompt__digest",
        "system_id",
        "text",
        "tokens",
        "latency_ms",
        "cost",
    )
    for page in _pages(rows, fields, up_to=_last(rows), size=WIDE):
        block = []
        for _, prompt_id, digest, system, text, tokens, latency, cost in page:
            if system not in scope.systems:
                continue
            if scope.is_held_back(prompt_id):
                scope.leave_out("outputs")
                continue
            block.append(
                {
                    "prompt": digest,
                    "system": scope.systems[system].slug,
                    "text": text,
                    "tokens": tokens,
                    "latency_ms": latency,
                    "cost": _money(cost),
                }
            )
        yield block


def _is_mirrored(scope: Scope, a: int, b: int) -> bool:
    """Whether the database's A isn't ours: here the system whose name comes first is A."""
    return scope.systems[a].order > scope.systems[b].order


def _battles(scope: Scope) -> Blocks:
    rows = Battle.objects.filter(arena=scope.arena)
    fields = ("pk", "prompt_id", "prompt__digest", "system_a_id", "system_b_id", "source_key")
    for page in _pages(rows, fields, up_to=_last(rows), size=SLIM):
        block = []
        for _, prompt_id, digest, a, b, source_key in page:
            if a not in scope.systems or b not in scope.systems:
                continue
            if scope.is_held_back(prompt_id):
                scope.leave_out("battles")
                continue
            sides = (b, a) if _is_mirrored(scope, a, b) else (a, b)
            first, second = (scope.systems[side].slug for side in sides)
            block.append(
                {"prompt": digest, "system_a": first, "system_b": second, "source_key": source_key}
            )
        yield block


def _judges(scope: Scope) -> Blocks:
    yield [
        {
            "judge": judge.slug,
            "name": judge.name,
            "version": judge.version,
            "kind": judge.kind,
            "family": judge.family,
            "description": judge.description,
            "is_simulated": judge.is_simulated,
            "configuration": json_text(judge.configuration),
        }
        for judge in scope.judges.values()
    ]


def _voters(scope: Scope) -> Blocks:
    rows = Voter.objects.filter(judge_id__in=list(scope.judges))
    for page in _pages(rows, ("pk", "judge_id", "handle"), up_to=_last(rows), size=SLIM):
        yield [
            {
                "judge": scope.judges[judge].slug,
                "voter": handle,
                "is_excluded": scope.is_excluded(pk),
                "exclusions": json_text(
                    [
                        {"is_excluded": is_excluded, "reason": reason, "at": time_text(at)}
                        for is_excluded, reason, at in scope.exclusions.get(pk, ())
                    ]
                ),
            }
            for pk, judge, handle in page
        ]


WORDS = ("rationale", "completion", "parse", "tokens", "cost", "latency_ms")
_DECISION = (
    "pk", "prompt_id", "prompt__digest", "battle__system_a_id", "battle__system_b_id",
    "battle__source_key", "outcome", "judge_id", "voter_id", "voter__handle", "criterion", "shown_first",
    "confidence", "repetition", "cast_at", "retraction__pk", "retraction__reason",
    "retraction__created_at",
)  # fmt: skip
_TRACE = ("trace__pk", *(f"trace__{name}" for name in WORDS))


def _verdicts(scope: Scope) -> Blocks:
    rows = Verdict.objects.filter(arena=scope.arena)
    with_words = scope.is_whole or scope.sharing.rationales
    fields, size = (_DECISION + _TRACE, WIDE) if with_words else (_DECISION, SLIM)
    for page in _pages(rows, fields, up_to=scope.last_verdict, size=size):
        block = []
        for values in page:
            prompt_id, a, b, judge = values[1], values[3], values[4], values[7]
            if a not in scope.systems or b not in scope.systems or judge not in scope.judges:
                continue
            if scope.is_held_back(prompt_id):
                scope.leave_out("verdicts")
                continue
            block.append(_verdict(scope, values, with_words=with_words))
        yield block


def _verdict(scope: Scope, values: tuple[Any, ...], *, with_words: bool) -> Row:
    (
        _, _, digest, a, b, source_key, outcome, judge, voter, handle, criterion, shown_first, confidence,
        repetition, cast_at, retraction, reason, retracted_at, *words,
    ) = values  # fmt: skip
    winners = _WINNERS
    if _is_mirrored(scope, a, b):
        a, b, winners = b, a, MIRRORED_WINNERS
        shown_first = None if shown_first is None else 1 - shown_first
    is_retracted = retraction is not None and retraction <= scope.cut.retraction
    row = {
        "prompt": digest,
        "system_a": scope.systems[a].slug,
        "system_b": scope.systems[b].slug,
        "winner": winners[outcome],
        "judge": scope.judges[judge].slug,
        "voter": handle,
        "criterion": criterion,
        "shown_first": None if shown_first is None else SIDES[shown_first],
        "confidence": confidence,
        "repetition": repetition,
        "source_key": source_key,
        "cast_at": time_text(cast_at),
        "is_counted": not is_retracted and not scope.is_excluded(voter),
        "retracted_at": time_text(retracted_at) if is_retracted else None,
        "retraction_reason": reason if is_retracted else None,
    }
    if with_words:
        trace, *said = words
        if trace is None:
            row |= dict.fromkeys(WORDS)
        else:
            row |= zip(WORDS, said, strict=True)
            row["parse"], row["cost"] = json_text(row["parse"]), _money(row["cost"])
    return row


def _scores(scope: Scope) -> Blocks:
    rows = Score.objects.filter(arena=scope.arena)
    fields = ("pk", "output__prompt_id", "output__prompt__digest", "output__system_id", "judge_id",
              "criterion", "value", "repetition")  # fmt: skip
    for page in _pages(rows, fields, up_to=_last(rows), size=SLIM):
        block = []
        for _, prompt_id, digest, system, judge, criterion, value, repetition in page:
            if not scope.knows(system, judge=judge):
                continue
            if scope.is_held_back(prompt_id):
                scope.leave_out("scores")
                continue
            block.append(
                {
                    "prompt": digest,
                    "system": scope.systems[system].slug,
                    "judge": scope.judges[judge].slug,
                    "criterion": criterion,
                    "value": value,
                    "repetition": repetition,
                }
            )
        yield block


def _rankings(scope: Scope) -> Blocks:
    """Those that somebody decided, maybe taken back later."""
    rows = Ranking.objects.filter(arena=scope.arena, is_ordered=True)
    fields = ("pk", "prompt_id", "prompt__digest", "voter_id", "voter__judge_id", "voter__handle",
              "state", "repetition", "comment", "decided_at", "dwell_ms")  # fmt: skip
    with_words = scope.is_whole or scope.sharing.rationales
    for page in _pages(rows, fields, up_to=_last(rows), size=WIDE):
        outputs: dict[int, list[tuple[int, int, int]]] = {}
        for some in in_batches(row[0] for row in page):
            found = RankedOutput.objects.filter(ranking_id__in=some).order_by("position")
            for ranking, position, system, rank in found.values_list(
                "ranking_id", "position", "system_id", "rank"
            ):
                outputs.setdefault(ranking, []).append((position, system, rank))
        block = []
        for values in page:
            (pk, prompt_id, digest, voter, judge, handle, state, repetition, comment, at, dwell) = (
                values
            )
            shown = outputs.get(pk, [])
            if not scope.knows(*(system for _, system, _ in shown), judge=judge):
                continue
            if scope.is_held_back(prompt_id):
                scope.leave_out("rankings")
                continue
            block.append(
                {
                    "prompt": digest,
                    "judge": scope.judges[judge].slug,
                    "voter": handle,
                    "systems": [scope.systems[system].slug for _, system, _ in shown],
                    "ranks": json_text([rank for _, _, rank in shown]),
                    "is_counted": state == Ranking.State.DECIDED and not scope.is_excluded(voter),
                    "is_retracted": state == Ranking.State.UNDONE,
                    "repetition": repetition,
                    "comment": comment if with_words else "",
                    "decided_at": time_text(at),
                    "dwell_ms": dwell,
                }
            )
        yield block


def _gold_items(scope: Scope) -> Blocks:
    rows = GoldItem.objects.filter(arena=scope.arena)
    fields = ("source_id", "prompt", "output_a", "output_b", "expected", "reason")
    for page in _pages(rows, ("pk", *fields), up_to=_last(rows), size=WIDE):
        yield [
            dict(zip(fields, values, strict=True)) | {"expected": _WINNERS[values[4]]}
            for _, *values in page
        ]


# --- the tables ---------------------------------------------------------------------------------------

_PROMPT = Column("prompt", "string", "SHA-256 of its messages and source_id: the key of prompts")
_SYSTEM = Column("system", "string", "the system's address: the key of systems")
_JUDGE = Column("judge", "string", "the judge's address: the key of judges")
_VOTER = Column(
    "voter", "string", "the voter's pseudonym; null where the judge is no crowd, or unknown"
)
_PAIR = (
    Column("system_a", "string", "of two systems the one whose name comes first"),
    Column("system_b", "string", "the other one"),
)
_SOURCE_KEY = Column(
    "source_key",
    "integer",
    "tells battles apart whose outputs aren't known; null where they are",
)
_CRITERION = Column("criterion", "string", "empty: overall")

VERDICTS = Table(
    "verdicts",
    "a decision; in the order in which they were cast or imported",
    (
        _PROMPT,
        *_PAIR,
        Column("winner", "string", "a, b, tie or both_bad"),
        _JUDGE,
        _VOTER,
        _CRITERION,
        Column("shown_first", "string", "a or b; null where it isn't known"),
        Column("confidence", "double", "between 0 and 1, where stated"),
        Column("repetition", "integer", "0 for the first by this judge or voter on the battle"),
        _SOURCE_KEY,
        Column("cast_at", "time", "when it was cast"),
        Column("is_counted", "bool", "false: taken back, or its voter is excluded"),
        Column("retracted_at", "time", "when it was taken back; null: it wasn't"),
        Column("retraction_reason", "string", "why; null: it wasn't taken back"),
        Column("rationale", "string", "the words behind it; null where there are none"),
        Column("completion", "string", "a model's reply as it came"),
        Column("parse", "json", "what was read from the reply"),
        Column("tokens", "integer", "of the reply"),
        Column("cost", "double", "in USD"),
        Column("latency_ms", "integer", "how long the reply took"),
    ),
    _verdicts,
    part_of="verdicts",
)  # fmt: skip

TABLES = (
    VERDICTS,
    Table(
        "scores",
        "a judge's absolute score of one output",
        (
            _PROMPT, _SYSTEM, _JUDGE, _CRITERION,
            Column("value", "double", "on the judge's own scale"),
            Column("repetition", "integer", "0 for the judge's first on the output"),
        ),
        _scores,
        part_of="verdicts",
    ),
    Table(
        "rankings",
        "several outputs of one prompt as one voter put them in order",
        (
            _PROMPT, _JUDGE, _VOTER,
            Column("systems", "strings", "in the order in which they were shown"),
            Column("ranks", "json", "the rank of each, 1 the best, ties allowed"),
            Column("is_counted", "bool", "false: taken back, or its voter is excluded"),
            Column("is_retracted", "bool", "whether the voter took it back"),
            Column("repetition", "integer", "0 for the voter's first on the prompt"),
            Column("comment", "string", "the voter's words"),
            Column("decided_at", "time", "when"),
            Column("dwell_ms", "integer", "from shown to decided"),
        ),
        _rankings,
        part_of="verdicts",
    ),
    Table(
        "voters",
        "one person within a crowd, under a pseudonym",
        (
            _JUDGE, _VOTER,
            Column("is_excluded", "bool", "whether the voter's verdicts are set aside now"),
            Column("exclusions", "json", "all decisions about that: is_excluded, reason, at"),
        ),
        _voters,
        part_of="verdicts",
    ),
    Table(
        "judges",
        "who decides: crowds, LLMs, juries, programs",
        (
            _JUDGE,
            Column("name", "string", "with the version it names the judge"),
            Column("version", "integer", "another one, another configuration"),
            Column("kind", "string", "crowd, llm, jury, program, cascade or imported"),
            Column("family", "string", "of its model"),
            Column("description", "string", ""),
            Column("is_simulated", "bool", "whether its verdicts come from a simulation"),
            Column("configuration", "json", "what it is told to do; secrets aren't shown"),
        ),
        _judges,
    ),
    Table(
        "battles",
        "two systems on one prompt, with and without verdicts",
        (_PROMPT, *_PAIR, _SOURCE_KEY),
        _battles,
    ),
    Table(
        "outputs",
        "one system's answer to one prompt",
        (
            _PROMPT, _SYSTEM,
            Column("text", "string", ""),
            Column("tokens", "integer", ""),
            Column("latency_ms", "integer", ""),
            Column("cost", "double", "in USD"),
        ),
        _outputs,
        part_of="outputs",
    ),
    Table(
        "prompts",
        "what systems were asked",
        (
            _PROMPT,
            Column("messages", "messages", "role and content; empty where it isn't published"),
            Column("source_id", "string", "its name in its source"),
            Column("title", "string", ""),
            Column("reference", "string", "a reference answer, where there is one"),
            Column("language", "string", ""),
            Column("categories", "strings", "keys of categories"),
        ),
        _prompts,
    ),
    Table(
        "categories",
        "labels of prompts",
        (Column("category", "string", "its address"), Column("name", "string", "")),
        _categories,
    ),
    Table(
        "systems",
        "what answers prompts",
        (
            _SYSTEM,
            Column("name", "string", "with the version it names the system"),
            Column("version", "string", ""),
            Column("organisation", "string", ""),
            Column("family", "string", "what it descends from"),
            Column("licence", "string", ""),
            Column("link", "string", ""),
            Column("description", "string", ""),
            Column("base_model", "string", "what it was made of"),
            Column("size", "string", ""),
            Column("decoding", "string", "how answers were drawn"),
            Column("standing", "string", "published or deprecated; others in whole exports only"),
            Column("standing_since", "time", "null: from the beginning"),
            Column("price_in", "double", "of input, in USD per million tokens"),
            Column("price_out", "double", "of output"),
            Column("follows", "string", "the version before: a key of systems"),
        ),
        _systems,
    ),
    Table(
        "gold_items",
        "comparisons with a known answer, by which voters are checked: never public",
        (
            Column("source_id", "string", "its name"),
            Column("prompt", "string", "the text, not a key"),
            Column("output_a", "string", ""),
            Column("output_b", "string", ""),
            Column("expected", "string", "a, b, tie or both_bad"),
            Column("reason", "string", ""),
        ),
        _gold_items,
        is_public=False,
    ),
)  # fmt: skip
