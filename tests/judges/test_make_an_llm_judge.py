import copy

import pytest

from arena.models import AuditEntry
from judges.llm_judges import (
    ConfigurationError,
    checked_configuration,
    endpoint_of,
    make_llm_judge,
    new_version,
    protocol_of,
)
from judges.models import Judge
from tests import cast
from tests.judges.fake_llm import CONFIGURATION, WordProtocol, word_protocol  # noqa: F401

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("word_protocol")]


@pytest.fixture
def arena():
    return cast.make_arena()


@pytest.fixture
def judge(arena):
    return make_llm_judge(arena=arena, name="Strict", configuration=CONFIGURATION)


def changed(path: str, value) -> dict:
    configuration = copy.deepcopy(CONFIGURATION)
    *above, last = path.split(".")
    inner = configuration
    for name in above:
        inner = inner[name]
    inner[last] = value
    return configuration


def test_a_configuration_is_completed_by_its_defaults_and_the_digest_of_the_protocol(judge):
    assert judge.kind == Judge.Kind.LLM
    assert (judge.slug, judge.version) == ("strict", 1)
    configuration = judge.configuration
    assert configuration["both_orders"] is True
    assert configuration["repetitions"] == 1
    assert configuration["protocol_digest"] == "d" * 64
    assert configuration["endpoint"]["timeout"] == 60.0
    assert AuditEntry.objects.get().act == "make judge"


def test_an_equal_configuration_gives_the_judge_that_is_there(arena, judge):
    again = make_llm_judge(arena=arena, name="Strict", configuration=judge.configuration)
    assert again == judge
    assert AuditEntry.objects.count() == 1


def test_another_configuration_of_the_same_name_is_a_new_version(arena, judge):
    warm = changed("endpoint.parameters", {"temperature": 0.7})
    with pytest.raises(ConfigurationError, match="new version"):
        make_llm_judge(arena=arena, name="Strict", configuration=warm)
    second = new_version(judge=judge, configuration=warm)
    assert (second.version, second.slug, str(second)) == (2, "strict-v2", "Strict v2")
    assert new_version(judge=judge, configuration=warm) == second
    assert new_version(judge=second, configuration=CONFIGURATION) == judge


def test_a_new_version_counts_on_from_the_latest(judge):
    for temperature in (0.1, 0.2):
        latest = new_version(
            judge=judge,
            configuration=changed("endpoint.parameters", {"temperature": temperature}),
        )
    assert (latest.version, latest.slug) == (3, "strict-v3")


def test_an_endpoint_comes_out_as_it_went_in(judge):
    endpoint = endpoint_of(judge)
    assert (endpoint.url, endpoint.model) == ("http://127.0.0.1:9/v1", "a-model")
    assert (endpoint.key_name, endpoint.concurrency) == ("TEST_API_KEY", 4)
    assert endpoint.parameters == (("temperature", 0),)
    assert hash(endpoint)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("endpoint.url", "ftp://example.org"),
        ("endpoint.url", "https://me:secret@example.org/v1"),
        ("endpoint.url", "https://example.org/v1?key=1"),
        ("endpoint.url", "http://[::1"),
        ("endpoint.url", ""),
        ("endpoint.model", ""),
        ("endpoint.model", 3),
        ("endpoint.key_name", "sk-0123456789abcdef"),
        ("endpoint.key_name", "DATABASE_URL"),
        ("endpoint.key_name", "JURYBOX_API_KEY"),
        ("endpoint.parameters.stream", True),
        ("endpoint.parameters.max_tokens", 500),
        ("endpoint.parameters.max_completion_tokens", "500"),
        ("endpoint.parameters.max_completion_tokens", 0),
        ("endpoint.parameters.extra_headers", "x"),
        ("endpoint.parameters.temperature", float("nan")),
        ("endpoint.parameters.temperature", {"deep": 1}),
        ("endpoint.input_price", -1),
        ("endpoint.output_price", "cheap"),
        ("endpoint.timeout", 0),
        ("endpoint.concurrency", 0),
        ("endpoint.concurrency", True),
        ("endpoint.requests_per_minute", -1),
        ("endpoint.tokens_per_minute", 1.5),
        ("endpoint.api_key", "x"),
        ("endpoint.api", "grpc"),
        ("both_orders", "yes"),
        ("repetitions", 0),
        ("repetitions", 21),
        ("margin", -0.1),
        ("protocol.name", ""),
        ("protocol.options", []),
        ("prompt", "x"),
    ],
)
def test_what_is_wrong_is_named(path, value):
    with pytest.raises(ConfigurationError) as error:
        checked_configuration(changed(path, value))
    assert list(error.value.problems) == [path]


def test_all_problems_are_said_at_once():
    with pytest.raises(ConfigurationError) as error:
        checked_configuration({"endpoint": {}, "repetitions": 0})
    assert {"endpoint.url", "endpoint.model", "repetitions", "protocol"} <= set(
        error.value.problems
    )


def test_a_judge_does_not_run_when_its_protocol_became_another(judge, monkeypatch):
    other = WordProtocol(digest="e" * 64)
    monkeypatch.setattr("judges.llm_judges._protocol_from", lambda configuration: other)
    with pytest.raises(ConfigurationError, match="make a new version"):
        protocol_of(judge)


def test_two_judges_whose_names_look_alike_have_addresses_of_their_own(arena, judge):
    other = make_llm_judge(arena=arena, name="STRICT!", configuration=CONFIGURATION)
    assert other.slug == "strict-2"
    people = make_llm_judge(arena=arena, name="People", configuration=CONFIGURATION)
    assert people.slug == "people-2"


def test_only_an_llm_judge_gets_a_version_like_this(arena):
    with pytest.raises(ConfigurationError, match="not an LLM judge"):
        new_version(judge=cast.make_judge(arena), configuration=CONFIGURATION)
