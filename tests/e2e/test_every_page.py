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
    "judges:vote": lambda world: [[world.arena.slug]],
    "judges:rank": lambda world: [[world.arena.slug]],
    "judges:my-votes": lambda world: [[world.arena.slug]],
    "judges:battles": lambda world: [[world.arena.slug]],
    "judges:battle": lambda world: [[world.arena.slug, world.battle.pk]],
    "judges:verdict": lambda world: [[world.arena.slug, world.run.verdicts.earliest("pk").pk]],
    "judges:compare": lambda world: [[world.arena.slug]],
    "ratings:leaderboard": lambda world: [[world.arena.slug]],
    "ratings:history": lambda world: [[world.arena.slug]],
    "ratings:embed": lambda world: [[world.arena.slug]],
    "judges:data": lambda world: [[world.arena.slug]],
    "ratings:system": lambda world: [[world.arena.slug, world.system.slug]],
    "ratings:system-report": lambda world: [[world.arena.slug, world.system.slug]],
    "ratings:system-battles": lambda world: [[world.arena.slug, world.system.slug]],
    "ratings:system-disagreements": lambda world: [[world.arena.slug, world.system.slug]],
    "ratings:system-versions": lambda world: [[world.arena.slug, world.system.slug]],
    "ratings:rankings": lambda world: [[world.arena.slug]],
    "ratings:fragility": lambda world: [[world.arena.slug]],
    "ratings:what-if": lambda world: [[world.arena.slug]],
    "ratings:matrix": lambda world: [[world.arena.slug]],
    "ratings:judges": lambda world: [[world.arena.slug]],
    "ratings:judge": lambda world: [
        [world.arena.slug, judge.slug] for judge in (world.judge, world.people)
    ],
    "ratings:probes": lambda world: [
        [world.arena.slug, judge.slug] for judge in (world.probing.judge, world.judge)
    ],
    "ratings:snapshot": lambda world: [[world.arena.slug, world.snapshot.pk]],
    "arena:invitation": lambda world: [[world.invitation]],
    "account_login": lambda world: [[]],
    "account_signup": lambda world: [[]],
    "account_reset_password": lambda world: [[]],
    "account_reset_password_done": lambda world: [[]],
    "account_reset_password_from_key": lambda world: [["1", "not-good"]],
    "account_reset_password_from_key_done": lambda world: [[]],
    "account_email_verification_sent": lambda world: [[]],
    "account_confirm_email": lambda world: [["not-good"]],
    "account_inactive": lambda world: [[]],
    "api-docs": lambda world: [[]],
}
# Those of accounts, seen by a maintainer of the arena who is signed in.
SIGNED_IN: dict[str, Callable[[World], list[list]]] = {
    "arena:home": lambda world: [[world.arena.slug]],
    "arena:invitation": lambda world: [[world.invitation]],
    "arena:new": lambda world: [[]],
    "arena:manage": lambda world: [[world.arena.slug]],
    "arena:manage-settings": lambda world: [[world.arena.slug]],
    "arena:manage-policy": lambda world: [[world.arena.slug]],
    "arena:manage-sharing": lambda world: [[world.arena.slug]],
    "arena:manage-prompts": lambda world: [[world.arena.slug]],
    "arena:manage-outputs": lambda world: [[world.arena.slug]],
    "arena:manage-images": lambda world: [[world.arena.slug]],
    "arena:manage-members": lambda world: [[world.arena.slug]],
    "arena:manage-invitations": lambda world: [[world.arena.slug]],
    "arena:manage-log": lambda world: [[world.arena.slug]],
    "arena:submit": lambda world: [[world.arena.slug]],
    "arena:submissions": lambda world: [[world.arena.slug]],
    "arena:submission": lambda world: [
        [world.arena.slug, submission.pk] for submission in world.submissions
    ],
    "judges:manage-submissions": lambda world: [[world.arena.slug]],
    "arena:leaks": lambda world: [[world.arena.slug]],
    "ratings:voters": lambda world: [[world.arena.slug]],
    "ratings:voter": lambda world: [[world.arena.slug, voter.pk] for voter in world.voters],
    "judges:manage-preview": lambda world: [[world.arena.slug]],
    "judges:manage-gold": lambda world: [[world.arena.slug]],
    "judges:manage-systems": lambda world: [[world.arena.slug]],
    "judges:new-system": lambda world: [[world.arena.slug]],
    "judges:manage-system": lambda world: [
        [world.arena.slug, system.slug] for system in (world.system, world.answering.system)
    ],
    "judges:manage-judges": lambda world: [[world.arena.slug]],
    "judges:new-judge": lambda world: [[world.arena.slug]],
    "judges:new-jury": lambda world: [[world.arena.slug]],
    "judges:new-cascade": lambda world: [[world.arena.slug]],
    "judges:cascade-request": lambda world: [[world.arena.slug, world.asked.key]],
    "judges:judge-version": lambda world: [[world.arena.slug, world.run.judge.slug]],
    "judges:try-judge": lambda world: [[world.arena.slug, world.run.judge.slug]],
    "judges:probe-judge": lambda world: [[world.arena.slug, world.run.judge.slug]],
    "ratings:probes": lambda world: [[world.arena.slug, world.run.judge.slug]],
    "judges:trial": lambda world: [[world.arena.slug, world.trial.key]],
    "judges:runs": lambda world: [[world.arena.slug]],
    "judges:run-new": lambda world: [[world.arena.slug]],
    "judges:run": lambda world: [
        [world.arena.slug, run.pk]
        for run in (world.run, world.planned, world.answering, world.probing)
    ],
    "judges:run-calls": lambda world: [[world.arena.slug, world.run.pk]],
    "judges:call": lambda world: [[world.arena.slug, world.run.calls.earliest("pk").pk]],
    "ratings:own-systems": lambda world: [[world.arena.slug]],
    "ratings:all-own-systems": lambda world: [[]],
    "arena:tokens": lambda world: [[]],
    "judges:account": lambda world: [[]],
    "judges:account-delete": lambda world: [[]],
    "account_email": lambda world: [[]],
    "account_change_password": lambda world: [[]],
    "account_reauthenticate": lambda world: [[]],
    "account_logout": lambda world: [[]],
}
# Parts of pages, and answers for programs. Their own tests read them.
NOT_PAGES = {
    "ratings:top",
    "ratings:standing",
    "ratings:opponents",
    "ratings:badge",
    "ratings:citation",
    "ratings:feed",
    "ratings:leaderboard-csv",
    "ratings:leaderboard-json",
    "ratings:history-csv",
    "judges:data-archive",
    "judges:data-archive-parquet",
    "judges:data-everything",
    "judges:data-table",
    "judges:plain-text",
    "judges:vote-following",
    "healthz",
    "robots",
}
# Forms that are sent, and steps that lead elsewhere unless one is in the middle of something.
NOT_PAGES |= {
    "arena:manage-open",
    "arena:manage-close",
    "arena:give-role",
    "arena:remove-member",
    "arena:revoke-invitation",
    "arena:remove-image",
    "arena:image",
    "arena:revoke-token",
    "arena:act-on-submission",
    "arena:submission-problems",
    "judges:vote-cast",
    "judges:vote-undo",
    "judges:vote-reveal",
    "judges:rank-cast",
    "judges:rank-undo",
    "judges:rank-reveal",
    "judges:my-votes-retract",
    "account_set_password",
    "account_confirm_login_code",
}
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
    pages = (set(PAGES) | set(SIGNED_IN)) - in_branches
    assert set(names_of_addresses()) == pages | NOT_PAGES


