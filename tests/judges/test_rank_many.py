"""A voter puts a few outputs of a prompt in order: drawn fairly, decided once, taken back at will."""

import random  # noqa: TID251 (the verbs take one)
from collections import Counter
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from arena.models import Arena, AuditEntry, Output
from judges.exclusions import exclude_voter
from judges.models import RankedOutput, Ranking, Verdict
from judges.rankings import (
    RankingDecided,
    RankingError,
    cast_ranking,
    counted_rankings,
    last_decided,
    mark_shown,
    next_ranking,
    others_on,
    skip_ranking,
    sweep_rankings,
    undo_ranking,
)
from judges.signals import rankings_changed
from judges.voters import crowd_of
from tests.accounts import client_of, make_member, make_user
from tests.cast import make_voter

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena(small_arena):
    small_arena.rank_size = 3
    small_arena.is_open = True
    small_arena.save()
    return small_arena


@pytest.fixture
def carol(arena):
    return make_voter(crowd_of(arena), "carol")


@pytest.fixture
def dan(arena):
    return make_voter(crowd_of(arena), "dan")


IN_ORDER = {0: 1, 1: 2, 2: 3}


def ranks_of(ranking):
    return dict(RankedOutput.objects.filter(ranking=ranking).values_list("position", "rank"))


def shown_in(ranking):
    return [shown.output_id for shown in ranking.outputs.all()]


def test_the_open_ranking_comes_back_until_it_is_decided(arena, carol):
    first = next_ranking(arena=arena, voter=carol)
    assert next_ranking(arena=arena, voter=carol) == first
    cast_ranking(ranking=first, places=IN_ORDER)
    assert next_ranking(arena=arena, voter=carol).prompt_id != first.prompt_id


def test_an_arena_that_asks_for_none_gives_none(arena, carol):
    arena.rank_size = 0
    assert next_ranking(arena=arena, voter=carol) is None


def test_a_ranking_shows_different_outputs_of_one_prompt(arena, carol):
    ranking = next_ranking(arena=arena, voter=carol)
    shown = list(ranking.outputs.all())
    assert [output.position for output in shown] == [0, 1, 2]
    assert len({output.system_id for output in shown}) == 3
    assert {output.output.prompt_id for output in shown} == {ranking.prompt_id}


def test_the_order_is_kept_and_makes_no_verdict(arena, carol):
    ranking = next_ranking(arena=arena, voter=carol)
    mark_shown(ranking)
    before = Verdict.objects.count()
    cast_ranking(ranking=ranking, places={0: 2, 1: 3, 2: 1}, comment="C is to the point.")
    assert ranks_of(ranking) == {0: 2, 1: 3, 2: 1}
    kept = Ranking.objects.get(pk=ranking.pk)
    assert (kept.state, kept.comment) == ("decided", "C is to the point.")
    assert kept.dwell_ms >= 0
    assert Verdict.objects.count() == before


@pytest.mark.parametrize(
    ("places", "ranks"),
    [((1, 1, 2), (1, 1, 3)), ((1, 3, 3), (1, 2, 2)), ((2, 2, 2), (1, 1, 1))],
)
def test_equal_places_are_ties_and_gaps_say_nothing(arena, carol, places, ranks):
    ranking = next_ranking(arena=arena, voter=carol)
    cast_ranking(ranking=ranking, places=dict(enumerate(places)))
    assert ranks_of(ranking) == dict(enumerate(ranks))


def test_sending_an_order_twice_changes_nothing_and_another_is_refused(arena, carol):
    ranking = next_ranking(arena=arena, voter=carol)
    cast_ranking(ranking=ranking, places={0: 1, 1: 2, 2: 2})
    assert cast_ranking(ranking=ranking, places={0: 1, 1: 3, 2: 3}).state == "decided"
    with pytest.raises(RankingDecided, match="first order counts"):
        cast_ranking(ranking=ranking, places=IN_ORDER)
    with pytest.raises(RankingDecided):
        skip_ranking(ranking=ranking)
    assert ranks_of(ranking) == {0: 1, 1: 2, 2: 2}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"places": {0: 1, 1: 2}}, "Give every answer a place"),
        ({"places": {0: 1, 1: 2, 2: 3, 3: 1}}, "and no other"),
        ({"places": {0: 1, 1: 2, 2: 4}}, "from 1 to 3"),
        ({"places": {0: 0, 1: 2, 2: 3}}, "from 1 to 3"),
        ({"places": IN_ORDER, "comment": "x" * 5_000}, "5,000 characters"),
    ],
)
def test_what_is_no_order_of_these_outputs_is_refused(arena, carol, given, words):
    ranking = next_ranking(arena=arena, voter=carol)
    with pytest.raises(RankingError, match=words):
        cast_ranking(ranking=ranking, **given)
    assert Ranking.objects.get(pk=ranking.pk).state == "open"


