"""Anthropic, Gemini and Bedrock, each asked in its own form over the same wire as all others."""

import asyncio

import pytest

from judges.endpoints.asking import Asker, Patience
from judges.endpoints.interface import CallError, Endpoint, Failure, Question
from judges.endpoints.providers import PROVIDERS
from judges.llm_judges import ConfigurationError, checked_configuration, make_llm_judge
from judges.models import CachedReply, Verdict
from judges.protocols.interface import Request
from judges.runs import confirm_run, plan_run, work_on
from tests import cast

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/webp;base64,QUJD"}}
MESSAGES = (
    {"role": "system", "content": "Be strict."},
    {"role": "user", "content": [{"type": "text", "text": "A or B?"}, PICTURE]},
    {"role": "user", "content": "Well?"},
    {"role": "assistant", "content": "Hm."},
    {"role": "user", "content": "Say it."},
)
SCHEMA = {"type": "object", "properties": {"choice": {"type": "string"}}}
POSTED = {
    "anthropic": (
        "/v1/messages",
        {
            "model": "plain",
            "max_tokens": 5,
            "system": "Be strict.",
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "A or B?"},
                        {
                            "type": "image",
                            "source": {
                                "type": "base64",
                                "media_type": "image/webp",
                                "data": "QUJD",
                            },
                        },
                        {"type": "text", "text": "Well?"},
                    ],
                },
                {"role": "assistant", "content": [{"type": "text", "text": "Hm."}]},
                {"role": "user", "content": [{"type": "text", "text": "Say it."}]},
            ],
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
            "temperature": 0,
            "top_k": 3,
        },
    ),
    "gemini": (
        "/v1/models/plain:generateContent",
        {
            "systemInstruction": {"parts": [{"text": "Be strict."}]},
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"text": "A or B?"},
                        {"inlineData": {"mimeType": "image/webp", "data": "QUJD"}},
                        {"text": "Well?"},
                    ],
                },
                {"role": "model", "parts": [{"text": "Hm."}]},
                {"role": "user", "parts": [{"text": "Say it."}]},
            ],
            "generationConfig": {
                "maxOutputTokens": 5,
                "temperature": 0,
                "topK": 3,
                "responseMimeType": "application/json",
                "responseJsonSchema": SCHEMA,
            },
        },
    ),
    "converse": (
        "/v1/model/plain/converse",
        {
            "system": [{"text": "Be strict."}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"text": "A or B?"},
                        {"image": {"format": "webp", "source": {"bytes": "QUJD"}}},
                        {"text": "Well?"},
                    ],
                },
                {"role": "assistant", "content": [{"text": "Hm."}]},
                {"role": "user", "content": [{"text": "Say it."}]},
            ],
            "inferenceConfig": {"maxTokens": 5, "temperature": 0},
            "additionalModelRequestFields": {"top_k": 3},
        },
    ),
}
KEYS = {
    "anthropic": ("x-api-key", "sk-right"),
    "gemini": ("x-goog-api-key", "sk-right"),
    "converse": ("authorization", "Bearer sk-right"),
}


def attempt(server, api, model="plain", *, request=None, **fields):
    async def once():
        endpoint = Endpoint(url=server.url, model=model, api=api, **fields)
        async with PROVIDERS[api](endpoint) as client:
            asked = request or Request(MESSAGES, max_tokens=5, schema=SCHEMA)
            return await client.attempt(Question(endpoint, asked))

    return asyncio.run(once())


