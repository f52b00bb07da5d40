"""The parts that keep an import flat in memory: counts of what came before, and reading ahead."""

import threading
from collections import Counter

import numpy as np
import pytest

from judges.bulk import Forgetful, IdSet
from judges.hashlog import HashLog
from judges.importing import name_from
from judges.read_ahead import read_ahead
from judges.registers import pseudonym, unique_slugs


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_ordinals_are_those_of_a_plain_count(chunk):
    rng = np.random.default_rng(3)
    values = (rng.integers(-400, 400, size=3_000) * 2**50).tolist()
    log, counts, expected, got = HashLog(), Counter(), [], []
    for value in values:
        expected.append(counts[value])
        counts[value] += 1
    for start in range(0, len(values), chunk):
        got += log.ordinals(values[start : start + chunk])
    assert got == expected


def test_nothing_was_seen_before_the_beginning():
    assert HashLog().ordinals([]) == []


def ahead(items, **sizes):
    return read_ahead(items, size_of=lambda _: 1, waiting=threading.Event(), **sizes)


def test_reading_ahead_gives_the_same_items():
    items = list(range(1_000))
    assert list(ahead(iter(items), most=7, largest=100)) == items


def test_what_the_items_raise_is_raised_after_those_before():
    def items():
        yield 1
        raise ValueError("the third line")

    reader = ahead(items(), most=10, largest=10)
    assert next(reader) == 1
    with pytest.raises(ValueError, match="the third line"):
        next(reader)


def test_a_reader_that_nobody_waits_for_ends():
    def items():
        while True:
            yield 1

    before = threading.active_count()
    reader = ahead(items(), most=10, largest=10)
    assert next(reader) == 1
    reader.close()
    assert threading.active_count() == before


def test_the_forgetful_forgets_its_older_half():
    known = Forgetful(4)
    for n in range(5):
        known.remember({n: n})
    assert list(known) == [2, 3, 4]


def test_ids_are_counted_once_and_only_old_ones():
    met = IdSet(last=9)
    for number in (1, 8, 8, 9, 10, 1):
        met.add(number)
    assert met.count == 3


def test_addresses_are_unique_and_plain():
    names = ["GPT 4", "GPT-4", "Ça va?", "漢", "a..b--c", "x" * 300]
    assert unique_slugs(names, taken={"ca-va"}, longest=60) == [
        "gpt-4", "gpt-4-2", "ca-va-2", "unnamed", "a-b-c", "x" * 60,
    ]  # fmt: skip


@pytest.mark.parametrize("handle", ["alice", "arena_user_17", "v1.5", "a:b", "worker-5"])
def test_what_is_no_address_stays(handle):
    assert pseudonym(handle) == handle


@pytest.mark.parametrize("handle", ["eve@example.org", "203.0.113.7", "arena_user_2001:db8::1"])
def test_an_address_becomes_a_keyed_hash(handle):
    assert pseudonym(handle).startswith("voter-")
    assert pseudonym(handle) == pseudonym(handle) != pseudonym(handle + "0")


@pytest.mark.parametrize(
    ("slug", "name"),
    [
        ("llmfao", "llmfao"),
        ("short-summaries", "Short summaries"),
        ("arena-hard-v2.0", "Arena hard v2.0"),
        ("2024-votes", "2024 votes"),
    ],
)
def test_an_arena_that_nobody_named_is_called_by_its_slug(slug, name):
    assert name_from(slug) == name
