"""Pictures of every kind of page of a running demo, light, dark and on a phone: ``make screenshots``.

Follows links from the front page until it has seen one page of each kind, so a new page is in the pictures
by itself. ``--readme`` also renews docs/screenshot.png.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import django
from django.urls import Resolver404, resolve
from playwright.sync_api import Browser, sync_playwright

from tests.e2e import chromium

ROOT = Path(__file__).resolve().parent.parent
LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 375, "height": 740}},
}
# Enough to meet every kind of page; a bound in case a site links without end.
MOST_VISITS = 40
README = "ratings:leaderboard"


def kind_of(path: str) -> str | None:
    """The name of the address, such as arena:home; None where it isn't one of our pages."""
    if path.startswith(("/admin/", "/api/", "/static/")):
        return None
    try:
        return resolve(path).view_name
    except Resolver404:
        return None


def kinds_of_pages(browser: Browser, address: str) -> Iterator[tuple[str, str]]:
    """(kind, path) of the first page of each kind, in the order in which links lead there."""
    page = browser.new_page()
    waiting, kinds = {"/": kind_of("/")}, set()
    visited = set()
    while waiting and len(visited) < MOST_VISITS:
        # Kinds that are still to come go first.
        path = next(
            (path for path, kind in waiting.items() if kind not in kinds), next(iter(waiting))
        )
        kind = waiting.pop(path)
        visited.add(path)
        response = page.goto(address + path)
        if response is None or "text/html" not in response.headers.get("content-type", ""):
            continue
        if kind not in kinds:
            kinds.add(kind)
            yield kind, path
        for link in page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)"):
            url = urlsplit(link)
            ours = link.startswith(f"{address}/") and not url.query and url.path not in visited
            if ours and (found := kind_of(url.path)):
                waiting.setdefault(url.path, found)
    page.close()


def take(address: str, folder: Path, *, readme: bool) -> None:
    found = chromium.find()
    if found is None:
        sys.exit(chromium.MISSING)
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=chromium.ARGUMENTS)
        pages = list(kinds_of_pages(browser, address))
        for look, options in LOOKS.items():
            page = browser.new_context(**options).new_page()
            for kind, path in pages:
                page.goto(address + path, wait_until="networkidle")
                chromium.scroll_through(page)
                page.evaluate("window.scrollTo(0, 0)")
                page.wait_for_timeout(300)
                file = folder / f"{kind.replace(':', '-')}-{look}.png"
                page.screenshot(path=file, full_page=True)
                sys.stdout.write(f"{file}\n")
                if readme and (kind, look) == (README, "light"):
                    page.screenshot(path=ROOT / "docs" / "screenshot.png")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--address", default=f"http://127.0.0.1:{os.environ.get('JURYBOX_PORT', '8000')}"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "screenshots")
    parser.add_argument("--readme", action="store_true", help="renew docs/screenshot.png too")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    take(options.address.rstrip("/"), options.folder, readme=options.readme)


if __name__ == "__main__":
    main()