@pytest.fixture(params=["visitor", "maintainer"])
def visit(request, world, open_page, sign_in) -> Callable[..., tuple[Page, dict]]:
    """Opens a page as somebody: the page, and which addresses that somebody looks at."""

    def visit(**options) -> tuple[Page, dict]:
        page = open_page(**options)
        if request.param == "visitor":
            return page, PAGES
        sign_in(page, world.maintainer)
        return page, SIGNED_IN

    return visit


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_whole_and_accessible(look, world, visit, complaints, axe, settle, subtests):
    page, pages = visit(**LOOKS[look])
    settle.watch(page)
    # What is said of a page in light is the same in the dark, but for its colours.
    rules = ["color-contrast", "link-in-text-block"] if look == "dark" else None
    for name, cases in pages.items():
        for arguments in cases(world):
            with subtests.test(page=name, arguments=arguments):
                complaints.clear()
                response = page.goto(reverse(name, args=arguments))
                assert response.status == 200
                settle(page)
                page.evaluate(chromium.SCROLL_THROUGH)
                settle(page)
                assert page.locator("h1").count() == 1
                assert page.title().strip()
                too_wide = page.evaluate(TOO_WIDE)
                assert not too_wide, f"Wider than the window: {too_wide}"
                axe(page, rules=rules)
                complaints.check()
    complaints.clear()


def test_every_page_is_whole_without_scripts(world, visit, complaints, subtests):
    page, pages = visit(java_script_enabled=False)
    for name, cases in pages.items():
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
