import json
from dataclasses import replace

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from judges.models import Outcome, Verdict
from judges.voting import retract_verdict
from ratings import packed_tallies, snapshots
from ratings.models import Rating, Snapshot
from ratings.slices import Slice
from tests import cast


@pytest.fixture(autouse=True)
def few_rounds(settings):
    settings.BOOTSTRAP_ROUNDS = 200


@pytest.fixture
def snapshot(small_arena):
    return snapshots.build(arena=small_arena, slice=Slice())


def test_people_who_prefer_the_earlier_system_rank_it_first(snapshot):
    ranked = snapshot.ratings.order_by("rank").values_list("system__name", flat=True)
    assert list(ranked) == ["Ada", "Basil", "Cleo", "Dora"]
    assert snapshot.n_ranked == 4


def test_ratings_are_centred_and_inside_their_intervals(snapshot):
    ratings = list(snapshot.ratings.all())
    assert np.mean([row.rating for row in ratings]) == pytest.approx(1000)
    for row in ratings:
        assert row.lower < row.rating < row.upper
        assert row.rank_lower <= row.rank <= row.rank_upper
        assert row.wins + row.losses + row.ties == row.n_verdicts == 36


def test_the_same_slice_of_the_same_data_is_one_snapshot(small_arena, snapshot):
    assert snapshots.build(arena=small_arena, slice=Slice()) == snapshot
    assert Snapshot.objects.count() == 1


def test_a_new_verdict_makes_a_new_snapshot_that_knows_the_one_before(small_arena, snapshot):
    battle, people = small_arena.battles.first(), small_arena.judges.get(slug="people")
    cast.make_verdict(battle, people, Outcome.B, cast.make_voter(people, "carol"))
    later = snapshots.build(arena=small_arena, slice=Slice())
    assert later.previous == snapshot
    for row in later.ratings.all():
        before = snapshot.ratings.get(system=row.system)
        assert row.change == pytest.approx(row.rating - before.rating)


@pytest.mark.parametrize("method", ["bt", "davidson", "elo"])
def test_each_method_ranks_the_clearly_best_first(small_arena, method):
    built = snapshots.build(arena=small_arena, slice=Slice(judge="judge-llm", method=method))
    names = built.ratings.order_by("rank").values_list("system__name", flat=True)
    assert list(names) == ["Ada", "Basil", "Cleo", "Dora"]
    assert (built.tie_parameter is not None) == (method == "davidson")


def test_many_known_prompts_are_resampled_whole(db):
    arena = cast.make_small_arena(prompts=30)
    assert snapshots.build(arena=arena, slice=Slice()).interval == Snapshot.Interval.PROMPTS


def test_few_prompts_are_not(snapshot):
    assert snapshot.interval == Snapshot.Interval.VERDICTS


def test_a_system_without_verdicts_says_so_and_has_no_number(small_arena):
    new = cast.make_system(small_arena, "Newcomer")
    row = snapshots.build(arena=small_arena, slice=Slice()).ratings.get(system=new)
    assert row.status == Rating.Status.NO_BATTLES
    assert (row.rating, row.rank, row.tier, row.win_rate) == (None, None, None, None)


def test_a_system_that_won_everything_is_unbounded_and_the_others_keep_their_ratings(small_arena):
    before = snapshots.build(arena=small_arena, slice=Slice())
    hero, people = cast.make_system(small_arena, "Hero"), small_arena.judges.get(slug="people")
    for system in small_arena.systems.exclude(pk=hero.pk):
        battle = cast.make_battle(hero, system, small_arena.prompts.first())
        cast.make_verdict(battle, people, Outcome.B if battle.system_b == hero else Outcome.A)
    after = snapshots.build(arena=small_arena, slice=Slice())
    assert after.ratings.get(system=hero).status == Rating.Status.UNBOUNDED_ABOVE
    for row in before.ratings.all():
        assert after.ratings.get(system=row.system).rating == pytest.approx(row.rating)


def test_an_arena_without_verdicts_has_a_snapshot_that_ranks_nobody(db):
    arena = cast.make_arena()
    cast.make_judge(arena)
    cast.make_system(arena, "Ada")
    built = snapshots.build(arena=arena, slice=Slice())
    assert (built.n_ranked, built.n_verdicts) == (0, 0)


