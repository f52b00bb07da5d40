"""Two judges on the same battles: figures that can be checked by hand, and the page that shows them."""

import json
import random  # noqa: TID251 (seeded)

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from sklearn.metrics import cohen_kappa_score

from judges.comparisons import Decided, compared, decided_by_both, differences
from judges.exclusions import exclude_voter
from judges.llm_judges import make_llm_judge, new_version
from judges.models import Judge, Outcome, Voter
from judges.voting import retract_verdict
from tests import cast

A, B, TIE, BAD = Outcome


def rows(n=400, *, prompts=80, better=0.0, seed=3):
    """Both right seven times in ten; the first ``better`` more often."""
    drawn = random.Random(seed)
    found = []
    for battle in range(n):
        people = drawn.choice([A, B])
        said = [
            people if drawn.random() < right else people.mirrored for right in (0.7 + better, 0.7)
        ]
        found.append(Decided(battle, battle % prompts, *said, people))
    return found


def test_agreement_and_kappa_are_those_of_an_independent_program():
    given = rows()
    found = compared(given)
    one, other = [int(row.one) for row in given], [int(row.other) for row in given]
    assert found.kappa == pytest.approx(cohen_kappa_score(one, other))
    assert found.agreement.k == sum(a == b for a, b in zip(one, other, strict=True))
    assert sum(map(sum, found.table)) == found.n == 400


def test_the_interval_of_independent_battles_is_wilsons():
    given = [row._replace(prompt=row.battle) for row in rows()]
    found = compared(given).one
    p, n, z = found.k / found.n, found.n, 1.959964
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * ((p * (1 - p) + z * z / (4 * n)) / n) ** 0.5 / (1 + z * z / n)
    assert (found.lower, found.upper) == pytest.approx((centre - half, centre + half))


def test_battles_on_one_prompt_that_go_alike_widen_the_intervals():
    given = rows()
    alike = [
        row._replace(prompt=10_000 * copy + row.battle % 8, battle=row.battle)
        for copy, row in ((0, row) for row in given)
    ]
    by_outcome = [
        row._replace(prompt=(row.battle % 10) + 10 * (row.one == row.people)) for row in alike
    ]
    independent, clustered = compared(given).one, compared(by_outcome).one
    assert clustered.upper - clustered.lower > 2 * (independent.upper - independent.lower)


@pytest.mark.parametrize("better", [0.0, 0.15])
def test_the_difference_covers_the_truth_as_often_as_it_says(better):
    covered = sum(
        found.lower <= better <= found.upper
        for seed in range(300)
        if (found := compared(rows(better=better, seed=7919 * seed))).lower is not None
    )
    assert 0.92 <= covered / 300 <= 0.98


def test_exchanging_the_judges_exchanges_what_is_said_of_them():
    given = rows(better=0.15)
    found = compared(given)
    turned = compared([row._replace(one=row.other, other=row.one) for row in given])
    assert (found.says, turned.says) == ("one", "other")
    assert turned.difference == pytest.approx(-found.difference)
    assert (turned.lower, turned.upper) == pytest.approx((-found.upper, -found.lower))
    assert (found.only_one, found.only_other) == (turned.only_other, turned.only_one)


def test_too_few_differences_or_prompts_give_no_interval_and_no_order():
    few = rows(20, prompts=20)[:12]
    assert (compared(few).lower, compared(few).says) == (None, "open")
    assert compared(rows(prompts=5, better=0.2)).says == "open"
    nothing = compared([])
    assert (nothing.n, nothing.kappa, nothing.agreement.value) == (0, None, None)


# --- from the database ---------------------------------------------------------------------------


@pytest.fixture
def arena(db):
    return cast.make_small_arena()


@pytest.fixture
def judges(arena):
    """One repeats itself: the first verdict that stands counts. The other leaves a battle out."""
    one, other = (cast.make_judge(arena, name, Judge.Kind.PROGRAM) for name in ("One", "Other"))
    battles = list(arena.battles.order_by("pk"))
    for battle in battles:
        cast.make_verdict(battle, one, A)
        cast.make_verdict(battle, one, B, repetition=1)
        if battle != battles[0]:
            cast.make_verdict(battle, other, BAD if battle == battles[1] else B)
    retract_verdict(verdict=one.verdicts.get(battle=battles[2], repetition=0))
    return one, other


