"""Answers put in order in Chromium: by keys alone, by mouse, by thumb on a phone, and without scripts."""

import re

import pytest
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from arena.models import Arena, Output
from judges.models import RankedOutput, Ranking
from judges.rankings import cast_ranking, next_ranking
from judges.voters import crowd_of
from ratings import rankings
from tests.cast import make_voter
from tests.e2e.conftest import World


@pytest.fixture
def arena(world: World) -> Arena:
    return world.arena


def open_rank(page: Page, arena: Arena) -> None:
    page.goto(reverse("judges:rank", args=[arena.slug]), wait_until="networkidle")


def arrived(page: Page, *, at: Locator) -> None:
    """What tells the new page from the old is there, and the scripts have run."""
    expect(at).to_be_visible()
    page.wait_for_load_state("domcontentloaded")


def order_on(page: Page) -> str:
    return "".join(card.get_attribute("data-card") for card in cards(page).all())


def cards(page: Page) -> Locator:
    return page.locator("[data-card]")


def ranks(**which) -> list[int]:
    """By the position on the page: the ranks of A, B and C."""
    decided = Ranking.objects.filter(state="decided", **which).latest("decided_at")
    return list(RankedOutput.objects.filter(ranking=decided).values_list("rank", flat=True))


def send(page: Page) -> None:
    page.get_by_role("button", name="Send this order").click()
    expect(page.get_by_role("heading", name="Your order")).to_be_visible()


def test_an_order_its_reveal_undo_and_the_next_by_keys_alone(page: Page, arena: Arena):
    open_rank(page, arena)
    said = page.locator("[data-order]")
    page.keyboard.press("c")
    expect(page.get_by_role("button", name="Answer C, no place yet")).to_be_focused()
    page.keyboard.press("1")
    expect(said).to_have_text("Order now: C, then A, then B.")
    expect(page.get_by_role("button", name="Answer C, place 1 of 3")).to_be_focused()
    page.keyboard.press("a")
    page.keyboard.press("ArrowDown")
    expect(said).to_have_text("Order now: C, then B, then A.")
    page.keyboard.press("=")
    expect(said).to_have_text("Order now: C, then B and A tied.")
    page.keyboard.press("r")
    arrived(page, at=page.get_by_role("heading", name="Your order"))
    assert ranks() == [2, 2, 1]
    page.keyboard.press("u")
    arrived(page, at=page.get_by_text("Your order was taken back"))
    page.keyboard.press("b")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("r")
    arrived(page, at=page.get_by_role("heading", name="Your order"))
    assert ranks() == [2, 1, 3]
    page.keyboard.press("n")
    arrived(page, at=page.get_by_role("button", name="Answer A, no place yet"))
    page.keyboard.press("s")
    arrived(page, at=page.get_by_text("Skipped."))


def test_every_control_has_a_name_and_the_tab_key_reaches_it(page: Page, arena: Arena):
    open_rank(page, arena)
    for letter in "ABC":
        card = page.locator(f'[data-card="{letter}"]')
        for name in (
            f"Answer {letter}, no place yet",
            f"Move {letter} up",
            f"Move {letter} down",
            f"Tie {letter} with the one above",
        ):
            button = card.get_by_role("button", name=name)
            button.focus()
            expect(button).to_be_focused()
        expect(card.get_by_label(f"Place of answer {letter}")).to_be_visible()
    page.get_by_role("button", name="Move C up").press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Move C up")).to_be_focused()
    assert order_on(page) == "CAB"
    page.get_by_label("Place of answer B").select_option("1")
    assert order_on(page) == "BCA"
    send(page)
    assert ranks() == [3, 1, 2]


def test_ties_follow_what_is_moved(page: Page, arena: Arena):
    open_rank(page, arena)
    said = page.locator("[data-order]")
    page.get_by_role("button", name="Tie B with the one above").click()
    expect(said).to_have_text("Order now: A and B tied, then C.")
    page.get_by_role("button", name="Move A down").click()
    # Out of its tie, B stays first.
    expect(said).to_have_text("Order now: B, then A, then C.")
    page.get_by_role("button", name="Tie A with the one above").click()
    page.get_by_role("button", name="Move C up").click()
    expect(said).to_have_text("Order now: B and C and A tied.")
    page.get_by_role("button", name="Tie A with the one above").click()
    expect(said).to_have_text("Order now: B and C tied, then A.")
    page.get_by_role("button", name="Move C up").click()
    expect(said).to_have_text("Order now: C, then B, then A.")
    send(page)
    assert ranks() == [3, 2, 1]


def test_the_order_in_which_answers_are_shown_is_sent_only_when_it_is_meant(
    page: Page, arena: Arena
):
    open_rank(page, arena)
    page.get_by_role("button", name="Send this order").click()
    expect(page.locator("[data-order]")).to_contain_text("You haven’t moved anything")
    assert not Ranking.objects.filter(state="decided").exists()
    send(page)
    assert ranks() == [1, 2, 3]


