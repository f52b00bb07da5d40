"""A system answers prompts by its endpoint: each once, whatever is killed, and never by halves."""

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from arena.models import AuditEntry, Output, Pair, Prompt
from arena.signals import outputs_added
from judges.answering import give_endpoint, make_system, plan_answers
from judges.configurations import ConfigurationError
from judges.endpoints.interface import Answer, CallError, Failure
from judges.models import JudgeCall, JudgeRun
from judges.protocols.interface import FinalReply, Reply, UnreadableReply
from judges.runs import (
    RunError,
    cancel_run,
    confirm_run,
    failures_of,
    pause_run,
    plan,
    resume_run,
    retry_failed,
    work_on,
)
from judges.runs.answers import Asked
from judges.runs.calls import Result, claim_calls, store_results
from judges.runs.rows import make_rows
from tests import cast
from tests.judges.fake_llm import FakeEndpoint

pytestmark = pytest.mark.django_db
ENDPOINT = {
    "url": "http://127.0.0.1:9/v1",
    "model": "a-model",
    "parameters": {"temperature": 0, "max_tokens": 100},
    "input_price": 1.0,
    "output_price": 2.0,
    "concurrency": 4,
}
CONFIGURATION = {"endpoint": ENDPOINT, "system_prompt": "Rhyme."}
ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


class Model(FakeEndpoint):
    """Answers by a rule: the last thing that the user says -> a text, a Reply or a CallError."""

    def __init__(self, rule=lambda words: f"On {words}"):
        super().__init__(rule)
        self.requests = []

    async def ask(self, question, *, read):
        self.requests.append(question.request)
        words = question.request.messages[-1]["content"]
        self.asked[str(words), question.repetition] += 1
        said = self.rule(words)
        if isinstance(said, Exception):
            raise said
        reply = said if isinstance(said, Reply) else Reply(said)
        try:
            text = read(reply)
        except UnreadableReply as error:
            raise CallError(
                Failure.CUT_OFF if reply.finish == "length" else Failure.UNREADABLE,
                str(error),
                text=reply.text,
                is_final=isinstance(error, FinalReply),
            ) from error
        return Answer(reply, input_tokens=100, output_tokens=10, cost=0.00012, seconds=0.5), text


@pytest.fixture
def arena():
    arena = cast.make_arena()
    for number in range(6):
        cast.make_prompt(arena, f"Poem {number}")
    cast.make_output(cast.make_system(arena, "Ada"), arena.prompts.first())
    return arena


@pytest.fixture
def system(arena):
    return make_system(arena=arena, name="Basil", configuration=CONFIGURATION)


def confirmed(system, selection=None, **limits) -> JudgeRun:
    return confirm_run(run=plan_answers(system=system, selection=selection or {}, **limits))


def counts(run) -> tuple[str, int, int, int]:
    return run.state, run.total, run.done, run.failed


def test_every_prompt_gets_one_output_with_what_it_took(arena, system):
    told = []

    def listen(sender, **news):
        told.append(news)

    outputs_added.connect(listen)
    model = Model()
    run = work_on(confirmed(system), make_asker=model)
    outputs_added.disconnect(listen)
    assert counts(run) == ("done", 6, 6, 0)
    outputs = system.outputs.order_by("prompt")
    assert [output.text for output in outputs] == [f"On Poem {number}" for number in range(6)]
    first = outputs[0]
    assert (first.tokens, first.latency_ms, first.cost, first.leak) == (
        10,
        500,
        Decimal("0.00012"),
        "",
    )
    assert model.requests[0].messages[0] == {"role": "system", "content": "Rhyme."}
    assert {request.max_tokens for request in model.requests} == {100}
    # As after an upload: pairs can be drawn, and who listens was told.
    assert Pair.objects.get().cumulative
    assert {news["arena_id"] for news in told} == {arena.pk}
    assert all(news["after"] == first.pk - 1 for news in told)
    acts = list(AuditEntry.objects.order_by("pk").values_list("act", "subject"))
    assert acts == [
        ("make system", "Basil"),
        ("start run", f"Run {run.pk}: Basil"),
        ("add outputs", "Basil"),
    ]
    # Another run finds nothing to ask.
    again = work_on(confirmed(system), make_asker=model)
    assert (counts(again), model.asked.total()) == (("done", 0, 0, 0), 6)


