"""What export_arena wrote: a ZIP archive of tables as JSON lines, or the folder that it was unpacked into."""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from django.core.exceptions import ValidationError

from arena.models import Standing, slug_validator
from arena.policies import Policy, PolicyError
from arena.sharing import Sharing, SharingError
from judges.formats.bundles import Bundle, opened_bundle
from judges.formats.errors import DatasetError, UnreadableDataset, Where
from judges.formats.interface import Options
from judges.formats.reading import Row, Source, parse_json
from judges.formats.records import (
    ArenaRecord,
    BattleRecord,
    CategoryRecord,
    GoldRecord,
    JudgeRecord,
    OutputRecord,
    Outputs,
    PromptRecord,
    RankingRecord,
    Record,
    RetractionRecord,
    ScoreRecord,
    SystemRecord,
    TraceRecord,
    VerdictRecord,
    VoterRecord,
)
from judges.formats.text import clean
from judges.models import Judge

SUMMARY = "An arena as export_arena writes it: arena.zip, or the folder that it was unpacked into."
VERSION = 1
SETTINGS = (
    "name", "description", "guidelines", "criteria", "licence", "source", "is_public", "who_votes",
    "policy", "sharing", "reasons", "checklist", "asks_certainty", "asks_comment", "votes_wanted",
    "rank_size",
)  # fmt: skip
OF_OUTPUTS = ("scores", "rankings")  # which can't be stored where outputs aren't shared
_LISTS = ("criteria", "reasons", "checklist")
_WINNERS = {"a": 0, "b": 1, "tie": 2, "both_bad": 3}
_SIDES = {"a": 0, "b": 1}
_MOST_INTEGER = 2**31 - 1
_MOST_BIG = 2**63 - 1
_HASH_DIGITS = 15  # of a prompt's digest: they fit into 63 bits


def read(source: Source, options: Options) -> Iterator[Record]:
    with opened_bundle(source) as bundle:
        reader = _Reader(source, bundle)
        yield reader.arena()
        for table, records in (
            ("categories", reader.category),
            ("systems", reader.system),
            ("judges", reader.judge),
            ("prompts", reader.prompt),
            ("outputs", reader.output),
            ("battles", reader.battle),
            ("voters", reader.voter),
            ("verdicts", reader.verdict),
            ("scores", reader.score),
            ("rankings", reader.ranking),
            ("gold_items", reader.gold_item),
        ):
            yield from reader.table(table, records)
            if table == "systems":
                # They may follow one that comes later in the table.
                yield from reader.followers()
            elif table == "prompts":
                reader.sort_prompts()


