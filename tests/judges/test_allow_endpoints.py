"""Nothing is asked, and no key is sent, but what the operator listed."""

import asyncio
import ipaddress
import socket

import pytest
from django.core.exceptions import ImproperlyConfigured

from judges.endpoints import allowed
from judges.endpoints.allowed import (
    addresses_of,
    check_endpoint,
    key_of,
    listed_site,
    may_connect,
    site_of,
)
from judges.endpoints.client import ChatClient
from judges.endpoints.interface import CallError, Endpoint, Failure, Question
from judges.protocols.interface import Request

PUBLIC, PRIVATE, METADATA = "93.184.215.14", "10.0.0.5", "169.254.169.254"


@pytest.fixture
def lists(settings):
    settings.ENDPOINTS = [
        "https://api.example.com/v1",
        "http://vllm:8000/v1",
        "http://10.0.0.7:8000/",
        "http://[::1]:8001",
    ]
    settings.ENDPOINT_KEYS = {
        "https://api.example.com/v1": ("JUDGE_KEY",),
        "http://vllm:8000/v1": ("VLLM_KEY",),
    }


# --- URLs -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v1",
        "https://API.example.com/v1/",
        "https://api.example.com:443/v1/deployments/judge",
        "https://api.example.com./v1",
        "http://vllm:8000/v1",
        "http://10.0.0.7:8000/anything",
        "http://[0:0::1]:8001/v1",
    ],
)
def test_what_lies_under_a_listed_address_is_allowed(lists, url):
    listed_site(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/v1", "https://api.example.com/v2", "https://api.example.com/v10",
        "https://api.example.com", "https://api.example.com:8443/v1", "https://example.com/v1",
        "https://api.example.com.evil.org/v1", "https://api.example.com@evil.org/v1",
        "https://user:password@api.example.com/v1", "https://evil.org/https://api.example.com/v1",
        "https://api.example.com/v1/../admin", "https://api.example.com/v1/%2e%2e/admin",
        "https://api.example.com/v1//admin", "https://api.example.com/v1?to=1",
        "https://api.example.com/v1#a", "https://api.example.com/v1;a", "https://api.example.com\\@evil.org/v1",
        "https://api.example.com/v1\r\nHost: evil.org", " https://api.example.com/v1",
        "https://api.example.com:/v1", "https://api.example.com:0/v1", "https://api.example.com:99999/v1",
        "https://api.exаmple.com/v1", "//api.example.com/v1", "api.example.com/v1", "", "file:///etc/passwd",
        "gopher://api.example.com/v1", "https:///v1", "https://-/v1", "https://a..b/v1",
        "http://10.0.0.7:8001/", "http://10.0.0.8:8000/", "http://vllm/v1",
        # The same address in words that only some programs understand.
        "http://167772167:8000/", "http://012.0.0.7:8000/", "http://0xa000007:8000/", "http://10.7:8000/",
        "http://0x0a.0.0.7:8000/", "http://10.0.0.7.:8000/", "http://[::ffff:10.0.0.7]:8000/",
        "http://[::10.0.0.7]:8000/", "http://[fe80::1%25eth0]:8001/", "http://[::1:8001/", "http://[v1.a]/",
        "http://[::1]:8001@evil.org/",
    ],
)  # fmt: skip
def test_everything_else_is_not(lists, url):
    with pytest.raises(CallError) as error:
        listed_site(url)
    assert error.value.failure == Failure.NOT_ALLOWED
    assert "password" not in str(error.value) or "it has a user name" in str(error.value)


def test_nothing_is_allowed_where_nothing_is_listed(settings):
    settings.ENDPOINTS = []
    with pytest.raises(CallError, match="JURYBOX_ENDPOINTS"):
        listed_site("https://api.openai.com/v1")


def test_a_wrong_list_is_the_operators_error(settings):
    settings.ENDPOINTS = ["https://api.example.com/v1?key=1"]
    with pytest.raises(ImproperlyConfigured, match="JURYBOX_ENDPOINTS has a URL"):
        listed_site("https://api.example.com/v1")


# --- keys -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["DATABASE_URL", "JURYBOX_SECRET_KEY", "PATH", "judge_key"])
def test_a_variable_that_is_not_listed_is_no_key(lists, monkeypatch, name):
    monkeypatch.setenv(name, "postgres://user:hunter2@db/name")
    endpoint = Endpoint("https://api.example.com/v1", "m", key_name=name)
    for refuse in (key_of, check_endpoint, ChatClient):
        with pytest.raises(CallError) as error:
            refuse(endpoint)
        assert error.value.failure == Failure.NOT_ALLOWED
        assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://vllm:8000/v1", "JUDGE_KEY"),
        ("http://10.0.0.7:8000/api.example.com/v1", "JUDGE_KEY"),
        ("https://api.example.com/v1", "VLLM_KEY"),
        ("http://[::1]:8001", "VLLM_KEY"),
    ],
)
def test_a_key_is_sent_to_its_own_endpoint_only(lists, monkeypatch, url, name):
    monkeypatch.setenv(name, "sk-1")
    listed_site(url)
    for refuse in (key_of, check_endpoint, ChatClient):
        with pytest.raises(CallError, match=f"'{name}' isn't among the keys") as error:
            refuse(Endpoint(url, "m", key_name=name))
        assert error.value.failure == Failure.NOT_ALLOWED
    home = {"JUDGE_KEY": "https://api.example.com/v1", "VLLM_KEY": "http://vllm:8000/v1"}[name]
    assert key_of(Endpoint(f"{home}/deployments/judge", "m", key_name=name)) == "sk-1"


