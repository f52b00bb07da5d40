"""The Chromium that the browser tests drive: found, or installed by ``python -m tests.e2e.chromium``."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = (
    "The browser tests need Chromium, and it could be neither found nor installed. Install it so that "
    "one of {names} is on the PATH, or name it: make test CHROMIUM=/path/to/chromium"
).format(names=", ".join(NAMES))

# Without a sandbox, since tests run as root in containers; and without what a browser does on the network
# by itself.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
SCROLL_THROUGH = """async () => {
    for (let y = 0; y < document.body.scrollHeight; y += window.innerHeight / 2) {
        window.scrollTo({top: y, behavior: "instant"});
        await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn, 20)));
    }
}"""


def scroll_through(page: "Page") -> None:
    """Shows every part of the page once, and waits for what is loaded when it comes into view."""
    page.evaluate(SCROLL_THROUGH)
    page.wait_for_load_state("networkidle")


def find() -> str | None:
    """Path of the Chromium of the variable CHROMIUM, of the PATH, or of Playwright; None without one.

    Raises FileNotFoundError when CHROMIUM names something that isn't there.
    """
    if named := os.environ.get("CHROMIUM"):
        found = shutil.which(named)
        if found is None:
            raise FileNotFoundError(f"CHROMIUM names {named!r}, which can't be run.")
        return found
    for name in NAMES:
        if found := shutil.which(name):
            return found
    return _of_playwright()


def _of_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    """Debian and Ubuntu as root: their own package. Elsewhere: the one that Playwright downloads."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        steps = [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]]
    else:
        quiet = dict(os.environ)
        steps = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    for step in steps:
        sys.stderr.write(f"Installing Chromium: {' '.join(step)}\n")
        if subprocess.run(step, env=quiet, stdin=subprocess.DEVNULL, check=False).returncode:  # noqa: S603
            return


def main() -> int:
    try:
        found = find()
        if found is None:
            install()
            found = find()
    except FileNotFoundError as error:
        sys.exit(str(error))
    if found is None:
        sys.exit(MISSING)
    sys.stdout.write(f"Browser tests use {found}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
