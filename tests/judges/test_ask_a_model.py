"""Asking with patience: attempts, pauses, the cache, and what workers share."""

import asyncio
import time
from types import MappingProxyType

import pytest

from judges.endpoints import cache, database, gate
from judges.endpoints.asking import Asker, Patience
from judges.endpoints.interface import Answer, CallError, Endpoint, Failure, Question
from judges.endpoints.reward import read_score
from judges.models import CachedReply, EndpointState
from judges.protocols.interface import Reply, Request, UnreadableReply
from tests.endpoint import MisbehavingEndpoint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_connection")]

QUICK = Patience(attempts=4, first_pause=0.01, longest_pause=0.02, longest_wait=2, break_for=0.2)


def read(reply: Reply) -> str:
    if reply.text != "A":
        raise UnreadableReply(f"No choice in {reply.text!r}.")
    return reply.text


def question(endpoint: Endpoint, text: str = "A or B?", repetition: int = 0, **fields) -> Question:
    messages = ({"role": "user", "content": text},)
    return Question(endpoint, Request(messages, **{"max_tokens": 5, **fields}), repetition)


def ask(
    endpoint: Endpoint, *questions: Question, patience: Patience = QUICK, **options
) -> list[tuple[Answer, str] | BaseException]:
    """Asks all of them side by side, through one Asker."""

    async def all_of_them():
        async with Asker(endpoint, patience=patience, **options) as asker:
            asked = questions or (question(endpoint),)
            calls = (asker.ask(one, read=read) for one in asked)
            return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(all_of_them())


def failed(endpoint: Endpoint, **options) -> CallError:
    (error,) = ask(endpoint, **options)
    assert isinstance(error, CallError)
    return error


# --- attempts -------------------------------------------------------------------------------------
def test_a_failure_that_may_pass_is_tried_again(server: MisbehavingEndpoint):
    ((answer, reading),) = ask(Endpoint(server.url, "flaky:2:500:a"))
    assert (reading, answer.attempts, len(server.calls)) == ("A", 3, 3)


def test_it_is_not_tried_for_ever(server):
    error = failed(Endpoint(server.url, "status:500"))
    assert (error.failure, error.attempts, len(server.calls)) == (Failure.SERVER, 4, 4)
    assert not CachedReply.objects.exists()


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_failure_that_stays_is_not_tried_again(server, status):
    failed(Endpoint(server.url, f"status:{status}"))
    assert len(server.calls) == 1


def test_an_unreadable_reply_is_asked_for_again_and_its_price_is_counted(server):
    endpoint = Endpoint(server.url, "unreadable:2:a", output_price=1e6)
    ((answer, reading),) = ask(endpoint)
    assert (reading, answer.attempts, answer.cost) == ("A", 3, 3.0)
    assert CachedReply.objects.get().text == "A"


def test_attempts_that_nobody_told_the_price_of_are_counted(server):
    endpoint = Endpoint(server.url, "unreadable:2:a")
    ((answer, _),) = ask(endpoint, question(endpoint, "Free, or not told?"))
    assert (answer.cost, answer.attempts, answer.untold) == (0.0, 3, 2)
    # The last one is the failure itself; what was refused before it cost nothing.
    assert failed(Endpoint(server.url, "unreadable:99:c")).untold == 3
    assert failed(Endpoint(server.url, "status:500")).untold == 0


def test_a_reply_that_stays_unreadable_fails_with_its_text_and_is_never_kept(server):
    error = failed(Endpoint(server.url, "unreadable:99:b", output_price=1e6))
    assert (error.failure, error.text) == (Failure.UNREADABLE, "???")
    assert str(error) == "No choice in '???'."
    assert (error.cost, error.attempts) == (4.0, 4)
    assert not CachedReply.objects.exists()


def test_a_reply_that_can_not_be_read_because_it_was_cut_off_is_told_so(server):
    model = 'message:{"message": {"content": "Bo"}, "finish_reason": "length"}'
    error = failed(Endpoint(server.url, model))
    assert (error.failure, error.text) == (Failure.CUT_OFF, "Bo")


def test_an_error_in_reading_is_the_protocols_own_and_frees_the_slot(server):
    endpoint = Endpoint(server.url, "plain", concurrency=1)

    async def twice():
        async with Asker(endpoint, cache=False) as asker:
            with pytest.raises(ZeroDivisionError):
                await asker.ask(question(endpoint), read=lambda _: 1 / 0)
            return await asker.ask(question(endpoint), read=read)

    assert asyncio.run(twice())[1] == "A"


def test_what_the_operator_did_not_list_is_not_entered(server, settings):
    settings.ENDPOINTS = []
    with pytest.raises(CallError, match="JURYBOX_ENDPOINTS"):
        ask(Endpoint(server.url, "plain"))


