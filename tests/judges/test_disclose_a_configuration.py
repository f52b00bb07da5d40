import pytest

from judges.disclosure import HIDDEN, disclosed


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "apiKey", "API_KEY", "api-key", "key", "secret", "clientSecret", "password"),
        *("token", "accessToken", "Authorization", "x-auth", "credentials", "cookie"),
    ],
)
def test_what_is_called_like_a_secret_is_hidden(name):
    assert disclosed({name: "whatever it is"}) == {name: HIDDEN}


@pytest.mark.parametrize(
    "name", ["max_tokens", "maxTokens", "keyword", "monkey", "author", "secretary", "tokenizer"]
)
def test_what_only_sounds_like_one_is_shown(name):
    assert disclosed({name: 512}) == {name: 512}


@pytest.mark.parametrize(
    "value",
    [
        "sk-0123456789abcdefghij",
        "sk-proj-0123456789abcdefghij",
        "Use Bearer abcdefgh12345678 here",
        "https://user:word@host.example/v1",
        "ghp_0123456789abcdefghij",
    ],
)
def test_what_looks_like_a_secret_is_hidden_wherever_it_stands(value):
    shown = disclosed({"anything": ["fine", {"deep": value}]})["anything"]
    assert shown[0] == "fine"
    assert HIDDEN in shown[1]["deep"]
    for part in ("0123456789abcdefghij", "abcdefgh12345678", "user:word"):
        assert part not in shown[1]["deep"]


def test_the_rest_is_as_it_is_and_the_original_untouched():
    configuration = {
        "model": "gpt-4",
        "temperature": 0.0,
        "orders": 2,
        "seed": None,
        "template": "Which is better, A or B? Ask-me-anything-here-please.",
        "headers": {"Authorization": "Basic abc"},
    }
    shown = disclosed(configuration)
    assert shown == configuration | {"headers": {"Authorization": HIDDEN}}
    assert configuration["headers"]["Authorization"] == "Basic abc"


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("https://api.openai.com/v1", True),
        ("http://8.8.8.8:8000/v1", True),
        ("http://10.1.2.3:8000/v1", False),
        ("http://127.0.0.1:8001/v1", False),
        ("http://[fd00::1]/v1", False),
        ("http://[::1/v1", False),
        ("http://vllm:8000/v1", False),
        ("http://gpu-7.lab.internal/v1", False),
    ],
)
def test_where_the_operators_own_machines_are_is_not_shown(url, is_shown):
    shown = disclosed({"endpoint": {"url": url, "model": "m"}})
    assert shown == {"endpoint": {"url": url if is_shown else HIDDEN, "model": "m"}}