class _Reader:
    def __init__(self, source: Source, bundle: Bundle) -> None:
        self.source, self.bundle = source, bundle
        self.tables: dict[str, dict[str, Any]] = {}
        self.systems: dict[str, tuple[str, str]] = {}
        self.judges: dict[str, JudgeRecord] = {}
        self.categories: set[str] = set()
        self._followers: list[tuple[SystemRecord, str]] = []
        self._prompts = array("q")  # hashes, eight bytes each; sorted once all are there
        self._last_prompt = PromptRecord()

    # --- arena.json -----------------------------------------------------------------------------------

    def arena(self) -> ArenaRecord:
        part = self.bundle.part("arena.json")
        where = Where("arena.json")
        try:
            about = parse_json(self.source.whole_text(part))
            if not isinstance(about, dict) or about.get("format") != "jurybox":
                raise DatasetError('it doesn\'t say "format": "jurybox": is this another archive?')
            if about.get("format_version") != VERSION:
                raise DatasetError(
                    f"it is of version {about.get('format_version')!r}, and this release reads {VERSION}: "
                    "import it with the release that wrote it."
                )
            self._read_tables(about)
            return ArenaRecord(settings=_settings(about.get("arena")), where=where)
        except DatasetError as error:
            raise UnreadableDataset(error.reason, where=where, column=error.column) from None

    def _read_tables(self, about: dict[str, Any]) -> None:
        tables = about.get("tables")
        if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
            raise DatasetError("an object of tables was expected.", column="tables")
        self.tables = tables
        digests = {name: table.get("sha256") for name, table in tables.items()}
        stated = about.get("dataset_digest")
        if stated is not None and None not in digests.values():
            lines = "".join(f"{name} {digests[name]}\n" for name in sorted(digests))
            if hashlib.sha256(lines.encode()).hexdigest() != stated:
                raise DatasetError(
                    "it isn't that of the tables: the archive was changed. Take it out if that was you.",
                    column="dataset_digest",
                )

    # --- tables ---------------------------------------------------------------------------------------

    def table(self, name: str, read: Callable[[Row], Record | None]) -> Iterator[Record]:
        """Its records; in the end its digest and the number of its rows must be those of arena.json."""
        if name not in self.tables or (name in OF_OUTPUTS and "outputs" not in self.tables):
            return
        about = self.tables[name]
        file = f"{name}.jsonl"
        if about.get("file") not in (None, file):
            raise UnreadableDataset(
                f"{about['file']!r}: tables are read as JSON lines only. Export without --parquet.",
                where=Where("arena.json"),
                column=f"tables.{name}.file",
            )
        part = self.bundle.part(file)
        rejects = self.source.rejects
        rejected, rows = rejects.count, 0
        for row in self.source.jsonl(part):
            rows += 1
            try:
                record = read(row)
            except DatasetError as error:
                rejects.add(error, row.where)
                continue
            if record is not None:
                yield record
        if rejects.count != rejected:
            return  # that lines are bad is known
        for what, is_so, stated in (
            ("SHA-256", part.hash.hexdigest(), about.get("sha256")),
            ("number of rows", rows, about.get("rows")),
        ):
            if stated is not None and stated != is_so:
                raise UnreadableDataset(
                    f"its {what} is {is_so}, and {stated} in arena.json: the file was changed or is not whole. "
                    f"If you changed it, take sha256 and rows of {name} and dataset_digest out of arena.json.",
                    where=Where(file),
                )

    def category(self, row: Row) -> CategoryRecord:
        slug = _address(row, "category", longest=60)
        self.categories.add(slug)
        return CategoryRecord(row.where, slug, _text(row, "name", longest=80, required=True))

    def system(self, row: Row) -> SystemRecord | None:
        slug = _address(row, "system")
        if slug in self.systems:
            raise DatasetError(f"{slug!r} is there twice.", column="system")
        standing = row.values.get("standing", Standing.PUBLISHED)
        if standing not in Standing.values:
            raise DatasetError(
                f"{str(standing)[:40]!r} is not one of {', '.join(Standing.values)}.",
                column="standing",
            )
        prices, since = ("price_in", "price_out"), row.values.get("standing_since")
        record = SystemRecord(
            name=_text(row, "name", longest=200, required=True),
            version=_text(row, "version", longest=60),
            where=row.where,
            organisation=_text(row, "organisation", longest=120),
            family=_text(row, "family", longest=120),
            slug=slug,
            facts={
                "licence": _text(row, "licence", longest=60),
                "link": _link(row),
                "description": _text(row, "description"),
                "base_model": _text(row, "base_model", longest=120),
                "size": _text(row, "size", longest=40),
                "decoding": _text(row, "decoding", longest=300),
                "standing": standing,
                "standing_since": None if since is None else _time(since, "standing_since"),
                **{name: _money(_number(row, name)) for name in prices},
            },
        )
        self.systems[slug] = (record.name, record.version)
        if older := row.values.get("follows"):
            self._followers.append((record, str(older)))
        return record

    def followers(self) -> Iterator[SystemRecord]:
        """Those that follow another, now that all are known."""
        for record, older in self._followers:
            with self.source.rejects.at(record.where):
                if older not in self.systems:
                    raise DatasetError(f"there is no system {older[:80]!r}.", column="follows")
                record.follows = self.systems[older]
                yield record

    def judge(self, row: Row) -> JudgeRecord:
        slug = _address(row, "judge")
        if slug in self.judges:
            raise DatasetError(f"{slug!r} is there twice.", column="judge")
        kind = row.values.get("kind")
        if kind not in Judge.Kind.values:
            raise DatasetError(
                f"{str(kind)[:40]!r} is not one of {', '.join(Judge.Kind.values)}.", column="kind"
            )
        simulated = row.values.get("is_simulated", False)
        if not isinstance(simulated, bool):
            raise DatasetError("true or false was expected.", column="is_simulated")
        version = _integer(row, "version")
        record = JudgeRecord(
            name=_text(row, "name", longest=200, required=True),
            kind=kind,
            version=1 if version is None else version,
            family=_text(row, "family", longest=120),
            description=_text(row, "description"),
            is_simulated=simulated,
            slug=slug,
            configuration=_object(row, "configuration"),
            where=row.where,
        )
        self.judges[slug] = record
        return record

    def prompt(self, row: Row) -> PromptRecord:
        messages = row.values.get("messages")
        if not isinstance(messages, list) or not all(_is_message(said) for said in messages):
            raise DatasetError("a list of {role, content} was expected.", column="messages")
        categories = row.values.get("categories") or []
        if not isinstance(categories, list) or not self.categories.issuperset(map(str, categories)):
            raise DatasetError("a list of keys of categories was expected.", column="categories")
        record = PromptRecord(
            messages=messages,
            source_id=_text(row, "source_id", longest=200),
            title=_text(row, "title", longest=120),
            reference=_text(row, "reference"),
            language=_text(row, "language", longest=35),
            categories=tuple(map(str, categories)),
        )
        _check_storable(messages, "messages")
        stated = row.values.get("prompt")
        if stated != record.digest:
            raise DatasetError(
                f"{str(stated)[:64]!r} is not the SHA-256 of messages and source_id, which is "
                f"{record.digest}: the prompt was changed.",
                column="prompt",
            )
        self._prompts.append(int(record.digest[:_HASH_DIGITS], 16))
        return record

    def sort_prompts(self) -> None:
        self._prompts = array("q", sorted(self._prompts))

    def output(self, row: Row) -> OutputRecord:
        return OutputRecord(
            self._system(row, "system"),
            self._prompt(row),
            _text(row, "text"),
            row.where,
            tokens=_integer(row, "tokens"),
            latency_ms=_integer(row, "latency_ms"),
            cost=_money(_number(row, "cost")),
        )

    def battle(self, row: Row) -> BattleRecord:
        prompt = self._prompt(row)
        return BattleRecord(row.where, self._pair(row), prompt, self._source_key(row, prompt))

    def voter(self, row: Row) -> VoterRecord:
        exclusions = []
        for said in _list(row, "exclusions"):
            is_excluded = said.get("is_excluded") if isinstance(said, dict) else None
            reason = said.get("reason") if isinstance(said, dict) else None
            if (
                not isinstance(is_excluded, bool)
                or not isinstance(reason, str)
                or len(reason) > 200
            ):
                raise DatasetError("is_excluded, reason and at were expected.", column="exclusions")
            exclusions.append((is_excluded, clean(reason), _time(said.get("at"), "exclusions")))
        handle = _text(row, "voter", longest=120, required=True)
        return VoterRecord(row.where, self._judge(row), handle, tuple(exclusions))

    def verdict(self, row: Row) -> VerdictRecord:
        values = row.values
        winner, shown_first = values.get("winner"), values.get("shown_first")
        if not isinstance(winner, str) or winner not in _WINNERS:
            raise DatasetError(
                f"{str(winner)[:40]!r} is not one of {', '.join(_WINNERS)}.", column="winner"
            )
        if shown_first is not None and shown_first not in _SIDES:
            raise DatasetError(f"{str(shown_first)[:40]!r} is not a or b.", column="shown_first")
        confidence = _number(row, "confidence")
        if confidence is not None and not 0 <= confidence <= 1:
            raise DatasetError(f"{confidence} is not between 0 and 1.", column="confidence")
        prompt = self._prompt(row)
        source_key = self._source_key(row, prompt)
        retracted = values.get("retracted_at")
        return VerdictRecord(
            where=row.where,
            systems=self._pair(row),
            outcome=_WINNERS[winner],
            prompt=prompt,
            judge=self._judge(row),
            outputs=Outputs.IMPORTED if source_key is None else Outputs.UNKNOWN,
            voter=_text(row, "voter", longest=120),
            criterion=_text(row, "criterion", longest=40),
            shown_first=None if shown_first is None else _SIDES[shown_first],
            confidence=confidence,
            repetition=_integer(row, "repetition", most=_MOST_BIG) or 0,
            source_key=source_key,
            cast_at=_time(values.get("cast_at"), "cast_at"),
            trace=None if values.get("rationale") is None else _trace(row),
            retraction=None
            if retracted is None
            else RetractionRecord(
                _text(row, "retraction_reason", longest=200), _time(retracted, "retracted_at")
            ),
        )

    def score(self, row: Row) -> ScoreRecord:
        value = _number(row, "value")
        if value is None:
            raise DatasetError("a number was expected, not nothing.", column="value")
        return ScoreRecord(
            row.where,
            self._system(row, "system"),
            self._prompt(row),
            self._judge(row),
            value,
            _text(row, "criterion", longest=40),
            _integer(row, "repetition") or 0,
        )

    def ranking(self, row: Row) -> RankingRecord:
        slugs, ranks = row.values.get("systems"), _list(row, "ranks")
        if (
            not isinstance(slugs, list)
            or not 2 <= len(slugs) <= 5
            or len(set(map(str, slugs))) < len(slugs)
        ):
            raise DatasetError("a list of two to five systems was expected.", column="systems")
        if len(ranks) != len(slugs) or not all(type(r) is int and 1 <= r <= 5 for r in ranks):
            raise DatasetError("a rank from 1 to 5 for each system was expected.", column="ranks")
        if any(slug not in self.systems for slug in map(str, slugs)):
            raise DatasetError("a system that isn't in systems.jsonl.", column="systems")
        return RankingRecord(
            row.where,
            prompt=self._prompt(row),
            judge=self._judge(row),
            voter=_text(row, "voter", longest=120, required=True),
            systems=tuple(self.systems[slug] for slug in slugs),
            ranks=tuple(ranks),
            is_retracted=row.values.get("is_retracted") is True,
            repetition=_integer(row, "repetition") or 0,
            comment=_text(row, "comment"),
            decided_at=_time(row.values.get("decided_at"), "decided_at"),
            dwell_ms=_integer(row, "dwell_ms"),
        )

    def gold_item(self, row: Row) -> GoldRecord:
        expected = row.values.get("expected")
        if not isinstance(expected, str) or expected not in _WINNERS:
            raise DatasetError(
                f"{str(expected)[:40]!r} is not one of {', '.join(_WINNERS)}.", column="expected"
            )
        return GoldRecord(
            row.where,
            _text(row, "source_id", longest=200, required=True),
            _text(row, "prompt"),
            (_text(row, "output_a"), _text(row, "output_b")),
            _WINNERS[expected],
            _text(row, "reason"),
        )

    # --- what rows refer to ---------------------------------------------------------------------------

    def _system(self, row: Row, column: str) -> tuple[str, str]:
        slug = row.values.get(column)
        if not isinstance(slug, str) or slug not in self.systems:
            raise DatasetError(f"{str(slug)[:80]!r} is not in systems.jsonl.", column=column)
        return self.systems[slug]

    def _pair(self, row: Row) -> tuple[tuple[str, str], tuple[str, str]]:
        pair = self._system(row, "system_a"), self._system(row, "system_b")
        if pair[0] == pair[1]:
            raise DatasetError("the system battles itself.", column="system_b")
        return pair

    def _judge(self, row: Row) -> JudgeRecord:
        slug = row.values.get("judge")
        if not isinstance(slug, str) or slug not in self.judges:
            raise DatasetError(f"{str(slug)[:80]!r} is not in judges.jsonl.", column="judge")
        return self.judges[slug]

    def _prompt(self, row: Row) -> PromptRecord:
        """A record that names it: the prompt itself came before."""
        digest = row.values.get("prompt")
        if digest == self._last_prompt.digest:
            return self._last_prompt
        try:
            number = int(digest[:_HASH_DIGITS], 16) if len(digest) == 64 else -1
        except (TypeError, ValueError):
            number = -1
        at = bisect_left(self._prompts, number)
        if at == len(self._prompts) or self._prompts[at] != number:
            raise DatasetError(f"{str(digest)[:64]!r} is not in prompts.jsonl.", column="prompt")
        record = PromptRecord(is_reference=True)
        record.__dict__["digest"] = digest
        self._last_prompt = record
        return record

    def _source_key(self, row: Row, prompt: PromptRecord) -> int | None:
        key = _integer(row, "source_key", least=-_MOST_BIG, most=_MOST_BIG)
        if key is None and "outputs" not in self.tables:
            # The battle had outputs, which aren't shared: it is told from others by its prompt.
            return int(prompt.digest[:_HASH_DIGITS], 16)
        return key


