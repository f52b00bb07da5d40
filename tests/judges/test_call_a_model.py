"""One attempt at a call: what a server may send, and which failure each of it is."""

import asyncio
import json
import socket
from datetime import timedelta
from email.utils import format_datetime

import pytest
from django.utils import timezone

from judges.endpoints.client import ChatClient, retry_after
from judges.endpoints.interface import Answer, CallError, Endpoint, Failure, Question
from judges.protocols.interface import Request
from tests.endpoint import MisbehavingEndpoint

SCHEMA = {"type": "object", "properties": {"choice": {"type": "string"}}}


def attempt(url: str, model: str, *, repetition: int = 0, request: Request | None = None, **fields):
    async def once() -> Answer:
        endpoint = Endpoint(url=url, model=model, **fields)
        asked = request or Request(messages=({"role": "user", "content": "A or B?"},), max_tokens=5)
        async with ChatClient(endpoint) as client:
            return await client.attempt(Question(endpoint, asked, repetition))

    return asyncio.run(once())


def failed(url: str, model: str, **fields) -> CallError:
    with pytest.raises(CallError) as error:
        attempt(url, model, **fields)
    return error.value


# --- what goes well -------------------------------------------------------------------------------
def test_an_answer_has_the_reply_its_probabilities_and_its_price(server: MisbehavingEndpoint):
    request = Request(
        ({"role": "user", "content": "A or B?"},), max_tokens=5, schema=SCHEMA, top_logprobs=2
    )
    answer = attempt(
        server.url,
        "plain",
        request=request,
        parameters=(("temperature", 0), ("top_p", 0.9)),
        input_price=1.0,
        output_price=10.0,
    )
    assert answer.reply.text == "A"
    assert answer.reply.tokens[0].alternatives == (("A", -0.1), ("B", -2.4))
    assert (answer.input_tokens, answer.output_tokens) == (12, 1)
    assert answer.cost == pytest.approx(22e-6)
    (call,) = server.calls
    assert call.path == "/v1/chat/completions"
    assert call.body == {
        "model": "plain",
        "messages": [{"role": "user", "content": "A or B?"}],
        "temperature": 0,
        "top_p": 0.9,
        "max_tokens": 5,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True},
        },
        "logprobs": True,
        "top_logprobs": 2,
    }


def test_a_server_without_schemas_is_sent_none_and_one_without_probabilities_gives_none(server):
    request = Request(({"role": "user", "content": "A or B?"},), max_tokens=5, schema=SCHEMA)
    answer = attempt(server.url, "plain", request=request, supports_schema=False)
    assert answer.reply.tokens is None
    assert "response_format" not in server.calls[0].body
    assert "logprobs" not in server.calls[0].body


def test_a_seed_is_another_one_in_each_repetition(server):
    for repetition in (0, 3):
        attempt(server.url, "plain", repetition=repetition, parameters=(("seed", 7),))
    assert [call.body["seed"] for call in server.calls] == [7, 10]


def test_a_limit_by_another_name_replaces_ours(server):
    attempt(server.url, "plain", parameters=(("max_completion_tokens", 900),))
    assert server.calls[0].body["max_completion_tokens"] == 900
    assert "max_tokens" not in server.calls[0].body


def test_a_reply_at_the_token_limit_says_so(server):
    answer = attempt(
        server.url, 'message:{"message": {"content": "The first"}, "finish_reason": "length"}'
    )
    assert (answer.reply.text, answer.reply.finish) == ("The first", "length")


def test_what_no_database_takes_is_replaced(server):
    assert attempt(server.url, "nul").reply.text == "A�B?C"


