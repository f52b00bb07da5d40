"""Pages of one system: where it wins and loses, its clearest battles, judges against people, two versions."""

import csv
import io

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arena.models import Category, Membership, Output, Prompt, Standing, System
from judges.models import Judge, Outcome, Retraction, Verdict
from judges.records import Selection
from ratings import system_reports
from ratings.slices import Slice
from tests import cast
from tests.ratings.published import text

URL = "/a/poems/systems/ada/"
PAGES = ("wins-and-losses", "clearest-battles", "disagreements", "versions")


def rows_of(response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(response.content.decode())))


@pytest.fixture(autouse=True)
def nothing_is_slow(monkeypatch):
    monkeypatch.setattr("ratings.kept_figures.SLOW", 1e9)


@pytest.fixture
def arena(db):
    """Twelve prompts, so that intervals are given; see the cast for who wins what."""
    return cast.make_small_arena(prompts=12)


def by_hand(arena, system, *, judge=Judge.Kind.CROWD, where=lambda verdict: True) -> tuple:
    """(verdicts, prompts, win rate), row by row."""
    points, prompts = [], set()
    rows = Verdict.objects.filter(arena=arena, judge__kind=judge, retraction=None)
    for verdict in rows.select_related("battle__output_a", "battle__output_b", "prompt"):
        battle = verdict.battle
        if system.pk not in (battle.system_a_id, battle.system_b_id) or not where(verdict):
            continue
        own = Outcome.A if battle.system_a_id == system.pk else Outcome.B
        points.append({own: 1.0}.get(verdict.outcome, 0.5 if verdict.outcome > 1 else 0.0))
        prompts.add(verdict.prompt_id)
    return len(points), len(prompts), pytest.approx(sum(points) / len(points), abs=1e-6)


def test_every_part_of_the_report_is_what_its_verdicts_say(arena, client):
    basil = arena.systems.get(slug="basil")
    hard = Category.objects.create(arena=arena, slug="hard", name="Hard")
    prompts = list(arena.prompts.all())
    for prompt in prompts[:10]:
        prompt.categories.add(hard)
    Prompt.objects.filter(pk__in=[p.pk for p in prompts[:4]]).update(language="de")
    Output.objects.filter(system=basil, prompt__in=prompts[:11]).update(text="x" * 40)
    Retraction.objects.create(verdict=Verdict.objects.filter(judge__kind="crowd").first())
    rows = rows_of(client.get("/a/poems/systems/basil/wins-and-losses/", {"format": "csv"}))
    found = {
        (row["by"], row["part"]): (
            int(row["n_verdicts"]),
            int(row["n_prompts"]),
            float(row["win_rate"]),
        )
        for row in rows
    }
    easy = {prompt.pk for prompt in prompts[10:]}

    def ratio(verdict) -> float:
        battle = verdict.battle
        a, b = len(battle.output_a.text), len(battle.output_b.text)
        return a / b if battle.system_a_id == basil.pk else b / a

    expected = {
        ("all", "all"): by_hand(arena, basil),
        ("category", "hard"): by_hand(arena, basil, where=lambda v: v.prompt_id not in easy),
        ("language", "de"): by_hand(arena, basil, where=lambda v: v.prompt.language == "de"),
        ("language", "none"): by_hand(arena, basil, where=lambda v: not v.prompt.language),
        ("length", "more-than-twice-as-long"): by_hand(arena, basil, where=lambda v: ratio(v) > 2),
        ("length", "about-as-long"): by_hand(arena, basil, where=lambda v: 0.8 <= ratio(v) <= 1.25),
        ("length", "1.25-to-twice-as-long"): None,
    }
    for other in ("ada", "cleo", "dora"):
        met = arena.systems.get(slug=other).pk
        expected["opponent", other] = by_hand(
            arena,
            basil,
            where=lambda v, met=met: met in (v.battle.system_a_id, v.battle.system_b_id),
        )
    expected = {key: value for key, value in expected.items() if value}
    assert {key: value for key, value in found.items() if key[0] != "length"} == {
        key: value for key, value in expected.items() if key[0] != "length"
    }
    assert (
        found["length", "more-than-twice-as-long"] == expected["length", "more-than-twice-as-long"]
    )
    assert found["length", "about-as-long"] == expected["length", "about-as-long"]
    lengths = [row for row in rows if row["by"] == "length"]
    assert sum(int(row["n_verdicts"]) for row in lengths) == found["all", "all"][0]
    few = next(row for row in rows if row["part"] == "de")
    assert (few["lower"], few["upper"]) == ("", "")
    page = client.get("/a/poems/systems/basil/wins-and-losses/")
    assert "too few" in text(page)
    assert "95 % interval" in text(page)


def test_the_report_is_of_the_chosen_judge(arena, client):
    response = client.get(f"{URL}wins-and-losses/", {"judge": "judge-llm", "format": "json"}).json()
    overall = response["rows"][0]
    ada = arena.systems.get(slug="ada")
    expected = by_hand(arena, ada, judge=Judge.Kind.LLM)
    assert (overall["n_verdicts"], overall["n_prompts"], overall["win_rate"]) == expected
    assert response["slice"]["judge"] == "judge-llm"
    assert client.get(f"{URL}wins-and-losses/", {"judge": "nobody"}).status_code == 404
    assert client.get(f"{URL}wins-and-losses/", {"format": "xml"}).status_code == 404


