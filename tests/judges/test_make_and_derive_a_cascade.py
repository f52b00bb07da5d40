"""A cascade trusts judges as far as people's votes bear it, and asks people about the rest."""

from decimal import Decimal

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from arena.models import AuditEntry, WantedBattle
from judges.cascades.deriving import Tiers, sure_of
from judges.cascades.making import CascadeError, Terms, Tier, calibrate_tiers, make_cascade
from judges.cuts import Cut
from judges.derivations import DerivationError, chunks_of, derive, refresh
from judges.juries.making import make_jury
from judges.member_votes import Said
from judges.models import Derivation, Judge, Outcome, Verdict, VerdictTrace, Voter
from judges.programs.verdicts import Decision
from judges.voting import cast_verdict, retract_verdict
from tests import cast
from tests.judges.judged_arena import make_judged_arena, make_sure_judge, say, truth_of

pytestmark = pytest.mark.django_db
A, B, TIE, BAD = Outcome
N = 200
TERMS = Terms(target=0.8, delta=0.1, seed=1, share=0.8)


def rising(confidence):
    return np.where(confidence > 0.4, 0.99, 0.4)


@pytest.fixture
def arena():
    return make_judged_arena(N)


@pytest.fixture
def cheap(arena):
    """The surer it is, the more often it is right."""
    return make_sure_judge(arena, "Cheap", accuracy=rising, seed=1)


@pytest.fixture
def dear(arena):
    """Right 95 times in a hundred, however sure it is."""
    return make_sure_judge(arena, "Dear", accuracy=lambda c: np.full_like(c, 0.95), seed=2)


def make(arena, *judges, terms=TERMS, name="Cascade"):
    tiers = [judge if isinstance(judge, Tier) else Tier(judge) for judge in judges]
    return make_cascade(arena=arena, name=name, tiers=tiers, terms=terms)


def standing(judge):
    rows = Verdict.objects.filter(judge=judge, retraction=None).order_by("battle")
    return {battle: (outcome, conf) for battle, outcome, conf in
            rows.values_list("battle", "outcome", "confidence")}  # fmt: skip


def test_a_tier_decides_what_it_is_sure_enough_of_and_people_get_the_rest(arena, cheap):
    judge = make(arena, cheap)
    tier = judge.configuration["calibration"]["tiers"][0]
    assert tier["bound"] <= 0.2
    assert 0.1 < tier["threshold"] < 0.6
    figures = derive(judge=judge).figures
    said = dict(Verdict.objects.filter(judge=cheap).values_list("battle", "confidence"))
    sure = {battle for battle, confidence in said.items() if confidence >= tier["threshold"]}
    assert set(standing(judge)) == sure
    assert figures["decided"] == len(sure) == figures["tiers"]["cheap"]["accepted"]
    assert figures["abstained"] == N - len(sure)
    assert figures["coverage"] == pytest.approx(len(sure) / N)
    # All battles have their three votes already, so nobody need be asked.
    assert (figures["wanted"], WantedBattle.objects.count()) == (0, 0)


def test_the_configuration_tells_what_the_claim_rests_on(arena, cheap, dear):
    judge = make(arena, cheap, dear)
    told = judge.configuration
    assert (judge.kind, told["target"], told["delta"], told["seed"]) == ("cascade", 0.8, 0.1, 1)
    assert [tier["slug"] for tier in told["tiers"]] == ["cheap", "dear"]
    calibration = told["calibration"]
    assert [tier["delta"] for tier in calibration["tiers"]] == [0.05, 0.05]
    assert calibration["references"] == N
    used = calibration["tiers"][0]["n"] + calibration["held_out"]["n"]
    assert used < N  # the other part is the second tier's
    # Of its part only what the first tier passes on.
    assert 0 < calibration["tiers"][1]["n"] < calibration["tiers"][0]["n"]
    held = calibration["held_out"]
    assert held["right"] / held["accepted"] >= 0.8
    low, high = held["interval"]
    assert low < held["right"] / held["accepted"] <= high


