"""Maintainers make judges by pages, and try them on a battle first."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from judges.cascades.requests import work_on_request
from judges.judge_forms import LLMJudgeForm
from judges.llm_judges import make_llm_judge
from judges.models import CascadeRequest, Judge, Outcome, Trial
from judges.presets import PRESETS
from judges.trials import work_on_trial
from tests import cast
from tests.accounts import client_of, make_member, make_user
from tests.judges.test_try_a_judge import URL, Model

pytestmark = pytest.mark.django_db
CONFIGURATION = {
    "endpoint": {"url": URL, "model": "m", "key_name": "LAB_KEY", "parameters": {"seed": 1}},
    "protocol": {"name": "battle", "options": {"reasoned": True}},
}


@pytest.fixture
def arena(small_arena, settings):
    settings.ENDPOINTS, settings.ENDPOINT_KEYS = [URL], {URL: ("LAB_KEY",)}
    return small_arena


@pytest.fixture
def client(arena):
    return client_of(make_member(arena, "maintainer"))


@pytest.fixture
def judge(arena):
    return make_llm_judge(arena=arena, name="Strict", configuration=CONFIGURATION, family="Llama")


def address(name, arena, *args):
    return reverse(f"judges:{name}", args=[arena.slug, *args])


def filled(response, **changes):
    """What a browser would send of the form of this page, with some of it typed anew."""
    form = response.context["form"]
    data = {}
    for field in form:
        value = field.value()
        if value is None and hasattr(field.field, "choices"):
            value = field.field.choices[0][0]
        if value is True:
            data[field.name] = "on"
        elif value is not None and value is not False:
            data[field.name] = value
    return {name: value for name, value in (data | changes).items() if value is not None}


def test_nobody_but_maintainers_sees_them(arena, judge):
    trial = start(arena)
    pages = [
        address("manage-judges", arena), address("new-judge", arena), address("new-jury", arena),
        address("new-cascade", arena), address("judge-version", arena, judge.slug),
        address("try-judge", arena, judge.slug), address("trial", arena, trial.key),
    ]  # fmt: skip
    people = [
        client_of(None),
        client_of(make_user("eve")),
        client_of(make_member(arena, "researcher")),
    ]
    for page in pages:
        assert [client.get(page).status_code for client in people] == [302, 404, 404]
    other = cast.make_arena("other")
    boss = client_of(make_member(other, "maintainer"))
    assert boss.get(address("trial", other, trial.key)).status_code == 404
    assert boss.get(address("try-judge", other, judge.slug)).status_code == 404


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.slug)
def test_every_preset_makes_a_judge_as_it_stands(client, arena, preset):
    page = client.get(address("new-judge", arena), {"preset": preset.slug})
    sent = filled(page, name="New", model="m", make="1")
    response = client.post(address("new-judge", arena), sent)
    assert response.status_code == 302, response.context["form"].errors
    made = Judge.objects.get(arena=arena, name="New")
    protocol = made.configuration["protocol"]
    assert protocol["name"] == preset.protocol
    assert protocol["options"].items() >= {**preset.options}.items()
    assert made.configuration["endpoint"]["parameters"] == {"temperature": 0}


def test_what_a_form_shows_of_a_judge_makes_the_same_judge(client, arena, judge):
    page = client.get(address("judge-version", arena, judge.slug))
    client.post(address("judge-version", arena, judge.slug), filled(page, make="1"))
    client.post(
        address("judge-version", arena, judge.slug), filled(page, temperature="0.5", make="1")
    )

    versions = list(Judge.objects.filter(arena=arena, name="Strict").order_by("version"))
    # Shown options are written out: what was left to its default before is said now.
    said = [version.configuration["endpoint"]["parameters"] for version in versions]
    assert said[0] == {"seed": 1}
    assert said[-1] == {"seed": 1, "temperature": 0.5}
    assert versions[-1].family == "Llama"
    client.post(
        address("judge-version", arena, judge.slug), filled(page, temperature="0.5", make="1")
    )
    assert Judge.objects.filter(arena=arena, name="Strict").count() == len(versions)


def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(client, arena):
    page = client.get(address("new-judge", arena))
    wrong = filled(
        page, name="New", model="m", url="ftp://x", parameters='{"messages": "mine"}', criteria="style",
        make="1",
    )  # fmt: skip
    response = client.post(address("new-judge", arena), wrong)
    assert response.status_code == 422
    assert "no such option" in response.context["form"].errors["criteria"][0]
    response = client.post(address("new-judge", arena), wrong | {"criteria": ""})
    errors = response.context["form"].errors
    assert "https://" in errors["url"][0]
    assert "messages" in errors["parameters"][0]
    assert "ftp://x" in response.content.decode()
    assert not Judge.objects.filter(name="New").exists()


def start(arena):
    from judges.trials import start_trial

    return start_trial(
        arena=arena, battle=arena.battles.first(), configuration=CONFIGURATION, key=uuid.uuid4()
    )


def test_a_draft_is_tried_shown_and_made(client, arena):
    page = client.get(address("new-judge", arena))
    battle = arena.battles.last()
    sent = filled(page, name="Draft", model="m", battle=str(battle.pk), **{"try": "1"})
    for _ in range(2):  # a double click
        response = client.post(address("new-judge", arena), sent)
    trial = Trial.objects.get()
    assert response.url == address("trial", arena, trial.key)
    waiting = client.get(response.url).content.decode()
    assert "Waiting for the model" in waiting
    assert "every 1s" in waiting

    model = Model(lambda asked: '{"reasons": "<b>Because</b>", "verdict": "A"}')
    work_on_trial(trial.pk, make_asker=model)
    shown = client.get(response.url, headers={"HX-Request": "true"}).content.decode()
    assert "every 1s" not in shown
    assert "<html" not in shown
    assert "You compare two answers" in shown
    assert "&lt;b&gt;Because&lt;/b&gt;" in shown
    assert "<b>Because" not in shown
    assert "for A" in shown  # what people said
    assert not Judge.objects.filter(name="Draft").exists()

    again = client.get(address("new-judge", arena), {"trial": trial.key})
    assert filled(again)["name"] == "Draft"
    made = client.post(response.url, {"key": uuid.uuid4(), "make": "1"})
    assert made.url == address("manage-judges", arena)
    assert Judge.objects.get(name="Draft").configuration == trial.configuration


def test_an_endpoint_that_the_operator_does_not_list_is_not_tried(client, arena):
    page = client.get(address("new-judge", arena))
    sent = filled(page, name="Draft", model="m", url="https://elsewhere.example/v1", **{"try": "1"})
    response = client.post(address("new-judge", arena), sent)
    assert response.status_code == 422
    assert "JURYBOX_ENDPOINTS" in response.context["form"].errors["url"][0]


def test_a_judge_that_exists_is_tried_on_a_battle_at_random_or_by_its_number(client, arena, judge):
    page = address("try-judge", arena, judge.slug)
    for number, battle in (("", None), (str(arena.battles.first().pk), arena.battles.first())):
        response = client.post(page, {"key": uuid.uuid4(), "battle": number})
        trial = Trial.objects.first()
        assert response.url == address("trial", arena, trial.key)
        assert trial.judge == judge
        assert battle is None or trial.battle == battle
    response = client.post(page, {"key": uuid.uuid4(), "battle": "999999"})
    assert "no battle 999999" in response.content.decode()
    made = client.post(address("trial", arena, trial.key), {"key": uuid.uuid4(), "make": "1"})
    assert made.status_code == 404  # it is there already


def test_a_jury_is_made_of_those_who_may_sit_on_it(client, arena, judge):
    page = address("new-jury", arena)
    offered = client.get(page).context["form"].fields["members"].choices
    assert {slug for slug, _ in offered} == {"judge-llm", judge.slug}
    none = client.post(page, {"name": "Jury", "members": [], "rule": "majority"})
    assert none.status_code == 422
    two = client.post(
        page,
        {"name": "Jury", "members": [judge.slug, "judge-llm"], "rule": "majority", "quorum": "1"},
    )
    jury = Judge.objects.get(name="Jury")
    assert two.url == reverse("ratings:judge", args=[arena.slug, jury.slug])
    assert jury.configuration["options"]["quorum"] == 1
    wrong = client.post(
        page,
        {
            "name": "J2",
            "members": [judge.slug, "judge-llm"],
            "rule": "majority",
            "weighting": "accuracy",
        },
    )
    assert "weighting" in wrong.content.decode()


def test_a_cascade_is_asked_for_and_opens_when_it_is_made(client, arena):
    form = {
        "key": uuid.uuid4(), "name": "Cascade", "target": "60", "delta": "10", "votes": "2",
        "ties": "count", "unit": "battle", "share": "50", "seed": "0", "judge_1": "judge-llm",
        "confidence_1": "none", "confidence_2": "stored", "confidence_3": "stored",
    }  # fmt: skip
    gap = client.post(address("new-cascade", arena), form | {"judge_1": "", "judge_2": "judge-llm"})
    assert gap.status_code == 422
    for _ in range(2):
        response = client.post(address("new-cascade", arena), form)
    asked = CascadeRequest.objects.get()
    assert asked.terms["target"] == 0.6
    assert "being calibrated" in client.get(response.url).content.decode()
    work_on_request(asked.pk)
    opened = client.get(response.url, headers={"HX-Request": "true"})
    made = Judge.objects.get(name="Cascade")
    assert opened.headers["HX-Redirect"] == reverse("ratings:judge", args=[arena.slug, made.slug])
    assert client.get(response.url).url == opened.headers["HX-Redirect"]


def test_a_cascade_that_fails_says_why(client, arena):
    asked = CascadeRequest.objects.create(
        arena=arena,
        key=uuid.uuid4(),
        name="C",
        tiers=[],
        terms={},
        state="failed",
        error="No votes.",
    )
    assert "No votes." in client.get(address("cascade-request", arena, asked.key)).content.decode()
    assert "No votes." in client.get(address("manage-judges", arena)).content.decode()


def test_the_list_asks_as_much_of_many_judges_as_of_few(client, arena):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            client.get(address("manage-judges", arena))
        return len(captured)

    queries()
    before = queries()
    for number in range(20):
        cast.make_judge(arena, f"Judge {number}", Judge.Kind.LLM)
    assert queries() == before


def test_the_list_tells_what_to_do_where_there_are_none(settings):
    arena = cast.make_arena("empty")
    client = client_of(make_member(arena, "maintainer", "boss"))
    assert "no judges yet" in client.get(address("manage-judges", arena)).content.decode()
    settings.ENDPOINTS = []
    assert "JURYBOX_ENDPOINTS" in client.get(address("new-judge", arena)).content.decode()


def test_people_count_as_they_voted(client, arena):
    trial = start(arena)
    said = client.get(address("trial", arena, trial.key)).context["people"]
    votes = arena.battles.first().verdicts.filter(judge__kind="crowd")
    assert said.startswith(f"{votes.filter(outcome=Outcome.A).count()} for A")


def test_a_form_knows_every_option_of_every_protocol():
    from judges.judge_forms import OPTIONS
    from judges.protocols import PROTOCOLS

    known = {name for protocol in PROTOCOLS.values() for name in protocol.known}
    assert known == set(OPTIONS)
    assert {name for name, _ in LLMJudgeForm.base_fields["protocol"].choices} == set(PROTOCOLS)
