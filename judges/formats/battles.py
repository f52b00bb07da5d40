"""One row that holds one verdict on one battle, in the columns that LMArena made usual."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from judges.formats import conversations
from judges.formats.errors import DatasetError
from judges.formats.reading import Row, parse_json
from judges.formats.records import (
    JudgeRecord,
    Outputs,
    PromptRecord,
    VerdictRecord,
)
from judges.formats.text import label
from judges.models import Judge, Outcome

WINNERS = {
    "model_a": Outcome.A,
    "model_b": Outcome.B,
    "tie": Outcome.TIE,
    "tie (bothbad)": Outcome.BOTH_BAD,
    "tie (both bad)": Outcome.BOTH_BAD,
    "tie (inconsistent)": Outcome.TIE,
    "both_bad": Outcome.BOTH_BAD,
    "bothbad": Outcome.BOTH_BAD,
    "both bad": Outcome.BOTH_BAD,
}
ONE_HOT = {
    "winner_model_a": Outcome.A,
    "winner_model_b": Outcome.B,
    "winner_tie": Outcome.TIE,
}
SYSTEMS = (("model_a", "version_a"), ("model_b", "version_b"))
SIDES = {"model_a": 0, "a": 0, "model_b": 1, "b": 1}
RESPONSES = (("response_a", "response_b"), ("output_a", "output_b"), ("response_1", "response_2"))
VOTERS = re.compile(r"arena_user_|expert_|author_|[0-9a-f]{16,}$")
JUDGE_COLUMNS = frozenset({"judge", "judge_hash", "voter"})
PROMPT_COLUMNS = frozenset({"question_id", "id", "prompt", "conversation_a"}).union(*RESPONSES)
CATEGORY_COLUMNS = frozenset({"category", "category_tag", "is_code"})
TIME_COLUMNS = ("tstamp", "timestamp", "cast_at")
DETAIL_COLUMNS = frozenset(
    {"id", "criterion", "shown_first", "confidence", "repetition", "source_key"}
)
OPTIONAL = JUDGE_COLUMNS.union(PROMPT_COLUMNS, TIME_COLUMNS, DETAIL_COLUMNS)
PERSON = ("people", "person", "human", "humans", "crowd")
LLMS = re.compile(
    r"(gpt|chatgpt|o[134]-|claude|gemini|palm|llama|meta-llama|qwen|mistral|mixtral|deepseek|command|"
    r"prometheus|gemma|phi-|grok)",
    re.IGNORECASE,
)
HARD_PROMPT_CRITERIA = 6  # of LMArena's seven, for its category of hard prompts
TAGS = {"if": "instruction following"}  # what LMArena's tags are called in words
ABSENT = (None, "")
SHORT_PROMPT = 8_192  # characters: records of shorter ones are kept for the rows that follow
BIG = 2**63


def verdict(
    row: Row, *, default_judge: JudgeRecord, id_names_prompt: bool = False
) -> VerdictRecord:
    """The record of a row. ``id_names_prompt``: where there's no question_id, id names the conversation."""
    values = row.values
    get = values.get
    names = tuple([_system(get(name), get(version), name) for name, version in SYSTEMS])
    if names[0] == names[1]:
        raise DatasetError(
            f"{names[0][0]!r} battles itself: two different systems were expected.",
            column="model_b",
        )
    there = OPTIONAL.intersection(values)  # most files have few of the columns: look once
    record = VerdictRecord(
        row.where, names, _outcome(values), UNNAMED, default_judge, Outputs.UNKNOWN
    )
    if not there.isdisjoint(JUDGE_COLUMNS):
        record.judge, record.voter = _judge(values, default_judge)
    if not there.isdisjoint(PROMPT_COLUMNS):
        record.prompt, record.outputs = _prompt(values, id_names_prompt)
    if not there.isdisjoint(TIME_COLUMNS):
        record.cast_at = _time(values)
    if not there.isdisjoint(DETAIL_COLUMNS):
        row_id = get("id")
        record.row_id = "" if row_id in ABSENT else label(row_id, column="id", longest=200)
        record.criterion = _short(get("criterion"), "criterion", 40)
        record.shown_first = _side(get("shown_first"))
        record.confidence = _confidence(get("confidence"))
        record.repetition = _whole(get("repetition"), "repetition")
        record.source_key = _whole(get("source_key"), "source_key")
    return record


def check_columns(row: Row) -> None:
    """The first row tells what is missing; a file without a winner is no dataset of battles."""
    missing = [name for name in ("model_a", "model_b") if name not in row.values]
    if "winner" not in row.values and not any(name in row.values for name in ONE_HOT):
        missing.append("winner")
    if missing:
        there = ", ".join(list(row.values)[:20]) or "none"
        raise DatasetError(
            f"there is no column {' and no '.join(missing)}; the columns are {there}. The format table "
            "takes other names: --column model_a=THEIRS."
        )


