"""What a reader does: from the list of arenas to a single verdict, with scripts, by keyboard, and without."""

import re

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from ratings import publications
from ratings.models import Publication
from tests.e2e.conftest import World


@pytest.fixture
def leaderboard(page: Page, world: World) -> Page:
    page.goto(reverse("ratings:leaderboard", args=[world.arena.slug]), wait_until="networkidle")
    return page


def test_links_lead_from_the_arenas_to_a_judge_and_to_a_verdict(page: Page, world: World):
    page.goto("/")
    page.get_by_role("link", name=world.arena.name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(world.arena.name)

    rooms = page.get_by_role("navigation", name=world.arena.name)
    rooms.get_by_role("link", name="Leaderboard").click()
    page.get_by_role("link", name=world.system.name, exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(world.system.name)

    rooms.get_by_role("link", name="Judges").click()
    page.get_by_role("rowheader").get_by_role("link", name=world.judge.name).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(world.judge.name)

    rooms.get_by_role("link", name="Battles").click()
    page.get_by_role("rowheader").get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Battle {world.battle.pk}")
    for who in ("alice", "bob", world.judge.name):
        expect(page.get_by_role("table").get_by_text(who)).to_be_visible()


def test_choosing_a_judge_changes_table_and_address_and_back_undoes_both(
    leaderboard: Page, world: World
):
    choice = leaderboard.get_by_label("Decided by")
    ratings = leaderboard.locator("table.leaderboard")
    by_people = ratings.inner_text()
    choice.select_option(label=world.judge.name)
    expect(leaderboard).to_have_url(re.compile(rf"judge={world.judge.slug}"))
    expect(ratings).not_to_have_text(by_people, use_inner_text=True)
    leaderboard.go_back()
    expect(leaderboard).not_to_have_url(re.compile("judge="))
    expect(ratings).to_have_text(by_people, use_inner_text=True)
    expect(choice).to_have_value("people")


def test_a_row_opens_to_its_opponents_and_closes(leaderboard: Page):
    link = leaderboard.get_by_role("link", name="Opponents of Ada")
    link.click()
    opened = leaderboard.locator("tr[data-opened-row]")
    expect(opened).to_have_count(1)
    for opponent in ("Cleo", "Dora"):
        expect(opened).to_contain_text(opponent)
    link.click()
    expect(opened).to_have_count(0)


def test_a_new_slice_is_waited_for_and_appears_by_itself(leaderboard: Page, world: World):
    leaderboard.get_by_label("Method").select_option(label="Davidson")
    expect(leaderboard.get_by_text("is being computed")).to_be_visible()
    waiting = Publication.objects.get(arena=world.arena, slice__method="davidson")
    assert publications.refresh(waiting.pk)
    expect(leaderboard.locator("table.leaderboard")).to_be_visible()
    expect(leaderboard.get_by_text("is being computed")).to_have_count(0)

    asked = []
    leaderboard.on("request", lambda request: asked.append(request.url))
    leaderboard.wait_for_timeout(2500)
    # What follows the leaderboard asks for what is newer than the answer.
    waiting_still = [url for url in asked if "part=live" not in url]
    assert not waiting_still, "The page goes on asking after the answer."


def test_a_chart_is_drawn_when_it_comes_into_view(page: Page, world: World):
    page.set_viewport_size({"width": 1280, "height": 300})
    page.goto(
        reverse("ratings:judge", args=[world.arena.slug, world.judge.slug]),
        wait_until="networkidle",
    )
    figures = page.locator("figure[data-chart]")
    assert figures.count() > 0
    assert page.locator(".js-plotly-plot").count() < figures.count()
    for number in range(figures.count()):
        figures.nth(number).scroll_into_view_if_needed()
        expect(figures.nth(number).locator(".js-plotly-plot svg").first).to_be_visible()


def test_the_keyboard_reaches_the_content_and_its_help(leaderboard: Page):
    leaderboard.keyboard.press("Tab")
    skip = leaderboard.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    leaderboard.keyboard.press("Enter")
    expect(leaderboard.locator("main")).to_be_focused()

    leaderboard.keyboard.press("?")
    keys = leaderboard.get_by_role("dialog", name="Keys on this page")
    expect(keys).to_be_visible()
    leaderboard.keyboard.press("Escape")
    expect(keys).to_be_hidden()


def test_a_chosen_theme_stays(leaderboard: Page):
    paper = leaderboard.locator("html")
    light = paper.evaluate("element => getComputedStyle(element).backgroundColor")
    leaderboard.get_by_role("button", name="Dark theme").click()
    expect(paper).not_to_have_css("background-color", light)
    leaderboard.reload()
    expect(paper).not_to_have_css("background-color", light)
    leaderboard.get_by_role("button", name="Light theme").click()
    expect(paper).to_have_css("background-color", light)


def test_filters_work_without_scripts(open_page, world: World):
    page = open_page(java_script_enabled=False)
    page.goto(reverse("ratings:leaderboard", args=[world.arena.slug]))
    page.get_by_label("Decided by").select_option(label=world.judge.name)
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile(rf"judge={world.judge.slug}"))
    expect(page.locator("table.leaderboard")).to_be_visible()
    expect(page.get_by_label("Decided by")).to_have_value(world.judge.slug)


def test_a_wrong_address_says_so_and_leads_back(page: Page, world: World, complaints):
    response = page.goto(f"/a/{world.arena.slug}/systems/nobody/")
    assert response.status == 404
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.get_by_role("link", name="All arenas").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Arenas")
    # The browser notes the 404 that was asked for.
    complaints.clear()