@pytest.mark.parametrize("api", PROVIDERS)
def test_each_is_asked_in_its_own_words_and_its_reply_has_a_price(
    server, settings, monkeypatch, api
):
    settings.ENDPOINT_KEYS = {server.url: ("JUDGE_KEY",)}
    monkeypatch.setenv("JUDGE_KEY", "sk-right")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-More: wrong")
    answer = attempt(
        server,
        api,
        key_name="JUDGE_KEY",
        parameters=(("temperature", 0), ("top_k", 3)),
        input_price=1.0,
        output_price=10.0,
    )
    [call] = server.calls
    assert (call.path, call.body) == POSTED[api]
    name, value = KEYS[api]
    assert call.headers[name] == value
    others = {"authorization", "x-api-key", "x-goog-api-key"} - {name}
    assert not others & set(call.headers)
    assert "wrong" not in str(call.headers)
    assert call.headers.get("anthropic-version") == ("2023-06-01" if api == "anthropic" else None)
    assert (answer.reply.text, answer.reply.finish) == ("A", "stop")
    written = 5 if api == "gemini" else 1  # what was thought is paid for
    assert (answer.input_tokens, answer.output_tokens) == (12, written)
    assert answer.cost == pytest.approx((12 + 10 * written) / 1e6)


def test_gemini_tells_probabilities_and_the_others_are_not_asked_for_them(server):
    request = Request(MESSAGES, max_tokens=5, top_logprobs=2)
    answer = attempt(server, "gemini", request=request)
    assert server.calls[0].body["generationConfig"]["logprobs"] == 2
    [token] = answer.reply.tokens
    assert (token.text, token.alternatives) == ("A", (("A", -0.1), ("B", -2.4)))
    for api in ("anthropic", "converse"):
        with pytest.raises(CallError, match="tells no probabilities") as error:
            attempt(server, api, request=request)
        assert error.value.failure == Failure.NOT_ALLOWED
    assert len(server.calls) == 1


@pytest.mark.parametrize("protocol", ["choice_probability", "yes_no"])
def test_a_judge_that_reads_probabilities_is_not_made_where_none_are_told(server, protocol):
    endpoint = {"url": server.url, "model": "plain"}
    for api in ("anthropic", "converse"):
        asked = {"endpoint": endpoint | {"api": api}, "protocol": {"name": protocol}}
        with pytest.raises(ConfigurationError, match=f"endpoints of the kind {api} tell none"):
            checked_configuration(asked)
    for api in ("chat", "gemini"):
        checked_configuration({"endpoint": endpoint | {"api": api}, "protocol": {"name": protocol}})


@pytest.mark.parametrize("api", PROVIDERS)
@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (401, Failure.CREDENTIALS),
        (404, Failure.NOT_FOUND),
        (429, Failure.RATE_LIMITED),
        (400, Failure.REFUSED),
        (529, Failure.SERVER),
    ],
)
def test_failures_are_those_of_all_endpoints(server, api, status, failure):
    with pytest.raises(CallError) as error:
        attempt(server, api, f"status:{status}:7")
    assert (error.value.failure, error.value.status) == (failure, status)
    assert error.value.retry_after == 7


def test_a_wrong_key_of_gemini_is_told_by_a_400(server):
    with pytest.raises(CallError) as error:
        attempt(server, "gemini", "wrong-key")
    assert error.value.failure == Failure.CREDENTIALS


MESSAGE = {"content": [{"type": "text", "text": "A"}]}
GEMINI = {"candidates": [{"content": {"parts": [{"text": "A"}]}, "finishReason": "STOP"}]}


@pytest.mark.parametrize(
    ("api", "payload", "failure"),
    [
        ("anthropic", {}, Failure.MALFORMED),
        ("anthropic", [], Failure.MALFORMED),
        ("anthropic", {"content": ["A"], "stop_reason": 3}, Failure.MALFORMED),
        ("anthropic", {**MESSAGE, "stop_reason": "refusal"}, Failure.REFUSED),
        ("anthropic", {"content": [], "stop_reason": "max_tokens"}, Failure.CUT_OFF),
        ("gemini", {"candidates": []}, Failure.MALFORMED),
        ("gemini", {"candidates": [{"content": None}]}, Failure.MALFORMED),
        ("gemini", {"promptFeedback": {"blockReason": "SAFETY"}}, Failure.REFUSED),
        ("gemini", {"candidates": [{"finishReason": "SAFETY"}]}, Failure.REFUSED),
        ("gemini", {"candidates": [{"finishReason": "MAX_TOKENS"}]}, Failure.CUT_OFF),
        ("converse", {"output": {"message": {"content": {}}}}, Failure.MALFORMED),
        ("converse", {"stopReason": "guardrail_intervened"}, Failure.REFUSED),
        ("converse", {"stopReason": "max_tokens"}, Failure.CUT_OFF),
    ],
)
def test_what_is_no_reply_is_a_failure_with_its_reason(server, api, payload, failure):
    client = PROVIDERS[api](Endpoint(url=server.url, model="m", api=api))
    with pytest.raises(CallError) as error:
        client.reply(payload)
    assert error.value.failure == failure