# --- keys and headers -----------------------------------------------------------------------------
def test_the_key_is_sent_and_nothing_else_of_the_environment(server, settings, monkeypatch):
    settings.ENDPOINT_KEYS = {server.url: ("JUDGE_KEY",)}
    monkeypatch.setenv("JUDGE_KEY", "sk-right")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-wrong")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-wrong")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer sk-wrong\nX-More: wrong")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    attempt(server.url, "plain", key_name="JUDGE_KEY")
    attempt(server.url, "plain")
    first, second = (call.headers for call in server.calls)
    assert first["authorization"] == "Bearer sk-right"
    assert "authorization" not in second
    assert "wrong" not in str(first) + str(second)
    assert set(second) == {
        "host", "accept", "accept-encoding", "content-type", "content-length", "user-agent",
    }  # fmt: skip


def test_a_key_that_comes_back_is_neither_shown_nor_kept(server, settings, monkeypatch):
    settings.ENDPOINT_KEYS = {server.url: ("JUDGE_KEY",)}
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    body = json.dumps({"error": "You sent sk-secret."})
    error = failed(server.url, f"body:{body}", key_name="JUDGE_KEY")
    assert error.text == '{"error": "You sent [key]."}'
    error = failed(server.url, "status:401", key_name="JUDGE_KEY")
    assert (error.failure, error.text) == (Failure.CREDENTIALS, "")
    assert "JUDGE_KEY" in str(error)
    assert "sk-secret" not in str(error)


@pytest.mark.parametrize("name", ["model", "messages", "stream", "n", "tools", "max_tokens"])
def test_a_parameter_can_not_change_what_is_asked(server, name):
    assert failed(server.url, "plain", parameters=((name, 1),)).failure == Failure.NOT_ALLOWED
    assert not server.calls


# --- one test per failure -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (307, Failure.NOT_ALLOWED),
        (400, Failure.REFUSED),
        (401, Failure.CREDENTIALS),
        (403, Failure.CREDENTIALS),
        (404, Failure.NOT_FOUND),
        (408, Failure.TIMEOUT),
        (422, Failure.REFUSED),
        (429, Failure.RATE_LIMITED),
        (500, Failure.SERVER),
        (503, Failure.SERVER),
    ],
)
def test_a_status_is_a_failure_with_a_sentence_and_without_a_second_attempt(
    server, status, failure
):
    error = failed(server.url, f"status:{status}")
    assert (error.failure, error.status) == (failure, status)
    assert str(error).endswith(f"(status {status}).")
    assert len(server.calls) == 1


def test_a_server_says_when_to_come_back(server):
    assert failed(server.url, "status:429:7").retry_after == 7
    assert failed(server.url, "status:503:1.5").retry_after == 1.5
    assert failed(server.url, "status:429").retry_after is None


def test_a_date_to_come_back_at_is_seconds_from_now():
    in_a_minute = format_datetime(timezone.now() + timedelta(seconds=60), usegmt=True)
    assert retry_after({"retry-after": in_a_minute}) == pytest.approx(60, abs=3)
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


@pytest.mark.parametrize("stated", ["", "soon", "-5", "nan", "inf", "Wed, 99 Oct 2015", "9" * 400])
def test_nonsense_is_no_time_to_come_back(stated):
    assert retry_after({"retry-after": stated}) is None


@pytest.mark.parametrize("model", ["slow", "drip"])
def test_a_call_ends_after_its_time_even_if_the_server_never_falls_silent(server, model):
    error = failed(server.url, model, timeout=0.3)
    assert (error.failure, str(error)) == (
        Failure.TIMEOUT,
        "The server didn't answer within 0.3 seconds.",
    )


def test_a_connection_that_is_cut_is_told_from_an_answer(server):
    error = failed(server.url, "cut")
    assert error.failure == Failure.CONNECTION
    assert str(error).startswith("The connection to the server failed: it was cut")


