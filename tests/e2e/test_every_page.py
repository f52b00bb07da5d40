"""Every page in a real browser: light, dark, and on a phone.

The list of addresses comes from the URL configuration: a page that is added without a case here fails.
"""

from collections.abc import Callable, Iterator

import pytest
from django.urls import URLPattern, get_resolver, reverse
from playwright.sync_api import Page

from tests.e2e import chromium
from tests.e2e.conftest import World

# What follows the address of each page: arguments of the name, for as many pages as it has kinds.
PAGES: dict[str, Callable[[World], list[list]]] = {
    "arena:index": lambda world: [[]],
    "arena:home": lambda world: [[world.arena.slug]],
    "arena:prompts": lambda world: [[world.arena.slug]],
    "arena:prompt": lambda world: [[world.arena.slug, world.prompt.pk]],
    "judges:battles": lambda world: [[world.arena.slug]],
    "judges:battle": lambda world: [[world.arena.slug, world.battle.pk]],
    "ratings:leaderboard": lambda world: [[world.arena.slug]],
    "ratings:system": lambda world: [[world.arena.slug, world.system.slug]],
    "ratings:matrix": lambda world: [[world.arena.slug]],
    "ratings:judges": lambda world: [[world.arena.slug]],
    "ratings:judge": lambda world: [
        [world.arena.slug, judge.slug] for judge in (world.judge, world.people)
    ],
    "ratings:snapshot": lambda world: [[world.arena.slug, world.snapshot.pk]],
    "api-docs": lambda world: [[]],
}
# Parts of pages, and answers for programs. Their own tests read them.
NOT_PAGES = {"ratings:top", "ratings:opponents", "judges:plain-text", "healthz", "robots"}
# Whole branches that answer programs or staff.
BRANCHES = ("admin/", "api/")

LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"width": 375, "height": 740, "color_scheme": "light"},
}

TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.querySelectorAll("body *")]
        .filter((element) => element.getBoundingClientRect().right > width + 1)
        .slice(0, 5)
        .map((element) => element.outerHTML.slice(0, 120));
}"""


def names_of_addresses(patterns: list | None = None, namespace: str = "") -> Iterator[str]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if str(pattern.pattern).startswith(BRANCHES):
            continue
        if isinstance(pattern, URLPattern):
            yield f"{namespace}{pattern.name}"
        else:
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from names_of_addresses(pattern.url_patterns, inner)


def test_every_address_is_a_page_with_a_case_or_known_to_be_something_else():
    in_branches = {"api-docs"}
    assert set(names_of_addresses()) == (set(PAGES) - in_branches) | NOT_PAGES


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_whole_and_accessible(look, world, open_page, complaints, axe, subtests):
    page: Page = open_page(**LOOKS[look])
    for name, cases in PAGES.items():
        for arguments in cases(world):
            with subtests.test(page=name, arguments=arguments):
                complaints.clear()
                response = page.goto(reverse(name, args=arguments), wait_until="networkidle")
                assert response.status == 200
                chromium.scroll_through(page)
                assert page.locator("h1").count() == 1
                assert page.title().strip()
                too_wide = page.evaluate(TOO_WIDE)
                assert not too_wide, f"Wider than the window: {too_wide}"
                axe(page)
                complaints.check()
    complaints.clear()


def test_every_page_is_whole_without_scripts(world, open_page, complaints, subtests):
    page: Page = open_page(java_script_enabled=False)
    for name, cases in PAGES.items():
        if name == "api-docs":
            continue  # a program that draws the description of the API
        for arguments in cases(world):
            with subtests.test(page=name, arguments=arguments):
                complaints.clear()
                assert page.goto(reverse(name, args=arguments)).status == 200
                assert page.locator("h1").count() == 1
                assert page.locator("main").inner_text().strip()
                complaints.check()
    complaints.clear()
