"""A leaderboard on which style is held equal."""

import numpy as np
import pytest

from arena.models import Output, OutputStyle
from judges.models import Outcome
from ratings import publications, snapshots
from ratings.models import Snapshot
from ratings.slices import Slice, SliceError
from tests import cast

pytestmark = pytest.mark.django_db
STYLED = Slice(method="style")


@pytest.fixture(autouse=True)
def few_rounds(settings):
    settings.BOOTSTRAP_ROUNDS = 200


@pytest.fixture
def arena():
    """People like what is longer; Dora writes much, and nobody is better than the others."""
    arena = cast.make_arena()
    systems = [cast.make_system(arena, name) for name in ("Ada", "Basil", "Cleo", "Dora")]
    people = cast.make_judge(arena)
    alice = cast.make_voter(people)
    rng = np.random.default_rng(0)
    for number in range(32):
        prompt = cast.make_prompt(arena, f"Poem {number}")
        lengths = rng.integers(50, 150, 4) * [1, 1, 1, 4]
        for first in range(4):
            for second in range(first + 1, 4):
                battle = cast.make_battle(systems[first], systems[second], prompt)
                gap = (lengths[first] - lengths[second]) / (lengths[first] + lengths[second])
                wins = rng.random() < 1 / (1 + np.exp(-3 * gap))
                cast.make_verdict(battle, people, Outcome.A if wins else Outcome.B, alice)
        for system, length in zip(systems, lengths.tolist(), strict=True):
            Output.objects.filter(system=system, prompt=prompt).update(text="x" * length)
    return arena


def test_who_wins_by_length_alone_falls_back_among_the_others(arena):
    plain = {
        rating.system.slug: rating.rating
        for rating in snapshots.build(arena=arena, slice=Slice()).ratings.all()
    }
    snapshot = snapshots.build(arena=arena, slice=STYLED)
    styled = {rating.system.slug: rating for rating in snapshot.ratings.all()}
    assert snapshot.interval == Snapshot.Interval.SANDWICH
    assert snapshot.style["plain"] == pytest.approx(plain, abs=1e-6)
    characters, headers, *_ = snapshot.style["beta"]
    assert (characters["name"], headers["name"]) == ("characters", "headers")
    assert characters["lower"] > 0
    assert "never differ" in headers["reason"]
    assert plain["dora"] - 1000 > 100
    assert abs(styled["dora"].rating - 1000) < (plain["dora"] - 1000) / 2
    assert styled["dora"].lower < 1000 < styled["dora"].upper
    assert snapshot.style["n_left_out"] == 0
    assert OutputStyle.objects.count() == arena.outputs.count()


def test_it_comes_out_again_to_the_bit(arena):
    snapshot = snapshots.build(arena=arena, slice=STYLED)
    found = snapshots.verify(snapshot=snapshot)
    assert found.passed
    assert found.largest_difference == 0


def test_verdicts_on_battles_without_outputs_are_left_out_and_counted(arena):
    people = arena.judges.get(slug="people")
    battle = arena.battles.first()
    battle.pk, battle.output_a, battle.output_b, battle.source_key = None, None, None, 1
    battle.save()
    cast.make_verdict(battle, people, Outcome.A, people.voters.get())
    snapshot = snapshots.build(arena=arena, slice=STYLED)
    assert snapshot.style["n_left_out"] == 1
    assert snapshot.style["n_verdicts"] == 192


def test_the_page_shows_what_style_is_worth_and_both_ratings(arena, client):
    publications.refresh_now(publications.publication_for(arena=arena, slice=STYLED))
    page = client.get("/a/poems/leaderboard/?method=style").content.decode()
    for words in (
        "Style is held equal",
        "With style",
        "<caption>What style is worth",
        "never differ",
    ):
        assert words in page
    content = client.get("/a/poems/leaderboard/?method=style&format=json").json()
    assert content["style"]["plain"].keys() == {"ada", "basil", "cleo", "dora"}
    found = client.get("/api/v1/arenas/poems/leaderboards/?method=style").json()["results"]
    assert len(found) == 1


def test_a_ridge_is_refused():
    with pytest.raises(SliceError, match="aren't penalised"):
        Slice(method="style", ridge=1.0)
