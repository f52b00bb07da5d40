"""Which code computed a figure: a change of the engine changes it, a change of a page doesn't."""

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).parent
# What turns verdicts into figures, beside the engine itself.
AROUND_THE_ENGINE = ("cells.py", "rankings.py", "reports.py", "snapshots.py")
LIBRARIES = ("numpy", "scipy")


@cache
def code_version() -> str:
    """The release and the first ten digits of the SHA-256 of the sources and of the libraries' releases."""
    hasher = hashlib.sha256(" ".join(version(library) for library in LIBRARIES).encode())
    files = [HERE / name for name in AROUND_THE_ENGINE]
    for file in [*sorted((HERE / "engine").glob("**/*.py")), *files]:
        hasher.update(file.name.encode())
        hasher.update(file.read_bytes())
    try:
        release = version("jurybox")
    except PackageNotFoundError:
        release = "0.1"
    return f"{release}+{hasher.hexdigest()[:10]}"