def test_a_snapshot_is_written_once(snapshot):
    snapshot.seed = 1
    with pytest.raises(ValidationError, match="immutable"):
        snapshot.save()
    rating = snapshot.ratings.first()
    with pytest.raises(ValidationError, match="immutable"):
        rating.save()


def test_the_tallies_of_a_snapshot_are_those_of_its_verdicts(small_arena, snapshot):
    system_a, system_b, counts = packed_tallies.unpack(snapshot.tallies.npz)
    assert counts.sum() == snapshot.n_verdicts
    for a, b, row in zip(system_a.tolist(), system_b.tolist(), counts.tolist(), strict=True):
        for outcome in Outcome:
            expected = Verdict.objects.filter(
                judge__slug="people", battle__system_a=a, battle__system_b=b, outcome=outcome
            )
            assert row[outcome] == expected.count()


def test_a_snapshot_verifies(snapshot):
    result = snapshots.verify(snapshot=snapshot)
    assert result.passed
    assert result.same_code


def test_a_snapshot_still_verifies_after_new_verdicts_retractions_and_systems(
    small_arena, snapshot
):
    people = small_arena.judges.get(slug="people")
    cast.make_verdict(
        small_arena.battles.first(), people, Outcome.B, cast.make_voter(people, "carol")
    )
    retract_verdict(verdict=Verdict.objects.filter(judge=people).first())
    cast.make_system(small_arena, "Aaron")
    assert snapshots.verify(snapshot=snapshot).passed


def test_tampered_verdicts_do_not_verify(snapshot):
    verdict = Verdict.objects.filter(judge__slug="people").first()
    Verdict.objects.filter(pk=verdict.pk).update(outcome=Outcome.BOTH_BAD)
    result = snapshots.verify(snapshot=snapshot)
    assert not result.same_data
    with pytest.raises(CommandError, match="the data it was counted from has changed"):
        call_command("verify_snapshot", snapshot.pk)


def test_tampered_ratings_do_not_verify(snapshot):
    row = snapshot.ratings.first()
    Rating.objects.filter(pk=row.pk).update(rating=row.rating + 1e-6)
    assert not snapshots.verify(snapshot=snapshot).passed
    with pytest.raises(CommandError, match="numbers differ"):
        call_command("verify_snapshot", snapshot.pk)


def test_another_seed_gives_other_intervals_and_the_same_ratings(small_arena, snapshot):
    other = snapshots.build(arena=small_arena, slice=Slice(), seed=1)
    mine, theirs = (list(s.ratings.order_by("system_id")) for s in (snapshot, other))
    assert [row.rating for row in mine] == [row.rating for row in theirs]
    assert [row.lower for row in mine] != [row.lower for row in theirs]


def test_the_command_prints_the_leaderboard(small_arena, capsys):
    call_command("rate", arena="poems")
    printed = capsys.readouterr().out
    assert "4 systems ranked from 72 verdicts on 36 battles" in printed
    assert printed.index("Ada") < printed.index("Dora")


def test_the_command_prints_json_with_what_is_needed_to_recompute(small_arena, capsys):
    call_command("rate", arena="poems", judge="Judge LLM", json=True)
    printed = json.loads(capsys.readouterr().out)
    built = Snapshot.objects.get()
    assert printed["seed"] == Slice(judge="judge-llm").seed == built.seed
    assert printed["data_digest"] == built.data_digest
    assert [row["system"] for row in printed["systems"]] == ["Ada", "Basil", "Cleo", "Dora"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"arena": "nowhere"}, "no arena 'nowhere'; there is poems"),
        ({"arena": "poems", "judge": "nobody"}, "no judge 'nobody'; it has people, judge-llm"),
        ({"arena": "poems", "since": "monday"}, "since: 'monday' is not a date"),
        ({"arena": "poems", "ridge": -1.0}, "ridge: -1.0"),
    ],
)
def test_the_command_says_what_is_wrong(small_arena, options, says):
    with pytest.raises(CommandError, match=says):
        call_command("rate", **options)


def test_a_ridge_is_part_of_the_slice(small_arena, snapshot):
    shrunk = snapshots.build(arena=small_arena, slice=replace(Slice(), ridge=5.0))
    assert shrunk.slice_digest != snapshot.slice_digest
    spread = [np.ptp([row.rating for row in s.ratings.all()]) for s in (snapshot, shrunk)]
    assert spread[1] < spread[0]
