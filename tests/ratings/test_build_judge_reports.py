import json

import pytest
from django.core.management import CommandError, call_command

from judges.models import Judge, Outcome, Verdict
from ratings import publications, reports
from ratings.models import JudgeReport
from ratings.publications import report_slice
from ratings.slices import Slice, SliceError
from tests import cast


@pytest.fixture(autouse=True)
def few_rounds(settings):
    settings.BOOTSTRAP_ROUNDS = 200


@pytest.fixture
def copycat(small_arena):
    """An LLM that repeats every verdict of alice."""
    judge = cast.make_judge(small_arena, "Copycat", Judge.Kind.LLM)
    for verdict in Verdict.objects.filter(voter__handle="alice").select_related("battle"):
        cast.make_verdict(verdict.battle, judge, verdict.outcome)
    return judge


def test_a_judge_that_repeats_a_person_ranks_like_that_person(small_arena, copycat):
    Verdict.objects.filter(voter__handle="bob").delete()
    report = reports.build(arena=small_arena, slice=report_slice(copycat))
    assert report.tau == pytest.approx(1)
    assert (report.accuracy, report.kappa) == (1, 1)
    assert report.n_systems == 4
    assert report.n_judge_verdicts == report.n_reference_verdicts == report.n_battles == 36


def test_the_confusion_table_has_people_in_rows_and_the_judge_in_columns(small_arena):
    judge = cast.make_judge(small_arena, "Always A", Judge.Kind.PROGRAM)
    Verdict.objects.filter(voter__handle="bob").delete()
    for battle in small_arena.battles.all():
        cast.make_verdict(battle, judge, Outcome.A)
    table = reports.build(arena=small_arena, slice=report_slice(judge)).figures["confusion"]
    people = Verdict.objects.filter(voter__handle="alice")
    expected = [[people.filter(outcome=outcome).count(), 0, 0] for outcome in Outcome][:3]
    assert table == expected


def test_shared_battles_are_the_default_and_all_battles_a_switch(small_arena):
    llm = small_arena.judges.get(slug="judge-llm")
    extra = cast.make_prompt(small_arena, "Write one that no person judges.")
    ada, basil = small_arena.systems.order_by("pk")[:2]
    cast.make_verdict(cast.make_battle(ada, basil, extra), llm, Outcome.A)
    shared = reports.build(arena=small_arena, slice=report_slice(llm))
    everything = reports.build(arena=small_arena, slice=report_slice(llm, battles="all"))
    assert (shared.n_judge_verdicts, everything.n_judge_verdicts) == (36, 37)
    assert shared.n_battles == everything.n_battles == 36


def test_the_same_data_make_one_report(small_arena, copycat):
    first = reports.build(arena=small_arena, slice=report_slice(copycat))
    assert reports.build(arena=small_arena, slice=report_slice(copycat)) == first
    assert JudgeReport.objects.count() == 1


def test_a_judge_without_a_shared_battle_has_a_report_that_says_so(small_arena):
    judge = cast.make_judge(small_arena, "Idle", Judge.Kind.LLM)
    report = reports.build(arena=small_arena, slice=report_slice(judge))
    assert (report.tau, report.alpha, report.kappa, report.n_battles) == (None, None, None, 0)
    assert report.figures["tau"]["reason"]


def test_every_figure_has_a_value_or_a_reason(small_arena):
    llm = small_arena.judges.get(slug="judge-llm")
    figures = reports.build(arena=small_arena, slice=report_slice(llm)).figures
    json.dumps(figures, allow_nan=False)
    for name, figure in figures.items():
        if isinstance(figure, dict) and "value" in figure:
            assert figure["value"] is not None or figure["reason"], name
            assert figure["n"] >= 0


def test_the_family_of_a_judge_is_compared_with_that_of_systems(small_arena):
    small_arena.systems.filter(name="Ada").update(family="Quill")
    Judge.objects.filter(slug="judge-llm").update(family="Quill")
    llm = small_arena.judges.get(slug="judge-llm")
    figures = reports.build(arena=small_arena, slice=report_slice(llm)).figures
    assert figures["family_bias"]["n"] == 1 or figures["family_bias"]["reason"]


def test_an_unknown_judge_is_refused(small_arena):
    with pytest.raises((SliceError, Judge.DoesNotExist)):
        reports.build(arena=small_arena, slice=Slice(judge="nobody"))


