"""LLMFAO as arrays: people's majority, two LLM judges and a program on the same battles."""

import csv
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from judges.juries.rules import Vote, majority
from judges.programs import program_named, verdict
from judges.programs.verdicts import Decision

DATA = os.environ.get("JURYBOX_DATA")
OUTCOMES = {"left": Decision.A, "right": Decision.B, "tie": Decision.TIE}
LLMS = ("gpt3", "gpt4")
PROGRAM = "length_limit"


class RealPanel(NamedTuple):
    """Rows are battles with a majority of people; columns are gpt3, gpt4 and the program."""

    people: np.ndarray  # (n,)
    said: np.ndarray  # (n, 3)
    jury: np.ndarray  # (n,) by majority of the three
    support: np.ndarray  # (n,) the share of the three that said what the jury says


def read_real_panel(*, votes: int = 3) -> RealPanel:
    """Battles with at least ``votes`` votes of which one outcome has more than any other."""
    counts = defaultdict(lambda: [0, 0, 0])
    for row in _rows("crowd"):
        counts[_key(row)][OUTCOMES[row["winner"]]] += 1
    said = {name: {_key(row): OUTCOMES[row["winner"]] for row in _rows(name)} for name in LLMS}
    results = (Path(DATA) / "llmfao" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    texts = {(str(r["prompt"]), str(r["model"])): r["result"] for r in map(json.loads, results)}
    program = program_named(PROGRAM)

    def decide(key: tuple[str, str, str]) -> Decision:
        scores = [
            program.score(texts[key[0], model], prompt="", reference=None) for model in key[1:]
        ]
        return verdict(*scores, margin=program.margin)

    people, rows, jury, support = [], [], [], []
    for key, votes_of in sorted(counts.items()):
        if sum(votes_of) < votes or votes_of.count(max(votes_of)) > 1:
            continue
        people.append(votes_of.index(max(votes_of)))
        rows.append([*(said[name][key] for name in LLMS), decide(key)])
        members = zip((*LLMS, PROGRAM), rows[-1], strict=True)
        ruling = majority([Vote(name, decision) for name, decision in members])
        jury.append(ruling.outcome)
        support.append(ruling.support)
    return RealPanel(*(np.array(column) for column in (people, rows, jury, support)))


def _rows(name: str) -> list[dict[str, str]]:
    path = Path(DATA) / "llmfao" / f"{name}-comparisons.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _key(row: dict[str, str]) -> tuple[str, str, str]:
    return row["prompt"], row["model_x"], row["model_y"]
