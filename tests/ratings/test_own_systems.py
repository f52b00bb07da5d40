"""My systems, in one arena and in all."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arena.models import Standing, System
from tests import cast
from tests.ratings.published import publish, text

HERE, EVERYWHERE = "/a/poems/my-systems/", "/accounts/systems/"


@pytest.fixture
def owner(django_user_model, client):
    owner = django_user_model.objects.create_user("owner", password="x")
    client.force_login(owner)
    return owner


def test_whoever_is_not_signed_in_signs_in_first(small_arena, client):
    for address in (HERE, EVERYWHERE):
        assert client.get(address).url.startswith("/accounts/login/?next=")


def test_the_list_has_ones_own_with_ranks_by_people_and_judges(small_arena, owner, client):
    System.objects.filter(slug__in=("ada", "cleo")).update(owner=owner)
    System.objects.filter(slug="cleo").update(standing=Standing.DEPRECATED)
    publish(small_arena)
    publish(small_arena, judge="judge-llm")
    page = client.get(HERE)
    assert [one.system.slug for one in page.context["systems"]] == ["ada", "cleo"]
    assert "Basil" not in text(page)
    assert "deprecated" in text(page)
    rows = client.get(EVERYWHERE, {"format": "json"}).json()["systems"]
    assert [(row["system"], row["judge"]) for row in rows] == [
        ("Ada", "people"),
        ("Ada", "Judge LLM"),
        ("Cleo", "people"),
        ("Cleo", "Judge LLM"),
    ]
    assert all(row["rank_lower"] >= 1 and row["n_verdicts"] for row in rows)
    assert client.get(HERE, {"format": "csv"}).content.decode().count("\n") == 5
    assert client.get(HERE, {"format": "xml"}).status_code == 404


def test_a_private_system_is_on_its_owners_list_only(small_arena, owner, client, django_user_model):
    System.objects.filter(slug="ada").update(owner=owner, standing=Standing.PRIVATE)
    assert "Ada" in text(client.get(HERE))
    client.force_login(django_user_model.objects.create_user("other", password="x"))
    assert "Ada" not in text(client.get(HERE))
    assert "Ada" not in text(client.get(EVERYWHERE))


def test_an_empty_list_says_what_to_do_next(small_arena, owner, client):
    here = client.get(HERE)
    assert here.context["refusal"] or "/a/poems/submit/" in here.content.decode()
    assert "You own no system" in text(here)
    assert 'href="/"' in client.get(EVERYWHERE).content.decode()


def test_arenas_that_the_account_no_longer_sees_are_left_out(small_arena, owner, client):
    System.objects.filter(slug="ada").update(owner=owner)
    small_arena.is_public = False
    small_arena.save()
    assert client.get(HERE).status_code == 404
    assert "Ada" not in text(client.get(EVERYWHERE))


def test_queries_do_not_grow_with_systems(small_arena, owner, client):
    System.objects.filter(slug="ada").update(owner=owner)
    publish(small_arena)

    def count(address: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        return len(queries)

    before = [count(HERE), count(EVERYWHERE)]
    for number in range(12):
        cast.make_system(small_arena, f"More {number}", owner=owner)
    assert [count(HERE), count(EVERYWHERE)] == before
    assert max(before) <= 13, before
