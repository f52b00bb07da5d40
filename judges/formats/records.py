"""What every format yields, whatever its files look like. Sides are in the order of the source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Any

from arena.models import Prompt
from judges.formats.errors import Where
from judges.models import Judge

PEOPLE = "People"


class Outputs(Enum):
    """What is known of the outputs of a battle, where their texts aren't part of the record."""

    UNKNOWN = "the source publishes none"
    IMPORTED = "they came as records of their own"


@dataclass(slots=True)
class ArenaRecord:
    """What the source says of itself. Fills what an arena doesn't say yet.

    ``settings`` are fields of an arena that this very import makes; ``where`` is where they stand.
    """

    guidelines: str = ""
    licence: str = ""
    source: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    where: Where | None = None


@dataclass(slots=True)
class CategoryRecord:
    """A category with its own address, by which prompts that come later name it."""

    where: Where
    slug: str
    name: str


@dataclass(slots=True)
class SystemRecord:
    name: str
    where: Where
    version: str = ""
    organisation: str = ""
    family: str = ""
    slug: str = ""  # its address, where that is free
    facts: Mapping[str, Any] = field(default_factory=dict)  # other fields of a System
    follows: tuple[str, str] | None = None


@dataclass
class PromptRecord:
    """Without messages: a prompt that isn't published. ``source_id`` is its name in the source."""

    messages: list[dict[str, str]] = field(default_factory=list)
    source_id: str = ""
    title: str = ""
    reference: str = ""
    language: str = ""
    categories: tuple[str, ...] = ()
    is_reference: bool = False  # it came before, and only its digest is said again

    @cached_property
    def digest(self) -> str:
        return Prompt.content_digest(self.messages, source_id=self.source_id)


@dataclass(slots=True)
class OutputRecord:
    system: tuple[str, str]  # name, version
    prompt: PromptRecord
    text: str
    where: Where
    tokens: int | None = None
    latency_ms: int | None = None
    cost: float | None = None


@dataclass(slots=True)
class BattleRecord:
    """A battle that may have no verdict. Without a source_key its outputs came as records of their own."""

    where: Where
    systems: tuple[tuple[str, str], tuple[str, str]]
    prompt: PromptRecord
    source_key: int | None = None


@dataclass(frozen=True, slots=True)
class JudgeRecord:
    name: str = PEOPLE
    kind: str = Judge.Kind.CROWD
    version: int = 1
    family: str = ""
    description: str = ""
    is_simulated: bool = False
    slug: str = ""  # its address, where that is free
    configuration: Mapping[str, Any] = field(default_factory=dict)
    where: Where | None = None


@dataclass(slots=True)
class VoterRecord:
    """A voter who may have no verdict. ``exclusions`` are (is_excluded, reason, at), the oldest first."""

    where: Where
    judge: JudgeRecord
    handle: str
    exclusions: tuple[tuple[bool, str, datetime], ...] = ()


@dataclass(slots=True)
class TraceRecord:
    rationale: str = ""
    completion: str = ""
    parse: Mapping[str, Any] = field(default_factory=dict)
    cost: float | None = None
    latency_ms: int | None = None
    tokens: int | None = None


@dataclass(slots=True)
class RetractionRecord:
    reason: str
    at: datetime


@dataclass(slots=True)
class VerdictRecord:
    """One decision. ``outcome`` (an Outcome) and ``shown_first`` (0 or 1) speak of ``systems`` in their order.

    ``row_id`` is the record's own name in the source; ``repetition`` and ``source_key`` are None where the
    source doesn't give them; ``cast_at`` is in UTC.
    """

    where: Where
    systems: tuple[tuple[str, str], tuple[str, str]]
    outcome: int
    prompt: PromptRecord
    judge: JudgeRecord
    outputs: tuple[str, str] | Outputs = Outputs.UNKNOWN
    voter: str = ""
    criterion: str = ""
    shown_first: int | None = None
    confidence: float | None = None
    repetition: int | None = None
    source_key: int | None = None
    row_id: str = ""
    cast_at: datetime | None = None
    trace: TraceRecord | None = None
    retraction: RetractionRecord | None = None


@dataclass(slots=True)
class ScoreRecord:
    where: Where
    system: tuple[str, str]
    prompt: PromptRecord
    judge: JudgeRecord
    value: float
    criterion: str = ""
    repetition: int = 0


@dataclass(slots=True)
class RankingRecord:
    """``ranks`` are of ``systems``, which are in the order in which they were shown."""

    where: Where
    prompt: PromptRecord
    judge: JudgeRecord
    voter: str
    systems: tuple[tuple[str, str], ...]
    ranks: tuple[int, ...]
    is_retracted: bool
    repetition: int
    comment: str
    decided_at: datetime
    dwell_ms: int | None


@dataclass(slots=True)
class GoldRecord:
    where: Where
    source_id: str
    prompt: str
    outputs: tuple[str, str]
    expected: int
    reason: str = ""


@dataclass(slots=True)
class Unanswered:
    """The source says that its judge failed here: neither a tie nor a loss, only counted."""

    where: Where


Record = (
    ArenaRecord
    | SystemRecord
    | PromptRecord
    | OutputRecord
    | JudgeRecord
    | CategoryRecord
    | BattleRecord
    | VoterRecord
    | VerdictRecord
    | ScoreRecord
    | RankingRecord
    | GoldRecord
    | Unanswered
)