def test_a_server_that_is_not_there_is_a_failed_connection(settings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    settings.ENDPOINTS = [url]
    error = failed(url, "plain")
    assert error.failure == Failure.CONNECTION
    assert str(error) == "The connection to the server failed: it wasn't accepted."


@pytest.mark.parametrize(
    "model",
    [
        "html", "empty", "latin", "deep", "gzip", "huge", "body:[]", "body:null", "body:{}",
        'body:{"choices": []}', 'body:{"choices": {"0": 1}}', 'body:{"choices": [null]}',
        'body:{"choices": [{"message": "A"}]}', 'message:{"message": {"content": null}}',
        'message:{"message": {"content": 7}}', 'message:{"message": {"content": [{"text": "A"}]}}',
    ],
)  # fmt: skip
def test_what_is_not_a_chat_completion_is_malformed(server, model):
    error = failed(server.url, model)
    assert error.failure == Failure.MALFORMED
    assert error.status == 200 or model == "huge"


def test_what_was_malformed_is_kept(server):
    assert failed(server.url, "html").text == "<h1>It works!</h1>"
    assert failed(server.url, 'body:{"choices": []}').text == '{"choices": []}'


def test_a_redirect_is_not_followed(server):
    error = failed(server.url, "redirect")
    assert error.failure == Failure.NOT_ALLOWED
    assert "isn't followed" in str(error)


def test_a_refusal_of_the_model_is_kept_with_its_words(server):
    error = failed(server.url, 'message:{"message": {"content": null, "refusal": "I will not."}}')
    assert (error.failure, error.text) == (Failure.REFUSED, "I will not.")


def test_a_model_that_said_nothing_before_the_limit_was_cut_off(server):
    error = failed(server.url, 'message:{"message": {"content": null}, "finish_reason": "length"}')
    assert error.failure == Failure.CUT_OFF
    model = 'message:{"message": {"content": null}, "finish_reason": "content_filter"}'
    assert failed(server.url, model).failure == Failure.REFUSED


@pytest.mark.parametrize(
    ("code", "failure"),
    [(429, Failure.RATE_LIMITED), (502, Failure.SERVER), (7, Failure.MALFORMED)],
)
def test_a_failure_within_an_answer_of_200_is_told(server, code, failure):
    body = json.dumps({"error": {"code": code, "message": "Behind me."}})
    assert failed(server.url, f"body:{body}").failure == failure


def test_a_failure_that_was_paid_for_has_its_cost(server):
    body = json.dumps(
        {"choices": [], "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0}}
    )
    assert failed(server.url, f"body:{body}", input_price=2.0).cost == 2.0


# --- lies -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "usage",
    [
        None, [], "many", {}, {"prompt_tokens": -1, "completion_tokens": -1},
        {"prompt_tokens": "12", "completion_tokens": "1"}, {"prompt_tokens": 1e30, "completion_tokens": 1.5},
        {"prompt_tokens": 10**12, "completion_tokens": 10**400},
        {"prompt_tokens": True, "completion_tokens": False},
        {"prompt_tokens": 0, "completion_tokens": None},
    ],
)  # fmt: skip
def test_usage_that_can_not_be_true_is_unknown_and_so_is_the_cost(server, usage):
    answer = attempt(server.url, f"usage:{json.dumps(usage)}", input_price=1.0)
    assert (answer.input_tokens, answer.output_tokens, answer.cost) == (None, None, None)
    assert answer.reply.text == "A"


def test_what_has_no_price_costs_nothing_whatever_the_server_says(server):
    assert attempt(server.url, "usage:null").cost == 0


@pytest.mark.parametrize(
    "logprobs",
    [
        "[]", '{"content": []}', '{"content": "A"}', '{"content": [{"token": "A"}]}',
        '{"content": [{"token": "A", "logprob": 2.0}]}', '{"content": [{"token": "A", "logprob": NaN}]}',
        '{"content": [{"token": "A", "logprob": 1e999}]}', '{"content": [{"token": 1, "logprob": -1}]}',
        '{"content": [{"token": "A", "logprob": -1, "top_logprobs": [null]}]}',
        '{"content": [{"token": "A", "logprob": -1, "top_logprobs": 3}]}',
    ],
)  # fmt: skip
def test_probabilities_that_can_not_be_are_none(server, logprobs):
    model = f'message:{{"message": {{"content": "A"}}, "logprobs": {logprobs}}}'
    assert attempt(server.url, model).reply.tokens is None
