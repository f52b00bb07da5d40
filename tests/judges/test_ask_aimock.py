"""A server that we didn't write takes our requests and understands them: the npm package aimock."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from judges.endpoints.asking import Asker, Patience
from judges.endpoints.interface import CallError, Endpoint, Failure, Question
from judges.protocols.interface import Request
from tests import aimock

FIXTURES = [
    {
        "match": {"userMessage": "Which is better"},
        "response": {
            "content": '{"choice": "A"}',
            "usage": {"prompt_tokens": 31, "completion_tokens": 7},
        },
    },
    {
        "match": {"userMessage": "too often"},
        "response": {"error": {"message": "Slow down", "type": "rate_limit_error"}, "status": 429},
    },
    {
        "match": {"userMessage": "broken"},
        "response": {"error": {"message": "Down", "type": "server_error"}, "status": 500},
    },
]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_connection")]


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    program = aimock.find()
    if program is None:
        pytest.skip(aimock.MISSING)
    with aimock.running_aimock(program, FIXTURES, tmp_path_factory.mktemp("aimock")) as address:
        yield f"{address}/v1"


@pytest.fixture
def endpoint(address: str, settings, monkeypatch) -> Endpoint:
    settings.ENDPOINTS = [address]
    settings.ENDPOINT_KEYS = {address: ("AIMOCK_KEY",)}
    monkeypatch.setenv("AIMOCK_KEY", "sk-for-nobody")
    return Endpoint(address, "judge", key_name="AIMOCK_KEY", input_price=1.0, output_price=2.0)


def ask(endpoint: Endpoint, text: str, *, probabilities: int = 5):
    async def once():
        request = Request(
            ({"role": "system", "content": "You judge."}, {"role": "user", "content": text}),
            max_tokens=20,
            schema={"type": "object", "properties": {"choice": {"enum": ["A", "B"]}}},
            top_logprobs=probabilities,
        )
        async with Asker(endpoint, patience=Patience(attempts=1)) as asker:
            return await asker.ask(
                Question(endpoint, request), read=lambda reply: json.loads(reply.text)
            )

    return asyncio.run(once())


def test_it_answers_with_usage_that_we_count(endpoint: Endpoint):
    answer, reading = ask(endpoint, "Which is better, A or B?")
    assert reading == {"choice": "A"}
    assert (answer.input_tokens, answer.output_tokens) == (31, 7)
    assert answer.cost == pytest.approx(45e-6)
    assert answer.reply.tokens is None


def test_its_429_says_when_to_come_back(endpoint: Endpoint):
    with pytest.raises(CallError) as error:
        ask(endpoint, "You are asked too often.")
    assert (error.value.failure, error.value.retry_after) == (Failure.RATE_LIMITED, 1)


def test_its_500_is_a_server_error_and_is_kept(endpoint: Endpoint):
    with pytest.raises(CallError) as error:
        ask(endpoint, "You are broken.")
    assert (error.value.failure, error.value.status) == (Failure.SERVER, 500)
    assert "Down" in error.value.text


@pytest.mark.parametrize(
    ("api", "below"), [("anthropic", "/v1"), ("gemini", "/v1beta"), ("converse", "")]
)
def test_it_takes_the_other_forms_of_providers_for_theirs(
    address: str, settings, monkeypatch, api: str, below: str
):
    url = address.removesuffix("/v1") + below
    settings.ENDPOINTS, settings.ENDPOINT_KEYS = [url], {url: ("AIMOCK_KEY",)}
    monkeypatch.setenv("AIMOCK_KEY", "sk-for-nobody")
    endpoint = Endpoint(
        url, "a-model", key_name="AIMOCK_KEY", api=api, input_price=1.0, output_price=2.0
    )
    answer, reading = ask(endpoint, "Which is better, A or B?", probabilities=0)
    assert reading == {"choice": "A"}
    assert answer.reply.finish == "stop"
    assert (answer.input_tokens, answer.output_tokens) == (31, 7)
    with pytest.raises(CallError) as error:
        ask(endpoint, "You are asked too often.", probabilities=0)
    assert error.value.failure == Failure.RATE_LIMITED
    with pytest.raises(CallError) as error:
        ask(endpoint, "You are broken.", probabilities=0)
    assert error.value.failure == Failure.SERVER