def test_what_the_first_tier_passes_on_the_second_decides(arena, cheap, dear):
    judge = make(arena, cheap, dear)
    first, second = (tier["threshold"] for tier in judge.configuration["calibration"]["tiers"])
    figures = derive(judge=judge).figures
    assert second == 0  # it may be trusted however sure it is
    assert len(standing(judge)) == N
    reached = figures["tiers"]["dear"]["reached"]
    assert reached == N - figures["tiers"]["cheap"]["accepted"]
    unsure = Verdict.objects.filter(judge=cheap, confidence__lt=first).first()
    verdict = Verdict.objects.get(judge=judge, battle=unsure.battle_id)
    of_dear = Verdict.objects.get(judge=dear, battle=unsure.battle_id)
    assert (verdict.outcome, verdict.confidence) == (of_dear.outcome, of_dear.confidence)
    assert verdict.trace.parse["tier"] == "dear"
    assert [slug for slug, _, _ in verdict.trace.parse["asked"]] == ["cheap", "dear"]
    assert "Passed on by cheap." in verdict.trace.rationale


def test_a_battle_waits_for_a_tier_that_has_not_judged_it(arena, cheap, dear):
    judge = make(arena, cheap, dear)
    threshold = judge.configuration["calibration"]["tiers"][0]["threshold"]
    unsure = Verdict.objects.filter(judge=cheap, confidence__lt=threshold).first()
    of_dear = Verdict.objects.get(judge=dear, battle=unsure.battle_id)
    retract_verdict(verdict=of_dear)
    figures = derive(judge=judge).figures
    assert (figures["waiting"], figures["decided"]) == (1, N - 1)
    assert unsure.battle_id not in standing(judge)
    cast_verdict(battle=of_dear.battle, judge=dear, outcome=A, confidence=0.5, repetition=1)
    assert derive(judge=judge).figures["added"] == 1


def test_a_hopeless_judge_abstains_entirely_and_people_are_asked(arena):
    hopeless = make_sure_judge(arena, "Hopeless", accuracy=lambda c: np.full_like(c, 1 / 3), seed=3)
    judge = make(arena, hopeless)
    tier = judge.configuration["calibration"]["tiers"][0]
    assert tier["threshold"] is None
    assert tier["reason"].startswith("wrong on ")
    voter = Voter.objects.get(handle="voter-2")
    taken_back = Verdict.objects.filter(voter=voter).order_by("pk")[:7]
    for verdict in taken_back:
        retract_verdict(verdict=verdict)
    figures = derive(judge=judge).figures
    assert (figures["decided"], figures["abstained"], figures["coverage"]) == (0, N, 0)
    assert figures["wanted"] == 7
    wanted = WantedBattle.objects.values_list("battle", "source", "votes")
    assert set(wanted) == {(verdict.battle_id, "cascade", 3) for verdict in taken_back}
    # With their votes they are wanted no longer, whoever brought those.
    verdict = taken_back[0]
    cast_verdict(battle=verdict.battle, judge=voter.judge, voter=voter, outcome=A, repetition=1)
    assert derive(judge=judge).figures["wanted"] == 6 == WantedBattle.objects.count()


def test_too_few_votes_to_calibrate_on_are_no_licence(arena, cheap):
    judge = make(arena, cheap, terms=Terms(target=0.99, delta=0.01))
    tier = judge.configuration["calibration"]["tiers"][0]
    assert tier["threshold"] is None
    assert "too few: even without an error it takes 459" in tier["reason"]


def test_the_same_votes_give_the_same_cascade_and_another_seed_another_version(arena, cheap):
    judge = make(arena, cheap)
    assert make(arena, cheap) == judge
    other = make(arena, cheap, terms=Terms(target=0.8, delta=0.1, seed=2))
    assert (other.version, other.slug) == (2, "cascade-v2")


def test_a_calibration_comes_out_again_at_its_cut_whatever_came_later(arena, cheap):
    judge = make(arena, cheap)
    told = judge.configuration["calibration"]
    people = arena.judges.get(slug="people")
    late = cast.make_voter(people, "late")
    battles, truth = truth_of(arena)
    say(people, battles, [(outcome + 1) % 3 for outcome in truth], voter=late)
    for verdict in Verdict.objects.filter(judge=cheap)[:50]:
        retract_verdict(verdict=verdict)
    again = calibrate_tiers(arena=arena, tiers=[Tier(cheap)], terms=TERMS, cut=Cut(*told["cut"]))
    assert again == told


