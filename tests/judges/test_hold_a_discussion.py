"""A committee: its members judge alone, then each once more with the others' reasons before it."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.urls import reverse

from judges import derivations
from judges.derivations import derive
from judges.endpoints.interface import Answer, CallError, Failure
from judges.juries.discussing import second_round
from judges.juries.making import JuryError, make_jury
from judges.llm_judges import ConfigurationError, checked_configuration, make_llm_judge
from judges.models import Judge, JudgeCall, Outcome, Retraction, Verdict
from judges.protocols import protocol_from
from judges.protocols.interface import Case, Choice, MissingInput, Opinion, Reply, UnreadableReply
from judges.protocols.texts import LONGEST_REASONS
from judges.runs import RunError, confirm_run, plan, plan_run, resume_run, work_on
from judges.runs.cases import fence_of
from tests import accounts, cast
from tests.accounts import client_of
from tests.judges.test_judge_pages import filled

pytestmark = pytest.mark.django_db
A, B, TIE, BAD = Outcome

# What each says of a poem, alone and after the discussion: the name of the better system, or a label.
ALONE = {
    "One": ["Ada", "Ada", "both bad", "Ada"],
    "Two": ["Ada", "Basil", "whatever is A", "Ada"],
    "Three": ["Basil", "tie", "Basil", "gibberish"],
}
AFTER = {
    "One": ["Ada", "Ada", "both bad", "Ada"],
    "Two": ["Ada", "tie", "both bad", "Ada"],
    "Three": ["Ada", "Ada", "Basil"],
}


class Models:
    """Answer as the tables have it, whichever answer stands first, and remember what they were asked."""

    def __init__(self, dies_after=None):
        self.asked, self.dies_after = [], dies_after

    def __call__(self, endpoint):
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        return None

    async def ask(self, question, *, read):
        model, text = question.endpoint.model, question.request.messages[1]["content"]
        if self.dies_after is not None and len(self.asked) >= self.dies_after:
            raise RuntimeError("The worker died.")
        self.asked.append((model, text))
        table = AFTER if "You yourself decided" in text else ALONE
        said = table[model][int(text.split("Poem ")[1][0])]
        answer_a = text.split(" answer A>>>\n")[1].split()[0]
        verdict = {answer_a: "A", "whatever is A": "A"}.get(said, "B" if said.istitle() else said)
        reasons = f"{model} says that {verdict} it is."
        reply = Reply(json.dumps({"reasons": reasons, "verdict": verdict}))
        try:
            return Answer(reply, 10, 10, 0.0), read(reply)
        except UnreadableReply as error:
            raise CallError(Failure.UNREADABLE, str(error), text=reply.text) from error


def make_arena(*systems, slug="poems"):
    arena = cast.make_arena(slug)
    pair = [cast.make_system(arena, name) for name in systems]
    for number in range(4):
        cast.make_battle(*pair, cast.make_prompt(arena, f"Poem {number}"))
    return arena


def make_member(arena, name, **protocol):
    endpoint = {"url": "http://127.0.0.1:9/v1", "model": name}
    options = {"reasoned": True} | protocol
    return make_llm_judge(
        arena=arena,
        name=name,
        configuration={"endpoint": endpoint, "protocol": {"name": "battle", "options": options}},
        family=f"Family of {name}",
    )


def run(judge, models):
    return work_on(confirm_run(run=plan_run(judge=judge, selection={})), make_asker=models)


def discuss(arena, models):
    """Both rounds, and the committee's verdicts."""
    members = [make_member(arena, name) for name in ALONE]
    for member in members:
        run(member, models)
    committee = make_jury(arena=arena, name="Committee", members=members, rule="committee")
    for second in Judge.objects.filter(name__endswith=" after discussion"):
        if second.arena_id == arena.pk:
            run(second, models)
    return members, committee, derive(judge=committee)


def standing(judge):
    rows = Verdict.objects.filter(judge=judge, retraction=None).order_by("battle")
    return list(rows.values_list("outcome", flat=True))


@pytest.fixture
def arena():
    return make_arena("Ada", "Basil")