# --- cells --------------------------------------------------------------------------------------------


def _text(row: Row, column: str, *, longest: int = 0, required: bool = False) -> str:
    value = row.values.get(column)
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise DatasetError(f"text was expected, not {type(value).__name__}.", column=column)
    if required and not value:
        raise DatasetError("text was expected, not nothing.", column=column)
    if longest and len(value) > longest:
        raise DatasetError(
            f"{value[:40]!r}… has {len(value):,} characters, more than {longest}.", column=column
        )
    return clean(value)


def _address(row: Row, column: str, *, longest: int = 120) -> str:
    """What stands in the address of a page."""
    slug = _text(row, column, longest=longest, required=True)
    try:
        slug_validator(slug)
    except ValidationError:
        raise DatasetError(
            f"{slug[:80]!r} is no address: lower-case letters, digits, single hyphens and dots only.",
            column=column,
        ) from None
    return slug


def _link(row: Row) -> str:
    link = _text(row, "link", longest=200)
    if link and not link.startswith(("https://", "http://")):
        raise DatasetError(f"{link[:80]!r} doesn't begin with https://.", column="link")
    return link


def _integer(row: Row, column: str, *, least: int = 0, most: int = _MOST_INTEGER) -> int | None:
    value = row.values.get(column)
    if value is None:
        return None
    if type(value) is not int or not least <= value <= most:
        raise DatasetError(
            f"{str(value)[:40]!r} is not a whole number from {least} to {most}.", column=column
        )
    return value