def drag(page: Page, letter: str, onto: str) -> None:
    """The handle of one onto the other's, which moves when the texts are folded away."""
    handle = page.locator(f'[data-card="{letter}"] [data-handle]')
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"] + 30)
    target = page.locator(f'[data-card="{onto}"]').bounding_box()
    down = target["y"] > box["y"]
    page.mouse.move(box["x"] + 20, target["y"] + target["height"] * (0.9 if down else 0.1), steps=5)
    page.mouse.up()


def test_an_answer_is_dragged_by_mouse(page: Page, arena: Arena):
    Output.objects.update(text="A long answer.\n\n" * 60)
    open_rank(page, arena)
    drag(page, "A", "C")
    assert order_on(page) == "BCA"
    drag(page, "C", "B")
    assert order_on(page) == "CBA"
    expect(page.locator(".is-dragging, .is-dragged")).to_have_count(0)
    expect(page.locator("[data-order]")).to_have_text("Order now: C, then B, then A.")
    send(page)
    assert ranks() == [3, 2, 1]


def test_answers_are_dragged_by_thumb_on_a_phone(open_page, arena: Arena, axe):
    page = open_page(width=375, height=740, has_touch=True, is_mobile=True)
    open_rank(page, arena)
    axe(page)
    scroll, client = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert scroll <= client
    touch = page.context.new_cdp_session(page)

    def point(kind: str, x: float, y: float) -> None:
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    handle = page.locator('[data-card="A"] [data-handle]')
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box["width"] >= 44
    assert box["height"] >= 44
    x, y = box["x"] + 20, box["y"] + 20
    point("touchStart", x, y)
    point("touchMove", x, y + 10)
    expect(page.locator("[data-rank-list].is-dragging")).to_be_visible()
    # All heads are in reach while one is dragged.
    last = page.locator('[data-card="C"]').bounding_box()
    assert last["y"] + last["height"] <= 740
    for share in (0.3, 0.6, 1.0):
        point("touchMove", x, y + (last["y"] + last["height"] - 4 - y) * share)
    point("touchEnd", x, y)
    expect(page.locator("[data-order]")).to_have_text("Order now: B, then C, then A.")
    button = page.get_by_role("button", name="Send this order")
    expect(button).to_be_in_viewport()
    button.tap()
    expect(page.get_by_role("heading", name="Your order")).to_be_visible()
    axe(page)
    assert ranks() == [3, 1, 2]


def test_an_order_without_scripts(open_page, arena: Arena, complaints):
    page = open_page(java_script_enabled=False)
    page.goto(reverse("judges:rank", args=[arena.slug]))
    expect(page.get_by_role("button", name=re.compile("^Move"))).to_have_count(0)
    page.get_by_label("Place of answer A").select_option("2")
    page.get_by_label("Place of answer C").select_option("1")
    page.get_by_role("button", name="Send this order").click()
    expect(page.get_by_role("alert")).to_contain_text("B has none")
    expect(page.get_by_label("Place of answer A")).to_have_value("2")
    complaints.clear()  # the browser notes the 422
    page.get_by_label("Place of answer B").select_option("2")
    send(page)
    assert ranks() == [2, 2, 1]
    page.get_by_role("button", name=re.compile("^Undo")).click()
    expect(page.get_by_text("Your order was taken back")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Skip")).click()
    expect(page.get_by_text("Skipped.")).to_be_visible()


def test_what_was_chosen_before_scripts_took_over_is_kept(page: Page, arena: Arena, complaints):
    open_rank(page, arena)
    # As if the script had come too late: an order with a hole is sent.
    page.evaluate(
        """() => {
            document.querySelector('#place-0').value = '3';
            document.querySelector('#place-2').value = '1';
            HTMLFormElement.prototype.submit.call(document.querySelector('[data-rank]'));
        }"""
    )
    arrived(page, at=page.get_by_role("alert"))
    expect(page.get_by_role("alert")).to_contain_text("B has none")
    complaints.clear()
    assert order_on(page) == "CAB"


@pytest.mark.parametrize("look", [{}, {"color_scheme": "dark"}, {"width": 375, "height": 740}])
def test_the_pages_are_accessible(open_page, arena: Arena, axe, look):
    crowd = crowd_of(arena)
    for number in range(4):
        voter = make_voter(crowd, f"ranker {number}")
        while ranking := next_ranking(arena=arena, voter=voter):
            places = [1, 2, 3] if (number + ranking.pk) % 3 else [3, 1, 2]
            cast_ranking(ranking=ranking, places=dict(enumerate(places)))
    rankings.refresh(rankings.report_of(arena=arena).pk)
    page = open_page(**look)
    open_rank(page, arena)
    page.keyboard.press("b")
    page.keyboard.press("1")
    page.keyboard.press("=")
    axe(page)
    send(page)
    expect(page.get_by_text("(n = ").first).to_be_visible()
    axe(page)
    page.get_by_role("link", name="What all rankings come to").click()
    expect(page.get_by_role("region", name="Systems by their rankings")).to_be_visible()
    axe(page)
    scroll, client = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert scroll <= client
