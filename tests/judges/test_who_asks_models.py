"""Asking models spends the operator's money: by default staff alone do, whoever maintains an arena."""

import uuid

import pytest
from django.urls import reverse

from judges.llm_judges import make_llm_judge
from judges.models import JudgeCall, JudgeRun, Trial
from judges.runs import RunError, confirm_run, plan_run, resume_run, retry_failed
from judges.trials import start_trial
from tests.accounts import client_of, make_member, make_user

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:9/v1"
CONFIGURATION = {"endpoint": {"url": URL, "model": "m"}, "protocol": {"name": "battle"}}


@pytest.fixture(autouse=True)
def staff_only(settings, maintainers_ask_models):
    settings.WHO_ASKS_MODELS = "staff"
    settings.ENDPOINTS = [URL]


@pytest.fixture
def judge(small_arena):
    return make_llm_judge(arena=small_arena, name="Strict", configuration=CONFIGURATION)


@pytest.fixture
def maintainer(small_arena):
    return make_member(small_arena, "maintainer")


def test_a_maintainer_plans_but_neither_confirms_resumes_retries_nor_tries(judge, maintainer):
    run = plan_run(judge=judge, selection={}, actor=maintainer)
    with pytest.raises(RunError, match="only staff"):
        confirm_run(run=run, actor=maintainer)
    JudgeRun.objects.filter(pk=run.pk).update(state="paused")
    with pytest.raises(RunError, match="only staff"):
        resume_run(run=run, actor=maintainer)
    with pytest.raises(RunError, match="only staff"):
        retry_failed(run=run, actor=maintainer)
    with pytest.raises(RunError, match="only staff"):
        start_trial(
            arena=judge.arena, battle=judge.arena.battles.first(), configuration=CONFIGURATION,
            key=uuid.uuid4(), actor=maintainer,
        )  # fmt: skip
    assert not JudgeCall.objects.exists()
    assert not Trial.objects.exists()


def test_the_pages_say_so_and_keep_what_was_typed(judge, maintainer):
    client = client_of(maintainer)
    said = "only staff have models asked"
    slug = judge.arena.slug
    for name, args in (("manage-judges", []), ("new-judge", []), ("try-judge", [judge.slug])):
        page = reverse(f"judges:{name}", args=[slug, *args])
        assert said in client.get(page).content.decode()
    page = reverse("judges:try-judge", args=[slug, judge.slug])
    response = client.post(page, {"key": uuid.uuid4(), "battle": "1"})
    assert response.status_code == 422
    run = plan_run(judge=judge, selection={"limit": 2}, actor=maintainer)
    page = reverse("judges:run", args=[slug, run.pk])
    assert said in client.get(page).content.decode()
    assert client.post(page, {"act": "confirm"}, follow=True).status_code < 500
    run.refresh_from_db()
    assert run.state == "planned"


def test_what_the_operator_listed_is_shown_to_those_who_may_have_it_asked(maintainer, settings):
    arena = maintainer.arena_memberships.get().arena
    settings.ENDPOINTS = ["https://models.example/v1"]
    settings.ENDPOINT_KEYS = {"https://models.example/v1": ["LAB_KEY"]}
    staff = make_user("root", is_staff=True)
    for name in ("new-judge", "new-system"):
        page = reverse(f"judges:{name}", args=[arena.slug])
        hidden, shown = (client_of(user).get(page).content.decode() for user in (maintainer, staff))
        for word in ("models.example", "LAB_KEY"):
            assert word not in hidden
            assert word in shown
        assert 'name="key_name"' in hidden


def test_staff_and_commands_ask(judge, settings):
    staff = make_user("root", is_staff=True)
    for actor in (staff, None):
        run = plan_run(judge=judge, selection={"limit": 2}, actor=actor)
        assert confirm_run(run=run, actor=actor).state == "queued"


def test_where_the_operator_says_so_maintainers_ask(judge, maintainer, settings):
    settings.WHO_ASKS_MODELS = "maintainers"
    run = plan_run(judge=judge, selection={"limit": 2}, actor=maintainer)
    assert confirm_run(run=run, actor=maintainer).state == "queued"