def _number(row: Row, column: str) -> float | None:
    value = row.values.get(column)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise DatasetError(f"{str(value)[:40]!r} is not a number.", column=column)
    return float(value)


def _money(value: float | None) -> float | None:
    """As the database keeps it."""
    if value is not None and not 0 <= value < 10**6:
        raise DatasetError(
            f"{value} is not an amount of US dollars below a million.", column="cost"
        )
    return value


def _time(value: Any, column: str) -> datetime:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        at = None
    if at is None or at.tzinfo is None:
        raise DatasetError(
            f"{str(value)[:40]!r} is not a time like 2026-01-31T12:00:00+00:00.", column=column
        )
    return at.astimezone(UTC)


def _parsed(row: Row, column: str, kind: type, otherwise: Any) -> Any:
    """The JSON that stands in a cell as text."""
    value = row.values.get(column)
    if value is None:
        return otherwise
    try:
        value = parse_json(value) if isinstance(value, str) else value
    except DatasetError as error:
        raise DatasetError(error.reason, column=column) from None
    if not isinstance(value, kind):
        expected = "an object" if kind is dict else "a list"
        raise DatasetError(f"{expected} as JSON was expected.", column=column)
    _check_storable(value, column)
    return value


def _check_storable(value: Any, column: str) -> None:
    """That every text within a JSON value is one that PostgreSQL stores."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) and clean(one) != one:
            raise DatasetError("text that no database can store.", column=column)


def _object(row: Row, column: str) -> dict[str, Any]:
    return _parsed(row, column, dict, {})


def _list(row: Row, column: str) -> list[Any]:
    return _parsed(row, column, list, [])


def _trace(row: Row) -> TraceRecord:
    return TraceRecord(
        rationale=_text(row, "rationale"),
        completion=_text(row, "completion"),
        parse=_object(row, "parse"),
        cost=_money(_number(row, "cost")),
        latency_ms=_integer(row, "latency_ms"),
        tokens=_integer(row, "tokens"),
    )


def _is_message(said: Any) -> bool:
    return (
        isinstance(said, dict)
        and "content" in said
        and all(isinstance(value, str) for value in said.values())
    )


def _settings(about: Any) -> dict[str, Any]:
    if not isinstance(about, dict):
        raise DatasetError("an object was expected.", column="arena")
    settings = {name: about[name] for name in SETTINGS if name in about}
    for name in _LISTS:
        value = settings.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise DatasetError("a list of texts was expected.", column=f"arena.{name}")
    try:
        if settings.get("policy"):
            Policy.from_json(settings["policy"])
        if settings.get("sharing"):
            Sharing.from_json(settings["sharing"])
    except (PolicyError, SharingError) as error:
        raise DatasetError(str(error), column="arena") from None
    return settings
