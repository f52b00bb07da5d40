import math
from itertools import pairwise, product

import numpy as np
import pytest

from judges.models import Outcome
from judges.programs import PROGRAMS, Decision, MissingReference, program_named, verdict
from judges.programs.length_limit import length_limit
from judges.programs.rouge_l import lcs_length

PROMPT = "Summarise this text:\n\nThe cat sat on the mat. It purred.\n\nThe end."


def score(name, output, reference=None, *, prompt=PROMPT):
    return program_named(name).score(output, prompt=prompt, reference=reference)


# Real summaries. The values are those of rouge-score 0.1.2 (rougeL, no stemming) and of sacreBLEU's CHRF
# (char_order 6, beta 2) divided by 100.
FERRY = "The council voted by eight to three to keep the ferry all year."
FERRY_REFERENCE = "By eight votes to three the council has decided to keep the winter ferry."
BREAD = "In the hot oven the starch loses its order, and cooling brings it back."
BREAD_REFERENCE = "Bread goes stale because its starch slowly returns to an ordered form."


@pytest.mark.parametrize(
    ("name", "output", "reference", "expected"),
    [
        ("rouge_l", FERRY, FERRY_REFERENCE, 0.5925925925925927),
        ("rouge_l", BREAD, BREAD_REFERENCE, 0.07692307692307691),
        ("chrf", FERRY, FERRY_REFERENCE, 0.4790792170494084),
        ("chrf", BREAD, BREAD_REFERENCE, 0.2101452398691771),
    ],
)
def test_scores_equal_the_usual_implementations(name, output, reference, expected):
    assert score(name, output, reference) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("output", "reference", "expected"),
    [
        ("police kill the gunman", "police killed the gunman", 3 / 4),  # Lin's own example
        ("the gunman kill police", "police killed the gunman", 2 / 4),
        ("The CAT sat.", "the cat", 2 * (2 / 3) * 1 / (2 / 3 + 1)),  # P = 2/3, R = 1
        ("a b c", "x y", 0.0),
        ("same words here", "same words here", 1.0),
        ("", "words", 0.0),
        ("words", "!?", 0.0),
    ],
)
def test_rouge_l_is_the_f1_of_the_longest_common_subsequence(output, reference, expected):
    assert score("rouge_l", output, reference) == pytest.approx(expected)


def test_the_longest_common_subsequence_equals_the_textbook_table():
    rng = np.random.default_rng(11)
    for _ in range(200):
        one, other = (list(map(str, rng.integers(0, 5, rng.integers(0, 90)))) for _ in range(2))
        table = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
        for i, j in product(range(len(one)), range(len(other))):
            table[i + 1, j + 1] = (
                table[i, j] + 1 if one[i] == other[j] else max(table[i, j + 1], table[i + 1, j])
            )
        assert lcs_length(one, other) == table[-1, -1]


@pytest.mark.parametrize(
    ("output", "reference", "expected"),
    [
        # Orders 1 to 3: 2/3, 1/2 and 0 in common, on both sides; the longer ones exist on neither.
        ("abd", "abc", (2 / 3 + 1 / 2 + 0) / 3),
        # P = (1 + 1) / 2 and R = (2/4 + 1/3) / 2; orders 3 and 4 exist only in the reference.
        ("ab", "abcd", 5 * 1 * (5 / 12) / (4 * 1 + 5 / 12)),
        # The same the other way round: recall weighs more, so the longer output scores higher.
        ("abcd", "ab", 5 * (5 / 12) * 1 / (4 * (5 / 12) + 1)),
        ("a b c", "abc", 1.0),
        ("ABC", "abc", 0.0),
        ("aab", "aba", (3 / 3 + 1 / 2 + 0) / 3),
        ("", "abc", 0.0),
        ("xyz", "abc", 0.0),
    ],
)
def test_chrf_averages_character_n_grams_with_recall_twice_as_important(
    output, reference, expected
):
    assert score("chrf", output, reference) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("output", "reference", "expected"),
    [
        ("a a b", "a c", 2 / math.sqrt(5 * 2)),
        ("cat dog", "Dog, cat!", 1.0),
        ("cat", "dog", 0.0),
        ("", "dog", 0.0),
    ],
)
def test_cosine_compares_word_counts_whatever_their_order(output, reference, expected):
    assert score("cosine", output, reference) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("The cat sat on the mat.", 1.0),
        ("The cat purred.", 2 / 3),
        ("the the the the", 2 / 4),  # the sentence has it twice
        ("It purred.", 0.0),
        ("", 0.0),
    ],
)
def test_first_sentence_overlap_counts_words_of_the_first_sentence_only(output, expected):
    assert score("first_sentence_overlap", output) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("The cat sat.\n\nIt purred.", 1.0),
        ("Summarise:\n\nIt purred. The cat sat.", 0.0),
        ("Only one paragraph, and a colon:", 0.0),
        ("", 0.0),
    ],
)
def test_an_instruction_is_not_taken_for_the_text(prompt, expected):
    assert score("first_sentence_overlap", "The cat sat.", prompt=prompt) == expected


