"""A leaderboard of people's votes that a judge's verdicts sharpen."""

import json

import numpy as np
import pytest
from django.core.management import call_command

from judges.models import Judge, Outcome, Retraction, Verdict
from ratings import publications, snapshots
from ratings.models import Publication, Snapshot
from ratings.slices import Slice, SliceError
from tests import cast

pytestmark = pytest.mark.django_db
HELPED = Slice(helped_by="judge-llm")


@pytest.fixture(autouse=True)
def few_rounds(settings):
    settings.BOOTSTRAP_ROUNDS = 200


@pytest.fixture
def arena():
    """36 prompts; people vote on every third, the LLM decides all and knows what people would say."""
    arena = cast.make_arena()
    systems = [cast.make_system(arena, name) for name in ("Ada", "Basil", "Cleo", "Dora")]
    people = cast.make_judge(arena)
    llm = cast.make_judge(arena, "Judge LLM", Judge.Kind.LLM)
    alice = cast.make_voter(people)
    rng = np.random.default_rng(0)
    for number in range(36):
        prompt = cast.make_prompt(arena, f"Poem {number}")
        strengths = np.array([0.5, 0.2, 0, -0.4]) + rng.normal(0, 2, 4)
        for first in range(4):
            for second in range(first + 1, 4):
                battle = cast.make_battle(systems[first], systems[second], prompt)
                outcome = Outcome.A if strengths[first] > strengths[second] else Outcome.B
                wrong = Outcome.B if outcome == Outcome.A else Outcome.A
                cast.make_verdict(battle, llm, outcome if rng.random() < 0.9 else Outcome.TIE)
                if (number + first) % 3 == 0:
                    said = outcome if rng.random() < 0.9 else wrong
                    cast.make_verdict(battle, people, said, alice)
    return arena


def test_the_judge_narrows_intervals_and_the_snapshot_says_what_it_was_worth(arena):
    alone = snapshots.build(arena=arena, slice=Slice())
    helped = snapshots.build(arena=arena, slice=HELPED)
    assert helped.n_verdicts == alone.n_verdicts == 72
    assert helped.interval == Snapshot.Interval.SANDWICH
    of = helped.helped
    assert 0 < of["power"] <= 1
    assert of["worth"]["lower"] < of["worth"]["value"] < of["worth"]["upper"]
    assert of["worth"]["value"] > 0
    assert (of["n_votes"], of["n_judged"], of["n_votes_left_out"]) == (72, 216, 0)
    assert of["width"] < 1
    plain = {rating.system.slug: rating for rating in alone.ratings.all()}
    for slug, (rating, lower, upper) in of["alone"].items():
        assert rating == pytest.approx(plain[slug].rating, abs=1e-6)
        assert lower < rating < upper
    sds = {rating.system.slug: rating.sd for rating in helped.ratings.all()}
    assert sum(sds.values()) < sum(
        (upper - lower) / 3.92 for _, lower, upper in of["alone"].values()
    )


def test_it_comes_out_again_later_to_the_bit(arena):
    snapshot = snapshots.build(arena=arena, slice=HELPED)
    assert snapshots.build(arena=arena, slice=HELPED) == snapshot
    verdict = Verdict.objects.filter(judge__slug="judge-llm").first()
    Retraction.objects.create(verdict=verdict, reason="Wrong.")
    found = snapshots.verify(snapshot=snapshot)
    assert found.passed
    assert found.largest_difference == 0
    # What the judge says is part of the data: one verdict less is another snapshot.
    again = snapshots.build(arena=arena, slice=HELPED)
    assert again.data_digest != snapshot.data_digest
    assert again.helped["n_judged"] == 215


def test_it_becomes_stale_by_people_and_by_the_judge(arena):
    publication = publications.publication_for(arena=arena, slice=HELPED)
    for slug in ("people", "judge-llm"):
        publications.refresh_now(publication)
        judge = arena.judges.get(slug=slug)
        publications.mark_stale(arena_id=arena.pk, judge_ids=[judge.pk])
        publication.refresh_from_db()
        assert publication.stale_since, slug
    other = cast.make_judge(arena, "Other", Judge.Kind.LLM)
    publications.refresh_now(publication)
    publications.mark_stale(arena_id=arena.pk, judge_ids=[other.pk])
    publication.refresh_from_db()
    assert publication.stale_since is None


def test_the_page_offers_judges_says_what_help_is_worth_and_shows_people_alone(arena, client):
    publications.refresh_all(arena=arena)
    page = client.get("/a/poems/leaderboard/").content.decode()
    assert '<option value="judge-llm">Judge LLM</option>' in page
    assert "People alone" not in page
    publication = publications.publication_for(arena=arena, slice=HELPED)
    publications.refresh_now(publication)
    page = client.get("/a/poems/leaderboard/?helped_by=judge-llm").content.decode()
    assert "verdicts are worth" in page
    assert "People alone" in page
    assert "Prediction-powered inference" in page
    content = client.get("/a/poems/leaderboard/?helped_by=judge-llm&format=json").json()
    assert content["helped"]["alone"].keys() == {"ada", "basil", "cleo", "dora"}
    table = client.get("/a/poems/leaderboard/?helped_by=judge-llm&format=csv").content.decode()
    assert "judge-llm" in table
    found = client.get("/api/v1/arenas/poems/leaderboards/?helped_by=judge-llm").json()["results"]
    assert [row["snapshot"]["slice"]["helped_by"] for row in found] == ["judge-llm"]


@pytest.mark.parametrize(
    "query", ["helped_by=nobody", "helped_by=people", "judge=judge-llm&helped_by=judge-llm"]
)
def test_who_cannot_help_is_refused(arena, client, query):
    assert client.get(f"/a/poems/leaderboard/?{query}").status_code == 404
    assert not Publication.objects.filter(slice__has_key="helped_by").exists()


def test_only_plain_bradley_terry_takes_help(arena, client):
    with pytest.raises(SliceError, match="only plain Bradley-Terry"):
        Slice(helped_by="judge-llm", method="elo")
    assert client.get("/a/poems/leaderboard/?helped_by=judge-llm&method=elo").status_code == 404
    # Slices of before are what they were.
    assert "helped_by" not in Slice().as_json()


def test_the_command_prints_it(arena, capsys):
    call_command("rate", arena="poems", helped_by="judge-llm", json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["helped"]["judge"] == "judge-llm"