def test_the_clearest_losses_and_wins_are_those_with_most_agreement(arena, client):
    ada = arena.systems.get(slug="ada")
    people = arena.judges.get(slug="people")
    battle = ada_battle(arena, ada, clear=Outcome.B)
    for number in range(4):
        cast.make_verdict(battle, people, Outcome.B, cast.make_voter(people, f"more-{number}"))
    first = rows_of(client.get(f"{URL}clearest-battles/", {"format": "csv"}))
    assert (first[0]["battle"], first[0]["n_verdicts"]) == (str(battle.pk), "6")
    assert all(float(row["share_against"]) > 0.5 for row in first)
    won = rows_of(client.get(f"{URL}clearest-battles/", {"format": "csv", "side": "won"}))
    assert won
    assert all(float(row["share_for"]) > 0.5 for row in won)
    assert not {row["battle"] for row in won} & {row["battle"] for row in first}
    page = client.get(f"{URL}clearest-battles/").content.decode()
    assert f"/a/poems/battles/{battle.pk}/?system=ada" in page
    # The other side of the same battle.
    theirs = f"/a/poems/systems/{battle.system_b.slug}/clearest-battles/"
    assert (
        rows_of(client.get(theirs, {"format": "csv", "side": "won"}))[0]["battle"]
        == first[0]["battle"]
    )


def ada_battle(arena, ada, *, clear: Outcome):
    """A battle of Ada's, as A, in which both voters said the same."""
    said: dict = {}
    for verdict in Verdict.objects.filter(judge__kind="crowd", battle__system_a=ada):
        said.setdefault(verdict.battle, []).append(verdict.outcome)
    found = [battle for battle, outcomes in said.items() if outcomes == [clear, clear]]
    if found:
        return found[0]
    battle = next(iter(said))
    Verdict.objects.filter(battle=battle, judge__kind="crowd").update(outcome=clear)
    return battle


def test_lists_of_battles_are_paged_and_end(arena, client, monkeypatch):
    monkeypatch.setattr("ratings.views.system_reports.A_PAGE", 3)
    every = rows_of(client.get(f"{URL}clearest-battles/", {"format": "csv", "side": "won"}))
    seen: list[int] = []
    for number in range(1, 20):
        response = client.get(f"{URL}clearest-battles/", {"side": "won", "page": number})
        seen += [one.battle.pk for one in response.context["battles"]]
        if not response.context["has_next"]:
            break
    assert seen == [int(row["battle"]) for row in every]
    assert client.get(f"{URL}clearest-battles/", {"page": "9" * 30}).status_code == 200


def test_a_judge_is_counted_against_people_battle_by_battle(arena, client):
    ada = arena.systems.get(slug="ada")
    llm = arena.judges.get(slug="judge-llm")
    better = worse = both = 0
    for battle in ada_battles(arena, ada):
        mine = Outcome.A if battle.system_a_id == ada.pk else Outcome.B

        def side(rows, mine=mine) -> int:
            total = sum(
                0 if row.outcome > 1 else (1 if row.outcome == mine else -1) for row in rows
            )
            return (total > 0) - (total < 0)

        verdicts = list(battle.verdicts.all())
        people = side([v for v in verdicts if v.judge_id != llm.pk])
        judged = side([v for v in verdicts if v.judge_id == llm.pk])
        if people:
            both += 1
            better += judged > people
            worse += judged < people
    assert better + worse
    found = client.get(f"{URL}disagreements/", {"format": "json"}).json()
    assert (found["n"], found["better"], found["worse"]) == (both, better, worse)
    assert found["net"] == pytest.approx((better - worse) / both)
    assert found["lower"] < found["net"] < found["upper"]
    assert len(found["rows"]) == better
    lower = client.get(f"{URL}disagreements/", {"format": "json", "side": "worse"}).json()
    assert len(lower["rows"]) == worse
    assert "Exact sign test" in text(client.get(f"{URL}disagreements/"))


def ada_battles(arena, ada):
    return Selection(arena=arena, systems=(ada,)).indexed().prefetch_related("verdicts")


def test_an_arena_without_a_judge_says_so(db, client):
    arena = cast.make_arena()
    cast.make_judge(arena)
    cast.make_system(arena, "Ada")
    assert "only people" in text(client.get(f"{URL}disagreements/"))
    assert "No battle of it has been decided" in text(client.get(f"{URL}wins-and-losses/"))
    assert "There is no other version" in text(client.get(f"{URL}versions/"))


