"""The registry of perturbations: pure, bounded, deterministic."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.probes import (
    PROBES,
    USUAL,
    Counts,
    ProbeError,
    drawn,
    is_fooled,
    probes_named,
)

ANSWERS = ("The sky is blue.\n\nIt scatters light.", "It is **green**.\n\n```\ncode line\n```")
A, B, TIE, BAD = range(4)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(st.sampled_from(list(PROBES)), texts, texts, st.integers(1, 10**9), st.integers(0, 10**6))
@settings(max_examples=300, deadline=None)
def test_a_probe_changes_one_side_alone_by_no_more_than_it_says_and_always_alike(
    name, a, b, battle, seed
):
    probe, draw = PROBES[name], drawn(battle, name, seed)
    shown = probe.shown((a, b), draw)
    assert shown == probe.shown((a, b), drawn(battle, name, seed))
    in_order = (a, b) if probe.first(draw) == 0 else (b, a)
    added = [
        len(new.encode()) - len(old.encode()) for new, old in zip(shown, in_order, strict=True)
    ]
    assert sum(added) <= probe.adds
    if probe.swaps or probe.relabels:
        assert shown == in_order
        return
    at = int(probe.side(draw) != draw.first)
    assert shown[at] != in_order[at]
    if name != "names":
        assert shown[1 - at] == in_order[1 - at]
    if name != "markup":
        assert in_order[at] in shown[at]


def test_both_sides_are_changed_by_turns_and_both_orders_are_shown():
    for name in PROBES:
        draws = [drawn(battle, name, 7) for battle in range(1, 2001)]
        for share in (
            sum(draw.side for draw in draws) / 2000,
            sum(draw.first for draw in draws) / 2000,
            sum(draw.side == draw.first for draw in draws) / 2000,
        ):
            assert 0.45 < share < 0.55
    # All probes of a battle start from the same order, since they are compared with the same decision.
    assert len({drawn(5, name, 7).first for name in PROBES}) == 1
    assert len({drawn(5, name, 7).seed for name in PROBES}) == len(PROBES)
    assert drawn(5, "padding", 8) != drawn(5, "padding", 7)


def test_order_is_exchanged_and_the_answer_that_comes_first_counts_as_changed():
    probe = PROBES["swap"]
    for battle in range(1, 20):
        draw = drawn(battle, "swap", 1)
        assert probe.shown(ANSWERS, draw) == (ANSWERS[::-1] if draw.first == 0 else ANSWERS)
        assert probe.side(draw) == probe.first(draw) == 1 - draw.first


def test_markup_leaves_words_and_code_as_they_are():
    change = PROBES["markup"].change
    first, second = change(ANSWERS, 0, 1)
    assert (first, second) == (
        "## ✨ Answer\n\n**The sky is** blue.\n\n**It scatters light.**\n\n---\n✅",
        ANSWERS[1],
    )
    _, coded = change(ANSWERS, 1, 1)
    assert "\n```\ncode line\n```\n" in coded
    assert "It is **green**." in coded


def test_padding_is_as_long_as_the_answer_and_never_shorter_than_a_sentence():
    change = PROBES["padding"].change
    short, _ = change(("Yes.", "No."), 0, 3)
    long, _ = change(("word " * 100, "No."), 0, 3)
    assert short.startswith("Yes.\n\n")
    assert 40 < len(short) < 200
    assert 2 * 500 <= len(long) < 2 * 500 + 150


def test_names_put_the_famous_one_over_the_changed_answer():
    first, second = PROBES["names"].change(("one", "two"), 1, 0)
    assert (first, second) == ("[Model: tinychat-0.3b]\n\none", "[Model: GPT-5]\n\ntwo")


@pytest.mark.parametrize(
    ("counts", "before", "after", "side", "fooled"),
    [
        (Counts.ANY, A, A, 0, False),
        (Counts.ANY, A, TIE, 0, True),
        (Counts.ANY, TIE, BAD, 1, True),
        (Counts.TOWARDS, B, A, 0, True),
        (Counts.TOWARDS, B, TIE, 0, True),
        (Counts.TOWARDS, TIE, A, 0, True),
        (Counts.TOWARDS, TIE, BAD, 0, False),
        (Counts.TOWARDS, A, B, 0, False),
        (Counts.TOWARDS, A, B, 1, True),
        (Counts.TOWARDS, BAD, B, 1, True),
        (Counts.TOWARDS, B, B, 1, False),
        (Counts.TOWARDS, A, B, None, True),
    ],
)
def test_which_change_counts_as_fooled(counts, before, after, side, fooled):
    assert is_fooled(counts, before=before, after=after, side=side) is fooled


def test_probes_are_named_in_the_registrys_order_and_unknown_ones_are_refused():
    assert [probe.name for probe in probes_named(["markup", "swap", "swap"])] == ["swap", "markup"]
    assert probes_named(USUAL)
    with pytest.raises(ProbeError, match="no probe 'x': there are blank, swap, "):
        probes_named(["swap", "x"])
    with pytest.raises(ProbeError, match="at least one"):
        probes_named([])
