"""A run that is under way is followed on its page, without loading it again."""

import re

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from judges.endpoints.interface import Failure
from judges.models import JudgeCall
from judges.runs.calls import Result, claim_calls, store_results
from judges.runs.verbs import resume_run
from tests import cast
from tests.accounts import make_member
from tests.e2e.conftest import run_a_judge


@pytest.fixture
def run(transactional_db):
    arena = cast.make_small_arena(("Ada", "Basil"), prompts=9)
    run, _ = run_a_judge(arena)
    resume_run(run=run)
    return run


def answer(run, n: int, **fields) -> None:
    calls = run.calls.filter(state=JudgeCall.State.OPEN).order_by("pk")[:n]
    store_results(run.pk, [Result(call.pk, **fields) for call in calls])


def test_a_run_is_followed_until_it_is_done(run, page, sign_in):
    sign_in(page, make_member(run.arena, "maintainer"))
    polls: list[str] = []
    page.on("request", lambda request: "part=progress" in request.url and polls.append(request.url))
    page.goto(reverse("judges:run", args=[run.arena.slug, run.pk]))
    expect(page.get_by_text("10 of 12 calls")).to_be_visible()
    # Who stands on a button stays there when the list below it changes.
    page.get_by_role("button", name="Ask again what failed: timeout").focus()
    answer(run, 1, failure=Failure.SERVER, error="The server is down.")
    expect(page.get_by_text("1 call: server error.")).to_be_visible()
    expect(page.get_by_text("11 of 12 calls")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Ask again"))).to_have_count(3)
    assert page.evaluate("document.activeElement.value") == "retry"
    expect(page.get_by_role("status")).to_have_text("90 per cent of the run is done.")
    answer(run, 1, text="Verdict: A", choice=0)
    claim_calls(run.pk, claim="0" * 32, at_most=1, mine=[])
    # The whole page comes anew, with what can be done with a run that is over; and asks no more.
    expect(page.get_by_text("5 calls of 12 failed")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    assert polls
    expect(page.locator("#progress")).not_to_have_attribute("hx-trigger", re.compile("."))