def test_a_conversation_is_sent_as_it_is_and_one_that_does_not_end_with_the_user_fails(arena):
    arena.prompts.all().delete()
    said = [
        {"role": "system", "content": "You are a poet."},
        {"role": "user", "content": "A poem?"},
        {"role": "assistant", "content": "Of what?"},
        {"role": "user", "content": "Roses."},
    ]
    Prompt.objects.create(arena=arena, messages=said)
    Prompt.objects.create(arena=arena, messages=said[:3])
    cast.make_prompt(arena, "hidden", source_id="1")
    Prompt.objects.create(arena=arena, messages=[], source_id="not published")
    plain = CONFIGURATION | {"system_prompt": ""}
    told = make_system(arena=arena, name="Told", configuration=CONFIGURATION)
    system = make_system(arena=arena, name="Plain", configuration=plain)
    run = confirmed(told)
    assert (plan(run).calls, plan(run).prompts, plan(run).left_out) == (3, 3, 1)
    model = Model()
    run = work_on(run, make_asker=model)
    assert counts(run) == ("done", 3, 2, 1)
    assert [failure.failure for failure in failures_of(run)] == ["missing input"]
    [sent] = [request for request in model.requests if len(request.messages) == 4]
    assert sent.messages[0] == {"role": "system", "content": "Rhyme.\n\nYou are a poet."}
    assert list(sent.messages[1:]) == said[1:]
    model = Model()
    work_on(confirmed(system), make_asker=model)
    assert list(model.requests[0].messages) == said


def test_a_model_that_can_see_gets_the_images_of_the_prompt(arena, monkeypatch):
    from judges.protocols.interface import Picture

    seen = CONFIGURATION | {"pictures": True}
    system = make_system(arena=arena, name="Seer", configuration=seen)
    prompt = cast.make_prompt(arena, "What is this? ![a rose](rose.png) ![gone](gone.png)")
    picture = Picture("rose.png", "data:image/webp;base64,AA==")
    monkeypatch.setattr(
        "judges.runs.answers.pictures_of_each", lambda arena, texts: [(picture,)] * len(texts)
    )
    [request] = Asked.of(system).requests_of(arena, [prompt])
    assert request.messages[-1]["content"] == [
        {"type": "text", "text": prompt.text},
        {"type": "image_url", "image_url": {"url": picture.data_url}},
    ]


@pytest.mark.parametrize(
    ("said", "failure", "kept"),
    [
        (Reply("Half of it is", finish="length"), "cut off", "Half of it is"),
        (Reply("Half", finish="content_filter"), "unreadable reply", "Half"),
        (Reply(" \n"), "unreadable reply", " \n"),
        (Reply("x" * (2**20 + 1)), "unreadable reply", "x" * 50_000),
        (CallError(Failure.REFUSED, "The content filter held it back."), "request refused", ""),
        (CallError(Failure.SERVER, "500"), "server error", ""),
        (CallError(Failure.TIMEOUT, "Too late."), "timeout", ""),
    ],
)
def test_what_is_no_whole_answer_is_a_failure_and_never_an_output(system, said, failure, kept):
    model = Model(lambda words: said if words == "Poem 3" else f"On {words}")
    run = work_on(confirmed(system), make_asker=model)
    assert counts(run) == ("done", 6, 5, 1)
    call = run.calls.get(state="error")
    assert (call.failure, call.text, call.prompt.text) == (failure, kept, "Poem 3")
    assert system.outputs.count() == 5
    assert retry_failed(run=run) == 1
    model.rule = lambda words: "Now"
    run = work_on(run, make_asker=model)
    assert counts(run) == ("done", 6, 6, 0)
    assert system.outputs.filter(text="Now").count() == 1
    assert model.asked.total() == 7


def test_a_prompt_that_was_asked_twice_or_answered_meanwhile_keeps_its_first_output(arena, system):
    run = make_rows(confirmed(system))
    first = claim_calls(run.pk, claim=ONE, at_most=2, mine=[])
    past = timezone.now() - timedelta(seconds=1)
    run.calls.exclude(claimed_until=None).update(claimed_until=past)
    assert claim_calls(run.pk, claim=OTHER, at_most=2, mine=[]) == first
    asked = Asked.of(system)
    late = [Result(call=call, text="late", asked=asked) for call in first]
    second = [Result(call=call, text="second", asked=asked) for call in first]
    assert store_results(run.pk, late) == 2
    assert store_results(run.pk, second) == 0
    # By hand, or by another run of the system.
    uploaded = arena.prompts.all()[3]
    cast.make_output(system, uploaded, "By hand")
    run = work_on(run, make_asker=Model())
    assert counts(run) == ("done", 6, 6, 0)
    texts = sorted(system.outputs.values_list("text", flat=True))
    assert texts == ["By hand", "On Poem 2", "On Poem 4", "On Poem 5", "late", "late"]