def test_the_command_prints_the_figures(small_arena, copycat, capsys):
    call_command("judge_report", arena="poems", judge="Copycat")
    printed = capsys.readouterr().out
    assert "Copycat against people: 36 shared battles" in printed
    assert "Kendall's tau-b" in printed


def test_the_command_prints_json(small_arena, copycat, capsys):
    call_command("judge_report", arena="poems", judge="copycat", json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["judge"] == "copycat"
    assert printed["n"]["shared_battles"] == 36


def test_the_command_refuses_to_compare_people_with_themselves(small_arena):
    with pytest.raises(CommandError, match="people are the reference"):
        call_command("judge_report", arena="poems", judge="people")


def test_the_command_names_the_judges_that_there_are(small_arena):
    with pytest.raises(CommandError, match="it has people, judge-llm"):
        call_command("judge_report", arena="poems", judge="nobody")


def test_a_judge_that_contradicts_itself_has_tied(small_arena):
    """Neither label wins because it comes first."""
    judge = cast.make_judge(small_arena, "Wavering", Judge.Kind.LLM)
    Verdict.objects.filter(voter__handle="bob").delete()
    for battle in small_arena.battles.all():
        cast.make_verdict(battle, judge, Outcome.A)
        cast.make_verdict(battle, judge, Outcome.B, repetition=1)
    table = reports.build(arena=small_arena, slice=report_slice(judge)).figures["confusion"]
    assert [row[:2] for row in table] == [[0, 0]] * 3
    assert sum(row[2] for row in table) == 36


def test_the_report_of_the_command_is_the_one_that_pages_show(small_arena, copycat):
    call_command("judge_report", arena="poems", judge="copycat")
    publication = publications.report_for(arena=small_arena, judge=copycat)
    assert publication.report == JudgeReport.objects.get()
    assert not publication.is_pending


def test_people_are_told_apart_in_the_alt_test_and_their_first_vote_counts(small_arena, copycat):
    crowd = small_arena.judges.get(slug="people")
    carol = cast.make_voter(crowd, "carol")
    for verdict in Verdict.objects.filter(voter__handle="alice").select_related("battle"):
        cast.make_verdict(verdict.battle, crowd, verdict.outcome, carol)
        # Asked again, she says something else: that measures her.
        other = Outcome.A if verdict.outcome == Outcome.B else Outcome.B
        cast.make_verdict(verdict.battle, crowd, other, carol, repetition=1)
    figures = reports.build(arena=small_arena, slice=report_slice(copycat)).figures
    tests = figures["alt_tests"]
    assert [test["epsilon"] for test in tests] == [0.2, 0.15, 0.1]
    for test in tests:
        assert (test["n_people"], test["n_battles"], test["omega"]["n"]) == (3, 36, 3)
        # Whoever says what the judge says is never ahead of it, nor behind.
        assert test["rho"]["value"] == pytest.approx(1)
        assert test["passes"] is True
    assert [row["n"] for row in figures["alt_test_people"]] == [36, 36, 36]
    assert [row["judge"] for row in figures["alt_test_people"]] == [1, 1, 1]
    assert "alice" not in json.dumps(figures)


def test_votes_of_nobody_known_make_no_alt_test(small_arena, copycat):
    Verdict.objects.filter(voter__handle="alice").update(voter=None)
    Verdict.objects.filter(voter__handle="bob").update(voter=None, repetition=1)
    figures = reports.build(arena=small_arena, slice=report_slice(copycat)).figures
    assert figures["alt_tests"] == []
    assert figures["alt_test_people"] == []


def test_longer_outputs_are_told_from_shorter_ones(small_arena, copycat):
    for output in small_arena.outputs.all():
        length = 200 if output.system.slug == "ada" else 50
        output.__class__.objects.filter(pk=output.pk).update(text="x" * length)
    figures = reports.build(arena=small_arena, slice=report_slice(copycat)).figures
    found = {one["name"]: one for one in figures["surface"]}
    # 18 of 36 battles are Ada's, fewer than are needed.
    assert found["characters"]["judge"]["value"] is None
    assert "18 battles differ" in found["characters"]["judge"]["reason"]
    assert found["lists"]["judge"]["n"] == 0