def test_the_division_depends_on_what_is_compared_and_not_on_the_database(arena, cheap):
    told = make(arena, cheap).configuration["calibration"]
    # The same data once more, with other ids, and Basil before Ada: A and B are exchanged.
    twin = make_judged_arena(N, slug="twin", names=("Basil", "Ada"), mirrored=True)
    copy = cast.make_judge(twin, "Cheap", Judge.Kind.LLM)
    said = Verdict.objects.filter(judge=cheap).order_by("battle")
    say(
        copy,
        list(twin.battles.order_by("pk")),
        [Outcome(verdict.outcome).mirrored for verdict in said],
        [verdict.confidence for verdict in said],
    )
    again = make(twin, copy).configuration["calibration"]
    assert again["cut"] != told["cut"]
    assert again | {"cut": None} == told | {"cut": None}


def test_where_ties_are_left_out_a_tier_that_says_tie_passes_on(arena, cheap):
    judge = make(arena, cheap, terms=Terms(target=0.8, delta=0.1, ties="leave out"))
    calibration = judge.configuration["calibration"]
    _, truth = truth_of(arena)
    assert calibration["references"] == sum(outcome != TIE for outcome in truth)
    assert calibration["without_majority"] == sum(outcome == TIE for outcome in truth)
    derive(judge=judge)
    outcomes = {outcome for outcome, _ in standing(judge).values()}
    assert outcomes == {A, B}


def test_on_other_prompts_one_battle_of_each_prompt_counts(arena, cheap):
    first = arena.prompts.order_by("pk").first()
    cleo = cast.make_system(arena, "Cleo")
    ada = arena.systems.get(name="Ada")
    battle = cast.make_battle(ada, cleo, first)
    people = arena.judges.get(slug="people")
    for voter in people.voters.all():
        cast.make_verdict(battle, people, A, voter)
    cast.make_verdict(battle, cheap, A, confidence=0.9)
    by_battle = make(arena, cheap).configuration["calibration"]
    by_prompt = make(
        arena, cheap, name="Prompts", terms=Terms(target=0.8, delta=0.1, seed=1, unit="prompt")
    ).configuration["calibration"]
    assert (by_battle["references"], by_prompt["references"]) == (N + 1, N)


def test_the_share_of_a_jury_that_agrees_is_a_confidence(arena):
    members = [
        make_sure_judge(arena, f"M{k}", accuracy=lambda c: np.full_like(c, 0.7), seed=10 + k)
        for k in range(3)
    ]
    jury = make_jury(arena=arena, name="Jury", members=members)
    derive(judge=jury)
    judge = make(arena, jury, terms=TERMS)
    threshold = judge.configuration["calibration"]["tiers"][0]["threshold"]
    assert 0.6 < threshold <= 1
    derive(judge=judge)
    agreed = Verdict.objects.filter(judge=jury, confidence__gte=threshold)
    assert N > len(standing(judge)) == agreed.count() > 0


def test_a_judge_without_confidence_is_trusted_on_all_or_nothing(arena):
    battles, truth = truth_of(arena)
    silent = cast.make_judge(arena, "Silent", Judge.Kind.IMPORTED)
    say(silent, battles, [Outcome(outcome) for outcome in truth])
    unstated = make(arena, silent, name="Stored")
    assert unstated.configuration["calibration"]["tiers"][0]["threshold"] is None
    alike = make(arena, Tier(silent, "none"), name="Alike")
    assert alike.configuration["calibration"]["tiers"][0]["threshold"] == 0
    derive(judge=alike)
    assert len(standing(alike)) == N


def test_repetitions_are_annotators():
    def said(*verdicts):
        return [Said(outcome, confidence, None) for outcome, confidence in verdicts]

    three = said((A, None), (A, None), (B, None))
    assert sure_of(three, "annotators", ties="count") == (Decision.A, pytest.approx(2 / 3))
    assert sure_of(three, "stored", ties="count") == (Decision.A, None)
    stated = said((A, 0.9), (A, 0.7), (B, 1.0))
    assert sure_of(stated, "stored", ties="count") == (Decision.A, 0.8)
    assert sure_of(stated, "annotators", ties="count").confidence == pytest.approx(1.6 / 3)
    assert sure_of(stated, "none", ties="count") == (Decision.A, 1)
    assert sure_of([], "stored", ties="count") is None
    assert sure_of(said((BAD, 0.9)), "stored", ties="leave out") == (Decision.BOTH_BAD, None)


