import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from arena.demo.budget import MAX_SENTENCES, MAX_WORDS
from arena.demo.by_content import page_rank, sum_basic, text_rank, tf_idf_centroid
from arena.demo.by_position import (
    everything,
    first_and_last,
    first_sentences,
    last_sentences,
    longest_sentences,
    random_sentences,
    shortest_sentences,
)
from arena.demo.sentences import split_sentences
from arena.demo.summarizers import SUMMARIZERS
from arena.demo.texts import CATEGORIES, INSTRUCTION, read_category, texts
from arena.demo.words import STOP_WORDS, content_words, overlap, words
from arena.models import slug_validator

each_text = pytest.mark.parametrize("text", texts(), ids=lambda text: text.slug)
each_summarizer = pytest.mark.parametrize("system", SUMMARIZERS, ids=lambda system: system.name)

# The fourth sentence is the longest by far, the second and the last are the shortest.
RIVER = """
The river rises in the hills above the old town. It is short.
Salmon come up the river in autumn to lay eggs.

Every bridge over the river was washed away in one terrible night of rain and wind long ago.
The town built one stone bridge and named it Patience. Salmon still pass below.
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rained. We left.", ["It rained.", "We left."]),
        (
            "Dr. Voss and Mrs. Okafor met J. S. Bach. He bowed.",
            ["Dr. Voss and Mrs. Okafor met J. S. Bach.", "He bowed."],
        ),
        ("It costs 3.5 pounds. That is 0.25 more.", ["It costs 3.5 pounds.", "That is 0.25 more."]),
        (
            "They met at 6 p.m. in the hall. Nobody spoke.",
            ["They met at 6 p.m. in the hall.", "Nobody spoke."],
        ),
        ("The shop shut at 6 p.m. Nobody came.", ["The shop shut at 6 p.m.", "Nobody came."]),
        ("Bring food, e.g. Swiss cheese. Eat it.", ["Bring food, e.g. Swiss cheese.", "Eat it."]),
        ("Read No. 5 aloud. Then stop.", ["Read No. 5 aloud.", "Then stop."]),
        ("He said no. They agreed.", ["He said no.", "They agreed."]),
        (
            "“Is it raining?” he asked. “No.” She slept.",
            ["“Is it raining?” he asked.", "“No.”", "She slept."],
        ),
        ("“Stop. Go back!” he cried. They ran.", ["“Stop. Go back!” he cried.", "They ran."]),
        ('"Stop. Go back!" he cried. They ran.', ['"Stop. Go back!" he cried.', "They ran."]),
        ("“This goes on. And on\n\nWe left.", ["“This goes on.", "And on", "We left."]),
        ("So it was I. She knew.", ["So it was I.", "She knew."]),
        (
            "Really?! Yes… Why (one asks)? 12 came.",
            ["Really?!", "Yes…", "Why (one asks)?", "12 came."],
        ),
        ("A heading\n\nA text.", ["A heading", "A text."]),
        ("Broken\nlines   are one. Ätna too.", ["Broken lines are one.", "Ätna too."]),
        ("No end", ["No end"]),
        (" \n\n ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text, expected):
    assert split_sentences(text) == expected


def test_a_million_full_stops_are_split_in_linear_time():
    assert split_sentences("." * 1_000_000 + " End") == ["." * 1_000_000, "End"]


def test_words_keep_apostrophes_and_numbers_whole():
    assert words("The ferry’s 6.40 boat isn't half-empty: 52,000 TONS_of 3rd-rate fish.") == [
        *("the", "ferry's", "6.40", "boat", "isn't", "half", "empty", "52,000", "tons", "of"),
        *("3rd", "rate", "fish"),
    ]


def test_content_words_leave_out_stop_words_and_possessive_endings():
    assert content_words("It’s the council’s ferry, isn’t it?") == ["council", "ferry"]
    assert "ferry" not in STOP_WORDS


def test_overlap_counts_a_word_as_often_as_both_have_it():
    assert overlap(["a", "a", "b", "c"], ["a", "a", "a", "c", "d"]) == 3


def test_there_are_thirty_two_texts_eight_in_each_category():
    assert Counter(text.category for text in texts()) == dict.fromkeys(CATEGORIES, 8)
    assert len({text.text for text in texts()}) == len({text.slug for text in texts()}) == 32
    for slug in [*CATEGORIES, *(text.slug for text in texts())]:
        slug_validator(slug)


@each_text
def test_every_text_and_reference_has_the_length_that_the_instruction_expects(text):
    assert 150 <= len(text.text.split()) <= 260
    assert 8 <= len(split_sentences(text.text)) <= 14
    assert 35 <= len(text.reference.split()) <= 60
    assert 2 <= len(split_sentences(text.reference)) <= 3
    assert len(text.title) <= 120
    assert text.prompt == f"{INSTRUCTION}\n\n{text.text}"


@each_text
def test_no_reference_copies_a_sentence_of_its_text(text):
    assert not set(split_sentences(text.reference)) & set(split_sentences(text.text))


@each_text
def test_texts_use_typographic_quotation_marks_that_close(text):
    for part in (text.text, text.reference):
        assert "'" not in part
        assert '"' not in part
        assert part.count("“") == part.count("”")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('[[text]]\nslug = "tides"\ntitle = "Tides"', r"text 1 \(tides\): expected the fields"),
        ('[[text]]\nslug = "a"\ntitle = ""\ntext = "b"\nreference = "c"', "must be text"),
        ('[[text]]\nslug = 1\ntitle = "a"\ntext = "b"\nreference = "c"', "must be text"),
        ("[[text", "news.toml: "),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_place(tmp_path, content, complaint):
    (tmp_path / "news.toml").write_text(content)
    with pytest.raises(ValueError, match=complaint):
        read_category("news", folder=tmp_path)


def test_position_summarizers_take_the_sentences_they_are_named_for():
    rises, short, come, bridge, built, below = split_sentences(RIVER)
    assert first_sentences(RIVER) == f"{rises} {short} {come}"
    assert last_sentences(RIVER) == f"{bridge} {built} {below}"
    assert first_and_last(RIVER) == f"{rises} {short} {below}"
    assert longest_sentences(RIVER) == f"{rises} {come} {bridge}"
    assert shortest_sentences(RIVER) == f"{rises} {short} {below}"
    assert everything(RIVER) == f"{rises} {come} {bridge} {built} {below}"


def test_a_sentence_that_does_not_fit_ends_the_summary():
    long = "Long " + "word " * 40 + "end."
    text = f"{long} Then {'another ' * 30}came. A short one follows."
    assert first_sentences(text) == long


def test_a_first_sentence_beyond_the_budget_is_still_taken():
    text = "Word " * 80 + "end. Next."
    assert len(words(first_sentences(text))) == 81


def test_random_sentences_are_the_same_for_the_same_text_and_others_for_another():
    drawn = {text.slug: random_sentences(text.text) for text in texts()}
    assert drawn == {text.slug: random_sentences(text.text) for text in texts()}
    positions = [
        split_sentences(text.text).index(split_sentences(drawn[text.slug])[0]) for text in texts()
    ]
    assert len(set(positions)) >= 4


def test_content_summarizers_prefer_what_the_text_keeps_coming_back_to():
    text = (
        "Birds sang. The harbour bridge closes because the harbour bridge rusts. Cake was served. "
        "The harbour bridge opens again when the rust is gone. A hat flew off. Somebody laughed aloud."
    )
    sentences = split_sentences(text)
    for summarize in (tf_idf_centroid, text_rank, sum_basic):
        assert sentences[1] in summarize(text)
    for summarize in (tf_idf_centroid, text_rank):
        assert sentences[3] in summarize(text)


def test_sum_basic_does_not_say_the_same_twice_while_anything_else_is_left():
    repeated = "Bridges carry trains."
    text = f"{repeated} Bridges carry trains! Bridges cross rivers. Cows graze quietly."
    assert sum_basic(text) == "Bridges carry trains. Bridges cross rivers. Cows graze quietly."


def test_page_rank_is_the_stationary_distribution_of_the_random_surfer():
    rng = np.random.default_rng(5)
    weights = rng.random((6, 6)) * (rng.random((6, 6)) < 0.6)
    weights = np.triu(weights, 1) + np.triu(weights, 1).T
    weights[2] = weights[:, 2] = 0.0
    shares = np.full(6, 1 / 6)
    for _ in range(300):
        passed = np.zeros(6)
        for i in range(6):
            row = weights[i] / weights[i].sum() if weights[i].any() else np.full(6, 1 / 6)
            passed += shares[i] * row
        shares = 0.15 / 6 + 0.85 * passed
    np.testing.assert_allclose(page_rank(weights), shares, atol=1e-12)
    assert page_rank(weights).sum() == pytest.approx(1.0)


def test_every_system_has_a_name_of_its_own_and_says_what_it_is():
    assert len({system.name for system in SUMMARIZERS}) == len(SUMMARIZERS) == 11
    for system in SUMMARIZERS:
        assert system.version == "1"
        assert "demo" in system.organisation
        assert system.family
        assert system.licence
        assert system.description.endswith(".")
        assert len(split_sentences(system.description)) == 1


@each_summarizer
def test_a_summary_is_whole_sentences_of_the_text_in_its_order_and_within_the_budget(system):
    for text in texts():
        summary, source = system.summarize(text.text), split_sentences(text.text)
        indexes = [source.index(sentence) for sentence in split_sentences(summary)]
        assert indexes == sorted(indexes)
        if system.name == "Everything":
            assert len(indexes) == len(source) - 1
        else:
            assert 1 <= len(indexes) <= MAX_SENTENCES
            assert len(words(summary)) <= MAX_WORDS
        assert summary == system.summarize(text.text)


@each_summarizer
@pytest.mark.parametrize("text", ["", "  \n\n ", "One.", "Of the.", "?!", "One. Two."])
def test_texts_with_next_to_nothing_in_them_do_no_harm(system, text):
    assert set(split_sentences(system.summarize(text))) <= set(split_sentences(text))


def test_no_two_systems_write_the_same_summary_of_most_texts():
    summaries = [[system.summarize(text.text) for text in texts()] for system in SUMMARIZERS]
    for index, one in enumerate(summaries):
        for other in summaries[:index]:
            assert sum(a == b for a, b in zip(one, other, strict=True)) <= len(texts()) / 2


def test_the_demo_content_needs_no_django():
    code = "import sys, arena.demo.summarizers, arena.demo.texts, judges.demo.panel; "
    code += "sys.exit('django' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)  # noqa: S603 - a constant
