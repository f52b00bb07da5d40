"""Which endpoints may be asked, with which keys, and at which addresses: what the operator listed.

A judge's configuration comes from whoever runs an arena. It may name a URL and the name of a key, and must
reach neither the operator's other secrets nor the machines around the worker. So a URL has to lie under one of
``JURYBOX_ENDPOINTS``, a key's name has to be one that the operator gave to that endpoint, and what a host name
resolves to is checked each time, just before exactly that address is connected to.
"""

import asyncio
import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from judges.endpoints.interface import CallError, Endpoint, Failure

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"https": 443, "http": 80}
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
PLAIN = re.compile(r"[!-~]+")  # ASCII without spaces and control characters
PATH = re.compile(r"(/[A-Za-z0-9._~:-]+)*/?")
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Services that tell the machine's own secrets, and lie where nothing else gives them away.
METADATA = {ipaddress.ip_address("168.63.129.16"), ipaddress.ip_address("100.100.100.200")}


@dataclass(frozen=True, slots=True)
class Site:
    """A URL that was taken apart: ``path`` has no slash at its end."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def address(self) -> IPAddress | None:
        """The host where it is an address, not a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def covers(self, other: "Site") -> bool:
        """Whether the other lies under this one: the same server, and the same path or one below it."""
        same = (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)
        return same and f"{other.path}/".startswith(f"{self.path}/")


def site_of(url: str) -> Site:
    """Takes a URL apart. Raises ValueError with the reason when it could be read in two ways."""
    if not PLAIN.fullmatch(url) or "\\" in url:
        raise ValueError("it has spaces, control characters or letters beyond ASCII")
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        raise ValueError("it must begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("it has a user name or password in it")
    if "?" in url or "#" in url:
        raise ValueError("it has a query or a fragment")
    if not PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
        raise ValueError("its path has something other than plain names")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("its port isn't a number up to 65535") from None
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("its port isn't a number from 1 to 65535")
    host = _host(parts.hostname or "")
    return Site(parts.scheme, host, port or PORTS[parts.scheme], parts.path.rstrip("/"))


def _host(host: str) -> str:
    """In the one way it is written. Numbers that only some programs take for addresses are refused."""
    if ":" in host:
        if "%" in host:
            raise ValueError("its address has a zone")
        address = ipaddress.IPv6Address(host)
        if _hidden(address):
            raise ValueError("its IPv6 address has an IPv4 address in it")
        return str(address)
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise ValueError("its host isn't a name or an address")
    if re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise ValueError("its host is a number that isn't a plain IPv4 address") from None
    return ".".join(labels)


def _hidden(address: IPAddress) -> bool:
    """Whether an IPv6 address leads to an IPv4 address."""
    if address.version == 4:
        return False
    embedded = (address.ipv4_mapped, address.sixtofour, address.teredo)
    return any(embedded) or address in NAT64 or 1 < int(address) < 2**32


def listed_site(url: str) -> Site:
    """The site that a URL names, if the operator listed it. Raises CallError otherwise."""
    try:
        site = site_of(url)
    except ValueError as error:
        raise CallError(
            Failure.NOT_ALLOWED, f"The endpoint's address can't be used: {error}."
        ) from None
    try:
        listed = [site_of(word) for word in settings.ENDPOINTS]
    except ValueError as error:
        raise ImproperlyConfigured(
            f"JURYBOX_ENDPOINTS has a URL that can't be used: {error}."
        ) from None
    if not any(one.covers(site) for one in listed):
        raise CallError(
            Failure.NOT_ALLOWED,
            f"{url} isn't among the endpoints of this installation: its operator lists them in "
            "JURYBOX_ENDPOINTS.",
        )
    return site


def keys_for(url: str) -> list[str]:
    """The names of the keys that may be sent to a listed URL. Raises CallError where it isn't listed."""
    site = listed_site(url)
    return [
        name
        for listed in settings.ENDPOINTS
        if site_of(listed).covers(site)
        for name in settings.ENDPOINT_KEYS.get(listed, ())
    ]


def key_of(endpoint: Endpoint) -> str:
    """The key that the endpoint wants, or nothing. Raises CallError when it may not be used or isn't there."""
    name = endpoint.key_name
    if not name:
        return ""
    if name not in keys_for(endpoint.url):
        raise CallError(
            Failure.NOT_ALLOWED,
            f"{name!r} isn't among the keys that may be sent to {endpoint.url}: the operator writes their "
            "names behind the endpoint, in JURYBOX_ENDPOINTS.",
        )
    key = os.environ.get(name, "").strip()
    if not key:
        raise CallError(
            Failure.CREDENTIALS, f"The environment variable {name} isn't set where the worker runs."
        )
    if not PLAIN.fullmatch(key):
        raise CallError(Failure.CREDENTIALS, f"The environment variable {name} holds no key.")
    return key


def check_endpoint(endpoint: Endpoint) -> None:
    """Raises CallError when the operator's lists don't have it. Asks no network; for forms, before a run."""
    listed_site(endpoint.url)
    if endpoint.key_name and endpoint.key_name not in keys_for(endpoint.url):
        key_of(endpoint)


def may_connect(site: Site, address: IPAddress) -> bool:
    """Whether a listed site may be reached at this address.

    An address that the operator wrote down is meant. A name leads to public addresses only; one that is listed
    with plain http:// is a machine nearby and may lead to private addresses and the loopback too, but never to
    link-local ones, where clouds keep their metadata.
    """
    if site.address is not None:
        return address == site.address
    if _hidden(address) or address in METADATA or address.is_multicast:
        return False
    if address.is_loopback:  # ::1 counts as reserved
        return site.scheme == "http"
    if address.is_link_local or address.is_unspecified or address.is_reserved:
        return False
    return address.is_global or (site.scheme == "http" and address.is_private)


async def addresses_of(site: Site) -> list[str]:
    """What the site's name resolves to now, each checked. Raises CallError when any of them is out of bounds.

    All and not only the first: a name that leads to a public and a private address isn't what was listed.
    """
    if site.address is not None:
        return [str(site.address)]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(site.host, site.port, type=socket.SOCK_STREAM)
    except OSError:
        raise CallError(Failure.CONNECTION, f"The name {site.host} wasn't resolved.") from None
    addresses = list(dict.fromkeys(entry[4][0] for entry in found))
    for text in addresses:
        try:
            allowed = may_connect(site, ipaddress.ip_address(text))
        except ValueError:  # an address with a zone
            allowed = False
        if not allowed:
            raise CallError(
                Failure.NOT_ALLOWED,
                f"{site.host} leads to {text}, an address that isn't public: list the address itself in "
                "JURYBOX_ENDPOINTS if it is meant.",
            )
    return addresses
