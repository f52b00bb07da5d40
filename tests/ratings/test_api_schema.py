"""The description of the API is valid, whole, and true of what the API answers."""

import os
from collections import Counter
from io import StringIO

import pytest
import schemathesis
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from arena.images import add_images
from arena.members import invite
from arena.models import Image, Membership
from arena.tokens import make_token
from config.api_docs import chapters, objects, openapi
from judges.answering import make_system, plan_answers
from judges.exclusions import exclude_voter
from judges.juries.making import make_jury
from judges.models import GoldItem, VerdictTrace, Voter
from ratings.models import Fragility, JudgeReport, Publication, Snapshot
from tests.accounts import make_member
from tests.api_client import (
    DOT,
    NOWHERE,
    make_asked_judge,
    make_jobs,
    make_probed,
    make_published_arena,
    make_submission,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    negative_data_rejection,
]
# A large budget by hand: TEST_API_EXAMPLES=300, which draws other requests each time.
EXAMPLES = int(os.environ.get("TEST_API_EXAMPLES", "12"))
NO_MADE_UP_TOKENS = SchemathesisConfig.from_dict(
    {"generation": {"with-security-parameters": False}}
)
# operationId -> path and method
ALL = {
    operation["operationId"]: (path, method)
    for path, methods in openapi()["paths"].items()
    for method, operation in methods.items()
}
READS = sorted(name for name, (_, method) in ALL.items() if method == "get")
WRITES = sorted(set(ALL) - set(READS))
FOR_MAINTAINERS = {
    "gold_items", "exclusions", "members", "invitations", "images", "log", "system_endpoints",
    "answer_runs", "runs", "calls", "trials", "checklists", "cascade_requests",
}  # fmt: skip
SIGNED_IN = FOR_MAINTAINERS | {"submissions"}
MORE_READS = {"runs_plan", "judge_protocols_retrieve", "submission_policy_retrieve"}


def test_the_schema_is_made_without_a_warning_and_is_valid():
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=StringIO())


