"""Submitting: everything is checked, all of it is stored or nothing, and the same twice is one."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from arena.access import seen_system, seen_systems
from arena.models import Arena, AuditEntry, Battle, Output, Pair, Standing, Submission, System
from arena.submissions import checking
from arena.submissions.policy import SubmissionPolicy, SubmissionPolicyError
from arena.submissions.verbs import (
    SubmissionError,
    cancel,
    publish,
    retry,
    submit,
    try_submission,
    variants_behind,
    withdraw,
)
from arena.uploads import UploadError
from tests import cast
from tests.accounts import make_member, make_user

pytestmark = pytest.mark.django_db
State = Submission.State


def about(name: str = "Erik", version: str = "", **more) -> dict:
    texts = dict.fromkeys(
        (
            "organisation",
            "family",
            "base_model",
            "licence",
            "size",
            "link",
            "description",
            "decoding",
        ),
        "",
    )
    return {"name": name, "version": version, **texts, "price_in": None, "price_out": None, **more}


def outputs(arena: Arena, text: str = "An answer to poem {}.", *, leave_out: int = 0) -> bytes:
    prompts = list(arena.prompts.order_by("pk"))
    kept = prompts[: len(prompts) - leave_out]
    lines = [
        json.dumps({"prompt": prompt.text, "output": text.format(number), "tokens": 7})
        for number, prompt in enumerate(kept)
    ]
    return "\n".join(lines).encode()


@pytest.fixture
def arena() -> Arena:
    arena = cast.make_small_arena()
    arena.submission_policy = {"who": "researchers", "judges": ["longer-is-better"]}
    arena.save()
    return arena


@pytest.fixture
def researcher(arena):
    return make_member(arena, "researcher")


def send(arena: Arena, owner, **given):
    sent = {"about": about(), "content": outputs(arena), **given}
    return submit(arena=arena, owner=owner, **sent)


def test_a_system_is_stored_with_its_outputs_and_seen_by_its_owner_and_maintainers_only(
    arena, researcher
):
    said = about("Erik", "2026-11", family="llama", size="7B", price_in="0.5")
    received = send(arena, researcher, about=said, file_name="erik.jsonl")
    assert received.is_new
    submission = Submission.objects.get()
    system = submission.system
    assert (submission.state, submission.n_outputs, submission.n_prompts) == ("queued", 6, 6)
    assert (str(system), system.family, system.size) == ("Erik 2026-11", "llama", "7B")
    assert (system.owner, system.standing) == (researcher, Standing.PRIVATE)
    stored = list(Output.objects.filter(system=system).order_by("prompt_id"))
    assert [one.text for one in stored] == [f"An answer to poem {n}." for n in range(6)]
    assert {one.leak for one in stored} == {""}
    assert {one.tokens for one in stored} == {7}
    assert Pair.objects.filter(system_b=system).count() == 4
    for user, sees in (
        (researcher, True),
        (make_member(arena, "maintainer"), True),
        (make_user("staff", is_staff=True), True),
        (make_member(arena, "researcher", "other"), False),
        (make_user("stranger"), False),
    ):
        assert seen_systems(user, arena).filter(pk=system.pk).exists() == sees, user
    assert seen_system(researcher, arena, system.slug) == system
    entry = AuditEntry.objects.get(act="submit system")
    assert (entry.actor, entry.details) == (researcher, {"outputs": 6, "private": True})


def test_the_same_sent_again_is_the_same_submission_and_another_isnt(arena, researcher):
    first = send(arena, researcher)
    again = send(arena, researcher)
    assert again.submission == first.submission
    assert not again.is_new
    assert Output.objects.filter(system=first.submission.system).count() == 6
    with pytest.raises(UploadError, match="has a system Erik already: give yours another version"):
        send(arena, researcher, content=outputs(arena, "Otherwise {}."))
    # And by somebody else it is not theirs.
    with pytest.raises(UploadError, match="already"):
        send(arena, make_member(arena, "researcher", "other"))


def test_two_that_are_sent_at_once_are_one(arena, researcher, monkeypatch):
    def meanwhile(**given):
        monkeypatch.undo()
        received.append(send(arena, researcher))
        return checking.check(**given)

    received: list = []
    monkeypatch.setattr("arena.submissions.verbs.check", meanwhile)
    slower = send(arena, researcher)
    assert (received[0].is_new, slower.is_new) == (True, False)
    assert slower.submission == received[0].submission == Submission.objects.get()


def test_every_problem_is_told_at_once_and_nothing_is_stored(arena, researcher):
    prompt = arena.prompts.first().text
    lines = [
        json.dumps({"prompt": prompt, "output": ""}),
        "no json",
        json.dumps({"prompt": prompt, "output": "One."}),
    ]
    with pytest.raises(UploadError) as caught:
        send(arena, researcher, content="\n".join(lines).encode())
    said = [str(problem) for problem in caught.value.problems]
    assert [line.partition(":")[0] for line in said] == ["Line 1", "Line 2"]
    refused = Submission.objects.get()
    assert refused == caught.value.submission
    assert (refused.state, refused.n_problems, refused.system) == ("refused", 2, None)
    assert [line for line, _ in refused.problems] == [1, 2]
    assert not System.objects.filter(name="Erik").exists()

    unknown = json.dumps({"prompt": "Who are you?", "output": "Me."}).encode()
    with pytest.raises(UploadError) as caught:
        send(arena, researcher, about=about("Ada", link="no link"), content=unknown)
    said = " ".join(str(problem) for problem in caught.value.problems)
    for part in (
        "Line 1: The arena has no prompt with the text “Who are you?”",
        "has a system Ada already",
        "Link: Enter a valid URL.",
    ):
        assert part in said


def test_missing_prompts_are_refused_unless_the_arena_takes_a_part(arena, researcher):
    part = outputs(arena, leave_out=2)
    last = arena.prompts.order_by("-pk").first()
    with pytest.raises(UploadError) as caught:
        send(arena, researcher, content=part)
    assert (
        f"2 of 6 prompts have no output, and this arena wants every prompt answered: {last.pk - 1}, "
        in str(caught.value)
    )
    arena.submission_policy |= {"least_share": 0.6}
    arena.save()
    assert send(arena, researcher, content=part).submission.n_outputs == 4


def test_an_output_that_gives_the_system_away_is_warned_of_or_refused(arena, researcher):
    told = outputs(arena, "I am Erik and this is poem {}.")
    received = send(arena, researcher, content=told)
    assert len(received.warnings) == 6
    assert received.warnings[0].line == 1
    assert received.warnings[0].sentence.startswith("It says “i am erik; erik”, which gives")
    assert Output.objects.filter(system__name="Erik").exclude(leak="").count() == 6
    arena.submission_policy |= {"refuses_leaks": True}
    arena.save()
    with pytest.raises(UploadError, match="6 problems"):
        send(arena, researcher, about=about("Erik", "2"), content=told)


def test_a_dry_run_tells_the_same_and_stores_nothing(arena, researcher):
    tried = try_submission(
        arena=arena, owner=researcher, about=about(), content=outputs(arena), kind="jsonl"
    )
    assert (len(tried.checked.plan.new), tried.checked.missing) == (6, 0)
    with pytest.raises(UploadError):
        try_submission(arena=arena, owner=researcher, about=about("Ada"), content=outputs(arena))
    assert not Submission.objects.exists()
    assert not System.objects.filter(name="Erik").exists()


@pytest.mark.parametrize(
    ("who", "may"),
    [
        ("nobody", set()),
        ("maintainers", {"maintainer"}),
        ("researchers", {"maintainer", "researcher"}),
        ("accounts", {"maintainer", "researcher", "voter", "stranger"}),
    ],
)
def test_the_arena_says_who_may_submit(arena, who, may):
    arena.submission_policy |= {"who": who}
    arena.save()
    for role in ("stranger", "voter", "researcher", "maintainer"):
        user = make_user("stranger") if role == "stranger" else make_member(arena, role, role)
        sent = {"about": about(role), "content": outputs(arena)}
        if role in may:
            assert submit(arena=arena, owner=user, **sent).is_new
        else:
            with pytest.raises(SubmissionError) as caught:
                submit(arena=arena, owner=user, **sent)
            assert caught.value.forbidden
    assert Submission.objects.count() == len(may)


def test_quotas_count_what_was_taken_and_refusals_have_their_own_cap(arena, researcher):
    arena.submission_policy |= {"most_private": 1, "most_a_week": 3, "most_refused_a_day": 2}
    arena.save()
    send(arena, researcher)
    with pytest.raises(SubmissionError, match="1 systems that aren’t published, and you have 1"):
        send(arena, researcher, about=about("Second"))
    withdraw(submission=Submission.objects.get(), actor=researcher)
    with pytest.raises(SubmissionError, match="you withdrew counted too"):
        send(arena, researcher, about=about("Second"))
    send(arena, researcher, about=about("Second"), private=False)
    send(arena, researcher, about=about("Third"), private=False)
    with pytest.raises(SubmissionError, match="at most 3 submissions") as caught:
        send(arena, researcher, about=about("Fourth"), private=False)
    assert 6.9 * 86_400 < caught.value.wait <= 7 * 86_400
    Submission.objects.update(created_at=timezone.now() - timedelta(days=8))
    for number in range(2):
        with pytest.raises(UploadError):
            send(arena, researcher, content=b"no json %d" % number)
    with pytest.raises(SubmissionError, match="2 submissions of yours were refused within a day"):
        send(arena, researcher, about=about("Fifth"), private=False)
    # Others aren't kept from it.
    send(arena, make_member(arena, "researcher", "other"), about=about("Fifth"))


def test_publishing_cant_be_taken_back_and_withdrawing_hides_only_what_was_hidden(
    arena, researcher
):
    private = send(arena, researcher, about=about("Private")).submission
    public = send(arena, researcher, about=about("Public")).submission
    for _ in range(2):
        publish(submission=public, actor=researcher)
        withdraw(submission=private, actor=researcher)
    standings = dict(System.objects.filter(owner=researcher).values_list("name", "standing"))
    assert standings == {"Private": "withdrawn", "Public": "published"}
    assert variants_behind(public.system) == 1
    withdraw(submission=public, actor=researcher)
    public.system.refresh_from_db()
    assert public.system.standing == Standing.DEPRECATED
    with pytest.raises(SubmissionError, match="was withdrawn: submit it again"):
        publish(submission=private, actor=researcher)
    acts = list(
        AuditEntry.objects.filter(actor=researcher).order_by("pk").values_list("act", flat=True)
    )
    assert acts == [
        "submit system", "submit system", "publish system", "withdraw system", "deprecate system",
    ]  # fmt: skip


def test_cancelling_and_trying_again_may_be_repeated(arena, researcher):
    submission = send(arena, researcher).submission
    for _ in range(2):
        assert cancel(submission=submission, actor=researcher).state == State.CANCELLED
    for _ in range(2):
        assert retry(submission=submission, actor=researcher).state == State.QUEUED
    Submission.objects.update(state=State.RANKED)
    with pytest.raises(SubmissionError, match="nothing to cancel"):
        cancel(submission=submission, actor=researcher)
    assert Battle.objects.filter(system_b=submission.system).count() == 0


def test_without_judges_it_waits_for_people_and_says_what_to_do(arena, researcher):
    arena.submission_policy = {}
    arena.save()
    submission = send(arena, researcher).submission
    assert submission.state == State.WAITING
    assert "publish it, and they are" in submission.reason
    assert publish(submission=submission, actor=researcher).reason.endswith("people vote on it.")


def test_a_new_version_follows_one_of_ones_own(arena, researcher):
    first = send(arena, researcher).submission.system
    second = send(arena, researcher, about=about("Erik", "2"), follows=first).submission.system
    assert second.follows == first
    with pytest.raises(SubmissionError, match="Only a system of your own"):
        send(arena, researcher, about=about("Erik", "3"), follows=System.objects.get(name="Ada"))


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"who": "all"}, "who: 'all' is not one of"),
        ({"judges": "people"}, "judges: a list"),
        ({"battles": 1}, "battles: 1 is not a number from 10"),
        ({"width": True}, "width: True is not a number"),
        ({"least_share": 2}, "least_share: 2 is not"),
        ({"most_private": 1.5}, "most_private: a whole number"),
        ({"refuses_leaks": 1}, "refuses_leaks: true or false"),
        ({"other": 1}, "other: not a part of a policy"),
        ([], "an object"),
    ],
)
def test_a_policy_that_cant_be_followed_is_refused(policy, said):
    with pytest.raises(SubmissionPolicyError, match=said):
        SubmissionPolicy.from_json(policy)