def test_a_reply_that_was_cut_says_so_and_usage_that_can_not_be_true_is_unknown(server):
    clients = {api: PROVIDERS[api](Endpoint(url=server.url, model="m")) for api in PROVIDERS}
    reply, _ = clients["anthropic"].reply({**MESSAGE, "stop_reason": "max_tokens"})
    assert (reply.text, reply.finish) == ("A", "length")
    reply, _ = clients["gemini"].reply(GEMINI)
    assert (reply.text, reply.finish, reply.tokens) == ("A", "stop", None)
    broken = {"chosenCandidates": [{"token": "A", "logProbability": 7}]}
    candidate = {**GEMINI["candidates"][0], "logprobsResult": broken}
    assert clients["gemini"].reply({"candidates": [candidate]})[0].tokens is None
    for client in clients.values():
        for payload in ({}, [], {"usage": 1}, {"usage": {"input_tokens": "12"}}):
            assert client.usage(payload)[0] is None


@pytest.mark.parametrize("model", ["../../secrets", "a/b", "a?b", "a b", "", ".", "é"])
@pytest.mark.parametrize("api", ["gemini", "converse"])
def test_a_model_can_not_lead_to_another_address(server, api, model):
    with pytest.raises(CallError, match="can't be a part of an address"):
        PROVIDERS[api](Endpoint(url=server.url, model=model, api=api))


def test_what_is_set_for_each_call_is_no_parameter(server):
    for api, name in [("anthropic", "system"), ("gemini", "contents"), ("converse", "max_tokens")]:
        with pytest.raises(CallError, match=f"{name} can't be a parameter"):
            PROVIDERS[api](Endpoint(server.url, "m", api=api, parameters=((name, "x"),)))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("api", PROVIDERS)
def test_a_run_asks_a_provider_within_its_limits_and_pays_for_a_reply_once(server, api):
    arena = cast.make_arena()
    cast.make_battle(
        *(cast.make_system(arena, name) for name in ("Ada", "Basil")), cast.make_prompt(arena)
    )
    configuration = {
        "endpoint": {"url": server.url, "model": "plain", "api": api, "output_price": 10},
        "protocol": {"name": "battle", "options": {"reply": "line"}},
    }
    judges = [
        make_llm_judge(arena=arena, name=name, configuration=configuration | more)
        for name, more in [("One", {}), ("Two", {"margin": 1.0})]
    ]
    for judge in judges:
        run = work_on(confirm_run(run=plan_run(judge=judge, selection={}, max_calls=10)))
        assert (run.state, run.done, run.error) == ("done", 2, "")
    assert run.from_cache == 2
    assert len(server.calls) == 2 == CachedReply.objects.count()
    assert Verdict.objects.count() == 2  # A in both orders: a tie each

    async def again():
        endpoint = Endpoint(server.url, "flaky:2:529:again", api=api)
        patience = Patience(first_pause=0.001)
        async with Asker(endpoint, cache=False, patience=patience) as asker:
            question = Question(endpoint, Request(MESSAGES, max_tokens=5))
            return await asker.ask(question, read=lambda reply: reply.text)

    answer, read = asyncio.run(again())
    assert (read, answer.attempts) == ("A", 3)
