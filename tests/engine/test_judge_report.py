import dataclasses

import numpy as np
import pytest

from ratings.engine.figure import Figure, estimate, percentile_interval
from ratings.engine.judge_report import Instances, judge_report
from ratings.engine.tallies import Outcome, tally_by_cluster
from tests.engine.judge_panels import panel, panel_rates, reoutcome, reversed_outcomes, strengths

K = 14


def people_of(n=60, *, seed=1):
    return panel(panel_rates(strengths(K)), n=n, seed=seed, n_systems=K)


def report(judge, reference, **options):
    return judge_report(judge, reference, **({"rounds": 100, "seed": 1} | options))


def test_a_judge_that_is_the_people_agrees_fully():
    people = people_of(300)
    found = report(people, people)
    assert found.tau.value == 1.0
    assert found.agreement.spearman.value == pytest.approx(1.0)
    assert found.agreement.pearson.value == pytest.approx(1.0)
    assert found.agreement.top_k_overlap.value == 1.0
    assert found.agreement.rank_biased_overlap.value == pytest.approx(1.0)
    assert found.alpha.value == pytest.approx(1.0, abs=0.02)
    assert found.decisiveness_least_squares.alpha.value == pytest.approx(1.0, abs=0.001)
    assert found.delta.value == pytest.approx(0.0, abs=0.005)
    # The same prompts weigh on both: no resampling can part them.
    assert (found.tau.lower, found.tau.upper) == (1.0, 1.0)


def test_a_judge_that_reverses_people_has_tau_minus_one_and_no_decisiveness():
    people = people_of()
    found = report(reoutcome(people, reversed_outcomes), people)
    assert found.tau.value == -1.0
    assert found.alpha.value is None
    assert found.bias.baseline == 1.0
    assert any("against the reference's order" in note for note in found.notes)
    assert any("own win rates (α = 1)" in note for note in found.notes)


def test_a_judge_that_always_says_a_ranks_nobody_and_says_so():
    people = people_of()
    found = report(reoutcome(people, int(Outcome.A)), people)
    assert found.tau.value is None
    assert "both rank 0 systems" in found.tau.reason
    assert found.alpha.value is None
    assert found.ceiling.full.value is not None
    assert found.judge_counts.systems_ranked == 0


@pytest.mark.parametrize("outcome", [Outcome.TIE, Outcome.BOTH_BAD])
def test_a_judge_of_only_ties_has_no_order_to_compare(outcome):
    people = people_of()
    found = report(reoutcome(people, int(outcome)), people)
    assert found.tau.value is None
    assert "ties all 14 systems" in found.tau.reason
    assert found.alpha.value is None
    assert "always answered TIE" in found.alpha.reason


def test_a_judge_of_other_systems_shares_none_and_gets_no_figures():
    people, other = people_of(), people_of(seed=2)
    cut = [
        tally_by_cluster(
            side.tallies.a[side.pair][kept],
            side.tallies.b[side.pair][kept],
            side.outcome[kept],
            side.cluster[kept],
            n_systems=K,
            n_clusters=side.n_clusters,
            count=side.count[kept],
        )
        for side, kept in (
            (people, people.tallies.b[people.pair] < 7),
            (other, other.tallies.a[other.pair] >= 7),
        )
    ]
    found = report(cut[1], cut[0])
    assert found.n_shared_systems == 0
    for figure in (found.tau, found.alpha, found.delta, found.agreement.pearson):
        assert figure.value is None
        assert figure.reason


def test_no_verdicts_on_either_side_raise_nothing_and_show_nothing():
    people = people_of()
    none = np.zeros(0, dtype=int)
    empty = tally_by_cluster(none, none, none, none, n_systems=K, n_clusters=people.n_clusters)
    for judge, reference in ((empty, people), (people, empty), (empty, empty)):
        found = report(judge, reference)
        assert found.tau.value is None
        assert found.alpha.value is None
        assert found.delta.value is None
        assert found.notes


def test_tallies_by_other_lists_are_refused_with_both_sizes():
    people = people_of()
    fewer = panel(panel_rates(strengths(K - 1)), n=4, seed=1, n_systems=K - 1)
    with pytest.raises(ValueError, match="13 systems and 50 prompts, the reference 14"):
        report(fewer, people)