def test_annotators_are_asked_in_both_orders(arena):
    battles, truth = truth_of(arena)
    judge = cast.make_judge(arena, "Annotators", Judge.Kind.LLM)
    say(judge, battles, [Outcome(outcome) for outcome in truth])
    wavering = Verdict.objects.filter(judge=judge, outcome=TIE).first()
    orders = [(A, 0.9), (B, 0.6)]
    VerdictTrace.objects.create(
        verdict=wavering,
        parse={"orders": [{"outcome": o.label, "confidence": c} for o, c in orders]},
    )
    cascade = make(arena, Tier(judge, "annotators"))
    cascade.configuration["calibration"]["tiers"][0]["threshold"] = 0.0
    tiers = Tiers(cascade)
    row = next(b for chunk in chunks_of(arena) for b in chunk if b.pk == wavering.battle_id)
    derived = tiers.decide([row])[row.pk]
    # A: (.9 + .2) / 2, B: (.05 + .6) / 2
    assert (derived.outcome, derived.confidence) == (A, 0.55)


def test_both_bad_of_a_judge_agrees_with_a_tie_of_people(arena):
    battles, truth = truth_of(arena)
    judge = cast.make_judge(arena, "Gloomy", Judge.Kind.LLM)
    say(judge, battles, [BAD if outcome == TIE else Outcome(outcome) for outcome in truth])
    cascade = make(arena, Tier(judge, "none"))
    assert cascade.configuration["calibration"]["held_out"]["right"] > 0
    assert cascade.configuration["calibration"]["tiers"][0]["errors"] == 0
    derive(judge=cascade)
    assert BAD in {outcome for outcome, _ in standing(cascade).values()}


def add_unvoted(arena, cheap):
    """Forty battles that people haven't seen, on which the cheap judge is sure."""
    system, other = cast.make_system(arena, "Cleo"), arena.systems.get(name="Ada")
    prompts = list(arena.prompts.order_by("pk")[:40])
    battles = [cast.make_battle(system, other, prompt) for prompt in prompts]
    say(cheap, battles, [A] * 40, [0.95] * 40)
    return battles


def vote(arena, battles, outcomes):
    people = arena.judges.get(slug="people")
    for voter in people.voters.all():
        say(people, battles, outcomes, voter=voter)


def test_votes_cast_since_tell_whether_the_claim_holds(arena, cheap):
    judge = make(arena, cheap)
    unvoted = add_unvoted(arena, cheap)
    assert derive(judge=judge).figures["after"]["n"] == 0
    vote(arena, unvoted, [A] * 38 + [B] * 2)
    row = derive(judge=judge)
    assert (row.figures["after"]["n"], row.figures["after"]["agreed"]) == (40, 38)
    low, high = row.figures["after"]["interval"]
    assert 0.8 < low < 38 / 40 < high < 1
    assert row.figures["after"]["evidence"] < 1
    assert row.withdrawn_at is None


def test_a_claim_that_breaks_is_withdrawn_and_stays_withdrawn(arena, cheap, capsys):
    judge = make(arena, cheap)
    unvoted = add_unvoted(arena, cheap)
    vote(arena, unvoted[:20], [B] * 20)
    row = derive(judge=judge)
    assert row.figures["after"]["agreed"] == 0
    assert row.figures["after"]["evidence"] >= 10
    withdrawn = row.withdrawn_at
    assert withdrawn is not None
    entry = AuditEntry.objects.get(act="withdraw claim")
    assert (entry.subject, entry.details) == ("Cascade", {"agreed": 0, "n": 20})
    vote(arena, unvoted[20:], [A] * 20)
    assert derive(judge=judge).withdrawn_at == withdrawn
    assert AuditEntry.objects.filter(act="withdraw claim").count() == 1
    call_command("derive_cascade", "judged", "cascade")
    assert "This claim was withdrawn" in capsys.readouterr().out


def test_battles_that_were_calibrated_on_or_held_out_tell_nothing_later(arena, cheap):
    judge = make(arena, cheap)
    people = arena.judges.get(slug="people")
    battles, truth = truth_of(arena)
    say(people, battles, [(o + 1) % 3 for o in truth], voter=cast.make_voter(people, "late"))
    assert derive(judge=judge).figures["after"]["n"] == 0


def test_peoples_votes_make_it_stale_and_so_do_its_tiers(arena, cheap):
    judge = make(arena, cheap)
    unvoted = add_unvoted(arena, cheap)
    derive(judge=judge)
    people = arena.judges.get(slug="people")

    def is_stale():
        stale = Derivation.objects.filter(pk=judge.pk, stale_since__isnull=False).exists()
        Derivation.objects.update(rests_until=None)
        assert refresh(judge.pk) == stale
        return stale

    assert not is_stale()
    cast_verdict(battle=unvoted[0], judge=people, voter=people.voters.first(), outcome=A)
    assert is_stale()
    retract_verdict(verdict=Verdict.objects.filter(judge=cheap).first())
    assert is_stale()
    stranger = cast.make_judge(arena, "Stranger", Judge.Kind.LLM)
    cast_verdict(battle=unvoted[0], judge=stranger, outcome=A)
    assert not is_stale()


