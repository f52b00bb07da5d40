"""A judge's report comes out again, as the verdicts stood when it was made."""

import io

import pytest
from django.core.management import CommandError, call_command

from judges.models import Outcome, Verdict
from judges.voting import retract_verdict
from ratings import reports
from ratings.models import JudgeReport
from ratings.publications import report_slice
from tests import cast


@pytest.fixture
def report(small_arena):
    judge = small_arena.judges.get(slug="judge-llm")
    return reports.build(arena=small_arena, slice=report_slice(judge), rounds=200)


def test_a_report_verifies(report):
    found = reports.verify(report=report)
    assert found.passed
    assert (found.same_data, found.same_code, found.largest_difference) == (True, True, 0)
    out = io.StringIO()
    call_command("verify_report", report.pk, stdout=out)
    assert "the same data digest, the same numbers" in out.getvalue()


@pytest.mark.parametrize("battles", ["shared", "all"])
def test_it_still_verifies_after_new_verdicts_retractions_and_systems(small_arena, battles):
    judge = small_arena.judges.get(slug="judge-llm")
    report = reports.build(
        arena=small_arena, slice=report_slice(judge, battles=battles), rounds=200
    )
    people = small_arena.judges.get(slug="people")
    ada, basil = small_arena.systems.order_by("pk")[:2]
    aaron = cast.make_system(small_arena, "Aaron")
    for one, other in ((ada, basil), (ada, aaron)):
        battle = cast.make_battle(one, other, cast.make_prompt(small_arena, f"Later: {other}"))
        cast.make_verdict(battle, people, Outcome.B, cast.make_voter(people, f"carol-{other}"))
        cast.make_verdict(battle, judge, Outcome.A)
    # All that people said of one battle, and a verdict of the judge: other battles are shared now.
    battle = small_arena.battles.first()
    for verdict in battle.verdicts.filter(judge=people):
        retract_verdict(verdict=verdict)
    retract_verdict(verdict=Verdict.objects.filter(judge=judge).order_by("pk")[3])
    found = reports.verify(report=report)
    assert found.same_data
    assert found.passed, found.largest_difference


def test_a_figure_that_was_changed_is_found(report):
    JudgeReport.objects.filter(pk=report.pk).update(tau=0.123)
    with pytest.raises(CommandError, match="the same data, but numbers differ"):
        call_command("verify_report", report.pk)
    JudgeReport.objects.filter(pk=report.pk).update(tau=report.tau)
    figures = report.figures | {"systems": report.figures["systems"][1:]}
    JudgeReport.objects.filter(pk=report.pk).update(figures=figures)
    report.refresh_from_db()
    assert reports.verify(report=report).largest_difference == float("inf")


def test_a_verdict_that_went_is_found(report):
    Verdict.objects.filter(judge=report.judge).last().delete()
    with pytest.raises(CommandError, match="the data it was counted from has changed"):
        call_command("verify_report", report.pk)


def test_a_report_that_is_not_there_is_said(db):
    with pytest.raises(CommandError, match="There is no report 7"):
        call_command("verify_report", 7)


@pytest.mark.parametrize(
    ("then", "now", "difference"),
    [
        ({"a": 1.0, "name": "Ada"}, {"a": 1.5, "name": "Eve"}, 0.5),
        ([1, [2, None]], [1, [2, None]], 0),
        ([1], [1, 2], float("inf")),
        ({"a": None}, {"a": 0.0}, float("inf")),
        ({"a": 1}, {}, float("inf")),
        ({}, {"new": 1}, 0),
    ],
)
def test_differences_are_those_between_numbers(then, now, difference):
    assert reports.largest_difference(then, now) == difference
