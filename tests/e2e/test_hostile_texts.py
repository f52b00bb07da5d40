"""Texts that mean harm, in a real browser: nothing runs, nothing is asked of other hosts, no page breaks.

Each payload is written here for its kind. What the server sends is checked in judges/test_vote_page_is_safe.py;
here the browser has the last word.
"""

import io

import pytest
from django.urls import reverse
from PIL import Image as Pictures
from playwright.sync_api import Page

from arena.images import add_images
from arena.models import Output, Prompt
from judges.models import Ballot

SCRIPT = "window.ran=(window.ran||0)+1"
TEXTS = {
    "elements that run": f"<script>{SCRIPT}</script><img src=x onerror='{SCRIPT}'>"
    f"<svg onload={SCRIPT}></svg><details open ontoggle={SCRIPT}>"
    f"<iframe srcdoc='<script>parent.ran=1</script>'></iframe>"
    f"<video><source onerror={SCRIPT}></video><input autofocus onfocus={SCRIPT}>"
    f"<marquee onstart={SCRIPT}>x</marquee><body onload={SCRIPT}><object data='javascript:{SCRIPT}'></object>",
    "tags that end others": f"</pre></div></details></form></article></section></main></body></html>"
    f"</textarea></title></style></script></noscript>--><script>{SCRIPT}</script><!--",
    "broken tags": f"<img src='x'onerror={SCRIPT}//<svg/onload={SCRIPT}//\n<a href=\"x\" title='<b\n<<script>",
    "mutation": f"<svg><p><style><g title='</style><img src onerror={SCRIPT}>'>"
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src onerror={SCRIPT}&gt;'>",
    "links that run": f"[a](javascript:{SCRIPT}) [b](JaVaScRiPt:{SCRIPT}) [c](java&#115;cript:{SCRIPT}) "
    f"[d](\x01javascript:{SCRIPT}) [e](data:text/html,<script>{SCRIPT}</script>) <javascript:{SCRIPT}> "
    f"[f](vbscript:x) [g](//evil.example) [h](\\\\evil.example) [i][j]\n\n[j]: javascript:{SCRIPT}",
    "images elsewhere": "![a](https://evil.example/p.png) ![b](//evil.example/p.png) "
    "![c](data:image/svg+xml,<svg/>)"
    f' ![" onerror="{SCRIPT}](one.png "x\\" onload=\\"{SCRIPT}") ![\'><script>{SCRIPT}</script>](one.png)'
    " ![d](../../admin/logout/) ![e](one.png?x) ![f](http://evil.example/a.webp) "
    "![g](/a/poems/images/a.webp)",
    "languages of code": f'```"><script>{SCRIPT}</script>\nx\n```\n\n```html\n<script>{SCRIPT}</script>\n'
    f"<img src=x onerror={SCRIPT}>\n```\n\n```js\n`</code></pre><script>{SCRIPT}</script>`\n```",
    "formulas": f"$<img src=x onerror={SCRIPT}>$ $$\\text{{<script>{SCRIPT}</script>}}$$ "
    f"\\(\\href{{javascript:{SCRIPT}}}{{x}}\\)\n\n$$\n</p><script>{SCRIPT}</script>\n$$",
    "htmx": f"<div hx-get='/x' hx-trigger=load hx-on::load='{SCRIPT}'>x</div>"
    "<a data-hx-get=//evil.example hx-trigger=load>x</a>",
    "style": "<style>*{display:none}@import url(//evil.example/x.css)</style>"
    "<p style='position:fixed;inset:0;background:url(//evil.example/x)'>x</p>"
    "<link rel=stylesheet href=//evil.example>",
    "forms": "<form action=//evil.example id=x><button>A is better</button></form>"
    "<button form=x formaction=//evil.example>x",
    "templates": "{{ request.user }} {% debug %} {% include 'x' %} ${7*7} #{7*7} <%= 7*7 %>",
    "directions": "\u202eevil\u202c \u2066\u2067x \u200f\u061c" + "\u2067" * 500 + "שלום עולם",
    "marks that pile up": "Z" + "\u0337\u0353\u0306\u030d" * 3_000 + " and " + "e\u0301" * 500,
    "without width": "\u200b\u200d\u2060\ufeff" * 5_000 + "x" + "\u00ad" * 5_000,
    "wide signs": "﷽" * 800 + "𒐫" * 800 + "⸻" * 800,
    "a table of many columns": "|" + "c|" * 400 + "\n|" + "-|" * 400 + "\n" + ("|" + "x|" * 400 + "\n") * 10,
    "a table of many rows": "|a|b|\n|-|-|\n" + "|x|y|\n" * 2_500,
    "a word of one megabyte": "x" * 2**20,
    "a line of one megabyte": "word " * (2**20 // 5),
    "empty lines": "\n" * 20_000 + "x",
    "deep lists": "".join(f"{'  ' * n}- x\n" for n in range(120)),
    "deep quotes": ">" * 3_000 + " x",
    "code without an end": "```python\n" + "x = '" + "\\" * 5_000,
    "a formula of one line": "$$" + "x+" * 2_500 + "$$ and $" + "y" * 400 + "$",
    "long names of links": "[" + "x" * 4_000 + "](https://a.example/" + "y" * 4_000 + ")",
}  # fmt: skip
# What is beyond the window although nothing around it scrolls or cuts.
TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const isCut = (one) => one && (getComputedStyle(one).overflowX !== "visible" || isCut(one.parentElement));
    return [...document.querySelectorAll("body *")]
        .filter((one) => one.getBoundingClientRect().right > width + 1 && !isCut(one.parentElement))
        .slice(0, 5)
        .map((one) => one.outerHTML.slice(0, 120));
}"""
SIZES = {"phone": (375, 740), "desk": (1280, 900)}


@pytest.fixture(autouse=True)
def files_elsewhere(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"


def picture(size: tuple[int, int] = (1600, 400)) -> bytes:
    file = io.BytesIO()
    Pictures.new("RGB", size, "navy").save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def hostile(world, open_page, live_server):
    """Opens pages of the world; whatever runs or asks elsewhere is counted."""
    arena = world.arena
    add_images(arena=arena, files=[("one.png", picture())], actor=None)
    arena.asks_comment, arena.reasons = True, ["made up"]
    arena.save()
    dialogs = []

    def visit(page: Page, address: str) -> None:
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        assert page.goto(address, wait_until="load", timeout=10_000).status == 200
        assert_unharmed(page)

    def assert_unharmed(page: Page) -> None:
        page.wait_for_timeout(50)
        assert page.evaluate("() => window.ran || 0") == 0
        assert not dialogs
        assert page.url.startswith(live_server.url)
        assert page.locator("main").count() == 1
        assert page.locator("main form").count() >= 0
        too_wide = page.evaluate(TOO_WIDE)
        assert not too_wide, f"Wider than the window at {page.url}: {too_wide}"
        # Marks that pile up stay within the answer: the decision is always in reach.
        decide = page.locator("#stage .decide .choice")
        if decide.count():
            assert decide.first.is_visible()

    visit.assert_unharmed = assert_unharmed
    return visit


@pytest.mark.parametrize("size", SIZES)
def test_no_answer_and_no_prompt_does_harm(size, world, hostile, open_page, complaints, subtests):
    width, height = SIZES[size]
    page = open_page(width=width, height=height)
    vote = reverse("judges:vote", args=[world.arena.slug])
    battle = reverse("judges:battle", args=[world.arena.slug, world.battle.pk])
    for kind, text in TEXTS.items():
        with subtests.test(kind=kind):
            Output.objects.update(text=text, leak="")
            Prompt.objects.update(messages=[{"role": "user", "content": text[:30_000]}])
            for address in (vote, battle) if size == "desk" else (vote,):
                hostile(page, address)
            complaints.check()
            complaints.clear()


def test_what_was_coloured_and_shown_can_be_read_in_dark_and_light(world, open_page, axe, hostile):
    text = (
        "```python\n@dataclass\nclass A:  # a note\n    x: int = 1 + len('a')\n```\n\n"
        "```diff\n+new\n-old\n```\n\n"
        "Then $a_1$ and\n\n$$\nx_1 = 2\n$$\n\n![a bar chart](one.png)"
    )
    Output.objects.update(text=text, leak="")
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        hostile(page, reverse("judges:vote", args=[world.arena.slug]))
        assert page.locator(".tok-keyword").count() >= 2
        axe(page)


def test_images_do_not_move_the_page_when_they_come(world, open_page, hostile):
    Output.objects.update(text="![a](one.png)\n\nafter it", leak="")
    page = open_page()
    held = []
    page.route("**/*.webp", lambda route: held.append(route))
    address = reverse("judges:vote", args=[world.arena.slug])
    page.goto(address, wait_until="domcontentloaded")
    where = "() => document.querySelector('.output .md p:last-child').getBoundingClientRect().top"
    image = page.locator(".output img").first
    image.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    before = page.evaluate(where)
    assert held
    for route in held:
        route.continue_()
    page.unroute("**/*.webp")
    page.wait_for_function("() => document.querySelector('.output img').complete")
    assert image.evaluate("(one) => one.naturalWidth") == 1600
    assert page.evaluate(where) == pytest.approx(before, abs=1)


NAMES = {
    "elements": f"<img src=x onerror={SCRIPT}><script>{SCRIPT}</script>",
    "an attribute": f'" autofocus onfocus="{SCRIPT}" x="',
    "directions": "\u202e\u2066txt.exe\u200f",
    "one long word": "W" * 110,
    "marks that pile up": "Z" + "\u0337\u0353\u0306" * 35,
}


@pytest.mark.parametrize("kind", NAMES)
def test_no_name_reason_or_comment_does_harm(kind, world, hostile, open_page, sign_in):
    name = NAMES[kind]
    arena = world.arena
    Output.objects.update(text="A neutral answer.", leak="")
    for number, system in enumerate(arena.systems.all()):
        system.name = system.organisation = f"{name[:118]}{number}"
        system.save()
    arena.name, arena.description, arena.reasons = name[:120], name, [name[:60]]
    arena.criteria, arena.checklist, arena.guidelines = [name[:40]], [name], name
    arena.save()
    page = open_page(width=375, height=740)
    slug = [arena.slug]
    hostile(page, reverse("judges:vote", args=slug))
    page.locator("#stage textarea[name=comment]").fill(name)
    page.locator("#stage .decide .choice").first.click()
    page.wait_for_selector("text=Next battle")
    hostile.assert_unharmed(page)
    assert Ballot.objects.filter(state=Ballot.State.VOTED).exists()
    for address in ("judges:my-votes", "arena:home", "ratings:leaderboard"):
        hostile(page, reverse(address, args=slug))
    sign_in(page, world.maintainer)
    for address in ("arena:manage", "arena:manage-settings", "arena:manage-images"):
        hostile(page, reverse(address, args=slug))


def test_images_are_added_by_keyboard_on_a_phone(world, open_page, sign_in, axe, tmp_path):
    (tmp_path / "1.png").write_bytes(picture((60, 40)))
    (tmp_path / "2.svg").write_text("<svg/>")
    page = open_page(width=375, height=740, java_script_enabled=False)
    sign_in(page, world.maintainer)
    page.goto(reverse("arena:manage-images", args=[world.arena.slug]))
    page.get_by_label("Images").set_input_files(tmp_path / "1.png")
    page.get_by_role("button", name="Add them").press("Enter")
    assert "1 image was added." in page.locator("main").inner_text()
    assert page.locator("img.thumbnail").count() == 1