def test_the_schema_is_served_and_says_the_same_to_everybody(db):
    response = Client().get("/api/v1/schema/")
    assert response.json() == openapi()
    again = Client().get("/api/v1/schema/", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304


def test_every_endpoint_is_described():
    for path, methods in openapi()["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"]
            assert operation["description"]
            for parameter in operation.get("parameters", []):
                assert parameter["description"], f"{method} {path}: {parameter['name']}"


def test_every_endpoint_says_whom_it_needs():
    anybody = {name for name in READS if {} in operation_of(name)["security"]}
    managed = {name.rpartition("_")[0] for name in set(READS) - anybody}
    assert managed == FOR_MAINTAINERS | {"judge_protocols", "submissions"}
    for name in WRITES:
        assert {} not in operation_of(name)["security"], name
        assert {"accessToken": []} in operation_of(name)["security"], name


def operation_of(name: str) -> dict:
    path, method = ALL[name]
    return openapi()["paths"][path][method]


def test_every_noun_is_there_as_a_list_and_one_by_one():
    nouns = {
        "arenas", "systems", "prompts", "outputs", "battles", "judges", "verdicts", "leaderboards",
        "snapshots", "judge-reports", "fragilities", "derivations", "probe-reports", "probe-results",
        "submissions", *FOR_MAINTAINERS,
    }  # fmt: skip
    found = set(READS)
    for noun in nouns:
        assert {f"{noun.replace('-', '_')}_{action}" for action in ("list", "retrieve")} <= found
    assert len(found - MORE_READS) == 2 * len(nouns)


def test_the_page_shows_every_address_parameter_and_field(db):
    page = Client().get("/api/v1/docs/").content.decode()
    for chapter in chapters(openapi()):
        for endpoint in chapter.endpoints:
            assert f"{endpoint.method} {endpoint.path}" in page
            for name in {endpoint.answer, endpoint.body} - {""}:
                assert f'href="#{name}"' in page
    for name, fields in objects(openapi()["components"]["schemas"]).items():
        assert f'id="{name}"' in page
        assert all(f"<code>{field.name}</code>" in page for field in fields)


def test_the_page_needs_no_exception_from_the_content_security_policy(db):
    response = Client().get("/api/v1/docs/")
    assert (
        response.headers["Content-Security-Policy"]
        == (Client().get("/api/v1/arenas/").headers["Content-Security-Policy"])
    )
    assert "script-src" not in response.headers["Content-Security-Policy"]
    page = response.content.decode()
    assert "<script>" not in page
    assert 'src="http' not in page


@pytest.fixture
def real(db, settings) -> dict[str, dict[str, str | int]]:
    """For each noun what stands in the path of a row that is there."""
    settings.BOOTSTRAP_ROUNDS = 200
    arena = make_published_arena()
    rows = {
        "arenas": {},
        "systems": {"slug": "ada"},
        "judges": {"slug": "judge-llm"},
        "verdicts": {"id": VerdictTrace.objects.get().pk},
        "leaderboards": {"id": Publication.objects.filter(kind="leaderboard").first().pk},
        "snapshots": {"id": Snapshot.objects.first().pk},
        "judge-reports": {"id": JudgeReport.objects.get().pk},
        "fragilities": {
            "id": Fragility.objects.create(
                snapshot=Snapshot.objects.first(),
                computed_at=timezone.now(),
                figures={"order": ["ada"]},
            ).pk
        },
        **make_probed(arena),
        "submission-policy": {},
        "derivations": {
            "slug": make_jury(
                arena=arena, name="Panel", members=list(arena.judges.filter(kind="llm"))
            ).slug
        },
    }
    for noun in ("prompts", "outputs", "battles"):
        rows[noun] = {"id": getattr(arena, noun).first().pk}
    return {noun: {"arena": arena.slug, **path} for noun, path in rows.items()}


@pytest.fixture
def connection_stays_open():
    """Requests end by closing the connection, which here has the transaction of the test."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.mark.usefixtures("connection_stays_open")
def test_the_answers_are_as_described(real, subtests):
    """Draws requests, right and wrong ones, to rows that are there and to any others."""
    document = schemathesis.openapi.from_wsgi(
        "/api/v1/schema/", get_wsgi_application(), config=NO_MADE_UP_TOKENS
    )
    for name in READS:
        if name.rpartition("_")[0] not in FOR_MAINTAINERS | {"judge_protocols", "submissions"}:
            with subtests.test(name=name):
                check(document[ALL[name][0]]["get"], real)


def check(operation: schemathesis.schemas.APIOperation, real: dict[str, dict]) -> None:
    path = operation.path
    there = {k: value for k, value in real[operation.tags[0]].items() if f"{{{k}}}" in path}
    requests = st.one_of(
        operation.as_strategy(),
        operation.as_strategy(path_parameters=there),
        operation.as_strategy(GenerationMode.NEGATIVE),
    )
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=EXAMPLES == 12,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=requests)
    def ask(case):
        statuses[case.call_and_validate(checks=CHECKS).status_code] += 1

    ask()
    bare = operation.Case(path_parameters=there).call_and_validate(checks=CHECKS)
    assert bare.status_code == 200
    assert not statuses.keys() - {200, 400, 404}
    assert sum(statuses.values()) >= EXAMPLES // 2


# Of what is sent, not everything can be described: a record has a prompt or messages, a slug is free or not.
CHECKS_OF_WRITES = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture
def managed(db, settings, tmp_path) -> tuple[dict[str, dict[str, str | int]], dict[str, str]]:
    """For each noun what stands in the path of a row, and the headers of a maintainer."""
    settings.API_REQUESTS_PER_MINUTE = 100_000
    settings.ENDPOINTS = [NOWHERE]
    settings.MEDIA_ROOT = tmp_path
    arena = make_published_arena()
    user = make_member(arena, "maintainer")
    words = make_token(user=user, name="test", scope="write", days=1)[1]
    invitation, _ = invite(arena=arena, role="voter", days=1, actor=user)
    add_images(arena=arena, files=[("dot.png", DOT)], actor=user)
    exclusion = exclude_voter(voter=Voter.objects.first(), reason="Clicks.")
    gold = GoldItem.objects.create(
        arena=arena, source_id="g1", prompt="?", output_a="a", output_b="b", expected=0
    )
    endpoint = {"url": "http://127.0.0.1:9/v1", "model": "m"}
    asked = make_system(arena=arena, name="Asked", configuration={"endpoint": endpoint})
    rows = {
        "gold-items": gold.pk,
        "exclusions": exclusion.pk,
        "invitations": invitation.pk,
        "images": Image.objects.get().pk,
        "log": arena.audit_entries.first().pk,
        "answer-runs": plan_answers(system=asked, selection={}).pk,
        "members": Membership.objects.get(user=make_member(arena, "voter")).pk,
        "submissions": make_submission(arena, user).pk,
    }
    run = make_asked_judge(arena)
    rows |= {"runs": run.pk, "calls": run.calls.get().pk}
    paths = {noun: {"arena": arena.slug, "id": pk, "run": run.pk} for noun, pk in rows.items()}
    paths |= {noun: {"arena": arena.slug, "id": pk} for noun, pk in make_jobs(arena).items()}
    paths["judges"] = {"arena": arena.slug, "slug": "asked"}
    paths["system-endpoints"] = {"arena": arena.slug, "slug": asked.slug}
    for noun in ("arenas", "prompts", "outputs", "submission-policy"):
        paths[noun] = {"arena": arena.slug}
    return paths, {"Authorization": f"Bearer {words}"}


@pytest.mark.usefixtures("connection_stays_open")
def test_whatever_is_sent_is_answered_as_described(managed, subtests):
    """Draws bodies, right and wrong ones, as a maintainer sends them."""
    paths, headers = managed
    document = schemathesis.openapi.from_wsgi(
        "/api/v1/schema/", get_wsgi_application(), config=NO_MADE_UP_TOKENS
    )
    for name in (*WRITES, *(read for read in READS if read.rpartition("_")[0] in SIGNED_IN)):
        path, method = ALL[name]
        operation = document[path][method]
        there = {k: v for k, v in paths[operation.tags[0]].items() if f"{{{k}}}" in path}
        requests = st.one_of(
            operation.as_strategy(path_parameters=there),
            operation.as_strategy(GenerationMode.NEGATIVE),
        )

        @settings(
            max_examples=EXAMPLES,
            derandomize=EXAMPLES == 12,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=requests)
        def send(case):
            case.call_and_validate(checks=CHECKS_OF_WRITES, headers=headers)

        with subtests.test(name=name):
            send()
