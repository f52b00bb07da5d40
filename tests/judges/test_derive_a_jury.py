"""A jury's verdicts follow from its members', once, and follow them when they change."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from arena.models import AuditEntry
from judges import derivations, tasks
from judges.derivations import DerivationError, derive, due, refresh, sweep
from judges.juries.making import JuryError, make_jury
from judges.models import (
    Derivation,
    Exclusion,
    Judge,
    Outcome,
    Retraction,
    Score,
    Verdict,
    VerdictTrace,
)
from judges.signals import verdicts_changed
from judges.voting import cast_verdict, retract_verdict
from ratings.models import Publication
from ratings.publications import refresh_all
from tests import cast

pytestmark = pytest.mark.django_db
A, B, TIE, BAD = Outcome


@pytest.fixture
def arena():
    return cast.make_arena()


@pytest.fixture
def battles(arena):
    systems = [
        cast.make_system(arena, name, family=family)
        for name, family in [("Ada", "Acme"), ("Basil", "Birch"), ("Cleo", "")]
    ]
    prompts = [cast.make_prompt(arena, f"Poem {n}.") for n in range(3)]
    return [
        cast.make_battle(one, other, prompt)
        for prompt in prompts
        for one, other in [systems[:2], systems[1:]]
    ]


@pytest.fixture
def members(arena):
    return [
        cast.make_judge(arena, name, kind, family=family)
        for name, kind, family in [
            ("One", Judge.Kind.LLM, "Acme"),
            ("Two", Judge.Kind.PROGRAM, ""),
            ("Three", Judge.Kind.IMPORTED, "Birch"),
        ]
    ]


def say(battle, members, *outcomes):
    for member, outcome in zip(members, outcomes, strict=True):
        if outcome is not None:
            cast.make_verdict(battle, member, outcome)


def standing(jury):
    """(battle, outcome, repetition) of what counts."""
    rows = Verdict.objects.filter(judge=jury, retraction=None).order_by("battle")
    return list(rows.values_list("battle", "outcome", "repetition"))


def test_one_verdict_per_battle_that_its_members_have_decided(arena, battles, members):
    say(battles[0], members, A, A, B)
    say(battles[1], members, A, B, TIE)
    say(battles[2], members, A, A, None)
    jury = make_jury(arena=arena, name="Three of them", members=members)
    derivation = derive(judge=jury)
    assert standing(jury) == [(battles[0].pk, A, 0), (battles[1].pk, TIE, 0)]
    assert (jury.kind, jury.slug, jury.version) == ("jury", "three-of-them", 1)
    assert [m["slug"] for m in jury.configuration["members"]] == ["one", "three", "two"]
    figures = derivation.figures
    assert (figures["decided"], figures["added"], figures["waiting"]) == (2, 2, 1)
    assert figures["members"]["three"] == {"voted": 2, "dissented": 1}
    assert (derivation.stale_since, derivation.claimed_until, derivation.error) == (None, None, "")


def test_the_trace_says_who_voted_what_and_who_dissented(arena, battles, members):
    say(battles[0], members, A, A, B)
    jury = make_jury(arena=arena, name="Jury", members=members)
    derive(judge=jury)
    verdict = Verdict.objects.get(judge=jury)
    assert verdict.confidence == pytest.approx(2 / 3)
    assert verdict.cast_at == max(v.cast_at for v in Verdict.objects.exclude(judge=jury))
    assert verdict.trace.rationale == (
        "Majority of 3: A. one: A, three: B, two: A. Dissent: three."
    )
    assert verdict.trace.parse["votes"] == {"one": "A", "three": "B", "two": "A"}
    assert (verdict.trace.parse["dissenters"], verdict.trace.parse["abstentions"]) == (
        ["three"],
        [],
    )


def test_deriving_again_adds_only_what_is_new(arena, battles, members):
    say(battles[0], members, A, A, B)
    jury = make_jury(arena=arena, name="Jury", members=members)
    derive(judge=jury)
    before = list(Verdict.objects.values_list("pk", flat=True))
    assert derive(judge=jury).figures["added"] == 0
    assert list(Verdict.objects.values_list("pk", flat=True)) == before
    say(battles[1], members, B, B, B)
    figures = derive(judge=jury).figures
    assert (figures["decided"], figures["added"], figures["retracted"]) == (2, 1, 0)


def test_what_a_member_takes_back_is_taken_back_and_what_it_says_anew_is_a_new_repetition(
    arena, battles, members
):
    say(battles[0], members, A, A, B)
    jury = make_jury(arena=arena, name="Jury", members=members)
    derive(judge=jury)
    retract_verdict(verdict=Verdict.objects.get(judge=members[0]))
    derive(judge=jury)
    assert standing(jury) == []
    assert Retraction.objects.get(verdict__judge=jury).reason == derivations.CHANGED
    cast_verdict(battle=battles[0], judge=members[0], outcome=B, repetition=1)
    derive(judge=jury)
    assert standing(jury) == [(battles[0].pk, B, 1)]
    assert VerdictTrace.objects.filter(verdict__judge=jury).count() == 2


def test_a_member_who_changes_sides_without_changing_the_outcome_is_seen(arena, battles, members):
    say(battles[0], members, A, A, B)
    jury = make_jury(arena=arena, name="Jury", members=members)
    derive(judge=jury)
    retract_verdict(verdict=Verdict.objects.get(judge=members[2]))
    cast_verdict(battle=battles[0], judge=members[2], outcome=TIE, repetition=1)
    derive(judge=jury)
    assert standing(jury) == [(battles[0].pk, A, 1)]
    votes = Verdict.objects.get(judge=jury, retraction=None).trace.parse["votes"]
    assert votes["three"] == "tie"


def test_a_member_asked_more_often_has_one_vote_by_its_own_majority(arena, battles, members):
    say(battles[0], members, A, A, B)
    for repetition, outcome in [(1, B), (2, B)]:
        cast.make_verdict(battles[0], members[0], outcome, repetition=repetition)
    cast.make_verdict(battles[0], members[1], B, repetition=1)  # A and B: a tie of its own
    jury = make_jury(arena=arena, name="Jury", members=members)
    derive(judge=jury)
    votes = Verdict.objects.get(judge=jury).trace.parse["votes"]
    assert votes == {"one": "B", "two": "tie", "three": "B"}
    assert standing(jury) == [(battles[0].pk, B, 0)]


def test_with_a_quorum_the_others_abstain_and_stay_in_the_denominator(arena, battles, members):
    say(battles[0], members, A, A, None)
    say(battles[1], members, A, B, None)
    say(battles[2], members, A, None, None)
    jury = make_jury(arena=arena, name="Jury", members=members, options={"quorum": 2})
    derive(judge=jury)
    assert standing(jury) == [(battles[0].pk, A, 0), (battles[1].pk, TIE, 0)]
    trace = Verdict.objects.get(judge=jury, battle=battles[0]).trace
    assert trace.parse["abstentions"] == ["three"]
    assert trace.parse["support"] == pytest.approx(2 / 3)


def test_verdicts_on_criteria_are_not_the_jurys(arena, battles, members):
    say(battles[0], members, A, A, A)
    cast.make_verdict(battles[0], members[0], B, criterion="style")
    jury = make_jury(arena=arena, name="Jury", members=members)
    derive(judge=jury)
    assert standing(jury) == [(battles[0].pk, A, 0)]


def test_a_council_leaves_out_who_is_of_a_systems_family(arena, battles, members):
    say(battles[0], members, A, B, A)  # Acme against Birch: only Two may judge
    say(battles[1], members, A, B, A)  # Birch against nobody's: One and Two
    jury = make_jury(arena=arena, name="Council", members=members, rule="council")
    derive(judge=jury)
    assert standing(jury) == [(battles[0].pk, B, 0), (battles[1].pk, TIE, 0)]
    trace = Verdict.objects.get(judge=jury, battle=battles[0]).trace
    assert (trace.parse["left_out"], trace.parse["votes"]) == (["one", "three"], {"two": "B"})
    assert "Left out, of the family of a system: one, three." in trace.rationale


def test_a_council_does_not_wait_for_those_who_may_not_judge(arena, battles, members):
    say(battles[0], members, None, B, None)
    jury = make_jury(arena=arena, name="Council", members=members, rule="council")
    assert derive(judge=jury).figures["waiting"] == 0
    assert standing(jury) == [(battles[0].pk, B, 0)]
    alone = make_jury(arena=arena, name="Alone", members=members[:1], rule="council")
    say(battles[2], members, A, None, None)
    assert derive(judge=alone).figures["nobody_may"] == 1
    assert standing(alone) == []


def people_prefer(arena, battles, outcome=A, n=2):
    people = cast.make_judge(arena)
    for number in range(n):
        voter = cast.make_voter(people, f"voter-{number}")
        for battle in battles:
            cast.make_verdict(battle, people, outcome, voter)
    return people


def test_weights_come_from_an_exam_against_people(arena, battles, members):
    for battle in battles:
        say(battle, members, A, B, TIE)
    people_prefer(arena, battles)
    jury = make_jury(arena=arena, name="Examined", members=members, rule="weighted")
    exam = jury.configuration["exam"]["members"]
    assert (exam["one"]["n"], exam["one"]["right"]) == (6, 6)
    assert exam["one"]["accuracy"] == pytest.approx(7 / 8)
    assert exam["one"]["weight"] == pytest.approx(1.945910149)  # log 7
    assert (exam["two"]["right"], exam["two"]["weight"]) == (0, 0)
    assert (exam["three"]["right"], exam["three"]["weight"]) == (3, 0)
    derive(judge=jury)
    assert {outcome for _, outcome, _ in standing(jury)} == {A}


def test_an_exam_is_held_once_and_leaves_excluded_voters_out(arena, battles, members):
    for battle in battles:
        say(battle, members, A, B, B)
    people = people_prefer(arena, battles, A, n=1)
    for number in (1, 2):
        voter = cast.make_voter(people, f"excluded-{number}")
        for battle in battles:
            cast.make_verdict(battle, people, B, voter)
        Exclusion.objects.create(voter=voter, reason="bots")
    jury = make_jury(arena=arena, name="Examined", members=members, rule="weighted")
    assert jury.configuration["exam"]["members"]["one"]["right"] == 6
    people_prefer_more = cast.make_voter(people, "late")
    cast.make_verdict(battles[0], people, B, people_prefer_more)
    assert make_jury(arena=arena, name="Examined", members=members, rule="weighted") == jury


def test_without_people_nobody_passes_the_exam(arena, battles, members):
    say(battles[0], members, A, A, A)
    with pytest.raises(JuryError, match="let more people vote first"):
        make_jury(arena=arena, name="Examined", members=members, rule="weighted")
    assert not Judge.objects.filter(kind="jury").exists()


def test_a_mean_of_scores_is_of_the_members_who_scored_both_outputs(arena, battles, members):
    battle = battles[0]
    for member, (a, b) in zip(members, [(7, 3), (4, 5), (None, 5)], strict=True):
        for output, value in [(battle.output_a, a), (battle.output_b, b)]:
            if value is not None:
                Score.objects.create(arena=arena, judge=member, output=output, value=value)
    options = {"values": "scores", "quorum": 2}
    jury = make_jury(arena=arena, name="Mean", members=members, rule="mean", options=options)
    derive(judge=jury)
    assert standing(jury) == [(battle.pk, A, 0)]
    parse = Verdict.objects.get(judge=jury).trace.parse
    assert (parse["values"], parse["margin"]) == ({"one": 4, "two": -1}, 1.5)
    assert parse["abstentions"] == ["three"]


def test_the_same_jury_is_made_once_and_another_one_is_a_new_version(arena, members):
    jury = make_jury(arena=arena, name="Jury", members=members)
    assert make_jury(arena=arena, name="Jury", members=members[::-1]) == jury
    second = make_jury(arena=arena, name="Jury", members=members, options={"quorum": 2})
    assert (second.version, second.slug) == (2, "jury-v2")
    assert Derivation.objects.count() == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": " "}, "Give the jury a name"),
        ({"rule": "mode"}, "'mode' is not a rule: there are majority, mean"),
        ({"members": []}, "name at least one judge"),
        ({"options": {"quorum": 4}}, "from 1 to 3, not 4"),
        ({"options": {"quorum": True}}, "from 1 to 3, not True"),
        ({"options": {"tie_margin": 1}}, "no option of majority"),
        ({"rule": "mean", "options": {"tie_margin": -1}}, "from 0 up, not -1"),
        ({"rule": "mean", "options": {"values": "ranks"}}, "one of verdicts, scores"),
        ({"name": "One"}, "name of a judge already"),
    ],
)
def test_what_can_not_be_a_jury_is_refused_in_words(arena, members, given, words):
    with pytest.raises(JuryError, match=words):
        make_jury(**{"arena": arena, "name": "Jury", "members": members} | given)
    assert not Judge.objects.filter(kind="jury").exists()


def test_people_juries_and_strangers_are_no_members(arena, members):
    people = cast.make_judge(arena)
    stranger = cast.make_judge(cast.make_arena("other"), "Stranger", Judge.Kind.LLM)
    jury = make_jury(arena=arena, name="Jury", members=members)
    for who, words in [
        ([people], "is People: members are"),
        ([jury], "is Jury: members are"),
        ([stranger], "of another arena"),
        ([members[0], members[0]], "one seat"),
    ]:
        with pytest.raises(JuryError, match=words):
            make_jury(arena=arena, name="No", members=who)


def test_a_members_verdict_makes_the_jury_stale_and_a_worker_derives_it(
    arena, battles, members, django_capture_on_commit_callbacks
):
    jury = make_jury(arena=arena, name="Jury", members=members)
    derive(judge=jury)
    Derivation.objects.update(rests_until=None)
    assert not due().exists()
    say(battles[0], members[:2], A, A)
    cast_verdict(battle=battles[0], judge=members[2], outcome=B)
    assert due().get().pk == jury.pk
    assert refresh(jury.pk)
    assert standing(jury) == [(battles[0].pk, A, 0)]
    assert not refresh(jury.pk)


def test_verdicts_of_others_leave_it_alone(arena, battles, members):
    jury = make_jury(arena=arena, name="Jury", members=members)
    derive(judge=jury)
    stranger = cast.make_judge(arena, "Stranger", Judge.Kind.LLM)
    people = cast.make_judge(arena)
    for judge, voter in [(stranger, None), (people, cast.make_voter(people))]:
        cast_verdict(battle=battles[0], judge=judge, voter=voter, outcome=A)
    assert Derivation.objects.get(pk=jury.pk).stale_since is None


def test_whoever_is_at_it_is_left_to_it_and_the_sweeper_finds_what_died(
    arena, battles, members, settings
):
    say(battles[0], members, A, A, B)
    jury = make_jury(arena=arena, name="Jury", members=members)
    assert Derivation.objects.claim(jury.pk)
    assert not refresh(jury.pk)
    with pytest.raises(DerivationError, match="A worker is deriving"):
        derive(judge=jury)
    assert sweep() == 0
    Derivation.objects.update(claimed_until=timezone.now() - timezone.timedelta(seconds=1))
    assert sweep() == 1
    assert refresh(jury.pk)
    assert len(standing(jury)) == 1


def test_a_worker_that_was_killed_between_two_batches_loses_and_repeats_nothing(
    arena, battles, members, monkeypatch
):
    monkeypatch.setattr(derivations, "CHUNK", 2)
    for battle in battles:
        say(battle, members, A, A, B)
    jury = make_jury(arena=arena, name="Jury", members=members)
    stored, calls = derivations._store, []

    def die_at_the_second(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return stored(*args)

    monkeypatch.setattr(derivations, "_store", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        refresh(jury.pk)
    assert len(standing(jury)) == 2
    monkeypatch.setattr(derivations, "_store", stored)
    Derivation.objects.update(claimed_until=timezone.now() - timezone.timedelta(seconds=1))
    assert refresh(jury.pk)
    assert Verdict.objects.filter(judge=jury).count() == 6 == len(standing(jury))


def test_a_failure_is_kept_with_its_reason_and_tried_again(arena, battles, members, monkeypatch):
    say(battles[0], members, A, A, B)
    jury = make_jury(arena=arena, name="Jury", members=members)
    Verdict.objects.filter(judge=members[1]).delete()
    members[1].delete()
    for attempt in range(1, 4):
        with pytest.raises(DerivationError, match="'two' that Jury was made with isn't there"):
            refresh(jury.pk)
        row = Derivation.objects.get(pk=jury.pk)
        assert (row.attempts, row.claimed_until) == (attempt, None)
        assert "isn't there" in row.error
    assert not due().exists()


def test_what_changed_is_announced_and_nothing_is_when_nothing_did(arena, battles, members):
    say(battles[0], members, A, A, B)
    jury = make_jury(arena=arena, name="Jury", members=members)
    heard = []

    def listen(sender, arena_id, judge_ids, **kwargs):
        heard.append(judge_ids)

    verdicts_changed.connect(listen)
    try:
        derive(judge=jury)
        derive(judge=jury)
    finally:
        verdicts_changed.disconnect(listen)
    assert heard == [frozenset([jury.pk])]


def test_queries_do_not_grow_with_battles(arena, battles, members):
    def queries_of_a_pass():
        with CaptureQueriesContext(connection) as queries:
            derive(judge=jury)
        return len(queries)

    jury = make_jury(arena=arena, name="Jury", members=members)
    say(battles[0], members, A, A, B)
    derive(judge=jury)  # its first verdicts open its figures
    say(battles[1], members, A, A, B)
    few = queries_of_a_pass()
    for battle in battles[2:]:
        say(battle, members, A, A, B)
    assert queries_of_a_pass() == few
    assert len(standing(jury)) == 6


def test_a_jury_stands_on_a_leaderboard_and_in_a_report_like_any_judge(small_arena, settings):
    settings.BOOTSTRAP_ROUNDS = 200
    llm = small_arena.judges.get(slug="judge-llm")
    other = cast.make_judge(small_arena, "Other", Judge.Kind.LLM)
    for verdict in Verdict.objects.filter(judge=llm).select_related("battle"):
        cast.make_verdict(verdict.battle, other, Outcome(verdict.outcome))
    jury = make_jury(arena=small_arena, name="Jury", members=[llm, other])
    derive(judge=jury)
    refresh_all(arena=small_arena)
    figures = Publication.objects.filter(arena=small_arena, judge=jury)
    assert {publication.kind for publication in figures} == {"leaderboard", "report"}
    of_jury, of_llm = (
        list(Publication.objects.get(judge=judge, kind="leaderboard").snapshot.ratings.order_by("rank")
             .values_list("system__name", "rank"))
        for judge in (jury, llm)
    )  # fmt: skip
    assert of_jury == of_llm != []


def test_the_tasks_call_the_verbs(arena, battles, members, settings):
    say(battles[0], members, A, A, B)
    jury = make_jury(arena=arena, name="Jury", members=members)
    assert tasks.sweep_derivations() == 1
    assert tasks.derive(jury.pk)
    assert not tasks.derive(jury.pk)
    assert len(standing(jury)) == 1
    names = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert tasks.sweep_derivations.name in names


def test_who_made_a_jury_is_in_the_log(arena, members, django_user_model):
    ada = django_user_model.objects.create_user("ada")
    for _ in range(2):
        make_jury(arena=arena, name="Jury", members=members, actor=ada)
    entry = AuditEntry.objects.get(act="make jury")
    assert (entry.actor, entry.subject, entry.details) == (ada, "Jury", {"rule": "majority"})


def test_a_verdict_asks_one_thing_more_where_nothing_follows_from_it(arena, battles, members):
    with CaptureQueriesContext(connection) as queries:
        cast_verdict(battle=battles[0], judge=members[0], outcome=A)
    assert len([q for q in queries if "derivation" in q["sql"]]) == 1


def test_only_juries_are_derived(arena, members):
    with pytest.raises(DerivationError, match="no jury or cascade"):
        derive(judge=members[0])


def test_the_commands_make_and_derive_a_jury(arena, battles, members, capsys):
    say(battles[0], members, A, A, B)
    for _ in range(2):
        call_command("make_jury", "poems", "The three", "one", "Two", "three")
    assert Judge.objects.filter(kind="jury").count() == 1
    say(battles[1], members, B, B, A)
    call_command("derive_jury", "poems", "the-three")
    assert "2 verdicts, 1 new, 0 retracted" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no judge 'four'; it has one, the-three"):
        call_command("make_jury", "poems", "No", "four")
    with pytest.raises(CommandError, match="from 1 to 3, not 9"):
        call_command("make_jury", "poems", "No", "one", "two", "three", "--option", "quorum=9")
    with pytest.raises(CommandError, match="NAME=VALUE"):
        call_command("make_jury", "poems", "No", "one", "--option", "quorum")
    with pytest.raises(CommandError, match="no jury or cascade"):
        call_command("derive_jury", "poems", "one")
