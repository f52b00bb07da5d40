"""What `make demo` checks before it starts, and how the container asks whether it is well."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bin import demo, healthy


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_taken_port_is_named_together_with_one_to_try(taken_port, monkeypatch):
    monkeypatch.setenv("JURYBOX_PORT", str(taken_port))
    with pytest.raises(SystemExit, match=rf"Port {taken_port} is taken.*JURYBOX_PORT=\d+"):
        demo.port_from_environment()


@pytest.mark.parametrize("value", ["", "eight", "0", "65536", "-1", "80.5", "²"])
def test_a_port_that_is_no_port_is_refused_by_name(value, monkeypatch):
    monkeypatch.setenv("JURYBOX_PORT", value)
    with pytest.raises(SystemExit, match="JURYBOX_PORT must be a number from 1 to 65535"):
        demo.port_from_environment()


def test_a_free_port_is_taken_as_it_is(monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    monkeypatch.setenv("JURYBOX_PORT", str(free))
    assert demo.port_from_environment() == free


@pytest.fixture
def tree(tmp_path: Path, monkeypatch) -> Path:
    files = (
        "requirements/parquet.txt",
        "config/settings.py",
        "config/staticfiles.py",
        "static/a.css",
    )
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    return tmp_path


def test_static_files_are_collected_again_only_after_a_change(tree: Path):
    before = demo.fingerprint_of_static_files()
    assert demo.fingerprint_of_static_files() == before
    (tree / "static" / "a.css").write_text("changed")
    changed = demo.fingerprint_of_static_files()
    (tree / "static" / "a.css").rename(tree / "static" / "b.css")
    renamed = demo.fingerprint_of_static_files()
    assert len({before, changed, renamed}) == 3


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("", "127.0.0.1"),
        ("arena.example.org,localhost", "arena.example.org"),
        (".example.org", "example.org"),
        ("*", "127.0.0.1"),
    ],
)
def test_the_container_asks_for_a_host_that_the_site_knows(allowed: str, host: str):
    question = healthy.question({"JURYBOX_ALLOWED_HOSTS": allowed})
    assert question.get_header("Host") == host