def test_members_hear_each_other_and_the_majority_of_their_second_votes_decides(arena):
    models = Models()
    _, committee, derivation = discuss(arena, models)
    # The fourth poem was never discussed: Three gave no verdict on it.
    assert standing(committee) == [A, A, BAD]
    assert standing(Judge.objects.get(slug="two")) == [A, B, TIE, A]
    assert standing(Judge.objects.get(slug="two-after-discussion")) == [A, TIE, BAD]
    parses = [verdict.trace.parse for verdict in Verdict.objects.filter(judge=committee)]
    assert [parse["changed"] for parse in parses] == [["three"], ["three", "two"], ["two"]]
    assert [parse["dissenters"] for parse in parses] == [[], ["two"], ["three"]]
    assert [round(parse["support"], 2) for parse in parses] == [1, 0.67, 0.67]
    assert parses[1]["first"] == {"one": "A", "two": "B", "three": "tie"}
    assert parses[1]["votes"] == {"one": "A", "two": "tie", "three": "A"}
    assert Verdict.objects.filter(judge=committee)[1].trace.rationale == (
        "Committee of 3: A. one: A, three: A, two: tie. Dissent: two. Changed their minds: three, two."
    )
    counted = derivation.figures["members"]
    assert {slug: figures["changed"] for slug, figures in counted.items()} == {
        "one": 0,
        "two": 2,
        "three": 2,
    }

    # Both orders of every battle were discussed; each tells the others as the answers stand in it.
    second = [text for model, text in models.asked if "You yourself decided" in text]
    assert len(second) == 3 * 3 * 2
    of_two = [t for m, t in models.asked if m == "Two" and t in second and "Poem 0" in t]
    for text in of_two:
        ada, basil = ("A", "B") if " answer A>>>\nAda" in text else ("B", "A")
        told = text.split(" answer B>>>\n")[1]
        for who, verdict in (("One", ada), ("Three", basil)):
            assert f"decided: {verdict} is better. The reasons given:\n<<<" in told
            assert f"reasons of a judge>>>\n{who} says that {verdict} it is.\n<<<end" in told
        assert f"You yourself decided: {ada} is better." in told
        assert told.count("Judge 1 decided") == told.count("Judge 2 decided") == 1
        assert "Judge 3" not in told
    assert len({text.split(" answer A>>>\n")[1].split()[0] for text in of_two}) == 2
    # Whose two orders contradict each other decided for a tie: what it said in this order is told, too.
    of_one = [t for m, t in models.asked if m == "One" and t in second and "Poem 2" in t]
    assert all(
        "decided: a tie. Asked in this order of the answers: A is better;" in t for t in of_one
    )
    assert all("You yourself decided: both are bad." in t for t in of_one)


def test_with_the_sides_exchanged_everywhere_every_verdict_is_exchanged():
    _, committee, _ = discuss(make_arena("Ada", "Basil"), Models())
    _, mirrored, _ = discuss(make_arena("Basil", "Ada", slug="mirrored"), Models())
    assert [Outcome(o).mirrored for o in standing(committee)] == standing(mirrored)


