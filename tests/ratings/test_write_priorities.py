"""The ratings' refresh writes what each pair's next verdict is worth, by the arena's policy."""

import pytest

from arena.making import change_arena, close_arena, open_arena
from arena.matchmaking import plan_pairs
from arena.models import Pair
from arena.policies import Policy
from judges.exclusions import exclude_voter
from judges.models import Outcome, Voter
from judges.voting import cast_verdict
from ratings import publications
from ratings.models import Publication
from ratings.slices import Slice
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quick(settings):
    settings.BOOTSTRAP_ROUNDS = 200


@pytest.fixture
def arena(small_arena):
    small_arena.is_open = True
    small_arena.save()
    plan_pairs(arena=small_arena)
    return small_arena


def refresh(arena, judge="people"):
    publication = publications.publication_for(arena=arena, slice=Slice(judge=judge))
    return publications.refresh_now(publication)


def priorities(arena):
    return dict(Pair.objects.filter(arena=arena).order_by("pk").values_list("pk", "priority"))


def judge_pair(arena, names, times):
    pair = Pair.objects.get(arena=arena, system_a__name=names[0], system_b__name=names[1])
    people = arena.judges.get(slug="people")
    for number in range(times):
        cast_verdict(
            battle=pair.battles.first(),
            judge=people,
            voter=cast.make_voter(people, f"v{number}"),
            outcome=[Outcome.A, Outcome.B][number % 2],
        )
    return pair


def test_a_pair_that_was_judged_often_is_drawn_less(arena):
    pair = judge_pair(arena, ("Ada", "Basil"), 60)
    refresh(arena)
    found = priorities(arena)
    assert sum(found.values()) == pytest.approx(1)
    assert found[pair.pk] == min(found.values())
    # Drawn by lot now and then all the same: the floor.
    assert found[pair.pk] == pytest.approx(Policy().uniform / 6)


def test_the_running_sums_follow(arena):
    refresh(arena)
    sums = [p.cumulative for p in Pair.objects.filter(arena=arena).order_by("pk")]
    assert sums == sorted(sums)
    assert sums[-1] == pytest.approx(1)


def test_another_policy_takes_effect_at_the_next_refresh(arena, django_user_model):
    judge_pair(arena, ("Ada", "Basil"), 60)
    refresh(arena)
    user = django_user_model.objects.create_user("maya")
    change_arena(arena=arena, actor=user, policy={"uniform": 1, "active": 0})
    waiting = Publication.objects.get(arena=arena, slice_digest=Slice().digest)
    assert waiting.stale_since is not None
    publications.refresh(waiting.pk)
    assert list(priorities(arena).values()) == pytest.approx([1 / 6] * 6)


def test_nothing_is_written_when_nothing_changed(arena, monkeypatch):
    refresh(arena)
    monkeypatch.setattr("ratings.priorities.set_priorities", lambda **given: pytest.fail("written"))
    refresh(arena)


def test_new_pairs_are_weighed_at_the_next_refresh(arena):
    refresh(arena)
    late = cast.make_system(arena, "Emil")
    cast.make_output(late, arena.prompts.first(), "E.")
    plan_pairs(arena=arena)
    refresh(arena)
    new = Pair.objects.filter(arena=arena, system_b=late)
    assert sum(new.values_list("priority", flat=True)) > 0.5


def test_an_excluded_voters_verdicts_count_as_missing(arena):
    judge_pair(arena, ("Ada", "Basil"), 30)
    refresh(arena)
    before = priorities(arena)
    for voter in Voter.objects.filter(judge__arena=arena, handle__startswith="v"):
        exclude_voter(voter=voter, reason="a test")
    refresh(arena)
    after = priorities(arena)
    pair = Pair.objects.get(arena=arena, system_a__name="Ada", system_b__name="Basil")
    assert after[pair.pk] > before[pair.pk]


def test_a_judges_leaderboard_writes_none(arena):
    before = priorities(arena)
    refresh(arena, "judge-llm")
    assert priorities(arena) == before


def test_a_closed_arena_keeps_what_it_has(arena, django_user_model):
    user = django_user_model.objects.create_user("maya")
    close_arena(arena=arena, actor=user)
    before = priorities(arena)
    refresh(arena)
    assert priorities(arena) == before
    open_arena(arena=arena, actor=user)
    refresh(arena)
    assert priorities(arena) != before
