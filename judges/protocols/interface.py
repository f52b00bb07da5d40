"""What a protocol is: how an LLM judge is asked, and how its reply becomes a verdict or a score.

A protocol is pure. It sees texts and gives texts; it knows neither the database nor the network, and when it
reads a reply it doesn't see what was asked, so nothing in a prompt or an output can be taken for the reply.
It speaks of answers by the order in which the judge saw them, never of a battle's sides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol


class Choice(IntEnum):
    """A decision between two answers, in the order in which they were shown."""

    FIRST = 0
    SECOND = 1
    TIE = 2
    BOTH_BAD = 3

    @property
    def mirrored(self) -> "Choice":
        """The same decision if the answers had been shown the other way round."""
        return {Choice.FIRST: Choice.SECOND, Choice.SECOND: Choice.FIRST}.get(self, self)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that the prompt or an answer shows, by the name that its text gives it."""

    name: str
    data_url: str


@dataclass(frozen=True, slots=True)
class Example:
    """A comparison that people decided, shown to the judge before its own."""

    prompt: str
    answers: tuple[str, str]
    choice: Choice


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge said of the same answers before, told to a judge that decides once more.

    ``choice`` is its verdict, and ``rationale`` the reasons that it gave when it saw the answers in this order;
    ``in_this_order`` is what it said then, where its verdict is another (a tie of two orders that contradict
    each other). ``is_own``: it is the judge's own.
    """

    choice: Choice
    rationale: str = ""
    in_this_order: Choice | None = None
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to judge: the prompt, and one answer or two in the order in which the judge sees them."""

    messages: tuple[Mapping[str, str], ...]
    answers: tuple[str, ...]
    reference: str = ""
    guidelines: str = ""
    checklist: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    pictures: tuple[Picture, ...] = ()
    discussion: tuple[Opinion, ...] = ()

    @property
    def mirrored(self) -> "Case":
        """The same case with the two answers exchanged. Reasons speak of the other order, and aren't told."""
        first, second = self.answers
        discussion = tuple(Opinion(o.choice.mirrored, is_own=o.is_own) for o in self.discussion)
        return Case(
            self.messages, (second, first), self.reference, self.guidelines, self.checklist,
            self.examples, self.pictures, discussion,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """What goes to the endpoint. ``messages`` are those of the chat-completions protocol."""

    messages: tuple[Mapping[str, Any], ...]
    max_tokens: int
    schema: Mapping[str, Any] | None = (
        None  # a JSON schema of the reply, where the server honours one
    )
    top_logprobs: int = 0  # how many alternatives of each token are wanted; 0: no probabilities


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a reply with the likeliest tokens at its place, as (text, natural logarithm)."""

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. ``tokens`` is None where the server tells no probabilities."""

    text: str
    tokens: tuple[Token, ...] | None = None
    finish: str = "stop"  # "length": it was cut off


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reply says: a choice (of battles) or a score (of outputs), overall and by criterion."""

    choice: Choice | None = None
    score: float | None = None
    confidence: float | None = None  # in [0, 1], as stated or as the probabilities have it
    rationale: str = ""
    by_criterion: Mapping[str, "Choice | float"] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)  # for the trace: plain JSON


class MissingInput(ValueError):
    """The protocol needs what the case doesn't have, e.g. a reference answer; str() says what."""


class UnreadableReply(ValueError):
    """A reply that isn't of the form that was asked for; str() says what was missing."""


class FinalReply(UnreadableReply):
    """The same, of a reply that nobody asks for again: another one would be as bad, or is too dear."""


class JudgeProtocol(Protocol):
    """A configured protocol: frozen, hashable, made from the judge's configuration by ``protocol_from``.

    ``judges_battles`` tells whether it compares two answers or scores one, ``needs_probabilities`` whether it
    reads those of the reply's tokens. ``digest`` is the SHA-256 of all
    that decides what is asked and how it is read: name, options, the text of its templates, the version of
    its parser.
    """

    name: str
    judges_battles: bool
    needs_probabilities: bool

    @property
    def hears(self) -> int:
        """How many judges' first verdicts a case must tell (``discussion``), the judge's own among them."""
        ...

    @property
    def digest(self) -> str: ...

    def render(self, case: Case, *, fence: str) -> Request:
        """``fence`` is a word around what strangers wrote that nobody can foresee. Raises MissingInput."""
        ...

    def read(self, reply: Reply, *, questions: Sequence[str] = ()) -> Reading:
        """Raises UnreadableReply. ``questions``: the checklist that was asked, where there is one."""
        ...

    def preparation(self, case: Case, *, fence: str) -> Request | None:
        """A call that must come first (a checklist of the prompt, a revised reference); None: there is none."""
        ...

    def prepared(self, case: Case, reply: Reply) -> Case:
        """The case with what the preparation's reply gave it. Raises UnreadableReply."""
        ...
