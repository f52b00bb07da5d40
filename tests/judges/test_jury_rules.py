"""Every rule by hand, and that none of them knows which side is called A."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.juries.exam import examine, weight_of
from judges.juries.rules import Vote, committee, council, majority, mean, weighted
from judges.programs.verdicts import Decision

A, B, TIE, BAD = Decision
SWAPPED = {A: B, B: A, TIE: TIE, BAD: BAD, None: None}


def panel(*decisions):
    return [Vote(f"m{n}", decision) for n, decision in enumerate(decisions)]


@pytest.mark.parametrize(
    ("decisions", "outcome", "support", "margin"),
    [
        ((A, A, B), A, 2 / 3, 1 / 3),
        ((B, B, B), B, 1, -1),
        ((A, B), TIE, 0, 0),
        ((A, A, B, B), TIE, 0, 0),
        ((A, A, B, TIE), TIE, 1 / 4, 1 / 4),  # two of four are no majority
        ((A, A, A, B), A, 3 / 4, 1 / 2),
        ((A,), A, 1, 1),
        ((TIE, TIE, A), TIE, 2 / 3, 1 / 3),
        ((BAD, BAD, A), BAD, 2 / 3, 1 / 3),
        ((BAD, BAD, TIE, TIE), TIE, 1 / 2, 0),
        ((A, B, TIE), TIE, 1 / 3, 0),
        (
            (A, A, B, B, TIE),
            TIE,
            1 / 5,
            0,
        ),  # the most frequent labels are level: no first label wins
    ],
)
def test_a_majority_is_more_than_half_of_the_panel(decisions, outcome, support, margin):
    ruling = majority(panel(*decisions))
    assert ruling.outcome is outcome
    assert (ruling.support, ruling.margin) == pytest.approx((support, margin))
    assert ruling.seated == len(decisions)


@pytest.mark.parametrize("order", [(A, None, B), (B, None, A)])
def test_a_panel_that_a_failed_member_made_even_is_tied_whatever_the_order(order):
    ruling = majority(panel(*order))
    assert (ruling.outcome, ruling.abstentions) == (TIE, ("m1",))


def test_abstentions_stay_in_the_denominator():
    ruling = majority(panel(A, None, None))
    assert (ruling.outcome, ruling.support, ruling.margin) == (TIE, 0, pytest.approx(1 / 3))
    assert (ruling.dissenters, ruling.abstentions) == (("m0",), ("m1", "m2"))
    assert majority(panel(A, A, None)).outcome is A
    assert majority(panel(A, A, None, None)).outcome is TIE


def test_where_nobody_speaks_there_is_no_outcome():
    for ruling in (majority(panel(None, None)), majority([]), mean(panel(None)), mean([])):
        assert (ruling.outcome, ruling.support) == (None, 0)
        assert ruling.dissenters == ()
    assert majority(panel(None, None)).abstentions == ("m0", "m1")


def test_dissenters_said_something_else_than_the_outcome():
    assert majority(panel(A, B, A, TIE, A)).dissenters == ("m1", "m3")
    assert majority(panel(A, B)).dissenters == ("m0", "m1")


def test_nobody_votes_twice():
    with pytest.raises(ValueError, match="'m0' votes twice"):
        majority([Vote("m0", A), Vote("m0", A), Vote("m1", B)])


def test_the_mean_of_verdicts_needs_no_majority():
    ruling = mean(panel(A, TIE, TIE))
    assert (ruling.outcome, ruling.margin) == (A, pytest.approx(1 / 3))
    assert (ruling.support, ruling.dissenters) == (pytest.approx(1 / 3), ("m1", "m2"))
    assert mean(panel(A, B)).outcome is TIE
    assert mean(panel(A, TIE, TIE), tie_margin=0.34).outcome is TIE


def test_the_mean_is_of_those_who_voted():
    ruling = mean(panel(B, None, None))
    assert (ruling.outcome, ruling.margin, ruling.support) == (B, -1, pytest.approx(1 / 3))


def test_the_mean_of_scores_weighs_by_how_much():
    votes = [Vote("a", A, 3.0), Vote("b", B, -0.5), Vote("c", B, -1.0)]
    ruling = mean(votes)
    assert (ruling.outcome, ruling.margin) == (A, 0.5)
    assert ruling.dissenters == ("b", "c")
    assert mean(votes, tie_margin=0.5).outcome is TIE
    with pytest.raises(ValueError, match="must be finite"):
        mean([Vote("a", A, math.inf)])
    with pytest.raises(ValueError, match="from 0 up"):
        mean(votes, tie_margin=-1)


def test_a_mean_of_zero_is_both_bad_only_where_most_say_so():
    assert mean(panel(BAD, BAD, TIE)).outcome is BAD
    assert mean(panel(BAD, TIE)).outcome is TIE


def test_weights_decide_by_weight():
    votes = panel(A, B, B)
    assert weighted(votes, {"m0": 3, "m1": 1, "m2": 1}).outcome is A
    level = weighted(votes, {"m0": 2, "m1": 1, "m2": 1})
    assert (level.outcome, level.margin, level.support) == (TIE, 0, 0)
    ruling = weighted(panel(A, None, B), {"m0": 2, "m1": 1, "m2": 0.5})
    assert (ruling.outcome, ruling.support) == (A, pytest.approx(2 / 3.5))
    assert ruling.margin == pytest.approx(1.5 / 3.5)


def test_a_heavy_member_that_abstains_leaves_no_majority():
    assert weighted(panel(None, A, A), {"m0": 5, "m1": 1, "m2": 1}).outcome is TIE


def test_members_without_weight_have_no_say():
    ruling = weighted(panel(A, B), {"m0": 0.0, "m1": 0.1})
    assert (ruling.outcome, ruling.dissenters) == (B, ("m0",))
    assert weighted(panel(A, A), {"m0": 0.0, "m1": 0.0}).outcome is None
    for wrong in ({"m0": 1}, {"m0": 1, "m1": -1}, {"m0": 1, "m1": math.nan}):
        with pytest.raises(ValueError, match="weight of 'm1'"):
            weighted(panel(A, A), wrong)


def test_thirds_of_weight_are_level_whatever_their_rounding():
    tenths = {"m0": 0.1, "m1": 0.2, "m2": 0.3}  # 0.1 + 0.2 is more than 0.3 in floating point
    assert weighted(panel(A, A, B), tenths).outcome is TIE


def test_a_council_leaves_out_the_families_of_the_battle():
    votes = [Vote("ada", A), Vote("basil", B), Vote("cleo", B), Vote("dora", A)]
    family_of = {"ada": "Acme ", "basil": "Birch", "cleo": "", "dora": "acme"}
    ruling = council(votes, family_of=family_of, families=["ACME", "Cedar", ""])
    assert (ruling.outcome, ruling.left_out, ruling.seated) == (B, ("ada", "dora"), 2)
    everybody = council(votes, family_of=family_of, families=["", "Oak"])
    assert (everybody.outcome, everybody.left_out, everybody.seated) == (TIE, (), 4)
    nobody = council(votes[:1], family_of=family_of, families=["Acme"])
    assert (nobody.outcome, nobody.left_out, nobody.seated) == (None, ("ada",), 0)


def test_a_committee_decides_by_what_is_said_after_the_discussion():
    ruling = committee(panel(A, A, B), panel(A, B, B))
    assert (ruling.outcome, ruling.changed, ruling.dissenters) == (B, ("m1",), ("m0",))
    silent = committee(panel(A, A, B), panel(A))
    assert (silent.outcome, silent.abstentions, silent.changed) == (TIE, ("m1", "m2"), ())
    late = committee(panel(None, A), panel(A, A))
    assert (late.outcome, late.changed) == (A, ())
    with pytest.raises(ValueError, match="'m2' wasn't"):
        committee(panel(A, A), panel(A, A, A))


def test_an_exam_counts_ties_as_half_right_and_asks_only_what_people_decided():
    exam = examine([(A, A), (B, B), (A, B), (TIE, A), (BAD, B), (A, TIE), (TIE, TIE), (B, BAD)])
    assert (exam.n, exam.right) == (5, 3.0)
    assert exam.accuracy == pytest.approx(4 / 7)
    assert weight_of(exam) == pytest.approx(math.log(4 / 3))
    assert weight_of(exam, weighting="accuracy") == pytest.approx(4 / 7)


def test_a_member_at_or_below_chance_weighs_nothing():
    assert weight_of(examine([(A, B), (A, A)])) == 0
    assert weight_of(examine([(A, B), (B, A)])) == 0
    assert weight_of(examine([])) == 0
    assert weight_of(examine([]), weighting="accuracy") == 0.5
    with pytest.raises(ValueError, match="not a weighting"):
        weight_of(examine([]), weighting="luck")


# --- no rule knows which side is called A --------------------------------------------------------------------

DECISIONS = st.sampled_from([A, B, TIE, BAD, None])
PANELS = st.lists(DECISIONS, max_size=7)
VALUES = st.floats(-5, 5, allow_nan=False)


def swapped(votes):
    return [
        Vote(v.member, SWAPPED[v.decision], None if v.value is None else -v.value) for v in votes
    ]


def assert_mirrored(one, other):
    assert other.outcome is SWAPPED[one.outcome]
    assert other.margin == pytest.approx(-one.margin)
    assert (other.support, other.dissenters, other.abstentions, other.seated) == (
        one.support, one.dissenters, one.abstentions, one.seated
    )  # fmt: skip


@given(PANELS)
def test_exchanging_the_sides_exchanges_a_majority(decisions):
    votes = panel(*decisions)
    assert_mirrored(majority(votes), majority(swapped(votes)))
    assert majority(votes[::-1]).outcome is majority(votes).outcome


@given(st.lists(st.tuples(DECISIONS, st.floats(0, 4)), max_size=7))
def test_exchanging_the_sides_exchanges_a_weighted_majority(members):
    votes = panel(*(decision for decision, _ in members))
    weights = {f"m{n}": weight for n, (_, weight) in enumerate(members)}
    assert_mirrored(weighted(votes, weights), weighted(swapped(votes), weights))
    assert weighted(votes[::-1], weights).outcome is weighted(votes, weights).outcome


@given(st.lists(st.tuples(DECISIONS, VALUES), max_size=7), st.floats(0, 2))
def test_exchanging_the_sides_exchanges_a_mean(members, tie_margin):
    votes = [
        Vote(f"m{n}", decision, None if decision is None else value)
        for n, (decision, value) in enumerate(members)
    ]
    turned = mean(swapped(votes), tie_margin=tie_margin)
    assert_mirrored(mean(votes, tie_margin=tie_margin), turned)


@given(PANELS, st.lists(st.sampled_from(["x", "y", ""]), min_size=7, max_size=7))
def test_exchanging_the_sides_exchanges_a_council(decisions, families):
    votes = panel(*decisions)
    family_of = {f"m{n}": family for n, family in enumerate(families)}
    given_ = {"family_of": family_of, "families": ["x", "z"]}
    assert_mirrored(council(votes, **given_), council(swapped(votes), **given_))


@given(st.lists(st.tuples(DECISIONS, DECISIONS), max_size=7))
def test_exchanging_the_sides_exchanges_a_committee(rounds):
    first, second = panel(*(one for one, _ in rounds)), panel(*(two for _, two in rounds))
    one, other = committee(first, second), committee(swapped(first), swapped(second))
    assert_mirrored(one, other)
    assert one.changed == other.changed


@given(st.lists(st.tuples(st.sampled_from(list(Decision)), st.sampled_from(list(Decision)))))
def test_exchanging_the_sides_changes_no_exam(answers):
    turned = [(SWAPPED[said], SWAPPED[people]) for said, people in answers]
    assert examine(turned) == examine(answers)
