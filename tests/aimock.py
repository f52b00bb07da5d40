"""A third-party model server for tests: the npm package aimock, installed by ``python -m tests.aimock``.

It goes into var/aimock, without a lock file and without running anything that it brings along.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE, VERSION = "@copilotkit/aimock", "1.43.0"
FOLDER = Path(__file__).resolve().parent.parent / "var" / "aimock"
MISSING = (
    f"{PACKAGE} {VERSION} isn't installed: `make aimock` does that where there is npm, of Node 20."
)
LISTENS = re.compile(r"listening on (http://127\.0\.0\.1:\d+)")


def find() -> Path | None:
    """The program, if that version of it is there."""
    package = FOLDER / "node_modules" / PACKAGE
    try:
        version = json.loads((package / "package.json").read_text())["version"]
    except FileNotFoundError:
        return None
    return package / "dist" / "cli.js" if version == VERSION and shutil.which("node") else None


def install() -> None:
    """Where npm is missing or doesn't get it, nothing is installed: then its tests say why they didn't run."""
    if find():
        return
    npm = shutil.which("npm")
    if npm is None:
        print(f"There is no npm. {MISSING}", file=sys.stderr)  # noqa: T201 (a command's output)
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = [
        npm, "install", "--prefix", str(FOLDER), "--no-save", "--no-package-lock", "--ignore-scripts",
        "--no-audit", "--no-fund", f"{PACKAGE}@{VERSION}",
    ]  # fmt: skip
    ended = subprocess.run(command, check=False, timeout=300)  # noqa: S603 (npm by its full path)
    if ended.returncode or not find():
        print(MISSING, file=sys.stderr)  # noqa: T201 (a command's output)


@contextmanager
def running_aimock(program: Path, fixtures: list[dict[str, Any]], folder: Path) -> Iterator[str]:
    """Serves these fixtures, as its documentation has them, on a free port; gives the address."""
    file = folder / "fixtures.json"
    file.write_text(json.dumps({"fixtures": fixtures}))
    command = [
        shutil.which("node") or "node", str(program), "--port", "0", "--strict", "--fixtures", str(file),
    ]  # fmt: skip
    log = folder / "log.txt"
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as server,  # noqa: S603
    ):
        try:
            yield _address(server, log)
        finally:
            server.terminate()
            server.wait(timeout=10)


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    """Where it listens, once it says so."""
    for _ in range(200):
        if found := LISTENS.search(log.read_text()):
            return found[1]
        try:
            server.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    raise RuntimeError(f"aimock didn't start: {log.read_text()}")


if __name__ == "__main__":
    install()
