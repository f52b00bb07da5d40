"""The maintainer's page of voters: what is computed of each, and excluding one."""

import csv
import io
from datetime import timedelta

import numpy as np
import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils import timezone

from arena.models import AuditEntry, Membership
from judges.exclusions import exclude_voter
from judges.models import Ballot, Exclusion, GoldItem, Judge, Outcome, Verdict, Voter
from judges.voting import retract_verdict
from ratings import publications, snapshots, voters
from ratings.models import Publication, Rating, VoterRecord, VoterReport
from ratings.slices import Slice
from tests import cast


@pytest.fixture
def maya(small_arena, client):
    """A maintainer, signed in."""
    user = get_user_model().objects.create_user("maya", email="maya@example.org")
    Membership.objects.create(arena=small_arena, user=user, role="maintainer")
    client.force_login(user)
    return user


def record_of(arena, handle: str = "alice") -> VoterRecord:
    voters.refresh(arena=arena)
    return VoterRecord.objects.get(arena=arena, handle=handle)


def alice() -> Voter:
    return Voter.objects.get(handle="alice")


def test_agreement_is_with_the_majority_of_the_others(small_arena):
    mine = dict(Verdict.objects.filter(voter__handle="alice").values_list("battle", "outcome"))
    bobs = dict(Verdict.objects.filter(voter__handle="bob").values_list("battle", "outcome"))
    record = record_of(small_arena)
    assert record.n_verdicts == record.n_agreement == 36
    assert record.agreement == np.mean([mine[battle] == bobs[battle] for battle in mine])
    assert record.agreement_lower < record.agreement < record.agreement_upper


def test_excluded_voters_are_not_among_the_others(small_arena):
    exclude_voter(voter=Voter.objects.get(handle="bob"), reason="votes at random")
    record = record_of(small_arena)
    assert (record.n_agreement, record.agreement) == (0, None)
    # The excluded one is still compared with those who count.
    assert record_of(small_arena, "bob").n_agreement == 36


def test_what_was_taken_back_is_not_counted(small_arena):
    for verdict in Verdict.objects.filter(voter__handle="alice")[:6]:
        retract_verdict(verdict=verdict)
    record = record_of(small_arena)
    assert (record.n_verdicts, record.n_retracted) == (30, 6)
    assert record_of(small_arena, "bob").n_retracted == 0


def test_who_took_everything_back_is_no_longer_listed(small_arena):
    voters.refresh(arena=small_arena)
    for verdict in Verdict.objects.filter(voter__handle="alice"):
        retract_verdict(verdict=verdict)
    voters.refresh(arena=small_arena)
    assert [record.handle for record in VoterRecord.objects.all()] == ["bob"]


def test_the_left_share_counts_votes_for_a_side_that_is_known(small_arena):
    mine = Verdict.objects.filter(voter__handle="alice").order_by("pk")
    for number, verdict in enumerate(mine):
        first = [verdict.outcome, 1 - verdict.outcome, None][number % 3]
        Verdict.objects.filter(pk=verdict.pk).update(shown_first=first)
    record = record_of(small_arena)
    assert (record.left, record.n_sides, record.left_share) == (12, 24, 0.5)


def test_gold_items_and_dwell_time_come_from_the_ballots(small_arena):
    for number in range(4):
        item = GoldItem.objects.create(
            arena=small_arena, source_id=str(number), prompt="?", output_a="a", output_b="b",
            expected=Outcome.A,
        )  # fmt: skip
        Ballot.objects.create(
            arena=small_arena, voter=alice(), gold_item=item, purpose="gold", state="voted",
            shown_first=0, outcome=Outcome.B if number == 0 else Outcome.A,
            decided_at=timezone.now(), dwell_ms=1000 * number,
        )  # fmt: skip
    record = record_of(small_arena)
    assert (record.gold_right, record.n_gold, record.median_dwell_ms) == (3, 4, 1500)


def test_repeats_in_the_browser_count_for_test_retest(small_arena):
    mine = Verdict.objects.filter(voter__handle="alice", criterion="")[:3]
    for number, verdict in enumerate(mine):
        again = Outcome.BOTH_BAD if number == 0 else verdict.outcome
        Ballot.objects.create(
            arena=small_arena, voter=alice(), battle_id=verdict.battle_id, purpose="repeat",
            state="voted", shown_first=1, repetition=1, outcome=again, decided_at=timezone.now(),
        )  # fmt: skip
    record = record_of(small_arena)
    assert (record.retest_same, record.n_retest) == (2, 3)


def test_a_battle_that_was_decided_again_counts_for_test_retest(small_arena):
    people = Judge.objects.get(slug="people")
    mine = Verdict.objects.filter(voter__handle="alice").select_related("battle")[:3]
    for number, verdict in enumerate(mine):
        again = Outcome.TIE if number == 0 else Outcome(verdict.outcome)
        cast.make_verdict(verdict.battle, people, again, alice(), repetition=1)
    record = record_of(small_arena)
    assert (record.retest_same, record.n_retest, record.n_agreement) == (2, 3, 36)