# --- the cache ------------------------------------------------------------------------------------
def test_the_same_question_is_paid_for_once(server):
    endpoint = Endpoint(server.url, "plain", output_price=1e6)
    asked = question(endpoint, top_logprobs=2)
    ((first, _),) = ask(endpoint, asked)
    ((again, reading),) = ask(endpoint, asked)
    assert (len(server.calls), reading) == (1, "A")
    assert (first.from_cache, first.cost) == (False, 1.0)
    assert (again.from_cache, again.cost, again.attempts) == (True, 0.0, 0)
    assert again.reply == first.reply
    assert (again.input_tokens, again.raw) == (first.input_tokens, first.raw)


def test_whoever_wants_no_cache_asks_and_keeps_nothing(server):
    endpoint = Endpoint(server.url, "plain")
    for _ in range(2):
        ask(endpoint, cache=False)
    assert len(server.calls) == 2
    assert not CachedReply.objects.exists()


def test_everything_that_decides_the_answer_makes_another_question():
    endpoint = Endpoint("https://api.example.com/v1", "m", parameters=(("temperature", 0),))
    questions = [
        question(endpoint),
        question(endpoint, "B or A?"),
        question(endpoint, repetition=1),
        question(endpoint, max_tokens=6),
        question(endpoint, schema={"type": "object"}),
        question(endpoint, top_logprobs=1),
        question(Endpoint("https://api.example.org/v1", "m", parameters=(("temperature", 0),))),
        question(Endpoint("https://api.example.com/v1", "n", parameters=(("temperature", 0),))),
        question(Endpoint("https://api.example.com/v1", "m", parameters=(("temperature", 1),))),
    ]
    assert len({cache.key_of_question(one) for one in questions}) == len(questions)


def test_a_price_a_limit_or_a_key_makes_no_other_question():
    one = Endpoint("https://api.example.com/v1", "m")
    other = Endpoint("https://api.example.com/v1/", "m", "KEY", input_price=1, concurrency=1)
    assert cache.key_of_question(question(one)) == cache.key_of_question(question(other))


def test_a_kept_reply_that_a_new_parser_can_not_read_is_asked_for_again(server):
    endpoint = Endpoint(server.url, "plain")
    ask(endpoint)
    CachedReply.objects.update(text="as it used to be")
    ((answer, reading),) = ask(endpoint)
    assert (reading, answer.from_cache, len(server.calls)) == ("A", False, 2)


def test_many_questions_share_queries(server):
    """Counted in the thread that has them: batches, not calls."""
    endpoint = Endpoint(server.url, "plain", concurrency=32)
    questions = [question(endpoint, f"{i}") for i in range(100)]
    batches = []
    real = cache.find

    def find(keys):
        batches.append(len(keys))
        return real(keys)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "find", find)
        answers = ask(endpoint, *questions)
    assert all(reading == "A" for _, reading in answers)
    assert (sum(batches), len(batches) <= 30) == (100, True)
    assert EndpointState.objects.get().version <= 30


def test_a_frozen_request_is_the_same_question():
    endpoint = Endpoint("https://api.example.com/v1", "m")
    frozen = Request((MappingProxyType({"content": "A or B?", "role": "user"}),), max_tokens=5)
    assert cache.key_of_question(Question(endpoint, frozen)) == cache.key_of_question(
        question(endpoint)
    )


# --- limits ---------------------------------------------------------------------------------------
def test_calls_start_no_faster_than_the_limit_of_requests(server):
    endpoint = Endpoint(server.url, "plain", requests_per_minute=1200)  # one in 50 ms
    ask(endpoint, *(question(endpoint, f"{i}") for i in range(12)))
    times = sorted(call.at for call in server.calls)
    # Eleven spaces; a first call that is late makes them a little shorter.
    assert times[-1] - times[0] >= 0.5


def test_calls_start_no_faster_than_the_limit_of_tokens(server):
    # 4 + 5 tokens are expected of each, and 4 more are taken: 45 ms from one to the next, or more.
    endpoint = Endpoint(server.url, "plain", tokens_per_minute=12_000)
    ask(endpoint, *(question(endpoint, f"{i}") for i in range(15)))
    times = sorted(call.at for call in server.calls)
    assert times[-1] - times[0] >= 0.5


def test_after_too_many_everybody_waits_and_then_asks_less(server):
    endpoint = Endpoint(server.url, "status:429:1", concurrency=8)
    flaky = Endpoint(server.url, "plain", concurrency=8)
    begin = time.time()
    failed(endpoint, patience=Patience(attempts=1))
    state = EndpointState.objects.get().state
    assert state["share"] == 0.5
    assert begin + 1 <= state["blocked_until"] <= time.time() + 1
    # Another worker, and the same model at the same address: it waits though it was never refused.
    EndpointState.objects.update(digest=gate.digest_of(flaky))
    ask(flaky)
    assert server.calls[-1].at >= state["blocked_until"]


def test_a_pause_that_is_too_long_is_not_waited_for(server):
    endpoint = Endpoint(server.url, "status:429:600")
    begin = time.time()
    error = failed(endpoint)
    assert (error.failure, error.retry_after, len(server.calls)) == (Failure.RATE_LIMITED, 600, 1)
    # The next one isn't even sent.
    error = failed(endpoint)
    assert error.failure == Failure.RATE_LIMITED
    assert 500 < error.retry_after <= 600
    assert len(server.calls) == 1
    assert time.time() - begin < 60


