"""jurybox submit, and what one does with a submission afterwards."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from jurybox.client import UNDER_WAY, Client, ClientError

app = typer.Typer(
    help="Submit a system's outputs to an arena, and see it ranked. The token is read from the environment "
    "variable JURYBOX_TOKEN: make one on your account's page.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Server = Annotated[
    str,
    typer.Option(
        envvar="JURYBOX_SERVER", help="The site, e.g. https://arena.example.org.", show_default=True
    ),
]
ArenaSlug = Annotated[
    str, typer.Option(envvar="JURYBOX_ARENA", help="The arena: the last part of its address.")
]
Number = Annotated[int, typer.Argument(help="The number of the submission.", min=1)]
HERE = "http://127.0.0.1:8000"
MOST_LISTED = 30  # problems


def say(sentence: str) -> None:
    typer.echo(sentence, err=True)


def client_of(server: str, arena: str) -> Client:
    token = os.environ.get("JURYBOX_TOKEN", "").strip()
    if not token:
        say("JURYBOX_TOKEN isn't set: make an access token that may write on your account's page.")
        raise typer.Exit(2)
    return Client(server=server, arena=arena, token=token, say=say)


@app.command()
def submit(
    file: Annotated[
        Path, typer.Argument(help="JSON lines, JSON or CSV, also as .gz; - is standard input.")
    ],
    arena: ArenaSlug,
    server: Server = HERE,
    name: Annotated[str, typer.Option(help="How the system is called.")] = "",
    version: Annotated[str, typer.Option(help="Another answer is another version.")] = "",
    organisation: Annotated[str, typer.Option(help="Who made it.")] = "",
    family: Annotated[str, typer.Option(help="What it descends from, e.g. llama.")] = "",
    base_model: Annotated[str, typer.Option()] = "",
    licence: Annotated[str, typer.Option()] = "",
    size: Annotated[str, typer.Option(help="E.g. 7B.")] = "",
    link: Annotated[str, typer.Option()] = "",
    description: Annotated[str, typer.Option(help="Markdown.")] = "",
    decoding: Annotated[str, typer.Option(help="E.g. temperature 0.7.")] = "",
    price_in: Annotated[str, typer.Option(help="USD per million tokens.")] = "",
    price_out: Annotated[str, typer.Option(help="USD per million tokens.")] = "",
    file_format: Annotated[
        str, typer.Option("--format", help="How to read the file; without it, as it looks.")
    ] = "",
    follows: Annotated[
        str, typer.Option(help="The address of your system of which this is a new version.")
    ] = "",
    *,
    publish_at_once: Annotated[
        bool, typer.Option("--publish", help="Seen by everybody at once. Can't be taken back.")
    ] = False,
    mail: Annotated[bool, typer.Option("--mail", help="Have one mail sent at the end.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only check it; store nothing.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Wait until it is ranked.")] = False,
) -> None:
    """Submit a system's outputs. The same sent again is the submission that is there."""
    content = _content(file)
    about = {
        "name": name, "version": version, "organisation": organisation, "family": family,
        "base_model": base_model, "licence": licence, "size": size, "link": link,
        "description": description, "decoding": decoding, "price_in": price_in, "price_out": price_out,
        "format": file_format, "follows": follows, "file_name": "" if str(file) == "-" else file.name,
        "private": "false" if publish_at_once else "", "mail": "true" if mail else "",
    }  # fmt: skip
    about = {key: value for key, value in about.items() if value}
    with telling():
        client = client_of(server, arena)
        if check:
            _tell_check(client.check(content, about=about))
            return
        submission = client.submit(content, about=about)
        say(f"Submission {submission['id']}: {submission['page']}")
        _watch(client, submission) if watch else _tell(submission)


@app.command()
def status(
    number: Number,
    arena: ArenaSlug,
    server: Server = HERE,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Wait until it is ranked.")] = False,
) -> None:
    """Say where a submission stands."""
    with telling():
        client = client_of(server, arena)
        submission = client.find(number)
        _watch(client, submission) if watch else _tell(submission)