def test_a_voter_meets_every_prompt_once_and_then_none(arena, carol):
    met = []
    while ranking := next_ranking(arena=arena, voter=carol):
        (skip_ranking if len(met) % 2 else lambda ranking: cast_ranking(
            ranking=ranking, places=IN_ORDER
        ))(ranking=ranking)  # fmt: skip
        met.append(ranking.prompt_id)
    assert len(met) == len(set(met)) == 6


def test_an_account_does_not_meet_again_what_its_browser_had(arena, carol, dan, django_user_model):
    user = django_user_model.objects.create_user("carol@example.org")
    for _ in range(6):
        skip_ranking(ranking=next_ranking(arena=arena, voter=carol))
    type(carol).objects.filter(pk__in=[carol.pk, dan.pk]).update(user=user)
    dan.refresh_from_db()
    assert next_ranking(arena=arena, voter=dan) is None


def test_outputs_that_name_their_system_or_are_blank_are_not_shown(arena, carol):
    hidden = Output.objects.filter(arena=arena, system__name="Ada")
    hidden.update(leak="I am Ada")
    while ranking := next_ranking(arena=arena, voter=carol):
        assert "Ada" not in {shown.system.name for shown in ranking.outputs.all()}
        skip_ranking(ranking=ranking)
    assert Ranking.objects.count() == 6
    Output.objects.filter(arena=arena, system__name="Basil").update(text="")
    assert next_ranking(arena=arena, voter=make_voter(crowd_of(arena), "eve")) is None


def test_every_system_is_ranked_about_as_often_and_meets_every_other(arena):
    crowd, met, pairs = crowd_of(arena), Counter(), Counter()
    for number in range(20):
        voter = make_voter(crowd, f"voter {number}")
        for seed in range(6):
            rng = random.Random(100 * number + seed)
            ranking = next_ranking(arena=arena, voter=voter, rng=rng)
            systems = [shown.system_id for shown in ranking.outputs.all()]
            met.update(systems)
            pairs.update((a, b) for a in systems for b in systems if a < b)
            cast_ranking(ranking=ranking, places=IN_ORDER)
    # 120 rankings of three out of four systems: 90 each.
    assert max(met.values()) - min(met.values()) <= 12
    assert len(pairs) == 6
    assert min(pairs.values()) >= 40


def test_every_system_stands_everywhere_on_the_page(arena):
    crowd, first = crowd_of(arena), Counter()
    for number in range(120):
        voter = make_voter(crowd, f"voter {number}")
        ranking = next_ranking(arena=arena, voter=voter, rng=random.Random(number))
        first[ranking.outputs.all()[0].system.name] += 1
    assert min(first.values()) >= 12  # 30 expected: four standard deviations


def test_undo_takes_the_order_back_and_the_prompt_never_comes_again(arena, carol):
    before = cast_ranking(ranking=next_ranking(arena=arena, voter=carol), places=IN_ORDER)
    ranking = cast_ranking(ranking=next_ranking(arena=arena, voter=carol), places=IN_ORDER)
    following = next_ranking(arena=arena, voter=carol)
    for _ in range(2):
        assert undo_ranking(ranking=last_decided(voter=carol)) is None
    assert next_ranking(arena=arena, voter=carol) == following
    assert counted_rankings(arena=arena).get() == before
    assert ranks_of(ranking) == {0: 1, 1: 2, 2: 3}  # it stays on record
    met = set()
    while following := next_ranking(arena=arena, voter=carol):
        skip_ranking(ranking=following)
        met.add(following.prompt_id)
    assert ranking.prompt_id not in met


def test_undo_of_a_skip_brings_the_outputs_back(arena, carol):
    skipped = skip_ranking(ranking=next_ranking(arena=arena, voter=carol))
    again = undo_ranking(ranking=skipped)
    assert shown_in(again) == shown_in(skipped)
    assert cast_ranking(ranking=again, places=IN_ORDER).state == "decided"


def test_what_others_said_leaves_out_the_excluded_and_oneself(arena, carol, dan):
    eve = make_voter(crowd_of(arena), "eve")
    ranking = cast_ranking(ranking=next_ranking(arena=arena, voter=carol), places=IN_ORDER)
    outputs = [(shown.output_id, shown.system_id) for shown in ranking.outputs.all()]
    from judges import rankings

    for voter, places in ((dan, {0: 2, 1: 1, 2: 3}), (eve, {0: 3, 1: 1, 2: 2})):
        copy = rankings._create(arena, voter, prompt_id=ranking.prompt_id, outputs=outputs)
        cast_ranking(ranking=copy, places=places)
    means = [others_on(ranking)[output] for output, _ in outputs]
    assert means == [(2.5, 2), (1.0, 2), (2.5, 2)]
    exclude_voter(voter=eve, reason="ranks by length")
    assert [others_on(ranking)[output] for output, _ in outputs] == [(2.0, 1), (1.0, 1), (3.0, 1)]


