"""Two LLM judges and a program on the battles of LLMFAO, from the import to a cascade's verdicts."""

import os
from collections import Counter
from pathlib import Path

import pytest

from arena.models import Arena, WantedBattle
from judges.cascades.making import Terms, Tier, make_cascade
from judges.cuts import watermark
from judges.derivations import derive
from judges.juries.making import make_jury
from judges.majorities import majorities
from judges.models import Outcome, Verdict
from judges.programs import PROGRAMS
from judges.runs import make_program_judge, start_run, work_on
from tests.judges.datasets import load
from tests.judges.real_panel import read_real_panel

DATA = os.environ.get("JURYBOX_DATA")
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        not DATA or not (Path(DATA) / "llmfao").is_dir(),
        reason="JURYBOX_DATA names no folder of data",
    ),
]


def test_from_the_import_to_a_cascade():
    load(Path(DATA) / "llmfao", "llmfao", "llmfao")
    arena = Arena.objects.get(slug="llmfao")
    program = make_program_judge(arena=arena, program=PROGRAMS["length_limit"], name="Length limit")
    work_on(start_run(judge=program))
    members = [arena.judges.get(name=name) for name in ("GPT-3.5", "GPT-4")] + [program]

    jury = make_jury(arena=arena, name="Three", members=members)
    assert derive(judge=jury).figures["decided"] == 3_236
    # As often of one mind as the rules say of the files, on the battles with a majority of people.
    panel = read_real_panel(votes=1)
    people = dict(majorities(arena=arena, up_to=watermark()))
    decided = Verdict.objects.filter(judge=jury).values_list("battle", "outcome", "confidence")
    ours = Counter(
        (outcome == Outcome.TIE, outcome == people[battle], round(support, 3))
        for battle, outcome, support in decided
        if people.get(battle) is not None
    )
    theirs = zip(panel.jury == Outcome.TIE, panel.jury == panel.people, panel.support, strict=True)
    assert ours == Counter((tie, same, round(support, 3)) for tie, same, support in theirs)

    weighted = make_jury(arena=arena, name="By exam", members=members, rule="weighted")
    exam = weighted.configuration["exam"]["members"]
    preferred = int((panel.people != Outcome.TIE).sum())
    assert {result["n"] for result in exam.values()} == {preferred}
    right = {
        slug: float(
            ((panel.said[:, k] == panel.people) & (panel.people != Outcome.TIE)).sum()
            + ((panel.said[:, k] == Outcome.TIE) & (panel.people != Outcome.TIE)).sum() / 2
        )
        for k, slug in enumerate(("gpt-3.5", "gpt-4", "length-limit"))
    }
    assert {slug: result["right"] for slug, result in exam.items()} == right
    assert exam["length-limit"]["weight"] > exam["gpt-4"]["weight"] > exam["gpt-3.5"]["weight"] > 0

    cascade = make_cascade(
        arena=arena,
        name="Cascade",
        tiers=[Tier(jury)],
        terms=Terms(target=0.85, delta=0.1, ties="leave out"),
    )
    calibration = cascade.configuration["calibration"]
    threshold = calibration["tiers"][0]["threshold"]
    assert threshold is not None
    assert threshold > 2 / 3  # only what all three say can be trusted so far
    sided = read_real_panel().people != Outcome.TIE
    assert calibration["references"] == sided.sum()
    held = calibration["held_out"]
    assert held["right"] / held["accepted"] >= 0.85
    figures = derive(judge=cascade).figures
    decided = Verdict.objects.filter(judge=jury, confidence=1).exclude(outcome=Outcome.TIE)
    assert figures["decided"] == decided.count()
    assert figures["waiting"] == 0
    assert 0 < figures["wanted"] == WantedBattle.objects.count() <= figures["abstained"]
