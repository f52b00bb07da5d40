from collections import Counter, defaultdict
from functools import cache

import numpy as np
import pytest
from scipy.stats import kendalltau

from arena.demo.summarizers import SUMMARIZERS
from arena.demo.texts import texts
from judges.demo.panel import PANEL_NAME, PERIOD, Side, davidson, simulate_votes
from judges.demo.quality import coverage, measure_outputs
from judges.models import Verdict
from judges.programs import Decision, program_named, verdict

SEED = 7
REFERENCES = {text.slug: text.reference for text in texts()}
NAMES = [system.name for system in SUMMARIZERS]


@cache
def demo_outputs():
    return {
        (text.slug, system.name): system.summarize(text.text)
        for text in texts()
        for system in SUMMARIZERS
    }


@cache
def demo_votes(seed=SEED):
    return simulate_votes(outputs=demo_outputs(), references=REFERENCES, seed=seed)


def battles_of(votes):
    return {(vote.text, vote.system_a, vote.system_b) for vote in votes}


def win_rates(decisions):
    """By system, from (system a, system b, decision); a tie is half a win."""
    won, fought = Counter(), Counter()
    for system_a, system_b, decision in decisions:
        share = {Decision.A: 1.0, Decision.B: 0.0}.get(decision, 0.5)
        won[system_a] += share
        won[system_b] += 1 - share
        fought.update((system_a, system_b))
    return [won[name] / fought[name] for name in NAMES]


def panel_win_rates(seed=SEED):
    return win_rates((vote.system_a, vote.system_b, vote.outcome) for vote in demo_votes(seed))


def program_win_rates(name, seed):
    program = program_named(name)
    scores = {
        (text, system): program.score(output, prompt="", reference=REFERENCES[text])
        for (text, system), output in demo_outputs().items()
    }
    return win_rates(
        (a, b, verdict(scores[text, a], scores[text, b], margin=program.margin))
        for text, a, b in battles_of(demo_votes(seed))
    )


def test_the_panel_says_that_it_is_simulated():
    assert "simulated" in PANEL_NAME.lower()
    assert all(vote.voter.startswith("simulated-") for vote in demo_votes())


def test_about_three_thousand_votes_by_forty_voters_four_to_six_on_each_battle():
    votes = demo_votes()
    assert 3_000 <= len(votes) <= 3_500
    assert len({vote.voter for vote in votes}) == 40
    per_battle = Counter((vote.text, vote.system_a, vote.system_b) for vote in votes)
    assert len(per_battle) == 640
    assert set(per_battle.values()) == {4, 5, 6}
    assert len({vote[:4] for vote in votes}) == len(votes), "somebody voted twice on a battle"


def test_every_pair_of_systems_meets_as_often_as_every_other():
    per_pair = Counter(battle[1:] for battle in battles_of(demo_votes()))
    assert len(per_pair) == 55
    assert max(per_pair.values()) - min(per_pair.values()) <= 1
    assert all(a < b for a, b in per_pair)


def test_equal_seeds_give_equal_votes_whatever_the_order_of_the_outputs():
    backwards = dict(reversed(demo_outputs().items()))
    again = simulate_votes(outputs=backwards, references=REFERENCES, seed=SEED)
    assert again == demo_votes()
    assert demo_votes(SEED + 1) != demo_votes()


def test_votes_come_in_the_order_of_time_and_no_voter_casts_two_in_one_second():
    votes = demo_votes()
    seconds = [vote.seconds for vote in votes]
    assert seconds == sorted(seconds)
    assert 0 <= seconds[0] < seconds[-1] < PERIOD
    by_voter = defaultdict(list)
    for vote in votes:
        by_voter[vote.voter].append(vote.seconds)
    for times in by_voter.values():
        assert min(np.diff(times)) > 0


def test_outcomes_are_mixed_and_both_bad_is_rare():
    shares = {
        outcome: n / len(demo_votes())
        for outcome, n in Counter(vote.outcome for vote in demo_votes()).items()
    }
    assert shares[Decision.A] > 0.2
    assert shares[Decision.B] > 0.2
    assert 0.05 < shares[Decision.TIE] < 0.3
    assert 0 < shares[Decision.BOTH_BAD] < 0.05