def test_two_versions_are_paired_by_prompt_and_opponent(arena, client):
    """A second Ada that wins all that the first did, and more; one prompt only the second answered."""
    ada = arena.systems.get(slug="ada")
    second = cast.make_system(arena, "Ada", slug="ada-2", version="2", follows=ada)
    people = arena.judges.get(slug="people")
    voters = list(people.voters.all())
    prompts = list(arena.prompts.order_by("pk"))
    expected = {}
    for prompt in [*prompts, cast.make_prompt(arena, "One more.")]:
        for slug in ("basil", "cleo"):
            battle = cast.make_battle(second, arena.systems.get(slug=slug), prompt)
            outcome = Outcome.B if battle.system_b_id == second.pk else Outcome.A
            for voter in voters:
                cast.make_verdict(battle, people, outcome, voter)
            first = Verdict.objects.filter(
                judge=people, prompt=prompt, battle__system_a=ada, battle__system_b__slug=slug
            )
            if first:
                share = sum(v.outcome == Outcome.A for v in first) / len(first)
                expected.setdefault(prompt.pk, []).append(1 - share)
    direct = cast.make_battle(ada, second, prompts[0])
    cast.make_verdict(direct, people, Outcome.B, voters[0])

    address = "/a/poems/systems/ada-2/versions/"
    found = client.get(address, {"format": "json"}).json()
    assert {row["prompt"]: (row["n_opponents"], row["difference"]) for row in found["rows"]} == {
        prompt: (2, pytest.approx(sum(both) / 2)) for prompt, both in expected.items()
    }
    every = [one for both in expected.values() for one in both]
    assert found["difference"] == pytest.approx(sum(every) / len(every))
    assert 0 < found["lower"] < found["difference"] < found["upper"]
    page = text(client.get(address))
    assert (
        "Ada 2 wins more often than Ada : +" in page or "Ada 2 wins more often than Ada: +" in page
    )
    assert "1 verdict on 1 prompt, too few" in page
    # The other way round it is the same with the other sign.
    back = client.get(f"{URL}versions/", {"format": "json", "against": "ada-2"}).json()
    assert back["difference"] == pytest.approx(-found["difference"])
    assert back["p_value"] == found["p_value"]
    assert client.get(f"{URL}versions/", {"against": "basil"}).status_code == 404


def test_hidden_systems_are_for_their_owner_and_never_opponents(arena, client, django_user_model):
    owner, other, keeper = (
        django_user_model.objects.create_user(name, password="x")
        for name in ("owner", "other", "keeper")
    )
    Membership.objects.create(arena=arena, user=keeper, role=Membership.Role.MAINTAINER)
    System.objects.filter(slug="basil").update(
        standing=Standing.PRIVATE, owner=owner, name="Ada", version="secret"
    )
    for user, status in ((None, 404), (other, 404), (owner, 200), (keeper, 200)):
        if user:
            client.force_login(user)
        for page in PAGES:
            assert client.get(f"/a/poems/systems/basil/{page}/").status_code == status, (user, page)
            # Neither is it an opponent of others; its owner may compare it with the published version.
            shown = client.get(f"{URL}{page}/").content.decode()
            may = page == "versions" and status == 200
            assert ("secret" in shown) == may, (user, page)
    System.objects.filter(slug="basil").update(standing=Standing.DEPRECATED)
    client.logout()
    assert client.get("/a/poems/systems/basil/wins-and-losses/").status_code == 200


def test_arenas_that_are_not_public_are_for_members(arena, client):
    arena.is_public = False
    arena.save()
    for page in PAGES:
        assert client.get(f"{URL}{page}/").status_code == 404


def test_queries_do_not_grow_with_verdicts(arena, client):
    def counts() -> list[int]:
        found = []
        for page in PAGES:
            with CaptureQueriesContext(connection) as queries:
                assert client.get(f"{URL}{page}/").status_code == 200
            found.append(len(queries))
        return found

    ada = arena.systems.get(slug="ada")
    cast.make_system(arena, "Ada", slug="ada-2", version="2")
    counts()
    before = counts()
    people = arena.judges.get(slug="people")
    for name in ("Emil", "Fay"):
        new = cast.make_system(arena, name)
        for prompt in arena.prompts.all():
            battle = cast.make_battle(ada, new, prompt)
            for voter in people.voters.all():
                cast.make_verdict(battle, people, Outcome.A, voter)
    assert counts() == before
    assert max(before) <= 20, before


def test_wilson_puts_nine_of_nine_before_two_of_two(arena):
    ada = arena.systems.get(slug="ada")
    listed = system_reports.clearest(system=ada, slice=Slice(), won=True, start=0, size=500)
    assert listed
    assert listed == sorted(listed, key=lambda one: (-one.share, one.battle.pk))


def test_what_was_slow_is_kept_a_while_and_says_since_when(arena, client, monkeypatch):
    monkeypatch.setattr("ratings.kept_figures.SLOW", -1.0)
    first = client.get(f"{URL}wins-and-losses/")
    with CaptureQueriesContext(connection) as queries:
        again = client.get(f"{URL}wins-and-losses/")
    assert not [query for query in queries if "judges_verdict" in query["sql"]]
    assert again.context["report"] == first.context["report"]
    assert again.context["counted_at"] == first.context["counted_at"]
    # Another choice is another figure.
    other = client.get(f"{URL}wins-and-losses/", {"judge": "judge-llm"})
    assert other.context["report"] != first.context["report"]
