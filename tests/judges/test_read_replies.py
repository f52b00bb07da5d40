"""Replies as models write them: what a person would read is read, and what isn't certain is an error."""

import json
from collections import Counter
from pathlib import Path

import pytest

from judges.protocols import protocol_from
from judges.protocols.interface import Choice, Reading, Reply, UnreadableReply

CORPUS = [
    json.loads(line)
    for line in Path(__file__).with_name("reply_corpus.jsonl").read_text("utf-8").splitlines()
]
CHOICES = {"A": Choice.FIRST, "B": Choice.SECOND, "tie": Choice.TIE, "both bad": Choice.BOTH_BAD}
QUESTIONS = ("Is it right?", "Is it short?", "Is it kind?")


def read(row: dict) -> Reading | None:
    protocol = protocol_from({"protocol": {"name": row["protocol"], "options": row["options"]}})
    questions = QUESTIONS if row["protocol"] == "checklist" else ()
    try:
        return protocol.read(
            Reply(row["reply"], finish=row.get("finish", "stop")), questions=questions
        )
    except UnreadableReply:
        return None


def said(reading: Reading | None, protocol: str) -> object:
    """As the corpus says it."""
    if reading is None:
        return None
    names = {choice: name for name, choice in CHOICES.items()}
    if reading.choice is None:
        return reading.score
    name = names[reading.choice]
    if protocol == "five_step":
        return [name, reading.details["strength"]]
    if protocol == "rubric":
        return [name, {key: names[value] for key, value in reading.by_criterion.items()}]
    return name


def is_right(expected: object, found: object) -> bool:
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return found == pytest.approx(expected)
    return expected == found


def test_no_reply_is_read_wrongly_and_nearly_all_are_read():
    n, right, wrong, missed = Counter(), Counter(), [], []
    for row in CORPUS:
        found = said(read(row), row["protocol"])
        n[row["kind"]] += 1
        if is_right(row["expect"], found):
            right[row["kind"]] += 1
        else:
            (missed if found is None else wrong).append((row["reply"], row["expect"], found))
    assert sum(n.values()) >= 220
    assert not wrong, "\n".join(map(str, wrong))
    share = sum(right.values()) / sum(n.values())
    assert share >= 0.93, "\n".join(
        [*(f"{kind}: {right[kind]} of {n[kind]}" for kind in n), *map(str, missed)]
    )