def test_new_orders_and_those_taken_back_are_told(arena, carol):
    told = []

    def hear(**given):
        told.append(given["arena_id"])

    rankings_changed.connect(hear)
    try:
        ranking = cast_ranking(ranking=next_ranking(arena=arena, voter=carol), places=IN_ORDER)
        cast_ranking(ranking=ranking, places=IN_ORDER)
        undo_ranking(ranking=ranking)
        skip_ranking(ranking=next_ranking(arena=arena, voter=carol))
    finally:
        rankings_changed.disconnect(hear)
    assert told == [arena.pk] * 2


def test_forgotten_rankings_are_swept_and_networks_erased(arena, carol):
    decided = cast_ranking(
        ranking=next_ranking(arena=arena, voter=carol), places=IN_ORDER, network="abc"
    )
    waiting = next_ranking(arena=arena, voter=carol)
    assert sweep_rankings() == 0
    long_ago = timezone.now() - timedelta(days=2)
    Ranking.objects.update(created_at=long_ago)
    Ranking.objects.filter(pk=decided.pk).update(decided_at=long_ago)
    assert sweep_rankings() == 2
    assert not Ranking.objects.filter(pk=waiting.pk).exists()
    assert Ranking.objects.get(pk=decided.pk).network == ""


def broken(change):
    with pytest.raises(IntegrityError), transaction.atomic():
        change()
        connection.check_constraints()


def test_the_database_keeps_rankings_whole(arena, carol):
    ranking = next_ranking(arena=arena, voter=carol)
    shown = RankedOutput.objects.filter(ranking=ranking)
    first, second = shown[:2]
    other = arena.prompts.exclude(pk=ranking.prompt_id).first()
    foreign = Output.objects.filter(prompt=other).first()
    now = timezone.now()
    mine = Ranking.objects.filter(pk=ranking.pk)
    one = RankedOutput.objects.filter(pk=first.pk)
    for change in (
        lambda: Ranking.objects.create(arena=arena, voter=carol, prompt=other),
        lambda: one.update(output=second.output_id, system=second.system_id),
        lambda: one.update(output=foreign),
        lambda: one.update(system=second.system_id),
        lambda: one.update(rank=1),
        lambda: one.update(position=5),
        lambda: mine.update(state="decided"),
        lambda: mine.update(state="decided", decided_at=now, is_ordered=True),
        lambda: (
            mine.update(state="decided", decided_at=now, is_ordered=True),
            shown.update(is_ordered=True),
        ),
        lambda: type(arena).objects.filter(pk=arena.pk).update(rank_size=2),
    ):
        broken(change)


def test_drawing_and_casting_take_a_constant_number_of_queries(
    arena, carol, django_assert_max_num_queries
):
    cast_ranking(ranking=next_ranking(arena=arena, voter=carol), places=IN_ORDER)
    for number in range(10):
        voter = make_voter(crowd_of(arena), f"voter {number}")
        with django_assert_max_num_queries(14):
            ranking = next_ranking(arena=arena, voter=voter)
        with django_assert_max_num_queries(12):
            cast_ranking(ranking=ranking, places=IN_ORDER)


def test_a_maintainer_asks_for_rankings_in_the_settings(arena):
    maintainer = make_member(arena, "maintainer")
    client, address = client_of(maintainer), reverse("arena:manage-settings", args=[arena.slug])
    form = {"name": arena.name, "who_votes": "anyone", "votes_wanted": "0", "is_public": "on"}
    for typed, kept in (("5", 5), ("0", 0), ("4", 4)):
        assert client.post(address, form | {"rank_size": typed}).status_code == 302
        arena.refresh_from_db()
        assert arena.rank_size == kept
    assert AuditEntry.objects.filter(subject__contains="rank_size").count() == 3
    response = client.post(address, form | {"rank_size": "6"})
    assert "6 is not one of the available choices" in response.content.decode()


def test_a_command_makes_an_arena_that_asks_for_rankings(db):
    make_user("alice")
    make = ["create_arena", "physics", "--name", "Physics", "--maintainer", "alice@example.org"]
    call_command(*make, "--rank-size", "5", stdout=StringIO())
    assert Arena.objects.get(slug="physics").rank_size == 5
    with pytest.raises(CommandError, match="invalid choice"):
        call_command(*make, "--rank-size", "2", stdout=StringIO())
