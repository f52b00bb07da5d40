"""Who may do what by the API: every endpoint that isn't for everybody, by role and by scope of the token."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from arena.images import add_images
from arena.members import invite
from arena.models import Arena, AuditEntry, Image, Invitation, Membership, System
from arena.tokens import make_token
from config.api_docs import openapi
from judges.answering import make_system, plan_answers
from judges.exclusions import exclude_voter
from judges.models import (
    CascadeRequest,
    Exclusion,
    GoldItem,
    Judge,
    JudgeCall,
    JudgeRun,
    Preparation,
    Trial,
    Voter,
)
from tests import cast
from tests.accounts import client_of, make_member, make_user
from tests.api_client import ASKED, DOT, NOWHERE, make_asked_judge, make_jobs

pytestmark = pytest.mark.django_db

MAY = {"maintainer", "staff"}
MAY_NOT = {"visitor", "account", "voter", "researcher", "maintainer of another"}
PEOPLE = sorted(MAY | MAY_NOT)
ENDPOINT = {"url": "http://127.0.0.1:9/v1", "model": "m"}
GOLD = {"id": "new", "prompt": "2 + 2?", "output_a": "4", "output_b": "5", "expected": "a"}
# What is sent, where something is; and how it is answered when it may be.
SENT: dict[str, tuple[Any, int]] = {
    "arenas_partial_update": ({"description": "Odes and others."}, 200),
    "submission_policy_partial_update": ({"battles": 90}, 200),
    "images_create": (DOT, 201),
    "prompts_create": ([{"prompt": "One more."}], 201),
    "outputs_create": ([{"prompt": "Write poem number 0.", "output": "No."}], 201),
    "gold_items_create": ([GOLD], 201),
    "exclusions_create": ({"voter": "bob", "reason": "Clicks."}, 201),
    "invitations_create": ({"role": "voter"}, 201),
    "system_endpoints_create": ({"name": "Erik", "endpoint": ENDPOINT}, 201),
    "answer_runs_create": ({"system": "asked", "limit": 1}, 201),
    "members_partial_update": ({"role": "researcher"}, 200),
    "judges_create": ({"kind": "llm", "name": "New", "configuration": ASKED}, 201),
    "judges_versions": ({"configuration": ASKED | {"repetitions": 2}}, 201),
    "trials_create": ({"judge": "asked", "battle": "{battle}"}, 201),
    "checklists_create": ({"judge": "lister", "prompt": "{prompt}", "questions": ["Why?"]}, 201),
    "cascade_requests_create": (
        {"name": "Careful", "tiers": [{"judge": "asked"}], "target": 0.8},
        201,
    ),
    "runs_create": ({"judge": "asked"}, 201),
    "runs_confirm": ({}, 200),
    "runs_pause": ({}, 200),
    "runs_retry": ({}, 200),
    "runs_resume": ({"max_calls": 9}, 200),
    "runs_cancel": ({}, 200),
    "images_destroy": (None, 204),
    "invitations_destroy": (None, 204),
    "members_destroy": (None, 204),
}
PARAMETERS = {"outputs_create": "?system=Eve", "images_create": "?name=new.png"}
FOR_EVERYBODY = {
    f"{noun}_{action}"
    for noun in (
        "arenas", "systems", "prompts", "outputs", "battles", "judges", "verdicts", "leaderboards",
        "snapshots", "judge_reports", "fragilities", "derivations", "probe_reports", "probe_results",
    )
    for action in ("list", "retrieve")
} | {"submission_policy_retrieve"}  # fmt: skip
ALL = {
    operation["operationId"]: (path, method)
    for path, methods in openapi()["paths"].items()
    for method, operation in methods.items()
    # Everybody who submits has their own: tests/arena/test_submit_by_api.py.
    if not operation["operationId"].startswith("submissions_")
}
# Making an arena belongs to no arena: its own test is below. What deletes comes last.
MANAGED = sorted(
    set(ALL) - FOR_EVERYBODY - {"arenas_create"},
    key=lambda name: (ALL[name][1] == "delete", list(SENT).index(name) if name in SENT else -1),
)


@pytest.fixture(autouse=True)
def nobody_asked_before():
    cache.clear()


@pytest.fixture
def arena(settings, tmp_path) -> Arena:
    settings.MEDIA_ROOT = tmp_path
    settings.WHO_ASKS_MODELS = "maintainers"
    settings.ENDPOINTS = [NOWHERE]
    arena = cast.make_small_arena()
    exclude_voter(voter=Voter.objects.get(handle="alice"), reason="Clicks without reading.")
    GoldItem.objects.create(
        arena=arena, source_id="g1", prompt="?", output_a="a", output_b="b", expected=0
    )
    invite(arena=arena, role="voter", days=1, actor=make_member(arena, "maintainer", "first"))
    make_member(arena, "voter", "somebody")
    add_images(arena=arena, files=[("dot.png", DOT)], actor=None)
    system = make_system(arena=arena, name="Asked", configuration={"endpoint": ENDPOINT})
    plan_answers(system=system, selection={})
    make_asked_judge(arena)
    make_jobs(arena)
    return arena


def person(kind: str, arena: Arena) -> Any:
    if kind == "visitor":
        return None
    if kind == "staff":
        return make_user("staff", is_staff=True)
    if kind == "account":
        return make_user("account")
    if kind == "maintainer of another":
        return make_member(cast.make_arena("other"), "maintainer")
    return make_member(arena, kind, f"a-{kind}")


def address(name: str, arena: Arena) -> str:
    run = JudgeRun.objects.filter(system=None).first()
    rows = {
        "runs": run,
        "answer-runs": JudgeRun.objects.filter(judge=None).first(),
        "calls": JudgeCall.objects.first(),
        "trials": Trial.objects.last(),
        "checklists": Preparation.objects.first(),
        "cascade-requests": CascadeRequest.objects.last(),
        "gold-items": GoldItem.objects.first(),
        "exclusions": Exclusion.objects.first(),
        "invitations": Invitation.objects.first(),
        "images": Image.objects.first(),
        "log": AuditEntry.objects.first(),
        "members": Membership.objects.filter(user__username="account-somebody").first(),
    }
    path = ALL[name][0].replace("{arena}", arena.slug).replace("{slug}", "asked")
    path = path.replace("{run}", str(run.pk))
    if "{id}" in path:
        noun = path.partition("/{id}/")[0].rpartition("/")[2]
        path = path.replace("{id}", str(rows[noun].pk))
    return path + PARAMETERS.get(name, "")


def ask(name: str, arena: Arena, headers: dict[str, str]) -> Any:
    sent = SENT.get(name, (None,))[0]
    if isinstance(sent, dict):
        known = {"{battle}": arena.battles.first().pk, "{prompt}": arena.prompts.last().pk}
        sent = {
            key: known[v] if isinstance(v, str) and v in known else v for key, v in sent.items()
        }
    method = ALL[name][1]
    data = {} if method == "get" else {"data": sent, "content_type": kind_of(sent)}
    return getattr(Client(), method)(address(name, arena), headers=headers, **data)


def kind_of(sent: Any) -> str:
    return "image/png" if isinstance(sent, bytes) else "application/json"


def headers_of(user: Any, scope: str = "write") -> dict[str, str]:
    if user is None:
        return {}
    words = make_token(user=user, name="test", scope=scope, days=1)[1]
    return {"Authorization": f"Bearer {words}"}


@pytest.fixture
def what_is_there(arena) -> Callable[[], list]:
    def count() -> list:
        return [
            *(
                model.objects.count()
                for model in (
                    GoldItem,
                    Exclusion,
                    Invitation,
                    Image,
                    AuditEntry,
                    Judge,
                    System,
                    JudgeRun,
                )
            ),
            list(JudgeRun.objects.values_list("state", "max_calls")),
            list(arena.memberships.filter(user__username="account-somebody").values("role")),
            list(arena.invitations.values("revoked_at")),
            Arena.objects.values().get(pk=arena.pk),
        ]

    return count


def test_every_endpoint_that_writes_has_a_case_here():
    writes = {name for name, (_, method) in ALL.items() if method != "get"}
    assert writes - {"arenas_create"} == set(SENT)


@pytest.mark.parametrize("kind", PEOPLE)
def test_only_maintainers_and_staff_run_an_arena(arena, what_is_there, kind, subtests):
    headers = headers_of(person(kind, arena))
    for name in MANAGED:
        with subtests.test(name=name):
            before = what_is_there()
            response = ask(name, arena, headers)
            if kind in MAY:
                assert response.status_code == SENT.get(name, (None, 200))[1], response.content
            else:
                assert response.status_code == (401 if kind == "visitor" else 404)
                assert response.headers["Content-Type"] == "application/problem+json"
                assert what_is_there() == before


@pytest.mark.parametrize("kind", sorted(MAY))
def test_a_token_that_only_reads_changes_nothing(arena, what_is_there, kind, subtests):
    headers = headers_of(person(kind, arena), "read")
    before = what_is_there()
    for name in MANAGED:
        with subtests.test(name=name):
            response = ask(name, arena, headers)
            assert response.status_code == (200 if ALL[name][1] == "get" else 403)
    assert what_is_there() == before
    assert "may only read" in response.json()["detail"] or ALL[name][1] == "get"


@pytest.mark.parametrize("kind", PEOPLE)
def test_every_account_makes_an_arena(arena, kind):
    response = Client().post(
        "/api/v1/arenas/",
        data={"slug": "mine", "name": "Mine"},
        content_type="application/json",
        headers=headers_of(person(kind, arena)),
    )
    assert response.status_code == (401 if kind == "visitor" else 201)


@pytest.mark.parametrize("kind", PEOPLE)
def test_an_arena_that_is_not_public_is_there_for_its_members_only(arena, kind, subtests):
    arena.is_public = False
    arena.save()
    headers = headers_of(person(kind, arena), "read")
    sees = kind in MAY | {"voter", "researcher"}
    for name in sorted(FOR_EVERYBODY - {"arenas_list"}):
        if name.endswith("_list") or name == "arenas_retrieve":
            with subtests.test(name=name):
                assert ask(name, arena, headers).status_code == (200 if sees else 404)


def test_the_id_of_another_arena_opens_nothing(arena):
    other = cast.make_arena("other")
    user = make_member(other, "maintainer")
    headers = headers_of(user)
    for name in MANAGED:
        if "{id}" in ALL[name][0]:
            response = getattr(Client(), ALL[name][1])(
                address(name, arena).replace("/poems/", "/other/"),
                headers=headers,
                **(
                    {"data": SENT[name][0], "content_type": "application/json"}
                    if name in SENT
                    else {}
                ),
            )
            assert response.status_code == 404, name


def test_a_session_does_what_a_token_does(arena):
    client = client_of(person("maintainer", arena))
    assert client.get("/api/v1/arenas/poems/members/").status_code == 200
    sent = {"data": {"role": "voter"}, "content_type": "application/json"}
    assert client.post("/api/v1/arenas/poems/invitations/", **sent).status_code == 201


def test_no_list_tells_a_secret(arena):
    headers = headers_of(person("maintainer", arena))
    said = "".join(
        ask(name, arena, headers).content.decode() for name in MANAGED if ALL[name][1] == "get"
    )
    for invitation in Invitation.objects.all():
        assert invitation.token_digest not in said
    assert "password" not in said
    assert "digest" not in said


def test_the_log_names_the_owner_of_the_token(arena):
    user = person("maintainer", arena)
    headers = headers_of(user)
    ask("prompts_create", arena, headers)
    page = Client().get("/api/v1/arenas/poems/log/?act=add+prompts", headers=headers).json()
    assert [(one["actor"], one["subject"]) for one in page["results"]] == [
        (user.email, "1 prompts")
    ]
