"""A voter is excluded: every figure leaves the verdicts out and says so, and old snapshots still verify."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from arena.models import AuditEntry
from judges.exclusions import ExclusionError, exclude_voter, readmit_voter
from judges.models import Exclusion, Judge, Outcome, Verdict, Voter
from judges.records import Selection, battles_page, summaries
from judges.voting import retract_verdict
from ratings import cells, publications, reports, snapshots
from ratings.models import Publication
from ratings.slices import Slice, SliceError
from tests import cast

# Of a slice that was stored before there were exclusions.
DIGEST_OF_PEOPLE = "e397546796c3ac2816da26fe694c1162afc3d4eabdc063599fd68659531a50dd"


def alice_of(arena) -> Voter:
    return Voter.objects.get(judge__arena=arena, handle="alice")


def by_hand(verdicts) -> dict:
    counts = {}
    for verdict in verdicts:
        key = (verdict.pair_id, verdict.prompt_id, verdict.outcome)
        counts[key] = counts.get(key, 0) + 1
    return counts


def n_counted(arena, **parts) -> int:
    return cells.count(arena=arena, slice=Slice(**parts)).n_verdicts


def test_an_excluded_voters_verdicts_are_not_counted(small_arena):
    exclude_voter(voter=alice_of(small_arena), reason="votes at random")
    found = cells.count(arena=small_arena, slice=Slice())
    bobs = Verdict.objects.filter(voter__handle="bob")
    assert sorted(found.count.tolist()) == sorted(by_hand(bobs).values())
    assert found.n_verdicts == bobs.count() == 36
    assert found.set_aside == [("votes at random", 36, 1)]
    assert (found.n_voters, found.n_battles, found.n_retracted) == (1, 36, 0)


def test_figures_that_count_by_battle_leave_them_out_too(small_arena):
    exclude_voter(voter=alice_of(small_arena), reason="votes at random")
    votes, _ = cells.votes_by_battle(arena=small_arena, slice=Slice(), up_to=cells.watermark())
    assert all(sum(of) == 1 for of in votes.values())


def test_what_is_taken_back_and_of_an_excluded_voter_is_subtracted_once(small_arena):
    for verdict in Verdict.objects.filter(voter__handle="alice")[:5]:
        retract_verdict(verdict=verdict)
    exclude_voter(voter=alice_of(small_arena), reason="votes at random")
    found = cells.count(arena=small_arena, slice=Slice())
    assert (found.n_verdicts, found.n_retracted, found.n_set_aside) == (36, 5, 31)


def test_a_readmitted_voter_counts_again_with_the_same_data(small_arena):
    before = cells.count(arena=small_arena, slice=Slice()).digest()
    exclude_voter(voter=alice_of(small_arena), reason="votes at random")
    assert cells.count(arena=small_arena, slice=Slice()).digest() != before
    readmit_voter(voter=alice_of(small_arena), reason="it was a mistake")
    assert cells.count(arena=small_arena, slice=Slice()).digest() == before


def test_doing_it_again_changes_nothing(small_arena):
    alice = alice_of(small_arena)
    assert readmit_voter(voter=alice, reason="never excluded") is None
    first = exclude_voter(voter=alice, reason="votes at random")
    assert exclude_voter(voter=alice, reason="another reason") == first
    assert readmit_voter(voter=alice, reason="it was a mistake") is not None
    assert readmit_voter(voter=alice, reason="it was a mistake") is None
    assert Exclusion.objects.count() == 2


def test_an_exclusion_needs_a_reason(small_arena):
    for reason in ("", "  ", "x" * 201):
        with pytest.raises(ExclusionError, match="Nothing was changed"):
            exclude_voter(voter=alice_of(small_arena), reason=reason)
    assert not Exclusion.objects.exists()


def test_every_act_is_in_the_audit_log(small_arena):
    maya = get_user_model().objects.create_user("maya")
    exclude_voter(voter=alice_of(small_arena), reason="votes at random", by=maya)
    readmit_voter(voter=alice_of(small_arena), reason="it was a mistake", by=maya)
    acts = AuditEntry.objects.order_by("pk").values_list("act", "subject", "actor", "details")
    assert list(acts) == [
        ("exclude voter", "alice", maya.pk, {"reason": "votes at random"}),
        ("readmit voter", "alice", maya.pk, {"reason": "it was a mistake"}),
    ]


def test_it_makes_the_figures_stale(small_arena):
    publications.refresh_all(arena=small_arena)
    exclude_voter(voter=alice_of(small_arena), reason="votes at random")
    stale = Publication.objects.filter(counts_people=True).values_list("stale_since", flat=True)
    assert stale
    assert all(stale)


@pytest.mark.parametrize("shared_with", ["", "judge-llm"])
def test_an_old_snapshot_comes_out_again_after_a_later_exclusion(small_arena, shared_with):
    slice = Slice(shared_with=shared_with)
    before = snapshots.build(arena=small_arena, slice=slice, rounds=50)
    exclude_voter(voter=alice_of(small_arena), reason="votes at random")
    between = snapshots.build(arena=small_arena, slice=slice, rounds=50)
    readmit_voter(voter=alice_of(small_arena), reason="it was a mistake")
    exclude_voter(voter=Voter.objects.get(handle="bob"), reason="always left")
    after = snapshots.build(arena=small_arena, slice=slice, rounds=50)
    assert len({before.data_digest, between.data_digest, after.data_digest}) == 3
    for snapshot in (before, between, after):
        result = snapshots.verify(snapshot=snapshot)
        assert result.passed
        assert result.largest_difference == 0


def test_what_a_judge_shared_with_people_is_as_it_was_then(small_arena):
    """A battle that only an excluded voter decided isn't shared with people any more."""
    only = Verdict.objects.filter(voter__handle="bob").first()
    retract_verdict(verdict=only)
    slice = Slice(judge="judge-llm", shared_with="people")
    before = snapshots.build(arena=small_arena, slice=slice, rounds=50)
    exclude_voter(voter=alice_of(small_arena), reason="votes at random")
    after = snapshots.build(arena=small_arena, slice=slice, rounds=50)
    assert (before.n_verdicts, after.n_verdicts) == (36, 35)
    for snapshot in (before, after):
        assert snapshots.verify(snapshot=snapshot).passed


