"""Prepares the demo and runs its three processes together: ``python -m bin.demo`` (see ``make demo``)."""

import hashlib
import os
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from honcho.environ import parse_procfile
from honcho.manager import Manager

ROOT = Path(__file__).resolve().parent.parent


def say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def port_from_environment() -> int:
    """The port of the address, from JURYBOX_PORT. Exits with a sentence when it can't be used."""
    value = os.environ.get("JURYBOX_PORT", "8000")
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 65535):
        sys.exit(f"JURYBOX_PORT must be a number from 1 to 65535, not {value!r}.")
    port = int(value)
    with socket.socket() as probe:
        # As the web server does: a port in TIME_WAIT after a restart is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            sys.exit(f"Port {port} needs rights that you don't have: choose one above 1023.")
        except OSError:
            sys.exit(
                f"Port {port} is taken, perhaps by another Jurybox. "
                f"Stop that, or choose another port: make demo JURYBOX_PORT={min(port + 1, 65535)}"
            )
    return port


def fingerprint_of_static_files() -> str:
    """Changes when a file that collectstatic would copy changes: ours by content, packages' by version."""
    digest = hashlib.sha256()
    sources = [
        ROOT / "requirements" / "parquet.txt",
        ROOT / "config" / "settings.py",
        ROOT / "config" / "staticfiles.py",
        *sorted(path for path in (ROOT / "static").rglob("*") if path.is_file()),
    ]
    for path in sources:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def prepare() -> None:
    """Database, demo data and static files. Each step does nothing when it has been done."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    say("Bringing the database up to date …")
    call_command("migrate", interactive=False, verbosity=0)

    stamp = settings.VAR_DIR / "static-fingerprint"
    fingerprint = fingerprint_of_static_files()
    if not stamp.exists() or stamp.read_text() != fingerprint:
        say("Collecting static files …")
        call_command("collectstatic", interactive=False, verbosity=0)
        stamp.write_text(fingerprint)

    say("Loading the demo data …")
    call_command("load_demo")

    # The processes that follow are forked: they must not share this connection.
    from django.db import connections

    connections.close_all()


def announce(port: int) -> None:
    """Says where Jurybox is, once it answers."""
    address = f"http://127.0.0.1:{port}"
    # Without the proxies of the environment: this address is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(600):
        try:
            with opener.open(f"{address}/healthz", timeout=2):
                pass
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
            continue
        say(f"\n    Jurybox is ready: {address}\n    Ctrl-C stops it; the data stays.\n")
        return
    say(f"Jurybox doesn't answer at {address} after a minute; the lines above should say why.")


def run(port: int) -> int:
    """Runs the Procfile until Ctrl-C, or until one process ends. Returns the exit status."""
    environment = os.environ | {
        "JURYBOX_PORT": str(port),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        # In a container people are root, and a worker that only this machine reaches may be too.
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
    }
    manager = Manager()
    for name, command in parse_procfile((ROOT / "Procfile").read_text()).processes.items():
        manager.add_process(name, command, env=environment, cwd=str(ROOT))
    threading.Thread(target=announce, args=(port,), daemon=True).start()
    manager.loop()
    # 130: stopped by Ctrl-C, which is how a demo ends.
    return 0 if manager.returncode in (130, 143) else int(manager.returncode or 0)


if __name__ == "__main__":
    chosen = port_from_environment()
    prepare()
    sys.exit(run(chosen))