def test_an_endpoint_that_only_fails_is_left_alone_and_then_tried_by_one(server):
    patience = Patience(attempts=1, first_pause=0.01, longest_wait=1, break_after=5, break_for=0.3)
    down = Endpoint(server.url, "status:500", concurrency=1)
    ask(down, *(question(down, f"{i}") for i in range(5)), patience=patience)
    state = EndpointState.objects.get().state
    assert (state["failures"], len(server.calls)) == (5, 5)
    errors = ask(down, *(question(down, f"{i}") for i in range(6)), patience=patience)
    assert {error.failure for error in errors} == {Failure.SERVER}
    probes = [call.at for call in server.calls[5:]]
    assert 1 <= len(probes) <= 3
    assert probes[0] >= state["open_until"]


def test_one_success_closes_the_circuit(server):
    patience = Patience(attempts=3, first_pause=0.01, longest_wait=5, break_after=3, break_for=0.2)
    endpoint = Endpoint(server.url, "flaky:3:500:circuit", concurrency=1)
    answers = ask(endpoint, *(question(endpoint, f"{i}") for i in range(6)), patience=patience)
    assert [reading for _, reading in answers] == ["A"] * 6
    state = EndpointState.objects.get().state
    assert (state["failures"], state["open_until"]) == (0, 0)


def test_a_call_that_is_cancelled_frees_its_slot(server):
    server.delay = 0.1
    endpoint = Endpoint(server.url, "plain", concurrency=1)

    async def cancel_two():
        async with Asker(endpoint, cache=False) as asker:
            tasks = [
                asyncio.create_task(asker.ask(question(endpoint, f"{i}"), read=read))
                for i in range(3)
            ]
            await asyncio.sleep(0.05)
            for task in tasks[:2]:  # one in flight, one waiting
                task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = asyncio.run(cancel_two())
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(second, asyncio.CancelledError)
    assert third[1] == "A"


def test_a_call_that_is_cancelled_tells_nothing_of_the_endpoint(server):
    down, slow = Endpoint(server.url, "status:500"), Endpoint(server.url, "slow")
    ask(down, question(down, "1"), question(down, "2"), patience=Patience(attempts=1))
    EndpointState.objects.update(digest=gate.digest_of(slow))

    async def cancel():
        async with Asker(slow) as asker:
            task = asyncio.create_task(asker.ask(question(slow), read=read))
            await asyncio.sleep(0.3)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancel())
    assert server.calls[-1].body["model"] == "slow"
    assert EndpointState.objects.get().state["failures"] == 2


def test_a_worker_without_calls_gives_its_slots_back(server):
    endpoint = Endpoint(server.url, "plain")
    held = []

    def slots() -> int:
        ((count, *_),) = EndpointState.objects.get().state["workers"].values()
        return count

    async def ask_and_stay():
        async with Asker(endpoint) as asker:
            await asker.ask(question(endpoint), read=read)
            for _ in range(100):
                held.append(await asyncio.to_thread(with_connection, slots))
                if held[-1] == 0:
                    break
                await asyncio.sleep(0.1)

    def with_connection(function):
        return database._with_clean_connection(function)

    asyncio.run(ask_and_stay())
    assert held[-1] == 0


def test_a_database_that_fails_fails_the_calls_and_hangs_none(server, monkeypatch):
    def settle(*_):
        raise RuntimeError("The database is gone.")

    monkeypatch.setattr(gate, "settle_in_database", settle)
    endpoint = Endpoint(server.url, "plain")
    errors = ask(endpoint, *(question(endpoint, f"{i}") for i in range(3)))
    assert [str(error) for error in errors] == ["The database is gone."] * 3


# --- reward models --------------------------------------------------------------------------------
@pytest.mark.parametrize(("api", "score"), [("reward", 0.75), ("score", 0.5), ("rerank", 0.25)])
def test_a_reward_model_gives_a_score(server, api, score):
    endpoint = Endpoint(server.url, "plain", api=api)
    messages = (
        {"role": "user", "content": "Name a fish."},
        {"role": "assistant", "content": "The trout."},
    )

    async def once():
        async with Asker(endpoint) as asker:
            return await asker.ask(Question(endpoint, Request(messages, 1)), read=read_score)

    answer, reading = asyncio.run(once())
    assert reading.score == score
    (call,) = server.calls
    assert call.path == f"/v1/{api}"
    assert "The trout." in str(call.body)
    assert answer.output_tokens == (None if api == "rerank" else 1)


@pytest.mark.parametrize("body", ['{"score": "high"}', '{"score": 1e999}', "[]", "{}", "7"])
def test_a_score_that_is_no_number_is_malformed(server, body):
    endpoint = Endpoint(server.url, f"body:{body}", api="reward")
    assert failed(endpoint).failure == Failure.MALFORMED


def test_a_way_of_asking_that_there_is_not_is_refused(server):
    with pytest.raises(CallError, match="telepathy"):
        ask(Endpoint(server.url, "plain", api="telepathy"))
