"""What the command says to a site: its API, by the standard library alone."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

ATTEMPTS = 5
LONGEST_WAIT = 60  # seconds; whoever is told to wait longer is told so
TIMEOUT = 120
COMPRESSED_FROM = 64 * 2**10  # bytes
AT_HOME = ("localhost", "127.0.0.1", "::1")
TRY_AGAIN = (429, 502, 503, 504)
UNDER_WAY = ("queued", "judging")


class ClientError(Exception):
    """What went wrong and what would do. ``problems``: sentences by the line or parameter they are about."""

    def __init__(self, sentence: str, problems: dict[str, list[str]] | None = None) -> None:
        super().__init__(sentence)
        self.problems = problems or {}


class _NoRedirects(HTTPRedirectHandler):
    """A token isn't sent to another address than was meant."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        raise ClientError(
            f"The site sends us on to {newurl}: give that as --server if it is right."
        )


class Client:
    """Speaks for one account to one arena. ``say`` is told when something is tried again."""

    def __init__(
        self,
        *,
        server: str,
        arena: str,
        token: str,
        say: Callable[[str], None] = lambda sentence: None,
        sleep: Callable[[float], None] = time.sleep,
        opener: OpenerDirector | None = None,
    ) -> None:
        parts = urlsplit(server)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ClientError(f"--server must look like https://arena.example.org, not {server!r}.")
        if parts.scheme == "http" and parts.hostname not in AT_HOME:
            raise ClientError(
                f"{server} isn't encrypted, and the token would be sent in clear: use https."
            )
        self.root = f"{server.rstrip('/')}/api/v1/arenas/{quote(arena, safe='')}/submissions/"
        self.token, self.say, self.sleep = token, say, sleep
        self.opener = opener or build_opener(_NoRedirects)

    def submit(self, content: bytes, *, about: dict[str, str]) -> dict[str, Any]:
        """The submission, new or as it was there already. Sent again by itself when the connection breaks."""
        return self._send(f"?{urlencode(about)}", content)

    def check(self, content: bytes, *, about: dict[str, str]) -> dict[str, Any]:
        """What submitting would store."""
        return self._send(f"check/?{urlencode(about)}", content)

    def find(self, number: int) -> dict[str, Any]:
        return self._ask("GET", f"{number}/")

    def list(self) -> dict[str, Any]:
        return self._ask("GET", "?limit=200")

    def act(self, number: int, verb: str) -> dict[str, Any]:
        """``verb`` is cancel, retry, publish or withdraw."""
        return self._ask("POST", f"{number}/{verb}/", b"")

    def watch(self, number: int, *, every: float = 2.0) -> Iterator[dict[str, Any]]:
        """The submission now and then, until nothing is under way any more."""
        while True:
            submission = self.find(number)
            yield submission
            if submission["state"] not in UNDER_WAY:
                return
            self.sleep(every)

    def _send(self, path: str, content: bytes) -> dict[str, Any]:
        kind = "application/octet-stream"
        if len(content) >= COMPRESSED_FROM and content[:2] != b"\x1f\x8b":
            # No time in the header: the same file is the same when it is sent again.
            content, kind = gzip.compress(content, 6, mtime=0), "application/gzip"
        return self._ask("POST", path, content, kind=kind)

    def _ask(
        self, method: str, path: str, body: bytes | None = None, *, kind: str = ""
    ) -> dict[str, Any]:
        request = Request(self.root + path, data=body, method=method)  # noqa: S310 (checked above)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Accept", "application/json")
        if body is not None:
            request.add_header("Content-Type", kind or "application/json")
        for attempt in range(1, ATTEMPTS + 1):
            is_last = attempt == ATTEMPTS
            try:
                with self.opener.open(request, timeout=TIMEOUT) as answer:
                    return _json(answer.read())
            except HTTPError as error:
                wait = _wait(error, attempt)
                if is_last or wait is None:
                    raise _refused(error) from None
                self.say(f"The site says {error.code}: trying again in {wait:.0f} s.")
            except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
                if is_last:
                    reason = getattr(error, "reason", error)
                    raise ClientError(f"{self.root} can't be reached: {reason}.") from None
                wait = float(2**attempt)
                self.say(f"No answer ({error}): trying again in {wait:.0f} s.")
            self.sleep(wait)
        raise AssertionError("unreachable")


def _wait(error: HTTPError, attempt: int) -> float | None:
    """Seconds until it is worth trying again; None when it isn't."""
    if error.code not in TRY_AGAIN:
        return None
    said = error.headers.get("Retry-After", "")
    wait = float(said) if said.isascii() and said.isdigit() else float(2**attempt)
    return wait if wait <= LONGEST_WAIT else None


def _json(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        raise ClientError("The answer isn't JSON: is this the address of a Jurybox?") from None
    if not isinstance(found, dict):
        raise ClientError("The answer isn't what was asked for: is this the address of a Jurybox?")
    return found


def _refused(error: HTTPError) -> ClientError:
    try:
        told = json.loads(error.read())
        detail, problems = str(told["detail"]), dict(told.get("errors") or {})
    except (ValueError, KeyError, TypeError):
        return ClientError(f"The site says {error.code} {error.reason}, and no more.")
    if error.code == 401:
        detail += " Is JURYBOX_TOKEN the token, and may it write?"
    return ClientError(detail, problems)
