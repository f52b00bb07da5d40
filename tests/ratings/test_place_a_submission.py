"""A submitted system comes to a place by the arena's judges, whatever happens on the way."""

import json

import pytest
from django.utils import timezone

from arena.models import Arena, Battle, Standing, Submission
from arena.submissions.verbs import cancel, publish, retry, submit, withdraw
from judges.juries.making import make_jury
from judges.models import JudgeRun, Verdict
from judges.programs import program_named
from judges.runs import make_program_judge, start_run, work_on
from ratings import placing
from ratings.cells import count
from ratings.slices import Slice
from ratings.snapshots import build, verify
from tests import cast
from tests.accounts import make_member
from tests.arena.test_submit_a_system import about

pytestmark = pytest.mark.django_db
State = Submission.State


@pytest.fixture
def arena(settings) -> Arena:
    """Forty prompts; the longer answer wins. The systems' lengths differ a little, so places are open."""
    settings.BOOTSTRAP_ROUNDS = 200
    arena = cast.make_arena()
    systems = [cast.make_system(arena, name) for name in ("Ada", "Basil", "Cleo", "Dora", "Emil")]
    prompts = [cast.make_prompt(arena, f"Write poem number {n}.") for n in range(40)]
    for n, prompt in enumerate(prompts):
        for m, system in enumerate(systems):
            cast.make_output(system, prompt, "x" * (20 + 4 * m + (7 * n + 11 * m) % 17))
        for m, one in enumerate(systems):
            for other in systems[m + 1 :]:
                cast.make_battle(one, other, prompt)
    judge = make_program_judge(arena=arena, program=program_named("longer_is_better"), name="Long")
    work_on(start_run(judge=judge))
    arena.submission_policy = {"judges": [judge.slug], "battles": 120, "width": 300}
    arena.save()
    return arena


@pytest.fixture
def researcher(arena):
    return make_member(arena, "researcher")


def send(arena, owner, *, length: int = 30, name: str = "Fred", **given) -> Submission:
    lines = [
        json.dumps({"prompt": prompt.text, "output": "y" * (length + (5 * n) % 13)})
        for n, prompt in enumerate(arena.prompts.order_by("pk"))
    ]
    sent = {"about": about(name), "content": "\n".join(lines).encode(), **given}
    return submit(arena=arena, owner=owner, **sent).submission


def test_a_program_places_it_in_one_go_and_nobody_else_is_moved(arena, researcher):
    slice = Slice(judge=arena.submission_policy["judges"][0])
    before = build(arena=arena, slice=slice)
    submission = send(arena, researcher)
    assert placing.step(submission.pk)
    submission.refresh_from_db()
    assert submission.state == State.RANKED, submission.reason
    assert submission.reason.startswith("Its 95 % interval is ")
    place = submission.place
    assert place["lower"] < place["rating"] < place["upper"]
    assert place["upper"] - place["lower"] < 300
    assert 1 <= place["rank_lower"] <= place["rank_upper"] <= place["n_ranked"] == 6
    battles = Battle.objects.filter(system_b=submission.system)
    assert submission.n_judged == submission.n_battles == battles.count() <= 120
    assert place["n_verdicts"] == Verdict.objects.filter(battle__in=battles).count()
    assert [one["n_battles"] for one in submission.rounds][-1] == submission.n_battles
    # Prompts take part evenly: two battles on one only where all have one.
    on_prompt = [battles.filter(prompt=prompt).count() for prompt in arena.prompts.all()]
    assert max(on_prompt) - min(on_prompt) <= 1
    # What a hidden system did isn't counted, and the digest is the same.
    assert build(arena=arena, slice=slice) == before
    assert verify(snapshot=before).passed
    publish(submission=submission, actor=researcher)
    after = build(arena=arena, slice=slice)
    rating = after.ratings.get(system=submission.system)
    assert after.n_ranked == 6
    assert rating.rank_lower <= place["rank_upper"]
    assert verify(snapshot=before).passed
    assert verify(snapshot=after).passed


def test_a_step_that_comes_again_changes_nothing(arena, researcher):
    submission = send(arena, researcher)
    placing.step(submission.pk)
    rows = (Battle.objects.count(), Verdict.objects.count(), JudgeRun.objects.count())
    assert not placing.step(submission.pk)
    Submission.objects.update(state=State.JUDGING)
    assert placing.step(submission.pk)
    assert (Battle.objects.count(), Verdict.objects.count(), JudgeRun.objects.count()) == rows
    submission.refresh_from_db()
    assert submission.state == State.RANKED