@lru_cache(maxsize=16_384)
def _known_label(value: str, column: str, longest: int) -> str:
    return label(value, column=column, longest=longest)


def _short(value: Any, column: str, longest: int) -> str:
    return "" if value in ABSENT else _known_label(str(value), column, longest)


def _system(name: Any, version: Any, column: str) -> tuple[str, str]:
    try:
        return _known_system(name, version, column)
    except TypeError:  # a list or an object: can't be looked up
        raise DatasetError("the name of a system was expected.", column=column) from None


@lru_cache(maxsize=8192)
def _known_system(name: Any, version: Any, column: str) -> tuple[str, str]:
    if name in ABSENT or not str(name).strip():
        raise DatasetError("the name of a system was expected, not nothing.", column=column)
    return label(name, column=column, longest=200), _short(version, f"version of {column}", 60)


def _outcome(values: Mapping[str, Any]) -> Outcome:
    winner = values.get("winner")
    if winner not in ABSENT:
        try:
            return WINNERS[winner]
        except (KeyError, TypeError):
            known = WINNERS.get(str(winner).strip().lower())
        if known is None:
            raise DatasetError(
                f"{str(winner)[:80]!r} is not one of model_a, model_b, tie, tie (bothbad).",
                column="winner",
            )
        return known
    marked = [name for name in ONE_HOT if str(values.get(name)).lower() in ("1", "1.0", "true")]
    if len(marked) == 1:
        return ONE_HOT[marked[0]]
    if "winner" in values:
        raise DatasetError("a winner was expected, not nothing.", column="winner")
    raise DatasetError(
        f"exactly one of {', '.join(ONE_HOT)} must be 1, not {len(marked)}.",
        column="winner_model_a",
    )


def _judge(values: Mapping[str, Any], default: JudgeRecord) -> tuple[JudgeRecord, str]:
    """Who decided: the judge, and the voter within a crowd."""
    get = values.get
    voter = get("voter")
    if voter in ABSENT:
        voter = get("judge_hash")
    if voter not in ABSENT:
        voter = _known_label(str(voter), "voter", 120)
    name = get("judge")
    if isinstance(name, list):  # FastChat's own files: [model, prompt template]
        name = " ".join(str(part) for part in name)
    if name in ABSENT:
        return default, _voter_of(default, voter)
    name = str(name)
    if get("judge_kind") in ABSENT:
        if VOTERS.match(name):
            crowd = default if default.kind == Judge.Kind.CROWD else JudgeRecord()
            return crowd, voter or label(name, column="judge", longest=120)
        judge = judge_named(name)
    else:
        judge = _specified_judge(
            name,
            str(get("judge_kind")),
            str(get("judge_version") or 1),
            str(get("judge_family") or ""),
            str(get("judge_simulated") or "").lower() in ("1", "true", "yes"),
        )
    return judge, _voter_of(judge, voter)


def _voter_of(judge: JudgeRecord, voter: str | None) -> str:
    if voter and judge.kind != Judge.Kind.CROWD:
        raise DatasetError(
            f"the judge {judge.name!r} is not a crowd: only people have voters.", column="voter"
        )
    return voter or ""


@lru_cache(maxsize=1024)
def judge_named(name: str) -> JudgeRecord:
    name = label(name, column="judge", longest=200)
    if name.lower() in PERSON:
        return JudgeRecord()
    return JudgeRecord(name=name, kind=Judge.Kind.LLM if LLMS.match(name) else Judge.Kind.IMPORTED)


@lru_cache(maxsize=1024)
def _specified_judge(
    name: str,
    kind: str,
    version: str,
    family: str,
    is_simulated: bool,  # noqa: FBT001 (a cache key)
) -> JudgeRecord:
    if kind not in Judge.Kind.values:
        raise DatasetError(
            f"{kind[:80]!r} is not one of {', '.join(Judge.Kind.values)}.", column="judge_kind"
        )
    number = _whole(version, "judge_version")
    if not number or number > 2**31 - 1:
        raise DatasetError(f"{version!r} is not a version from 1.", column="judge_version")
    return JudgeRecord(
        name=label(name, column="judge", longest=200),
        kind=kind,
        version=number,
        family=label(family, column="judge_family", longest=120),
        is_simulated=is_simulated,
    )