@app.command("list")
def list_(arena: ArenaSlug, server: Server = HERE) -> None:
    """List your submissions."""
    with telling():
        for one in client_of(server, arena).list()["results"]:
            named = " ".join(str(one["about"].get(key, "")) for key in ("name", "version")).strip()
            typer.echo(f"{one['id']}\t{one['state']}\t{one['standing']}\t{named}\t{_place(one)}")


@app.command()
def publish(number: Number, arena: ArenaSlug, server: Server = HERE) -> None:
    """Show the system to everybody who sees the arena. Can't be taken back."""
    _act(number, "publish", arena, server)


@app.command()
def withdraw(number: Number, arena: ArenaSlug, server: Server = HERE) -> None:
    """Hide a private system for good; deprecate a published one."""
    _act(number, "withdraw", arena, server)


@app.command()
def cancel(number: Number, arena: ArenaSlug, server: Server = HERE) -> None:
    """Plan no more battles for it."""
    _act(number, "cancel", arena, server)


@app.command()
def retry(number: Number, arena: ArenaSlug, server: Server = HERE) -> None:
    """Go on with one that failed or was cancelled."""
    _act(number, "retry", arena, server)


# --- what they share --------------------------------------------------------------------------------------


@contextmanager
def telling() -> Iterator[None]:
    """Tells what went wrong, with every problem, and ends with status 1."""
    try:
        yield
    except ClientError as error:
        listed = [f"  {place}: {one}" for place, said in error.problems.items() for one in said]
        if len(listed) < 2:
            say(str(error))
        else:
            say(f"{str(error).partition('. ')[0]}:")
            for line in listed[:MOST_LISTED]:
                say(line)
            if len(listed) > MOST_LISTED:
                say(f"  … and {len(listed) - MOST_LISTED} more.")
        raise typer.Exit(1) from None


def _act(number: int, verb: str, arena: str, server: str) -> None:
    with telling():
        _tell(client_of(server, arena).act(number, verb))


def _content(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        say(f"{file} can't be read: {error.strerror}.")
        raise typer.Exit(2) from None


def _tell_check(checked: dict[str, Any]) -> None:
    typer.echo(
        f"Nothing is wrong: {checked['outputs']} outputs of {checked['name']} "
        f"{checked['version']}".rstrip()
        + f", read as {checked['format']}; {checked['missing']} of {checked['prompts']} prompts without one. "
        "Nothing was stored."
    )
    for one in checked["warnings"][:MOST_LISTED]:
        say(f"  line {one['line']}: {one['sentence']}")
    if checked["unused"]:
        say(f"  Not used: {', '.join(checked['unused'])}.")


def _tell(submission: dict[str, Any]) -> None:
    typer.echo(_line(submission))


def _watch(client: Client, submission: dict[str, Any]) -> None:
    """Says what changes; ends with status 1 where it came to no place."""
    live = sys.stdout.isatty()
    before = ""
    try:
        for now in client.watch(submission["id"]):
            submission = now
            line = _line(now)
            if line != before:
                if live:
                    typer.echo(f"\r\x1b[2K{line}", nl=False)
                else:
                    typer.echo(line)
            before = line
    except KeyboardInterrupt:
        say(f"\nIt goes on without you: jurybox status {submission['id']} --watch")
        raise typer.Exit(130) from None
    finally:
        if live:
            typer.echo()
    if submission["state"] not in ("ranked", "waiting"):
        raise typer.Exit(1)


def _line(submission: dict[str, Any]) -> str:
    state, reason = submission["state"], submission["reason"]
    if state == "queued":
        before = submission.get("queued_before") or 0
        reason = f"behind {before} others" if before else "it is next"
    elif state in UNDER_WAY:
        reason = f"{submission['n_judged']} of {submission['n_battles']} battles judged"
    place = _place(submission)
    return "; ".join(part for part in (f"{state}: {reason}" if reason else state, place) if part)


def _place(submission: dict[str, Any]) -> str:
    place = submission["place"]
    if not place:
        return ""
    low, high = place["rank_lower"], place["rank_upper"]
    rank = f"{low}" if low == high else f"{low} to {high}"
    return (
        f"place {rank} of {place['n_ranked']}, rating {place['rating']:.0f} "
        f"[{place['lower']:.0f}, {place['upper']:.0f}]"
    )
