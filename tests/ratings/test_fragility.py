"""How fragile the top of a leaderboard is: asked for by its page, computed once, proved by counting again."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from arena.models import System
from judges.models import Judge, Outcome, Verdict
from ratings import fragility, publications
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.tallies import tally
from ratings.models import Fragility
from ratings.slices import Slice
from tests import cast
from tests.accounts import client_of, make_member

pytestmark = pytest.mark.django_db
PAGE = "/a/poems/fragility/"


@pytest.fixture(autouse=True)
def few_rounds(settings):
    settings.BOOTSTRAP_ROUNDS = 200


@pytest.fixture
def snapshot(small_arena):
    publications.refresh_all(arena=small_arena)
    return publications.publication_for(arena=small_arena, slice=Slice()).snapshot


def first_without(arena, **condition) -> str:
    """Who is first when the verdicts by people that fit the condition are left out."""
    systems = list(arena.systems.order_by("pk"))
    number = {system.pk: index for index, system in enumerate(systems)}
    rows = Verdict.objects.filter(judge__kind=Judge.Kind.CROWD).exclude(**condition)
    a, b, outcome = zip(
        *(
            (number[one], number[other], said)
            for one, other, said in rows.values_list(
                "battle__system_a", "battle__system_b", "outcome"
            )
        ),
        strict=True,
    )
    fit = fit_bradley_terry(tally(a, b, outcome, n_systems=len(systems)))
    return systems[int(fit.theta.argmax())].slug


def test_what_it_says_would_have_to_go_does_change_who_is_first(small_arena, snapshot):
    row = fragility.fragility_of(snapshot=snapshot)
    assert fragility.refresh(row.pk)
    row.refresh_from_db()
    found = {(each["unit"], each["top"]): each for each in row.figures["removals"]}
    assert set(found) == {("verdicts", 1), ("prompts", 1), ("voters", 1)}
    verdicts = found["verdicts", 1]
    assert first_without(small_arena, pk=None) == verdicts["leaves"][0] == row.figures["order"][0]
    gone = [item["verdict"] for item in verdicts["items"]]
    assert first_without(small_arena, pk__in=gone) == verdicts["enters"][0] != verdicts["leaves"][0]
    assert verdicts["n"] == len(gone) < verdicts["of"] == snapshot.n_verdicts == 72
    prompts = found["prompts", 1]
    if prompts["n"]:
        ids = [item["prompt"] for item in prompts["items"]]
        assert first_without(small_arena, prompt__in=ids) == prompts["enters"][0]
    for group in row.figures["left_out"]["prompts"]["rows"]:
        assert first_without(small_arena, prompt=group["prompt"]) == group["first"]
    assert "alice" not in str(row.figures)


def test_it_is_computed_once_and_a_message_that_comes_twice_does_nothing(snapshot, client):
    client.get(PAGE)
    client.get(PAGE)
    row = Fragility.objects.get()
    assert fragility.refresh(row.pk)
    assert not fragility.refresh(row.pk)
    first = Fragility.objects.get()
    assert fragility.sweep() == 0
    assert Fragility.objects.get().computed_at == first.computed_at


def test_a_worker_that_died_is_followed_by_another(snapshot, monkeypatch):
    row = fragility.fragility_of(snapshot=snapshot)
    Fragility.objects.claim(row.pk)
    assert not fragility.refresh(row.pk)
    Fragility.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    asked = []
    monkeypatch.setattr(fragility, "_queue", asked.append)
    assert fragility.sweep() == 1
    assert asked == [row.pk]
    assert fragility.refresh(row.pk)


def test_a_failure_is_said_on_the_page_and_tried_three_times(snapshot, client, monkeypatch):
    row = fragility.fragility_of(snapshot=snapshot)

    def fail(snapshot):
        raise ArithmeticError("No end to it.")

    monkeypatch.setattr(fragility, "compute", fail)
    for _ in range(fragility.MAX_ATTEMPTS):
        with pytest.raises(ArithmeticError):
            fragility.refresh(row.pk)
    assert not fragility.refresh(row.pk)
    page = client.get(PAGE).content.decode()
    assert "could not be computed: ArithmeticError: No end to it." in page


def test_the_page_says_it_in_sentences_and_leads_to_what_would_go(small_arena, snapshot, client):
    assert "It is being computed" in client.get(PAGE).content.decode()
    assert client.get(PAGE, {"format": "json"}).status_code == 503
    fragility.refresh(Fragility.objects.get().pk)
    page = client.get(PAGE).content.decode()
    figures = Fragility.objects.get().figures
    verdicts = figures["removals"][0]
    assert f"Without <strong>{verdicts['n']} of 72 verdicts</strong>" in page
    assert "would be first instead of" in page
    assert f'href="/a/poems/verdicts/{verdicts["items"][0]["verdict"]}/"' in page
    assert "Ranks in an interval" in page
    assert client.get(PAGE, {"format": "json"}).json()["removals"] == figures["removals"]
    assert f'href="{PAGE}"' in client.get("/a/poems/leaderboard/").content.decode()


@pytest.mark.parametrize("method", ["elo", "davidson"])
def test_other_models_have_a_reason_instead(small_arena, client, method):
    slice = Slice(method=method)
    publications.refresh_now(publications.publication_for(arena=small_arena, slice=slice))
    page = client.get(PAGE, {"method": method}).content.decode()
    assert "plain Bradley-Terry" in page
    assert not Fragility.objects.exists()


def test_queries_do_not_grow_with_what_there_is(
    small_arena, snapshot, client, django_assert_max_num_queries
):
    fragility.refresh(fragility.fragility_of(snapshot=snapshot).pk)
    with django_assert_max_num_queries(12):
        client.get(PAGE)


def test_a_hidden_system_is_in_none_of_it(small_arena, client):
    people = small_arena.judges.get(slug="people")
    secret = cast.make_system(small_arena, "Zebra")
    for prompt in small_arena.prompts.all():
        battle = cast.make_battle(small_arena.systems.get(slug="ada"), secret, prompt)
        cast.make_verdict(battle, people, Outcome.A, people.voters.first())
    System.objects.filter(pk=secret.pk).update(standing="private")
    publications.refresh_all(arena=small_arena)
    snapshot = publications.publication_for(arena=small_arena, slice=Slice()).snapshot
    fragility.refresh(fragility.fragility_of(snapshot=snapshot).pk)
    figures = Fragility.objects.get(snapshot=snapshot).figures
    assert figures["n"]["verdicts"] == 72
    assert "zebra" not in str(figures)


def test_the_api_has_what_is_computed_until_a_system_in_it_is_hidden(small_arena, snapshot, client):
    cache.clear()  # refused tokens of other tests are counted there
    address = "/api/v1/arenas/poems/fragilities/"
    row = fragility.fragility_of(snapshot=snapshot)
    assert client.get(address).json()["results"] == []
    fragility.refresh(row.pk)
    row.refresh_from_db()
    [listed] = client.get(address, {"snapshot": snapshot.pk}).json()["results"]
    assert listed["snapshot"] == snapshot.pk
    assert listed["slice"]["judge"] == "people"
    assert client.get(address, {"snapshot": snapshot.pk + 1}).json()["results"] == []
    found = client.get(f"{address}{row.pk}/").json()
    assert found["figures"] == row.figures
    System.objects.filter(slug="dora").update(standing="withdrawn")
    assert client.get(address).json()["results"] == []
    assert client.get(f"{address}{row.pk}/").status_code == 404
    maintainer = client_of(make_member(small_arena, "maintainer", "maya"))
    assert maintainer.get(f"{address}{row.pk}/").status_code == 200
