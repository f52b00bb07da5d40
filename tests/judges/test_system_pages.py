"""Maintainers make systems with endpoints by pages, and let them answer prompts."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from arena.models import System
from judges.answering import make_system
from judges.models import JudgeRun
from judges.runs import confirm_run, work_on
from tests import cast
from tests.accounts import client_of, make_member, make_user
from tests.judges.test_answer_prompts import CONFIGURATION, ENDPOINT, Model

pytestmark = pytest.mark.django_db
URL = ENDPOINT["url"]


@pytest.fixture
def arena(small_arena, settings):
    settings.ENDPOINTS, settings.ENDPOINT_KEYS = [URL], {URL: ("LAB_KEY",)}
    return small_arena


@pytest.fixture
def client(arena):
    return client_of(make_member(arena, "maintainer"))


@pytest.fixture
def system(arena):
    return make_system(arena=arena, name="Basil 2", configuration=CONFIGURATION)


def address(name, arena, *args):
    return reverse(f"judges:{name}", args=[arena.slug, *args])


TYPED = {
    "name": "Erika", "version": "terse", "family": "Llama", "url": URL, "model": "a-model",
    "key_name": "LAB_KEY", "temperature": "0.5", "max_tokens": "300", "system_prompt": "Rhyme.",
    "api": "chat", "parameters": '{"seed": 1}', "input_price": "0.5", "concurrency": "3",
}  # fmt: skip


def test_nobody_but_maintainers_sees_them(arena, system):
    pages = [
        address("manage-systems", arena),
        address("new-system", arena),
        address("manage-system", arena, system.slug),
    ]
    people = [
        client_of(None),
        client_of(make_user("eve")),
        client_of(make_member(arena, "researcher")),
    ]
    for page in pages:
        assert [client.get(page).status_code for client in people] == [302, 404, 404]
        assert [client.post(page, TYPED).status_code for client in people][1:] in (
            [404, 404],
            [405, 405],
        )
    boss = client_of(make_member(cast.make_arena("other"), "maintainer"))
    assert boss.get(reverse("judges:manage-system", args=["other", system.slug])).status_code == 404


def test_a_system_is_made_once_however_often_the_form_is_sent(client, arena):
    assert f'<option value="{URL}">' in client.get(address("new-system", arena)).text
    for _ in range(2):
        response = client.post(address("new-system", arena), TYPED)
        assert response.status_code == 302, response.context["form"].errors
    made = System.objects.get(arena=arena, name="Erika")
    assert response.url == address("manage-system", arena, made.slug)
    assert (made.version, made.family) == ("terse", "Llama")
    endpoint = made.endpoint["endpoint"]
    assert endpoint["parameters"] == {"temperature": 0.5, "max_tokens": 300, "seed": 1}
    assert (endpoint["key_name"], endpoint["input_price"], endpoint["concurrency"]) == (
        "LAB_KEY",
        0.5,
        3,
    )
    assert made.endpoint["system_prompt"] == "Rhyme."


def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(client, arena):
    wrong = TYPED | {"url": "ftp://x", "name": "Ada", "parameters": '{"max_tokens": 3}'}
    response = client.post(address("new-system", arena), wrong)
    assert response.status_code == 422
    assert set(response.context["form"].errors) == {"parameters"}
    response = client.post(address("new-system", arena), wrong | {"parameters": '{"stream": 3}'})
    assert set(response.context["form"].errors) == {"url", "parameters"}
    assert 'value="ftp://x"' in response.text
    response = client.post(address("new-system", arena), TYPED | {"name": "Ada", "version": ""})
    assert set(response.context["form"].errors) == {"name"}
    assert response.context["form"]["system_prompt"].value() == "Rhyme."
    assert not System.objects.exclude(endpoint={}).exists()


def test_answering_is_planned_once_confirmed_on_the_page_of_the_run_and_followed_there(
    client, arena, system
):
    page = address("manage-system", arena, system.slug)
    assert "See the plan" in client.get(page).text
    for _ in range(2):
        response = client.post(page, {"act": "answer", "limit": "4", "max_calls": "3"})
    run = JudgeRun.objects.get(system=system)
    assert response.url == address("run", arena, run.pk)
    assert (run.state, run.selection, run.max_calls) == ("planned", {"limit": 4}, 3)
    assert "4 calls" in client.get(response.url).text
    client.post(response.url, {"act": "confirm"})
    run.refresh_from_db()
    assert run.state == "queued"
    run = work_on(run, make_asker=Model())
    assert run.state == "paused"
    shown = client.get(response.url).text
    assert "outputs" in shown
    assert "3 of 4" in client.get(page).text
    for name, *args in (("runs",), ("run-calls", run.pk), ("call", run.calls.first().pk)):
        assert "Basil 2" in client.get(address(name, arena, *args)).text
    call = client.get(address("call", arena, run.calls.first().pk)).text
    assert "Rhyme." in call
    assert "On Write poem number" in call
    # What it was asked with can't be changed any more, by form neither.
    response = client.post(page, TYPED | {"act": "endpoint"})
    assert response.status_code == 422
    assert "make a system of another name or version" in response.text


def test_an_endpoint_is_given_to_a_system_whose_outputs_were_uploaded(client, arena):
    ada = arena.systems.get(name="Ada")
    page = address("manage-system", arena, ada.slug)
    assert "See the plan" not in client.get(page).text
    response = client.post(page, {"act": "answer"})
    assert (response.status_code, "has no endpoint" in response.text) == (422, False)
    assert response.context["answers"].non_field_errors()
    assert client.post(page, TYPED | {"act": "endpoint"}).status_code == 302
    ada.refresh_from_db()
    assert ada.endpoint["endpoint"]["model"] == "a-model"
    assert client.post(page, {"act": "else"}).status_code == 404
    response = client.post(page, {"act": "answer", "prompts": "1, x"})
    assert (response.status_code, set(response.context["answers"].errors)) == (422, {"prompts"})


def test_the_list_says_how_far_each_system_is_and_asks_no_more_for_more_of_them(
    client, arena, system
):
    def look():
        with CaptureQueriesContext(connection) as captured:
            text = client.get(address("manage-systems", arena)).text
        return text, len(captured)

    text, before = look()
    assert "0 of 6" in text
    assert text.count("6 of 6") == 4
    assert "a-model" in text
    for number in range(5):
        cast.make_system(arena, f"More {number}")
    assert look()[1] == before


def test_whoever_reads_or_votes_learns_nothing_of_where_a_system_is_asked(arena, system):
    arena.is_open = True
    arena.save()
    run = JudgeRun.objects.create(arena=arena, system=system, selection={})
    work_on(run, make_asker=Model())
    assert system.outputs.count() == 6
    battle = cast.make_battle(system, arena.systems.get(name="Ada"), arena.prompts.first())
    secrets = ("a-model", URL, "127.0.0.1", "Rhyme.", "endpoint", "system_prompt", "LAB_KEY")
    pages = [
        reverse("arena:home", args=[arena.slug]),
        reverse("arena:prompts", args=[arena.slug]),
        reverse("arena:prompt", args=[arena.slug, battle.prompt_id]),
        reverse("ratings:system", args=[arena.slug, system.slug]),
        reverse("ratings:leaderboard", args=[arena.slug]),
        address("battle", arena, battle.pk),
        address("battles", arena),
        address("vote", arena),
        f"/api/v1/arenas/{arena.slug}/systems/{system.slug}/",
        f"/api/v1/arenas/{arena.slug}/outputs/?system={system.slug}",
    ]
    for user in (None, make_user("reader"), make_member(arena, "researcher")):
        client = client_of(user)
        for page in pages:
            response = client.get(page)
            text = b"".join(response) if response.streaming else response.content
            assert response.status_code == 200, page
            assert [word for word in secrets if word in text.decode()] == [], page
    # On the page where people vote not even its name is.
    for _ in range(5):
        assert "Basil 2" not in client_of(None).get(address("vote", arena)).text


def test_a_run_that_was_confirmed_is_worked_on_from_its_page(client, arena, system):
    client.post(address("manage-system", arena, system.slug), {"act": "answer"})
    run = JudgeRun.objects.get(system=system)
    confirm_run(run=run)
    run = work_on(run, make_asker=Model(lambda words: "" if "0" in words else "Yes."))
    page = client.get(address("run", arena, run.pk)).text
    assert "unreadable reply" in page
    assert "no output" in page