def test_only_battles_of_both_count_and_what_was_taken_back_does_not(arena, judges):
    found, is_capped = decided_by_both(*judges)
    battles = list(arena.battles.order_by("-pk"))
    assert [row.battle for row in found] == [battle.pk for battle in battles[:-1]]
    assert not is_capped
    by_battle = {row.battle: row for row in found}
    assert by_battle[battles[-2].pk].other == TIE  # both bad
    assert by_battle[battles[-3].pk].one == B  # the first that stands
    assert by_battle[battles[0].pk].one == A


def test_excluded_voters_make_no_majority(arena, judges):
    def people():
        return {row.battle: row.people for row in decided_by_both(*judges)[0]}

    before = people()
    assert None in before.values()  # alice and bob disagree on some
    exclude_voter(voter=Voter.objects.get(handle="bob"), reason="random")
    assert None not in people().values()


def test_the_page_says_what_it_rests_on_and_never_an_order_that_isnt_there(arena, judges):
    page = reverse("judges:compare", args=[arena.slug])
    response = Client().get(page, {"one": "one", "other": "other"})
    text = response.content.decode()
    found = response.context["found"]
    assert found.n == arena.battles.count() - 1
    assert "From 35 battles" in text
    assert (found.says == "open") == ("can’t be told" in text)
    people = Client().get(page, {"one": "one", "other": "other", "which": "one"}).context["page"]
    assert {row.people for row in people} == {A}
    assert Client().get(page, {"one": "nobody"}).status_code == 404
    assert Client().get(page, {"one": "one", "which": "both"}).status_code in (200, 404)
    assert "Choose two judges" in Client().get(page).content.decode()


def test_downloads_hold_what_the_page_shows(arena, judges):
    page = reverse("judges:compare", args=[arena.slug])
    asked = {"one": "one", "other": "other"}
    figures = json.loads(Client().get(page, {**asked, "format": "json"}).content)
    assert figures["n"] == 35
    assert sum(map(sum, figures["table"]["counts"])) == 35
    lines = Client().get(page, {**asked, "format": "csv"}).content.decode().splitlines()
    assert lines[0] == "battle,prompt,one,other,people"
    assert len(lines) == 36


def test_it_takes_as_many_queries_for_many_battles_as_for_few(arena, judges):
    page = reverse("judges:compare", args=[arena.slug])

    def queries():
        with CaptureQueriesContext(connection) as captured:
            Client().get(page, {"one": "one", "other": "other"})
        return len(captured)

    queries()
    before = queries()
    for number in range(4):
        prompt = cast.make_prompt(arena, f"Another {number}")
        battle = cast.make_battle(*arena.systems.all()[:2], prompt)
        for judge, outcome in zip(judges, (A, B), strict=True):
            cast.make_verdict(battle, judge, outcome)
    assert queries() == before


def test_a_version_is_compared_with_the_newest_other_one_and_shows_what_was_changed(
    arena, settings
):
    configuration = {
        "endpoint": {
            "url": "http://127.0.0.1:9/v1",
            "model": "m",
            "parameters": {"temperature": 0},
        },
        "protocol": {"name": "battle"},
    }
    first = make_llm_judge(arena=arena, name="Strict", configuration=configuration)
    changed = configuration | {"repetitions": 3}
    second = new_version(judge=first, configuration=changed)
    assert differences(first, second) == [("repetitions", 1, 3)]
    response = Client().get(reverse("judges:compare", args=[arena.slug]), {"one": first.slug})
    assert response.context["other"] == second
    assert "no battle that both" in response.content.decode()


def test_a_private_arena_is_not_shown(arena, judges):
    arena.is_public = False
    arena.save()
    assert Client().get(reverse("judges:compare", args=[arena.slug])).status_code == 404