def _prompt(
    values: Mapping[str, Any],
    id_names_prompt: bool,  # noqa: FBT001
) -> tuple[PromptRecord, tuple[str, str] | Outputs]:
    get = values.get
    source_id = get("question_id")
    chats = get("conversation_a"), get("conversation_b")
    text = messages = None
    outputs: tuple[str, str] | Outputs = Outputs.UNKNOWN
    if chats[0] not in ABSENT and chats[1] not in ABSENT:
        turn = _whole(get("turn"), "turn")
        messages, answers = conversations.split(
            (
                conversations.messages(chats[0], column="conversation_a"),
                conversations.messages(chats[1], column="conversation_b"),
            ),
            turn=turn,
        )
        outputs = answers[0], answers[1]
    else:
        text = get("prompt")
        for name_a, name_b in RESPONSES:
            a, b = get(name_a), get(name_b)
            if a is not None and b is not None:
                outputs = (
                    conversations.answer(a, column=name_a),
                    conversations.answer(b, column=name_b),
                )
                break
    if source_id in ABSENT and id_names_prompt and outputs is not Outputs.UNKNOWN:
        source_id = get("id")
    name = _short(source_id, "question_id", 200)
    if text in ABSENT and not messages and not name and outputs is Outputs.UNKNOWN:
        # One row stands for all prompts that the source neither publishes nor names: a language or a
        # category can't be said of it.
        return UNNAMED, outputs
    language = _short(get("language"), "language", 35)
    categories = _categories(values)
    if messages is None and isinstance(text, str) and len(text) < SHORT_PROMPT:
        return _known_prompt(text, name, language, categories), outputs
    if messages is None:
        messages = conversations.prompt_messages(text)
    return PromptRecord(messages, name, language=language, categories=categories), outputs


@lru_cache(maxsize=1024)
def _known_prompt(
    text: str, source_id: str, language: str, categories: tuple[str, ...]
) -> PromptRecord:
    """The same record again, whose digest is known then."""
    messages = conversations.prompt_messages(text)
    return PromptRecord(messages, source_id, language=language, categories=categories)


UNNAMED = PromptRecord()


def _categories(values: Mapping[str, Any]) -> tuple[str, ...]:
    """From ``category`` (a name or a list of names), ``category_tag`` (LMArena's struct) and ``is_code``."""
    if CATEGORY_COLUMNS.isdisjoint(values):
        return ()
    names: list[str] = []
    given = values.get("category")
    if given not in ABSENT:
        if isinstance(given, str) and given.startswith("["):
            given = parse_json(given)
        names += [str(name) for name in given] if isinstance(given, list) else [str(given)]
    tags = values.get("category_tag")
    if tags not in ABSENT:
        if isinstance(tags, str):
            tags = parse_json(tags) if tags.startswith("{") else {"": {tags: True}}
        for tag, marks in tags.items() if isinstance(tags, dict) else ():
            met = (
                [name for name, mark in marks.items() if mark is True]
                if isinstance(marks, dict)
                else []
            )
            if tag.startswith("criteria"):
                met = ["hard prompts"] if len(met) >= HARD_PROMPT_CRITERIA else []
            names += [TAGS.get(name, name.replace("_", " ")) for name in met]
    if str(values.get("is_code")).lower() == "true":
        names.append("code")
    return tuple(dict.fromkeys(_known_label(name, "category", 60) for name in names if name))


def _side(value: Any) -> int | None:
    if value in ABSENT:
        return None
    try:
        return SIDES[str(value).strip().lower()]
    except KeyError:
        raise DatasetError(
            f"{str(value)[:80]!r} is neither model_a nor model_b.", column="shown_first"
        ) from None


def _confidence(value: Any) -> float | None:
    if value in ABSENT:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= 1:
        raise DatasetError(f"{str(value)[:80]!r} is not between 0 and 1.", column="confidence")
    return number


def _whole(value: Any, column: str) -> int | None:
    if value in ABSENT:
        return None
    try:
        number = int(value)
        if isinstance(value, float) and number != value:
            number = -1
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 <= number < BIG:
        raise DatasetError(f"{str(value)[:80]!r} is not a whole number from 0.", column=column)
    return number


def _time(values: Mapping[str, Any]) -> datetime | None:
    for column in TIME_COLUMNS:
        value = values.get(column)
        if value in ABSENT:
            continue
        if isinstance(value, datetime):
            return _in_utc(value)
        try:
            return datetime.fromtimestamp(float(value), UTC)
        except (TypeError, ValueError, OverflowError, OSError):
            pass
        try:
            return _in_utc(datetime.fromisoformat(str(value)))
        except (ValueError, OverflowError):
            raise DatasetError(
                f"{str(value)[:80]!r} is neither seconds since 1970 nor an ISO date and time.",
                column=column,
            ) from None
    return None


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
