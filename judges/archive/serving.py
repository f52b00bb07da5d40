"""Exports over HTTP: sent while they are made, under WSGI and ASGI, and not too often to anybody."""

from collections.abc import AsyncIterator, Iterator
from threading import BoundedSemaphore
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.throttling import SimpleRateThrottle

from judges.limits import network_of

AT_ONCE = 2  # downloads of one web process: its other threads are for whoever votes
_places = BoundedSemaphore(AT_ONCE)


class PerReader(SimpleRateThrottle):
    """So many downloads of an account in an hour; of a network, where nobody is signed in."""

    scope = "downloads"

    def get_rate(self) -> str:
        return f"{settings.DOWNLOADS_PER_HOUR}/hour"

    def get_cache_key(self, request: Any, view: Any) -> str | None:
        who = request.user.pk if request.user.is_authenticated else network_of(request)
        return self.cache_format % {"scope": self.scope, "ident": who}


def too_soon(request: HttpRequest) -> HttpResponse | None:
    """None when this download is one of those that may be made; it is counted then."""
    limit = PerReader()
    if limit.allow_request(request, None):  # type: ignore[arg-type] (it asks for user and META only)
        return None
    seconds = max(1, round(limit.wait() or 60))
    response = said(
        f"That were {settings.DOWNLOADS_PER_HOUR} downloads within an hour, which is the limit: wait "
        f"{seconds} s. The whole arena is one download.",
        status=429,
    )
    response.headers["Retry-After"] = str(seconds)
    return response


def said(sentence: str, *, status: int) -> HttpResponse:
    return HttpResponse(f"{sentence}\n", content_type="text/plain; charset=utf-8", status=status)


class _Pieces:
    """What is sent, and one of the few places of this process that are for sending it."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.has_place = True

    def close(self) -> None:
        """Called once the response is sent, or whoever asked has gone; also where nothing was ever read."""
        if self.has_place:
            self.has_place = False
            _places.release()
            getattr(self.pieces, "close", lambda: None)()


class _Plain(_Pieces):
    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)


class _Asynchronous(_Pieces):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        following = sync_to_async(lambda: next(self.pieces, None))
        while (piece := await following()) is not None:
            yield piece


def download(
    request: HttpRequest, pieces: Iterator[bytes], *, name: str, kind: str, is_public: bool
) -> HttpResponseBase:
    """A file called ``name``. Nothing is made for whoever asks for its headers only."""
    response: HttpResponseBase
    if request.method == "HEAD":
        response = HttpResponse(content_type=kind)
    else:
        if not _places.acquire(blocking=False):
            response = said("Others are downloading just now: ask again in a minute.", status=503)
            response.headers["Retry-After"] = "60"
            return response
        # A server with an event loop would collect all of a plain iterator before it sends any.
        is_asgi = hasattr(request, "scope")
        response = StreamingHttpResponse(
            _Asynchronous(pieces) if is_asgi else _Plain(pieces), content_type=kind
        )
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    # It is another one with the next vote; no cache should hold it.
    response.headers["Cache-Control"] = "public, no-cache" if is_public else "private, no-store"
    # A proxy that collects a response before it passes it on would hold all of it.
    response.headers["X-Accel-Buffering"] = "no"
    return response