def test_a_report_leaves_them_out_and_says_how_many(small_arena):
    exclude_voter(voter=alice_of(small_arena), reason="votes at random")
    slice = Slice(judge="judge-llm", shared_with="people")
    report = reports.build(arena=small_arena, slice=slice, rounds=50)
    assert (report.n_reference_verdicts, report.n_set_aside) == (36, 36)
    assert report.last_exclusion_id == Exclusion.objects.get().pk


def test_the_leaderboard_says_how_many_were_set_aside_and_why(small_arena, client):
    publications.refresh_all(arena=small_arena)
    exclude_voter(voter=alice_of(small_arena), reason="<b>votes</b> at random")
    publications.refresh_all(arena=small_arena)
    page = client.get(reverse("ratings:leaderboard", args=["poems"])).content.decode()
    assert "36 verdicts set aside, not counted: 36 of 1 voter" in page
    assert "&lt;b&gt;votes&lt;/b&gt; at random" in page


def test_many_reasons_are_named_up_to_a_bound(small_arena):
    people = Judge.objects.get(slug="people")
    battle = small_arena.battles.first()
    for number in range(8):
        voter = cast.make_voter(people, f"voter {number}")
        cast.make_verdict(battle, people, Outcome.TIE, voter)
        exclude_voter(voter=voter, reason=f"reason {number}")
    found = cells.count(arena=small_arena, slice=Slice())
    assert found.n_set_aside == 8
    assert found.set_aside[-1] == ("3 other reasons", 3, 3)


def test_counting_with_exclusions_takes_few_queries(small_arena, django_assert_max_num_queries):
    exclude_voter(voter=alice_of(small_arena), reason="votes at random")
    with django_assert_max_num_queries(18):
        cells.count(arena=small_arena, slice=Slice())


def test_summaries_of_battles_leave_them_out_and_the_battle_says_so(small_arena, client):
    exclude_voter(voter=alice_of(small_arena), reason="votes at random")
    battles = battles_page(Selection(arena=small_arena)).battles
    assert all("2" not in words for words in summaries(battles).values())
    page = client.get(reverse("judges:battle", args=["poems", battles[0].pk])).content.decode()
    assert page.count("set aside, not counted") == 1


def test_the_digest_of_a_slice_that_leaves_nobody_out_is_what_it_was():
    assert Slice().digest == DIGEST_OF_PEOPLE
    assert Slice.from_json(Slice().as_json()) == Slice()
    assert "without" not in Slice().as_json()
    assert Slice(without="alice").digest != DIGEST_OF_PEOPLE


def test_a_leaderboard_without_one_voter(small_arena):
    assert n_counted(small_arena, without="alice") == 36
    snapshot = snapshots.build(arena=small_arena, slice=Slice(without="alice"), rounds=50)
    assert snapshot.n_set_aside == 36
    assert "by choice" in snapshot.set_aside[0]["reason"]
    assert snapshots.verify(snapshot=snapshot).passed
    with pytest.raises(SliceError, match="no voter 'zoe'"):
        n_counted(small_arena, without="zoe")


def test_a_leaderboard_without_one_voter_has_an_address(small_arena, client):
    address = reverse("ratings:leaderboard", args=["poems"])
    assert client.get(address, {"without": "zoe"}).status_code == 404
    client.get(address, {"without": "alice"})
    publications.refresh_all(arena=small_arena)
    page = client.get(address, {"without": "alice"}).content.decode()
    assert "without the voter" in page
    assert "from 36 verdicts" in page
    rows = client.get("/api/v1/arenas/poems/leaderboards/", {"without": "alice"}).json()["results"]
    assert [row["snapshot"]["slice"]["without"] for row in rows] == ["alice"]
