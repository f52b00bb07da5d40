"""What goes over the wire: to a checked address only, with our headers only; and not too much back."""

import time
from collections.abc import AsyncIterator, Mapping

import httpx2

from judges.endpoints.allowed import Site, addresses_of
from judges.endpoints.interface import CallError, Failure

LARGEST_REPLY = 8 * 2**20  # bytes: probabilities of a few thousand tokens with 20 alternatives each
RESOLVED_FOR = 30.0  # seconds for which checked addresses are connected to
SENT_HEADERS = {"host", "content-type", "content-length", "accept"}


class Wire(httpx2.AsyncBaseTransport):
    """Connects to the addresses that were checked, whatever the name resolves to by then.

    The certificate is still checked against the name. Headers that the client library takes from the
    environment (organisation, custom headers, another key) stay here.
    """

    def __init__(
        self,
        site: Site,
        *,
        key: str,
        key_header: tuple[str, str] = ("Authorization", "Bearer {}"),
        more: Mapping[str, str] | None = None,
        largest: int = LARGEST_REPLY,
    ) -> None:
        self._site, self._largest = site, largest
        sent = {"User-Agent": "Jurybox", "Accept-Encoding": "identity", **(more or {})}
        if key:
            name, value = key_header
            sent[name] = value.format(key)
        self._headers = [(name.encode(), value.encode()) for name, value in sent.items()]
        self._inner = httpx2.AsyncHTTPTransport(
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100)
        )
        self._addresses: list[str] = []
        self._resolved = -RESOLVED_FOR

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        asked = (request.url.scheme, request.url.host, request.url.port or self._site.port)
        if asked != (self._site.scheme, self._site.host, self._site.port):
            raise CallError(
                Failure.NOT_ALLOWED, f"The request was for {request.url.host}, which isn't listed."
            )
        if time.monotonic() - self._resolved > RESOLVED_FOR:
            self._addresses = await addresses_of(self._site)
            self._resolved = time.monotonic()
        headers = [(n, v) for n, v in request.headers.raw if n.lower().decode() in SENT_HEADERS]
        headers += self._headers
        response = await self._send(request, headers)
        if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
            await response.aclose()
            raise CallError(
                Failure.MALFORMED,
                "The server sent a compressed reply although it was asked for a plain one.",
                status=response.status_code,
            )
        response.stream = _Bounded(response.stream, largest=self._largest)
        return response

    async def _send(
        self, request: httpx2.Request, headers: list[tuple[bytes, bytes]]
    ) -> httpx2.Response:
        """To the first address that takes the connection."""
        extensions = {**request.extensions, "sni_hostname": self._site.host}
        for place, address in enumerate(self._addresses):
            there = httpx2.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=headers,
                stream=request.stream,
                extensions=extensions,
            )
            try:
                return await self._inner.handle_async_request(there)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                # Nothing was sent yet. Next time the name is resolved again.
                self._resolved = -RESOLVED_FOR
                if place == len(self._addresses) - 1:
                    raise
        raise CallError(Failure.CONNECTION, f"The name {self._site.host} has no address.")

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    """A reply that ends with an error when it gets too large."""

    def __init__(self, stream, *, largest: int) -> None:
        self._stream, self._largest = stream, largest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for part in self._stream:
            read += len(part)
            if read > self._largest:
                raise CallError(
                    Failure.MALFORMED, f"The reply has more than {self._largest:,} bytes."
                )
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