def test_a_worker_that_dies_anywhere_leaves_the_rest_to_the_next(system, monkeypatch):
    class Killed(BaseException):
        pass

    def rule(words):
        if len(model.asked) == 3:
            raise Killed
        return f"On {words}"

    model = Model(rule)
    run = confirmed(system)
    with pytest.raises(Killed):
        work_on(run, make_asker=model)
    run.refresh_from_db()
    assert (run.state, run.total) == ("running", 6)
    past = timezone.now() - timedelta(seconds=1)
    run.calls.exclude(claimed_until=None).update(claimed_until=past)
    run = work_on(run, make_asker=Model())
    assert (counts(run), system.outputs.count()) == (("done", 6, 6, 0), 6)


def test_a_budget_that_is_used_up_pauses_and_what_is_there_can_be_voted_on(arena, system):
    model = Model()
    run = work_on(confirmed(system, max_calls=2), make_asker=model)
    assert (run.state, run.calls_made, system.outputs.count()) == ("paused", 2, 2)
    assert run.error.startswith("The budget is used up: 2 calls were made and 2 are allowed.")
    assert Pair.objects.get().cumulative
    run = work_on(resume_run(run=run, max_calls=6), make_asker=model)
    assert (counts(run), model.asked.total()) == (("done", 6, 6, 0), 6)
    dear = make_system(arena=arena, name="Dear", configuration=CONFIGURATION)
    run = work_on(confirmed(dear, budget=Decimal("0.002")), make_asker=Model())
    assert (run.state, run.cost <= Decimal("0.002")) == ("paused", True)
    assert "USD are spent" in run.error


def test_what_was_asked_when_a_run_paused_is_kept_and_its_pairs_are_made(system):
    run = make_rows(confirmed(system))
    [call, *_] = claim_calls(run.pk, claim=ONE, at_most=1, mine=[])
    pause_run(run=run)
    assert not Pair.objects.exists()
    store_results(run.pk, [Result(call=call, text="Late.", asked=Asked.of(system))])
    assert (system.outputs.count(), Pair.objects.count()) == (1, 1)


def test_a_wrong_key_stops_the_run_and_its_endpoint_can_be_mended(system):
    refusal = CallError(Failure.CREDENTIALS, "The key was refused.")
    run = work_on(confirmed(system), make_asker=Model(lambda words: refusal))
    assert counts(run) == ("failed", 6, 0, 0)
    mended = CONFIGURATION | {"endpoint": ENDPOINT | {"model": "another", "input_price": 10.0}}
    with pytest.raises(RunError, match=f"in run {run.pk}: cancel that run first"):
        give_endpoint(system=system, configuration=mended)
    cancel_run(run=run)
    system = give_endpoint(system=system, configuration=mended)
    assert (
        give_endpoint(system=system, configuration=mended).endpoint["endpoint"]["model"]
        == "another"
    )
    assert AuditEntry.objects.filter(act="give endpoint").count() == 1
    run = work_on(confirmed(system), make_asker=Model())
    assert counts(run) == ("done", 6, 6, 0)
    with pytest.raises(RunError, match="make a system of another name or version"):
        give_endpoint(system=system, configuration=CONFIGURATION)


def test_what_failed_is_measured_anew_when_the_endpoint_is_another(system):
    refusal = CallError(Failure.REFUSED, "No such parameter.")
    run = work_on(confirmed(system), make_asker=Model(lambda words: refusal))
    before = run.calls.first().most_tokens
    larger = ENDPOINT | {"parameters": {"max_completion_tokens": 1_100}}
    give_endpoint(system=system, configuration=CONFIGURATION | {"endpoint": larger})
    retry_failed(run=run)
    assert run.calls.first().most_tokens == before + 1_000
    model = Model()
    run = work_on(JudgeRun.objects.get(pk=run.pk), make_asker=model)
    assert (counts(run), model.requests[0].max_tokens) == (("done", 6, 6, 0), 1_100)