def test_a_key_is_read_when_it_is_used(lists, monkeypatch):
    endpoint = Endpoint("https://api.example.com/v1", "m", key_name="JUDGE_KEY")
    check_endpoint(endpoint)  # the web process needn't have it
    monkeypatch.setenv("JUDGE_KEY", " sk-1\n")
    assert key_of(endpoint) == "sk-1"
    assert "sk-1" not in repr(endpoint)


@pytest.mark.parametrize("value", [None, "", "sk-1\r\nHost: evil.org", "sk ü"])
def test_a_key_that_is_not_there_or_no_key_is_told_without_its_value(lists, monkeypatch, value):
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("JUDGE_KEY", value)
    with pytest.raises(CallError, match="JUDGE_KEY") as error:
        key_of(Endpoint("https://api.example.com/v1", "m", key_name="JUDGE_KEY"))
    assert error.value.failure == Failure.CREDENTIALS
    assert "sk" not in str(error.value)


# --- addresses ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("address", "https", "http"),
    [
        (PUBLIC, True, True), ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True, True),
        (PRIVATE, False, True), ("172.18.0.3", False, True), ("192.168.1.1", False, True),
        ("127.0.0.1", False, True), ("::1", False, True), ("fd12::1", False, True),
        (METADATA, False, False), ("fe80::1", False, False), ("168.63.129.16", False, False),
        ("100.100.100.200", False, False), ("100.64.0.1", False, False), ("0.0.0.0", False, False),  # noqa: S104 (nothing is bound)
        ("::", False, False), ("224.0.0.1", False, False), ("255.255.255.255", False, False),
        ("::ffff:10.0.0.5", False, False), ("::ffff:93.184.215.14", False, False),
        ("64:ff9b::a00:5", False, False), ("2002:a00:5::", False, False), ("::a00:5", False, False),
    ],
)  # fmt: skip
def test_a_name_leads_to_public_addresses_and_with_plain_http_to_nearby_ones(address, https, http):
    there = ipaddress.ip_address(address)
    assert may_connect(site_of("https://api.example.com/v1"), there) is https
    assert may_connect(site_of("http://vllm:8000/v1"), there) is http


def test_an_address_that_is_written_down_is_that_address():
    site = site_of("http://10.0.0.7:8000/")
    assert may_connect(site, ipaddress.ip_address("10.0.0.7"))
    assert not may_connect(site, ipaddress.ip_address("10.0.0.8"))


def resolves_to(monkeypatch, *addresses: str) -> list[str]:
    """Names resolve to these from now on. Gives the list of names that were asked for."""
    asked = []

    def getaddrinfo(host, port, *_, **__):
        # Of addresses the real one makes itself, too.
        found = [host] if host in addresses else addresses
        asked.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port))) for address in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_one_address_out_of_bounds_refuses_the_name(monkeypatch):
    resolves_to(monkeypatch, PUBLIC, PRIVATE)
    with pytest.raises(CallError, match=f"leads to {PRIVATE}") as error:
        asyncio.run(addresses_of(site_of("https://api.example.com/v1")))
    assert error.value.failure == Failure.NOT_ALLOWED


def test_a_name_without_an_address_is_a_failed_connection(monkeypatch):
    def getaddrinfo(*_, **__):
        raise socket.gaierror("unknown")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(CallError, match=r"api\.example\.com wasn't resolved") as error:
        asyncio.run(addresses_of(site_of("https://api.example.com/v1")))
    assert error.value.failure == Failure.CONNECTION


def ask(url: str):
    async def once():
        endpoint = Endpoint(url, "plain", timeout=5)
        request = Request(({"role": "user", "content": "A or B?"},), max_tokens=5)
        async with ChatClient(endpoint) as client:
            return await client.attempt(Question(endpoint, request))

    return asyncio.run(once())


def test_a_call_to_a_name_that_leads_elsewhere_is_never_made(server, settings, monkeypatch):
    resolves_to(monkeypatch, METADATA)
    settings.ENDPOINTS = [server.url.replace("127.0.0.1", "models.example.com")]
    with pytest.raises(CallError, match=f"leads to {METADATA}"):
        ask(settings.ENDPOINTS[0])
    assert not server.calls


def test_the_address_that_was_checked_is_the_one_connected_to(server, settings, monkeypatch):
    """A name that is looked up a second time may lead elsewhere: it isn't looked up a second time."""
    asked = resolves_to(monkeypatch, "127.0.0.1")
    checked = []
    real = allowed.may_connect
    monkeypatch.setattr(
        allowed, "may_connect", lambda site, there: checked.append(str(there)) or real(site, there)
    )
    settings.ENDPOINTS = [server.url.replace("127.0.0.1", "models.example.com")]
    assert ask(settings.ENDPOINTS[0]).reply.text == "A"
    assert checked == ["127.0.0.1"]
    assert asked.count("models.example.com") == 1
    assert server.calls[0].headers["host"].startswith("models.example.com:")