def test_a_worker_that_died_is_followed_by_another(arena, researcher, monkeypatch):
    submission = send(arena, researcher)
    with monkeypatch.context() as patched:
        patched.setattr("judges.placing.plan_battles", dies := Dies())
        with pytest.raises(MemoryError):
            placing.step(submission.pk)
        # It is claimed by nobody, and says what happened.
        submission.refresh_from_db()
        assert (submission.state, submission.error) == (State.JUDGING, "MemoryError: away")
        for _ in range(2):
            with pytest.raises(MemoryError):
                placing.step(submission.pk)
        assert dies.n == 3
        assert placing.step(submission.pk)
    submission.refresh_from_db()
    assert submission.state == State.FAILED
    assert "begun 3 times" in submission.reason
    assert "MemoryError: away" in submission.reason
    retry(submission=submission, actor=researcher)
    assert placing.step(submission.pk)
    submission.refresh_from_db()
    assert submission.state == State.RANKED


class Dies:
    n = 0

    def __call__(self, **given):
        self.n += 1
        raise MemoryError("away")


def test_what_another_worker_has_claimed_is_left_alone(arena, researcher):
    submission = send(arena, researcher)
    Submission.objects.update(claimed_until=timezone.now() + timezone.timedelta(minutes=1))
    assert not placing.step(submission.pk)
    Submission.objects.update(claimed_until=timezone.now() - timezone.timedelta(minutes=1))
    assert placing.step(submission.pk)


def test_the_budget_of_battles_ends_it_with_what_is_known(arena, researcher):
    arena.submission_policy |= {"battles": 30, "width": 20}
    arena.save()
    submission = send(arena, researcher)
    placing.step(submission.pk)
    submission.refresh_from_db()
    assert (submission.state, submission.n_battles) == (State.RANKED, 30)
    assert submission.reason.startswith("The 30 battles that this arena spends on a system")
    assert "not under 20" in submission.reason


def test_a_jury_has_its_members_asked_and_follows_at_once(arena, researcher):
    members = [arena.judges.get(slug="longer-is-better")] + [
        make_program_judge(arena=arena, program=program_named(name), name=name)
        for name in ("length_limit", "first_sentence_overlap")
    ]
    jury = make_jury(arena=arena, name="Panel", members=members, rule="majority")
    arena.submission_policy |= {"judges": [jury.slug]}
    arena.save()
    submission = send(arena, researcher)
    placing.step(submission.pk)
    submission.refresh_from_db()
    assert submission.state == State.RANKED, submission.reason
    assert submission.place["judge"] == jury.slug
    assert submission.n_judged == submission.n_battles
    assert {run.judge.slug for run in submission.runs.all()} == {one.slug for one in members}


def test_a_judge_that_is_gone_or_cant_be_asked_is_a_reason(arena, researcher):
    for slug, said in (
        ("gone", "no judge gone any more"),
        ("people", "no judge that can be asked"),
    ):
        arena.submission_policy |= {"judges": [slug]}
        arena.save()
        if slug == "people":
            cast.make_judge(arena)
        submission = send(arena, researcher, name=slug)
        placing.step(submission.pk)
        submission.refresh_from_db()
        assert submission.state == State.FAILED
        assert said in submission.reason


def test_a_judge_that_decides_nothing_is_found_out_after_one_round(arena, researcher):
    judge = make_program_judge(arena=arena, program=program_named("rouge_l"), name="ROUGE")
    arena.submission_policy |= {"judges": [judge.slug]}
    arena.save()
    submission = send(arena, researcher)
    placing.step(submission.pk)
    submission.refresh_from_db()
    # There are no references, without which it can't say anything.
    assert submission.state == State.FAILED
    assert "came to no verdict of ROUGE" in submission.reason
    assert "failed at" in submission.reason
    assert submission.n_battles <= 20


def test_what_was_given_up_is_asked_no_more(arena, researcher):
    submission = send(arena, researcher)
    cancel(submission=submission, actor=researcher)
    assert not placing.step(submission.pk)
    other = send(arena, researcher, name="Gina")
    withdraw(submission=other, actor=researcher)
    assert not placing.step(other.pk)
    assert not JudgeRun.objects.filter(submission__isnull=False).exists()


def test_private_systems_are_no_opponents_and_arent_counted(arena, researcher):
    first = send(arena, researcher)
    second = send(arena, researcher, name="Gina", length=33)
    for submission in (first, second):
        placing.step(submission.pk)
    pairs = Battle.objects.filter(system_a=first.system, system_b=second.system)
    assert not pairs.exists()
    slice = Slice(judge=arena.submission_policy["judges"][0])
    names = count(arena=arena, slice=slice).system_names
    assert len(names) == 5
    assert len(count(arena=arena, slice=slice, including=first.system_id).system_names) == 6
    first.system.refresh_from_db()
    assert first.system.standing == Standing.PRIVATE