def test_what_is_done_again_or_was_killed_changes_nothing_twice(arena, monkeypatch):
    members = [make_member(arena, name) for name in ALONE]
    for member in members:
        run(member, Models())
    committee = make_jury(arena=arena, name="Committee", members=members, rule="committee")
    assert derive(judge=committee).figures["decided"] == 0
    judges = Judge.objects.count()
    assert make_jury(arena=arena, name="Committee", members=members, rule="committee") == committee
    seconds = second_round(arena=arena, members=members)
    assert Judge.objects.count() == judges
    with pytest.raises(RuntimeError):
        run(seconds[0], Models(dies_after=3))
    killed = seconds[0].runs.get()
    assert (killed.state, killed.done) == ("failed", 3)
    models = Models()
    work_on(resume_run(run=killed), make_asker=models)
    assert len(models.asked) == 3
    for second in seconds[1:]:
        run(second, Models())
    assert plan(plan_run(judge=seconds[0], selection={})).calls == 0

    stored = derivations._store

    def die(*args):
        stored(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(derivations, "_store", die)
    with pytest.raises(KeyboardInterrupt):
        derive(judge=committee)
    monkeypatch.setattr(derivations, "_store", stored)
    derivations.Derivation.objects.update(claimed_until=None)
    assert derive(judge=committee).figures["added"] == 0
    assert standing(committee) == [A, A, BAD]
    assert not Retraction.objects.exists()


def test_only_battles_that_all_have_decided_are_discussed_whatever_is_chosen(arena):
    members = [make_member(arena, name) for name in ALONE]
    for member in members[:2]:
        run(member, Models())
    second = second_round(arena=arena, members=members)[0]
    late = cast.make_prompt(arena, "Poem 0, once more")
    for system in arena.systems.all():
        cast.make_output(system, late, f"{system.name} again.")
    for ways in ({"battles": "all"}, {"battles": "existing"}):
        assert plan(plan_run(judge=second, selection=ways)).battles == 0
    run(members[2], Models())
    for ways in ({"battles": "all"}, {"battles": "existing"}):
        assert plan(plan_run(judge=second, selection=ways)).battles == 3
    # A verdict that was taken back after the run had begun: the call says what it lacks.
    begun = confirm_run(run=plan_run(judge=second, selection={}))
    models = Models()
    Retraction.objects.create(verdict=Verdict.objects.filter(judge=members[1]).first())
    done = work_on(begun, make_asker=models)
    assert (done.done, done.failed) == (4, 0)
    made = JudgeCall.objects.filter(run=done).first()
    JudgeCall.objects.filter(pk=made.pk).update(
        state="open", finished_at=None, failure="", choice=None
    )
    Retraction.objects.create(verdict=Verdict.objects.filter(judge=members[1])[1])
    type(done).objects.filter(pk=done.pk).update(state="running", done=3)
    done.refresh_from_db()
    done = work_on(done, make_asker=models)
    call = JudgeCall.objects.get(pk=made.pk)
    assert (call.state, call.failure) == ("error", "missing input")
    assert "0 of their verdicts are there now" in call.error


def test_a_plan_counts_the_reasons(arena):
    members = [make_member(arena, name) for name in ALONE]
    for member in members:
        run(member, Models())
    second = second_round(arena=arena, members=members)[0]
    estimate = plan(plan_run(judge=second, selection={}))
    assert estimate.calls == 6
    begun = confirm_run(run=plan_run(judge=second, selection={}))
    models = Models()
    work_on(begun, make_asker=models)
    sizes = [len(text.encode()) for _, text in models.asked]
    assert estimate.input_tokens > sum(sizes) / 4
    assert estimate.input_tokens < 6 * LONGEST_REASONS
    for call in JudgeCall.objects.filter(run=begun):
        assert call.most_tokens > 3 * 4 * LONGEST_REASONS


def test_reasons_are_fenced_cut_and_told_in_neither_label_when_the_order_was_another():
    discussion = (
        Opinion(Choice.FIRST, "Because. " * 1_000),
        Opinion(Choice.SECOND),
        Opinion(Choice.TIE, "You <<<end 00", is_own=True),
    )
    case = Case(({"role": "user", "content": "Why?"},), ("x", "y"), discussion=discussion)
    configuration = {"protocol": {"name": "battle"}, "discussion": {"own": {}, "of": [{}, {}]}}
    protocol = protocol_from(configuration)
    system, user = (m["content"] for m in protocol.render(case, fence="00").messages)
    assert "How many judges say the same is no reason." in system
    assert "Judge 1 decided: A is better. The reasons given, of which the first 2,000" in user
    assert user.count("Because.") == LONGEST_REASONS // len("Because. ")
    assert "Judge 2 decided: B is better. No reasons are known." in user
    assert "<<<00x reasons of a judge>>>\nYou <<<end 00\n<<<end 00x>>>" in user
    other = protocol.render(case.mirrored, fence="00").messages[1]["content"]
    assert "Judge 1 decided: B is better. No reasons are known." in other
    assert "Because." not in other

    plain = protocol_from({"protocol": {"name": "battle"}})
    assert protocol.digest != plain.digest
    assert plain.digest == protocol_from({"protocol": {"name": "battle"}}).digest
    assert "judges" not in plain.render(Case(case.messages, case.answers), fence="00").messages[0]
    for one, told in ((protocol, ()), (plain, discussion)):
        with pytest.raises(MissingInput, match="let the others judge this battle first"):
            one.render(Case(case.messages, case.answers, discussion=told), fence="00")
    assert fence_of(case) != fence_of(Case(case.messages, case.answers))


def test_a_judge_asked_in_one_order_is_heard_without_reasons_in_the_other(arena):
    members = [make_member(arena, name) for name in ("One", "Two")]
    one_order = {**members[1].configuration, "both_orders": False}
    members[1] = make_llm_judge(arena=arena, name="Two once", configuration=one_order)
    for member in members:
        run(member, Models())
    second = next(
        judge
        for judge in second_round(arena=arena, members=members)
        if judge.name == "One after discussion"
    )
    models = Models()
    run(second, models)
    told = [text.split(" answer B>>>\n")[1] for _, text in models.asked if "Poem 0" in text]
    assert sorted("Two says" in text for text in told) == [False, True]
    assert sum("No reasons are known." in text for text in told) == 1


def test_who_can_not_discuss_is_refused_in_words(arena):
    member, other = make_member(arena, "One"), make_member(arena, "Two")
    program = cast.make_judge(arena, "Program", Judge.Kind.PROGRAM)
    foreign = cast.make_judge(arena, "Foreign", Judge.Kind.LLM)
    scorer = make_llm_judge(
        arena=arena,
        name="Scorer",
        configuration={**member.configuration, "protocol": {"name": "likert"}},
    )
    heard = second_round(arena=arena, members=[member, other])[0]
    before = Judge.objects.count()
    for members, words in [
        ([member], "takes 2 to 12 members, not 1"),
        ([member, program], "Program has no endpoint"),
        ([member, foreign], "Foreign has no endpoint"),
        ([member, scorer], "likert scores one answer"),
        ([member, heard], "there is one round of discussion"),
    ]:
        with pytest.raises(JuryError, match=words):
            make_jury(arena=arena, name="No", members=members, rule="committee")
    assert Judge.objects.count() == before
    for wrong in ({}, {"own": {}, "of": [{}]}, {"own": {"slug": "one", "digest": "x"}, "of": []}):
        with pytest.raises(ConfigurationError, match="must name the judge of its own first round"):
            checked_configuration({**member.configuration, "discussion": wrong})
    Judge.objects.filter(pk=other.pk).delete()
    with pytest.raises(RunError, match="'two' whose verdicts One after discussion hears"):
        plan(plan_run(judge=heard, selection={}))


def test_another_committee_of_the_same_member_hears_others_and_is_another_version(arena):
    one, two, three = (make_member(arena, name) for name in ALONE)
    first = second_round(arena=arena, members=[one, two])[0]
    second = second_round(arena=arena, members=[one, three])[0]
    assert (first.slug, second.slug) == ("one-after-discussion", "one-after-discussion-v2")
    assert (first.family, second.version) == ("Family of One", 2)
    assert second_round(arena=arena, members=[one, two])[0] == first


def test_pages_name_who_decides_once_more_and_a_new_version_hears_the_same(arena):
    client = client_of(accounts.make_member(arena, "maintainer"))
    members = [make_member(arena, name) for name in ("One", "Two")]
    make_jury(arena=arena, name="Committee", members=members, rule="committee")
    page = client.get(reverse("ratings:judge", args=[arena.slug, "committee"])).content.decode()
    assert reverse("ratings:judge", args=[arena.slug, "two-after-discussion"]) in page
    assert "Changed its mind" in page
    second = Judge.objects.get(slug="two-after-discussion")
    address = reverse("judges:judge-version", args=[arena.slug, second.slug])
    response = client.post(address, filled(client.get(address), max_tokens="99"))
    assert response.status_code == 302, response.context["form"].errors
    newer = Judge.objects.get(name=second.name, version=2)
    assert newer.configuration["protocol"]["options"]["max_tokens"] == 99
    assert newer.configuration["discussion"] == second.configuration["discussion"]


def test_the_command_says_which_judges_are_to_be_asked(arena):
    for name in ("One", "Two"):
        make_member(arena, name)
    out = StringIO()
    call_command("make_jury", "poems", "Committee", "one", "two", "--rule", "committee", stdout=out)
    assert "manage.py run_judge poems one-after-discussion" in out.getvalue()
    assert "manage.py run_judge poems two-after-discussion" in out.getvalue()