def test_what_it_costs_against_the_dearest_judge_alone(arena, cheap, dear):
    judge = make(arena, cheap, dear)
    figures = derive(judge=judge).figures
    assert figures["cost"]["cascade"] is None
    for priced, cost in ((cheap, "0.001"), (dear, "0.02")):
        VerdictTrace.objects.bulk_create(
            VerdictTrace(verdict=verdict, cost=Decimal(cost))
            for verdict in Verdict.objects.filter(judge=priced)
        )
    figures = derive(judge=judge).figures
    reached = figures["tiers"]["dear"]["reached"]
    assert figures["cost"]["dearest"] == "dear"
    assert figures["cost"]["dearest_alone"] == pytest.approx(0.02 * N)
    assert figures["cost"]["cascade"] == pytest.approx(0.001 * N + 0.02 * reached)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"target": 1.0}, "target is a number between 0 and 1, not 1.0"),
        ({"delta": 0}, "delta is a number between 0 and 1"),
        ({"share": float("nan")}, "share is a number"),
        ({"seed": -1}, "seed is a whole number from 0 up"),
        ({"votes": 0}, "votes is a whole number from 1 up"),
        ({"ties": "ignore"}, "ties is one of count, leave out"),
        ({"unit": "system"}, "unit is one of battle, prompt"),
    ],
)
def test_terms_that_mean_nothing_are_refused(terms, words):
    arena = cast.make_arena()
    judge = cast.make_judge(arena, "Cheap", Judge.Kind.LLM)
    with pytest.raises(CascadeError, match=words):
        make(arena, judge, terms=Terms(**({"target": 0.8} | terms)))


def test_what_can_not_be_a_tier_is_refused():
    arena = cast.make_arena()
    people, cheap = cast.make_judge(arena), cast.make_judge(arena, "Cheap", Judge.Kind.LLM)
    stranger = cast.make_judge(cast.make_arena("other"), "Stranger", Judge.Kind.LLM)
    for tiers, words in [
        ([], "at least one judge"),
        ([Tier(people)], "is People: tiers are"),
        ([Tier(stranger)], "of another arena"),
        ([Tier(cheap), Tier(cheap, "none")], "one tier"),
        ([Tier(cheap, "mood")], "'mood' tells no confidence"),
    ]:
        with pytest.raises(CascadeError, match=words):
            make(arena, *tiers)
    with pytest.raises(CascadeError, match="name of a judge already"):
        make(arena, cheap, name="Cheap")
    assert not Judge.objects.filter(kind="cascade").exists()


def test_a_tier_that_is_gone_is_said(arena, cheap):
    judge = make(arena, cheap)
    Verdict.objects.filter(judge=cheap).delete()
    cheap.delete()
    with pytest.raises(DerivationError, match="'cheap' that Cascade was made with isn't there"):
        derive(judge=judge)


def test_the_commands_make_and_derive_a_cascade(arena, cheap, dear, capsys):
    arguments = (
        "judged",
        "Two tiers",
        "cheap",
        "Dear:none",
        "--target",
        "0.8",
        "--share",
        "0.8",
        "--seed",
        "1",
    )
    call_command("make_cascade", *arguments)
    told = capsys.readouterr().out
    assert "Two tiers (two-tiers): at least 80.0% agreement with the majority of people" in told
    assert "cheap: trusted from 0." in told
    assert "Held out: agrees on " in told
    assert "Since then: no new majority yet." in told
    call_command("make_cascade", *arguments)
    assert Judge.objects.filter(kind="cascade").count() == 1
    judge = Judge.objects.get(slug="two-tiers")
    assert [t["confidence"] for t in judge.configuration["tiers"]] == ["stored", "none"]
    call_command("derive_cascade", "judged", "two-tiers")
    with pytest.raises(CommandError, match="not a cascade"):
        call_command("derive_cascade", "judged", "cheap")
    with pytest.raises(CommandError, match="between 0 and 1"):
        call_command("make_cascade", "judged", "No", "cheap", "--target", "80")
