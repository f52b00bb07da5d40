"""An open leaderboard changes by itself, says what changed, and rests while nobody looks."""

import re

from django.urls import reverse
from playwright.sync_api import Page, expect

from judges.models import Outcome
from judges.voting import cast_verdict
from ratings import publications
from tests import cast
from tests.e2e.conftest import World


def follow(page: Page, world: World) -> None:
    page.goto(reverse("ratings:leaderboard", args=[world.arena.slug]), wait_until="networkidle")
    expect(page.get_by_role("button", name="Pause updates")).to_be_visible()


def one_more_verdict(world: World) -> None:
    voter = cast.make_voter(world.people, "a-late-one")
    cast_verdict(battle=world.battle, judge=world.people, voter=voter, outcome=Outcome.A)
    publications.refresh_all(arena=world.arena)


def asks(page: Page) -> list[str]:
    found: list[str] = []
    page.on("request", lambda asked: "part=live" in asked.url and found.append(asked.url))
    return found


def test_a_vote_changes_the_open_table_which_says_so_and_keeps_the_focus(
    page: Page, world: World, axe
):
    follow(page, world)
    link = page.locator("tr[data-system] a.quiet").first
    link.focus()
    one_more_verdict(world)
    expect(page.locator("[data-live] [role=status]")).to_have_text(
        re.compile(r"^Updated: 1 new verdict, \d systems? moved\.$")
    )
    expect(link).to_be_focused()
    expect(page.locator("td.just-changed").first).to_be_visible()
    axe(page)


def test_a_hidden_tab_and_a_paused_one_do_not_ask(page: Page, world: World):
    follow(page, world)
    page.evaluate(
        "() => { Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    found = asks(page)
    page.wait_for_timeout(4000)
    assert found == []
    with page.expect_request(re.compile("part=live")):
        page.evaluate(
            "() => { delete document.hidden;"
            " document.dispatchEvent(new Event('visibilitychange')); }"
        )
    page.get_by_role("button", name="Pause updates").press("Enter")
    found.clear()
    page.wait_for_timeout(4000)
    assert found == []