def test_influence_on_the_first_place_is_that_of_a_leaderboard_without_the_voter(small_arena):
    people = Judge.objects.get(slug="people")
    fan = cast.make_voter(people, "fan")
    dora = small_arena.systems.get(name="Dora")
    for battle in small_arena.battles.all():
        if dora.pk in (battle.system_a_id, battle.system_b_id):
            for repetition in range(6):
                outcome = Outcome.A if battle.system_a_id == dora.pk else Outcome.B
                cast.make_verdict(battle, people, outcome, fan, repetition=repetition)
    record = record_of(small_arena, "fan")
    assert VoterReport.objects.get().first == dora
    assert record.changes_first
    snapshot = snapshots.build(arena=small_arena, slice=Slice(without="fan"), rounds=20)
    assert record.first_without == Rating.objects.get(snapshot=snapshot, rank=1).system
    assert record.favoured == dora
    assert record.p_favour < 0.001


def test_records_are_computed_after_peoples_leaderboard_and_not_all_the_time(small_arena):
    assert voters.sweep() == 0
    publications.refresh_all(arena=small_arena)
    assert voters.sweep() == 1
    Publication.objects.update(refreshed_at=timezone.now() + timedelta(seconds=1))
    assert voters.sweep() == 0  # computed a moment ago
    VoterReport.objects.update(computed_at=timezone.now() - timedelta(minutes=6))
    assert voters.sweep() == 1


def test_of_two_workers_one_computes(small_arena):
    voters.refresh(arena=small_arena)
    VoterReport.objects.update(claimed_until=timezone.now() + timedelta(minutes=1))
    VoterRecord.objects.all().delete()
    voters.refresh(arena=small_arena)
    assert not VoterRecord.objects.exists()


def test_computing_takes_the_same_number_of_queries_for_any_number_of_voters(
    small_arena, django_assert_max_num_queries
):
    people = Judge.objects.get(slug="people")
    battle = small_arena.battles.first()
    for number in range(30):
        cast.make_verdict(battle, people, Outcome.A, cast.make_voter(people, f"voter {number}"))
    with django_assert_max_num_queries(28):
        voters.refresh(arena=small_arena)


def test_only_maintainers_see_voters(small_arena, client):
    user = get_user_model().objects.create_user("rita")
    Membership.objects.create(arena=small_arena, user=user, role="researcher")
    addresses = [
        reverse("ratings:voters", args=["poems"]),
        reverse("ratings:voter", args=["poems", alice().pk]),
    ]
    for address in addresses:
        assert client.get(address).status_code == 404
    client.force_login(user)
    for address in addresses:
        assert client.get(address).status_code == 404
        assert client.post(address, {"reason": "x", "act": "exclude"}).status_code in (404, 405)
    assert not Exclusion.objects.exists()


def test_the_list_is_filtered_sorted_and_downloaded(small_arena, client, maya):
    voters.refresh(arena=small_arena)
    exclude_voter(voter=alice(), reason="votes at random")
    address = reverse("ratings:voters", args=["poems"])
    page = client.get(address).content.decode()
    assert "alice" in page
    assert page.count('class="chip warn">excluded') == 1
    shown = client.get(address, {"state": "excluded", "sort": "-verdicts"}).content.decode()
    assert "alice" in shown
    assert "bob" not in shown
    assert "No voter fits" in client.get(address, {"q": "zoe"}).content.decode()
    text = client.get(address, {"format": "csv", "sort": "handle"}).content.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["voter"], row["excluded"]) for row in rows] == [
        ("alice", "True"),
        ("bob", "False"),
    ]


def test_a_page_takes_few_queries(small_arena, client, maya, django_assert_max_num_queries):
    people = Judge.objects.get(slug="people")
    battle = small_arena.battles.first()
    for number in range(40):
        cast.make_verdict(battle, people, Outcome.A, cast.make_voter(people, f"voter {number}"))
    voters.refresh(arena=small_arena)
    with django_assert_max_num_queries(14):
        client.get(reverse("ratings:voters", args=["poems"]))


def test_a_maintainer_excludes_with_a_reason_and_takes_it_back(small_arena, client, maya):
    voters.refresh(arena=small_arena)
    address = reverse("ratings:voter", args=["poems", alice().pk])
    page = client.get(address).content.decode()
    assert "It sets 36 verdicts aside" in page
    assert "?without=alice" in page
    assert "This field is required" in client.post(address, {"act": "exclude"}).content.decode()
    assert not Exclusion.objects.exists()
    for _ in range(2):
        client.post(address, {"act": "exclude", "reason": "always left"})
    assert Exclusion.objects.get().by == maya
    assert "always left" in client.get(address).content.decode()
    client.post(address, {"act": "readmit", "reason": "it was a mistake"})
    assert AuditEntry.objects.count() == 2


def test_a_voter_of_another_arena_is_not_found(small_arena, client, maya):
    other = cast.make_voter(cast.make_judge(cast.make_arena("prose")), "zoe")
    assert client.get(reverse("ratings:voter", args=["poems", other.pk])).status_code == 404
