"""A protocol and an endpoint that tests know by heart: the reply is the word that the test's rule gives."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from judges.endpoints.interface import Answer, CallError, Failure, Question
from judges.llm_judges import make_llm_judge
from judges.models import Judge
from judges.protocols.interface import Case, Choice, Reading, Reply, Request, UnreadableReply
from tests import cast

WORDS = {"first": Choice.FIRST, "second": Choice.SECOND, "tie": Choice.TIE, "bad": Choice.BOTH_BAD}
CONFIGURATION = {
    "endpoint": {
        "url": "http://127.0.0.1:9/v1",
        "model": "a-model",
        "key_name": "TEST_API_KEY",
        "parameters": {"temperature": 0},
        "input_price": 1.0,
        "output_price": 2.0,
        "concurrency": 4,
    },
    "protocol": {"name": "word", "options": {}},
}


@dataclass(frozen=True)
class WordProtocol:
    """One word decides; further words "criterion=word" decide criteria. Scoring, the word is a number."""

    name: str = "word"
    judges_battles: bool = True
    digest: str = "d" * 64
    hears: int = 0
    needs_probabilities: bool = False

    def render(self, case: Case, *, fence: str) -> Request:
        texts = [case.messages[-1]["content"], *case.answers, case.reference, fence]
        return Request(messages=({"role": "user", "content": "\n".join(texts)},), max_tokens=10)

    def read(self, reply: Reply, *, questions=()) -> Reading:
        word, *rest = reply.text.split()
        values = dict(pair.split("=") for pair in rest)
        if not self.judges_battles:
            scores = {name: float(value) for name, value in values.items()}
            return Reading(score=float(word), by_criterion=scores)
        if word not in WORDS:
            raise UnreadableReply(f"{word!r} is no choice.")
        choices = {name: WORDS[value] for name, value in values.items()}
        return Reading(
            choice=WORDS[word],
            confidence=0.75,
            rationale=f"Because {word}.",
            by_criterion=choices,
            details={"strength": 2},
        )

    def preparation(self, case: Case, *, fence: str) -> Request | None:
        return None

    def prepared(self, case: Case, reply: Reply) -> Case:
        return case


@dataclass
class FakeEndpoint:
    """Answers by a rule (the lines of the request -> a word, or a CallError), and counts what it was asked."""

    rule: Callable[[list[str]], str | CallError] = lambda lines: "first"
    asked: Counter = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0

    def __call__(self, endpoint):
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        return None

    async def ask(self, question: Question, *, read):
        text = question.request.messages[0]["content"]
        self.asked[text, question.repetition] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        word = self.rule(text.split("\n"))
        if isinstance(word, Exception):
            raise word
        reply = Reply(word)
        try:
            reading = read(reply)
        except UnreadableReply as error:
            raise CallError(Failure.UNREADABLE, str(error), text=word) from error
        return Answer(reply, input_tokens=100, output_tokens=1, cost=0.000102, seconds=0.5), reading


def make_judge(
    arena, monkeypatch, *, name="Word judge", judges_battles=True, **configuration
) -> Judge:
    protocol = WordProtocol(judges_battles=judges_battles)
    monkeypatch.setattr("judges.llm_judges._protocol_from", lambda configuration: protocol)
    return make_llm_judge(arena=arena, name=name, configuration=CONFIGURATION | configuration)


def make_arena(prompts: int = 4):
    """Three systems and all battles between them."""
    arena = cast.make_arena(guidelines="Be strict.")
    systems = [cast.make_system(arena, name) for name in ("Ada", "Basil", "Cleo")]
    for number in range(prompts):
        prompt = cast.make_prompt(arena, f"Poem {number}")
        for one, other in ((0, 1), (0, 2), (1, 2)):
            cast.make_battle(systems[one], systems[other], prompt)
    return arena


@pytest.fixture
def word_protocol(monkeypatch) -> WordProtocol:
    protocol = WordProtocol()
    monkeypatch.setattr("judges.llm_judges._protocol_from", lambda configuration: protocol)
    return protocol