def test_either_side_is_shown_first_half_of_the_time_and_wins_a_little_more_often():
    assert {side.name: side.value for side in Side} == {
        side.name: side.value for side in Verdict.Side
    }
    votes = [vote for seed in range(4) for vote in demo_votes(seed)]
    assert np.mean([vote.shown_first == Side.A for vote in votes]) == pytest.approx(0.5, abs=0.02)
    decided = [vote for vote in votes if vote.outcome in (Decision.A, Decision.B)]
    first_won = np.mean([int(vote.outcome) == int(vote.shown_first) for vote in decided])
    assert 0.5 < first_won < 0.56


def test_only_words_count_so_that_systems_who_swap_outputs_swap_win_rates():
    swapped = {"Everything": "TextRank", "TextRank": "Everything"}
    outputs = {
        (text, swapped.get(system, system)): output
        for (text, system), output in demo_outputs().items()
    }
    votes = simulate_votes(outputs=outputs, references=REFERENCES, seed=SEED)
    rates = dict(
        zip(NAMES, win_rates((v.system_a, v.system_b, v.outcome) for v in votes), strict=True)
    )
    assert max(rates, key=rates.get) == "Everything"
    assert min(rates, key=rates.get) == "TextRank"


@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
def test_the_panel_prefers_methods_that_read_the_text_to_chance_and_to_verbosity(seed):
    rates = dict(zip(NAMES, panel_win_rates(seed), strict=True))
    for sensible in ("TF-IDF centroid", "TextRank", "LexRank"):
        for poor in ("Random sentences", "Shortest sentences", "Everything"):
            assert rates[sensible] > rates[poor]


def test_rouge_l_ranks_systems_as_the_panel_does_and_length_does_not():
    tau = {
        name: np.mean(
            [
                kendalltau(panel_win_rates(seed), program_win_rates(name, seed)).statistic
                for seed in range(5)
            ]
        )
        for name in ("rouge_l", "longer_is_better")
    }
    assert tau["rouge_l"] > 0.4
    assert tau["longer_is_better"] < 0.25
    assert tau["rouge_l"] > tau["longer_is_better"] + 0.25


def test_davidson_gives_the_published_chances():
    p_a, p_b, nu = 3.0, 2.0, 0.4
    tie = nu * np.sqrt(p_a * p_b)
    expected = np.array([p_a, p_b, tie]) / (p_a + p_b + tie)
    chances = davidson(np.array([np.log(p_a / p_b), 5_000.0]), np.array([nu, nu]))
    np.testing.assert_allclose(chances, [expected, [1, 0, 0]], atol=1e-12)


def test_coverage_is_the_share_of_content_words_of_the_reference():
    assert coverage("The ferry and the fish.", "The council keeps the ferry.") == pytest.approx(
        1 / 3
    )
    assert coverage("Anything", "It is the.") == 0.0


def test_length_costs_only_what_exceeds_the_budget():
    outputs = {("t", "short"): "word " * 60, ("t", "twice"): "word " * 120}
    assert measure_outputs(outputs, {"t": "word"}).excess.tolist() == [0.0, 1.0]


def test_what_cannot_be_voted_on_is_refused_with_a_reason():
    outputs = {("t", "one"): "a", ("u", "other"): "b"}
    references = {"t": "a", "u": "b"}
    with pytest.raises(ValueError, match="No reference summary for u"):
        simulate_votes(outputs=outputs, references={"t": "a"}, seed=1)
    with pytest.raises(ValueError, match="there is no battle"):
        simulate_votes(outputs=outputs, references=references, seed=1)
    with pytest.raises(ValueError, match="5 are too few"):
        simulate_votes(outputs=outputs, references=references, seed=1, voters=5)


def test_a_small_arena_gets_all_its_battles_and_no_more():
    outputs = {(text, system): f"{system} {text}" for text in "tu" for system in ("one", "other")}
    votes = simulate_votes(outputs=outputs, references={"t": "one t", "u": "u"}, seed=1, voters=6)
    assert battles_of(votes) == {("t", "one", "other"), ("u", "one", "other")}