def test_what_was_in_flight_for_another_endpoint_is_not_kept(system):
    run = make_rows(confirmed(system))
    [call] = claim_calls(run.pk, claim=ONE, at_most=1, mine=[])
    asked = Asked.of(system)
    cancel_run(run=run)
    give_endpoint(system=system, configuration=CONFIGURATION | {"system_prompt": "Don't rhyme."})
    store_results(run.pk, [Result(call=call, text="It rhymes.", asked=asked)])
    assert not system.outputs.exists()
    assert JudgeCall.objects.get(pk=call).text == "It rhymes."


def test_an_answer_that_gives_its_system_away_is_marked_before_anybody_sees_it(system):
    work_on(confirmed(system), make_asker=Model(lambda words: "I am Basil, a language model."))
    assert not system.outputs.filter(leak="").exists()
    assert not system.outputs.filter(leak=None).exists()


def test_which_prompts_are_asked_is_chosen_and_planned_once(arena, system):
    label = arena.categories.create(slug="short", name="Short")
    arena.prompts.all()[1].categories.add(label)
    some = [prompt.pk for prompt in arena.prompts.all()[:3]]
    for selection, calls in (
        ({}, 6),
        ({"categories": ["short"]}, 1),
        ({"prompts": some}, 3),
        ({"limit": 2}, 2),
        ({"limit": 20, "prompts": some}, 3),
    ):
        run = plan_answers(system=system, selection=selection)
        assert plan(run).calls == calls, selection
        assert plan_answers(system=system, selection=selection) == run
        if calls == 2:
            sample = set(make_rows(confirm_run(run=run)).calls.values_list("prompt", flat=True))
            assert len(sample) == 2
    expected = plan(plan_answers(system=system, selection={}))
    assert 6 * len("Rhyme. Poem 0") / 4 < expected.input_tokens < 6 * 60 / 4
    assert 0 < expected.cost < expected.most_cost
    assert not expected.is_measured
    for wrong in ({"systems": ["ada"]}, {"prompts": [0]}, {"limit": -1}, {"categories": ["no"]}):
        with pytest.raises(RunError):
            plan_answers(system=system, selection=wrong)
    with pytest.raises(RunError, match="Ada has no endpoint"):
        plan_answers(system=arena.systems.get(name="Ada"), selection={})


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"endpoint": ENDPOINT | {"url": "ftp://x"}}, "endpoint.url"),
        ({"endpoint": ENDPOINT | {"api": "reward"}}, "endpoint.api"),
        ({"endpoint": ENDPOINT | {"key_name": "sk-secret"}}, "endpoint.key_name"),
        (
            {"endpoint": ENDPOINT | {"parameters": {"max_tokens": 0}}},
            "endpoint.parameters.max_tokens",
        ),
        (
            {"endpoint": ENDPOINT | {"parameters": {"max_tokens": 5, "max_completion_tokens": 5}}},
            "endpoint.parameters.max_tokens",
        ),
        ({"endpoint": ENDPOINT, "system_prompt": 3}, "system_prompt"),
        ({"endpoint": ENDPOINT, "system_prompt": "\ud800"}, "system_prompt"),
        ({"endpoint": ENDPOINT, "protocol": {}}, "protocol"),
    ],
)
def test_an_endpoint_that_is_wrong_is_refused_where_it_is_wrong(arena, wrong, where):
    with pytest.raises(ConfigurationError) as refused:
        make_system(arena=arena, name="Carla", configuration=wrong)
    assert list(refused.value.problems) == [where]
    assert not arena.systems.filter(name="Carla").exists()


def test_a_name_is_taken_once_and_the_same_again_is_the_same(arena, system):
    assert make_system(arena=arena, name=" Basil ", configuration=CONFIGURATION) == system
    assert AuditEntry.objects.filter(act="make system").count() == 1
    for name in ("Ada", "Basil", "", "Ba\0sil", "x" * 201):
        with pytest.raises(ConfigurationError) as refused:
            make_system(
                arena=arena, name=name, configuration=CONFIGURATION | {"system_prompt": "Else."}
            )
        assert "name" in refused.value.problems
    elsewhere = CONFIGURATION | {"endpoint": ENDPOINT | {"api": "anthropic"}}
    newer = make_system(arena=arena, name="Basil", version="2", configuration=elsewhere)
    assert Asked.of(newer).endpoint.api == "anthropic"
    assert (str(newer), newer.slug) == ("Basil 2", "basil-2")
    assert Output.objects.count() == 1
