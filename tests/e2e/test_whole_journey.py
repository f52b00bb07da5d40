"""The whole way: an account, an arena made in the browser, votes by keys and by thumb, figures that follow.

Once as most browsers are, and once more without scripts.
"""

import json
import re
from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from arena.models import Arena
from judges.models import Exclusion, Retraction, Verdict
from judges.voters import find_crowd
from ratings import publications
from ratings import voters as voter_records

PROMPTS = [f"Why is thing number {number} as it is?" for number in range(8)]
SYSTEMS = ("Larch", "Maple", "Rowan")
VOTES = {"Larch": 3, "Maple": 2, "Rowan": 1}  # the higher, the better its answers
PHONE = {"width": 375, "height": 740, "has_touch": True, "is_mobile": True}


@pytest.fixture
def computed(transactional_db, settings, tmp_path) -> Callable[[], None]:
    """What a worker does when it is told that figures are stale."""
    settings.BOOTSTRAP_ROUNDS = 200
    settings.UPLOADS_DIR = tmp_path / "uploads"

    def work() -> None:
        for key in list(publications.work().values_list("pk", flat=True)):
            publications.refresh(key)

    return work


def sign_up(page: Page) -> None:
    page.goto(reverse("account_signup"))
    page.get_by_label("Email").fill("maya@example.org")
    page.get_by_label("Password", exact=True).fill("a long pass phrase 4")
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_text("Successfully signed in as maya@example.org")).to_be_visible()


def make_arena(page: Page) -> Arena:
    page.goto(reverse("arena:new"))
    page.get_by_label("Name", exact=True).fill("Things")
    page.get_by_label("Guidelines").fill("Is it **true**?")
    page.get_by_role("button", name=re.compile("^Make")).click()
    expect(page.get_by_role("heading", name="Manage Things")).to_be_visible()
    return Arena.objects.get(slug="things")


def upload(page: Page, address: str, rows: list[dict], *, what: str, **fields: str) -> None:
    page.goto(address)
    for label, value in fields.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_label("File", exact=True).set_input_files(
        {
            "name": "rows.jsonl",
            "mimeType": "application/json",
            "buffer": "\n".join(json.dumps(row) for row in rows).encode(),
        }
    )
    page.get_by_role("button", name="Check it").click()
    page.get_by_role("button", name=f"Add {len(rows)} {what}").click()
    expect(page.locator("main")).to_contain_text(str(len(rows)))


def fill_arena(page: Page, arena: Arena) -> None:
    upload(
        page,
        reverse("arena:manage-prompts", args=[arena.slug]),
        [{"id": f"p{number}", "prompt": prompt} for number, prompt in enumerate(PROMPTS)],
        what="prompts",
    )
    for system in SYSTEMS:
        upload(
            page,
            reverse("arena:manage-outputs", args=[arena.slug]),
            [
                {"prompt_id": f"p{number}", "output": f"{'Good. ' * VOTES[system]}{number}"}
                for number in range(len(PROMPTS))
            ],
            what="outputs",
            System=system,
        )
    page.goto(reverse("arena:manage", args=[arena.slug]))
    page.get_by_role("button", name="Open for votes").click()
    expect(page.get_by_text("The arena is open: anyone may vote")).to_be_visible()


def choice(page: Page, number: int) -> str:
    """The answer with more good in it; now and then the other, as people do: else nobody could be rated."""
    good = [
        page.locator("#stage [data-output]").nth(place).text_content().count("Good")
        for place in (0, 1)
    ]
    return "AB"[(good[0] < good[1]) ^ (number % 2)]


def vote_by_keys(page: Page, arena: Arena, times: int) -> None:
    page.goto(reverse("judges:vote", args=[arena.slug]), wait_until="networkidle")
    for number in range(times):
        expect(page.get_by_role("button", name="Both bad")).to_be_visible()
        page.keyboard.press(choice(page, number).lower())
        expect(page.get_by_role("heading", name=re.compile("^You said"))).to_be_focused()
        if number == 0:
            page.keyboard.press("u")
            expect(page.get_by_text("Your vote was taken back")).to_be_visible()
            page.keyboard.press(choice(page, number).lower())
            expect(page.get_by_role("heading", name=re.compile("^You said"))).to_be_focused()
        page.wait_for_load_state("networkidle")
        page.keyboard.press("n")