def test_longer_is_better_counts_words():
    assert score("longer_is_better", "Half-empty boats, at 6.40.") == 5
    assert score("longer_is_better", "") == 0


def test_the_length_limit_takes_marks_off_in_proportion():
    assert score("length_limit", "word " * 60) == 1.0
    assert score("length_limit", "word " * 90) == pytest.approx(2 / 3)
    assert score("length_limit", "…") == 0.0
    assert length_limit("one two three four", prompt="", reference=None, limit=3) == 0.75
    with pytest.raises(ValueError, match="at least one word, not 0"):
        length_limit("one", prompt="", reference=None, limit=0)


@pytest.mark.parametrize(
    ("output", "reference", "exact", "within"),
    [
        (" The  CAT\n", "the cat", 1, 1),
        ("I saw the cat.", "the cat", 0, 1),
        ("Cafe\u0301", "café", 1, 1),
        ("14 cats", "4", 0, 0),
        ("14 cats", "cat", 0, 0),
        ("14 cats, 4 dogs", "4", 0, 1),
        ("x=-4", "-4", 0, 1),
        ("", "cat", 0, 0),
    ],
)
def test_exact_match_and_contains_look_past_case_white_space_and_encoding(
    output, reference, exact, within
):
    assert score("exact_match", output, reference) == exact
    assert score("contains", output, reference) == within


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("reference", [None, "", " \n"])
def test_a_missing_reference_is_an_error_for_the_programs_that_say_they_need_one(
    program, reference
):
    if program.needs_reference:
        with pytest.raises(MissingReference, match="this prompt has none"):
            program.score("Words.", prompt=PROMPT, reference=reference)
    else:
        assert program.score("Words.", prompt=PROMPT, reference=reference) >= 0


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_every_program_describes_itself_and_scores_any_text_with_a_finite_number(program):
    assert PROGRAMS[program.name] is program
    assert program.version >= 1
    assert program.margin >= 0
    assert program.description.endswith(".")
    for output in ("", "\x00", "\ud800", "漢字 かな", "a" * 10_000, "'’'", "\n\n\n"):
        first, again = (program.score(output, prompt=output, reference="a text") for _ in range(2))
        assert math.isfinite(first)
        assert first == again


@pytest.mark.parametrize("name", ["rouge_l", "chrf", "cosine", "exact_match", "contains"])
def test_the_reference_itself_gets_full_marks(name):
    assert score(name, FERRY, FERRY) == pytest.approx(1.0)


def test_an_unknown_program_is_refused_with_the_names_that_exist():
    with pytest.raises(ValueError, match="'bleu' is not a program judge: there are rouge_l, chrf"):
        program_named("bleu")


def test_decisions_have_the_numbers_of_the_database():
    assert {decision.name: decision.value for decision in Decision} == {
        outcome.name: outcome.value for outcome in Outcome
    }


@pytest.mark.parametrize(
    ("score_a", "score_b", "margin", "expected"),
    [
        (0.75, 0.5, 0.125, Decision.A),
        (0.5, 0.75, 0.125, Decision.B),
        (0.75, 0.5, 0.25, Decision.TIE),
        (0.5, 0.5, 0.0, Decision.TIE),
        (-2.0, -1.0, 0.0, Decision.B),
    ],
)
def test_the_higher_score_wins_by_more_than_the_margin(score_a, score_b, margin, expected):
    assert verdict(score_a, score_b, margin=margin) is expected


def test_exchanging_the_scores_exchanges_the_sides():
    rng = np.random.default_rng(2)
    for one, other in pairwise(np.round(rng.random(500), 1)):
        decision = Decision(verdict(one, other, margin=0.1))
        assert verdict(other, one, margin=0.1) == Outcome(decision).mirrored


@pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
def test_a_margin_must_be_a_number_from_zero_up(margin):
    with pytest.raises(ValueError, match="margin"):
        verdict(1.0, 0.0, margin=margin)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_an_error_and_never_a_tie(bad):
    with pytest.raises(ValueError, match="score of output A"):
        verdict(bad, 0.0, margin=0.0)
    with pytest.raises(ValueError, match="score of output B"):
        verdict(0.0, bad, margin=0.0)