def test_counts_and_points_are_those_of_the_data():
    people, judge = people_of(60), people_of(5, seed=3)
    found = report(judge, people)
    n_pairs = K * (K - 1) // 2
    assert found.reference_counts.verdicts == 60 * n_pairs
    assert found.judge_counts.verdicts == found.pairs.n_judge.sum() == 5 * n_pairs
    assert found.judge_counts.prompts == 50
    assert found.n_shared_systems == found.tau.n == K
    assert found.n_shared_pairs == n_pairs
    first = people.tallies
    assert found.pairs.reference_rate[0] == first.wins_a[0] / 60
    assert found.judge_theta.shape == found.reference_theta.shape == (K,)
    np.testing.assert_allclose(
        found.pairs.fitted_rate[0],
        1 / (1 + np.exp(found.reference_theta[1] - found.reference_theta[0])),
    )


def test_prompts_are_resampled_when_there_are_thirty_and_verdicts_when_there_are_fewer():
    many = report(people_of(20), people_of(20, seed=2))
    assert many.resampled == "prompts"
    rates = panel_rates(strengths(K))
    few = [panel(rates, n=20, seed=seed, n_systems=K, n_prompts=8) for seed in (1, 2)]
    found = report(*few)
    assert found.resampled == "verdicts"
    assert any("8 prompts" in note for note in found.notes)
    forced = report(*few, resample="prompts")
    assert forced.resampled == "prompts"
    assert any("too narrow" in note for note in forced.notes)


def test_thousands_of_prompts_are_resampled_in_groups():
    rates = panel_rates(strengths(K))
    sides = [panel(rates, n=80, seed=seed, n_systems=K, n_prompts=9000) for seed in (1, 2)]
    found = report(*sides, resample="prompts")
    apart = report(*sides, resample="verdicts")
    assert found.tau.value == apart.tau.value
    widths = [np.log(one.alpha.upper / one.alpha.lower) for one in (found, apart)]
    assert widths[0] == pytest.approx(widths[1], rel=0.3)


def test_instances_bring_kappa_and_agreement_among_people():
    rng = np.random.default_rng(1)
    people = people_of()
    votes = rng.multinomial(4, [0.4, 0.3, 0.2, 0.1], size=200)
    instances = Instances(
        judge=rng.integers(0, 4, 200), votes=votes, prompt=rng.integers(0, 50, 200)
    )
    found = report(people, people, instances=instances, majority_rule="absolute")
    assert found.instances.rule == "absolute"
    assert found.instances.kappa_ties_in.n == 200 - found.instances.n_without_majority
    assert found.people_alpha.value == pytest.approx(0.0, abs=0.1)
    without = report(people, people)
    assert without.instances is None
    assert without.people_alpha.value is None
    with pytest.raises(ValueError, match="one length"):
        report(people, people, instances=dataclasses.replace(instances, judge=np.zeros(3)))


def test_families_bring_self_preference():
    people = people_of()
    family = np.arange(K) % 3
    found = report(people_of(20, seed=4), people, family=family, judge_family=1)
    assert found.family_bias.value is not None
    assert found.family_bias.lower < found.family_bias.value < found.family_bias.upper
    assert found.family_bias.n == np.sum(family == 1)


def test_the_same_seed_gives_the_same_report():
    judge, people = people_of(5, seed=3), people_of()
    first, again = report(judge, people), report(judge, people)
    assert first.tau == again.tau
    assert first.alpha == again.alpha
    np.testing.assert_array_equal(first.bias.lower, again.bias.lower)


def test_few_verdicts_are_said_in_plain_sentences():
    found = report(people_of(2, seed=3), people_of(6))
    assert any("hundreds of verdicts a pair" in note for note in found.notes)
    assert any("fewer than 50 verdicts" in note for note in found.notes)
    assert all(note.endswith(".") for note in found.notes)


def test_a_figure_without_a_value_must_say_why():
    with pytest.raises(ValueError, match="give a reason"):
        Figure(value=None, lower=None, upper=None, n=0, unit="battles")


def test_an_interval_needs_half_of_its_replicates():
    mostly_undefined = np.array([0.1, 0.2] + [np.nan] * 8)
    assert percentile_interval(mostly_undefined) == (None, None)
    shifted = estimate(
        0.9, np.linspace(0.5, 0.9, 101), n=1, unit="systems", recentre=True, bounds=(-1, 1)
    )
    assert shifted.lower < 0.9 < shifted.upper <= 1