def vote_by_thumb(page: Page, arena: Arena, times: int) -> None:
    page.goto(reverse("judges:vote", args=[arena.slug]), wait_until="networkidle")
    for number in range(times):
        page.locator("#stage .tab-label.b").tap()
        expect(page.locator("#stage [data-output]").nth(1)).to_be_visible()
        page.get_by_role("button", name=f"{choice(page, number)} is better").tap()
        expect(page.get_by_role("heading", name=re.compile("^You said"))).to_be_visible()
        expect(page.get_by_role("link", name=re.compile("Larch|Maple|Rowan")).first).to_be_visible()
        page.wait_for_load_state("networkidle")
        page.get_by_role("link", name="Next battle").tap()
        expect(page.get_by_role("button", name="Both bad")).to_be_visible()


def vote_without_scripts(page: Page, arena: Arena, times: int) -> None:
    page.goto(reverse("judges:vote", args=[arena.slug]))
    for number in range(times):
        page.get_by_role("button", name=f"{choice(page, number)} is better").click()
        expect(page.get_by_role("heading", name=re.compile("^You said"))).to_be_visible()
        if number == 0:
            page.get_by_role("button", name=re.compile("^Undo")).click()
            page.get_by_role("button", name=f"{choice(page, number)} is better").click()
            expect(page.get_by_role("heading", name=re.compile("^You said"))).to_be_visible()
        page.get_by_role("link", name="Next battle").click()


def counted(page: Page) -> int:
    """How many verdicts the leaderboard on the page says it counts."""
    found = re.search(r"([0-9][0-9\s, ]*) verdicts", page.locator("main").inner_text())
    return int(re.sub(r"\D", "", found[1])) if found else 0


def exclude(page: Page, arena: Arena, handle: str) -> None:
    voter_records.refresh(arena=arena)
    page.goto(reverse("ratings:voters", args=[arena.slug]))
    page.get_by_role("link", name=handle).first.click()
    page.get_by_label("Reason").fill("only a test")
    page.get_by_role("button", name="Set the votes aside").click()
    expect(page.get_by_text("excluded").first).to_be_visible()


def check_what_is_stored(arena: Arena, *, votes: int, undone: int) -> None:
    verdicts = Verdict.objects.filter(judge=find_crowd(arena))
    assert verdicts.filter(retraction=None).count() == votes
    assert Retraction.objects.count() == undone


def test_from_an_account_to_a_leaderboard_that_moves(page: Page, open_page, computed):
    sign_up(page)
    arena = make_arena(page)
    fill_arena(page, arena)

    keys, phone, reader = open_page(), open_page(**PHONE), open_page()
    vote_by_keys(keys, arena, 6)
    computed()
    reader.goto(reverse("ratings:leaderboard", args=[arena.slug]), wait_until="networkidle")
    assert counted(reader) == 6
    vote_by_thumb(phone, arena, 5)
    check_what_is_stored(arena, votes=11, undone=1)

    # The tab that was open all the while follows by itself.
    computed()
    expect(reader.locator("main")).to_contain_text(re.compile(r"\b11 verdicts"))

    by_keys = Verdict.objects.filter(judge=find_crowd(arena)).earliest("pk").voter
    exclude(page, arena, by_keys.handle)
    assert Exclusion.objects.filter(voter=by_keys).exists()
    computed()
    expect(reader.locator("main")).to_contain_text(re.compile(r"\b5 verdicts"))
    expect(reader.locator("main")).to_contain_text("set aside")


def test_the_same_without_scripts(open_page, computed):
    page, voter = (open_page(java_script_enabled=False) for _ in range(2))
    reader = open_page(java_script_enabled=False)
    sign_up(page)
    arena = make_arena(page)
    fill_arena(page, arena)
    vote_without_scripts(voter, arena, 6)
    vote_without_scripts(page, arena, 3)
    check_what_is_stored(arena, votes=9, undone=2)
    computed()
    reader.goto(reverse("ratings:leaderboard", args=[arena.slug]))
    assert counted(reader) == 9
    theirs = Verdict.objects.filter(judge=find_crowd(arena)).earliest("pk").voter
    exclude(page, arena, theirs.handle)
    computed()
    reader.reload()
    assert counted(reader) == 3
    expect(reader.locator("main")).to_contain_text("set aside")
