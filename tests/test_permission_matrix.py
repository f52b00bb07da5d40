"""Who gets which page, and who doesn't: every address of the site by role, in a public arena and in another.

The addresses come from the URL configuration: one that is added without a row here fails. What the API takes
is in tests/arena/test_api_roles.py and test_submit_by_api.py by the same people; here is what it shows.
"""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from arena.images import add_images
from arena.members import invite
from arena.models import Arena, Image, Membership, System
from arena.tokens import make_token
from config.api_docs import openapi
from judges.answering import make_system
from judges.models import CascadeRequest, JudgeCall, JudgeRun, Trial, Voter
from ratings.models import Snapshot
from tests import cast
from tests.accounts import client_of, make_member, make_user
from tests.api_client import (
    DOT,
    NOWHERE,
    make_asked_judge,
    make_jobs,
    make_published_arena,
    make_submission,
)

PEOPLE = (
    "visitor", "stranger", "voter", "owner", "other researcher", "maintainer", "maintainer of another", "staff",
)  # fmt: skip
MEMBERS = {"voter", "owner", "other researcher", "maintainer", "staff"}
# Who is let through, of a public arena; of one that isn't, of these only members and staff.
SITE = SEES = set(PEOPLE)  # SITE: of no arena
SIGNED_IN = SITE - {"visitor"}
SUBMITS = {"owner", "other researcher", "maintainer", "staff"}
MANAGES = {"maintainer", "staff"}
OWNS = MANAGES | {"owner"}  # the private system and its submission
NOBODY: set[str] = set()  # what belongs to somebody's own ballot

World = dict[str, Any]
Args = Callable[[World], list]


def here(world: World) -> list:
    return [world["arena"].slug]


def with_(name: str) -> Args:
    return lambda world: [world["arena"].slug, world[name]]


def key(world: World) -> list:
    return [world["arena"].slug, uuid.uuid4()]


def nothing(world: World) -> list:
    return []


# name: (method, who gets it, arguments of its address)
PAGES: dict[str, tuple[str, set[str], Args]] = {
    "arena:index": ("get", SITE, nothing),
    "healthz": ("get", SITE, nothing),
    "robots": ("get", SITE, nothing),
    "arena:invitation": ("get", SITE, lambda world: [world["invitation"]]),
    "arena:new": ("get", SIGNED_IN, nothing),
    "arena:tokens": ("get", SIGNED_IN, nothing),
    "arena:revoke-token": ("post", NOBODY, lambda world: [10**9]),
    "ratings:all-own-systems": ("get", SIGNED_IN, nothing),
    "judges:account": ("get", SIGNED_IN, nothing),
    "judges:account-delete": ("get", SIGNED_IN, nothing),
    **dict.fromkeys(
        (
            "arena:home", "arena:prompts", "judges:battles", "judges:compare", "judges:my-votes", "judges:data",
            "judges:data-archive", "judges:data-archive-parquet", "judges:vote", "judges:rank",
            "ratings:citation", "ratings:feed", "ratings:history", "ratings:history-csv",
            "ratings:judges", "ratings:leaderboard", "ratings:leaderboard-csv", "ratings:leaderboard-json",
            "ratings:fragility", "ratings:matrix", "ratings:rankings", "ratings:standing", "ratings:top",
            "ratings:what-if",
        ),
        ("get", SEES, here),
    ),
    "ratings:embed": ("get", SEES, here),
    "arena:prompt": ("get", SEES, with_("prompt")),
    "arena:image": ("get", SEES, with_("image")),
    "judges:battle": ("get", SEES, with_("battle")),
    "judges:verdict": ("get", SEES, with_("verdict")),
    "judges:data-table": ("get", SEES, lambda world: [*here(world), "prompts", "jsonl"]),
    "ratings:badge": ("get", SEES, with_("system")),
    "ratings:system": ("get", SEES, with_("system")),
    "ratings:opponents": ("get", SEES, with_("system")),
    "ratings:system-battles": ("get", SEES, with_("system")),
    "ratings:system-disagreements": ("get", SEES, with_("system")),
    "ratings:system-report": ("get", SEES, with_("system")),
    "ratings:system-versions": ("get", SEES, with_("system")),
    "ratings:judge": ("get", SEES, with_("judge")),
    "ratings:probes": ("get", SEES, with_("asked")),
    "ratings:snapshot": ("get", SEES, with_("snapshot")),
    "judges:vote-cast": ("post", SEES, here),
    "judges:vote-undo": ("post", SEES, here),
    "judges:rank-cast": ("post", SEES, here),
    "judges:rank-undo": ("post", SEES, here),
    **{
        name: (method, NOBODY, key)
        for name, method in {
            "judges:vote-following": "get", "judges:vote-reveal": "get", "judges:rank-reveal": "get",
            "judges:my-votes-retract": "post",
        }.items()
    },
    "arena:submit": ("get", SUBMITS, here),
    "arena:submissions": ("get", SIGNED_IN, here),
    "ratings:own-systems": ("get", SIGNED_IN, here),
    "arena:submission": ("get", OWNS, with_("submission")),
    "arena:submission-problems": ("get", OWNS, with_("submission")),
    "arena:act-on-submission": (
        "post", OWNS, lambda world: [*here(world), world["submission"], "cancel"],
    ),
    **dict.fromkeys(
        (
            "arena:leaks", "arena:manage", "arena:manage-images", "arena:manage-invitations",
            "arena:manage-log", "arena:manage-members", "arena:manage-outputs", "arena:manage-policy",
            "arena:manage-prompts", "arena:manage-settings", "arena:manage-sharing", "judges:data-everything",
            "judges:manage-gold", "judges:manage-judges", "judges:manage-preview",
            "judges:manage-submissions", "judges:manage-systems", "judges:new-cascade", "judges:new-judge",
            "judges:new-jury", "judges:new-system", "judges:run-new", "judges:runs", "ratings:voters",
        ),
        ("get", MANAGES, here),
    ),
    "arena:manage-open": ("post", MANAGES, here),
    "arena:manage-close": ("post", MANAGES, here),
    "arena:give-role": ("post", MANAGES, with_("membership")),
    "arena:remove-member": ("post", MANAGES, with_("membership")),
    "arena:remove-image": ("post", MANAGES, with_("image_pk")),
    "arena:revoke-invitation": ("post", MANAGES, with_("invitation_pk")),
    "judges:call": ("get", MANAGES, with_("call")),
    "judges:run": ("get", MANAGES, with_("run")),
    "judges:run-calls": ("get", MANAGES, with_("run")),
    "judges:cascade-request": ("get", MANAGES, with_("cascade")),
    "judges:trial": ("get", MANAGES, with_("trial")),
    "judges:judge-version": ("get", MANAGES, with_("asked")),
    "judges:try-judge": ("get", MANAGES, with_("asked")),
    "judges:probe-judge": ("get", MANAGES, with_("asked")),
    "judges:manage-system": ("get", MANAGES, with_("endpoint")),
    "ratings:voter": ("get", MANAGES, with_("voter")),
}  # fmt: skip
BY_REGEX = {"judges:plain-text"}
OF_OTHERS = ("account_", "socialaccount_", "github_", "google_", "admin:", "api-", "djdt:")


def names(resolver: URLResolver, space: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            if entry.name:
                yield f"{space}{entry.name}"
        else:
            below = f"{space}{entry.namespace}:" if entry.namespace else space
            yield from names(entry, below)


def test_every_address_has_a_row_and_every_row_an_address():
    there = {name for name in names(get_resolver()) if not name.startswith(OF_OTHERS)}
    missing = sorted(there - set(PAGES) - BY_REGEX)
    assert not missing, f"Say in PAGES who gets these: {', '.join(missing)}."
    assert not set(PAGES) - there


@pytest.fixture
def world(db, settings, tmp_path) -> World:
    settings.MEDIA_ROOT = tmp_path
    settings.ENDPOINTS = [NOWHERE]
    settings.WHO_ASKS_MODELS = "maintainers"
    settings.BOOTSTRAP_ROUNDS = 200
    settings.API_REQUESTS_PER_MINUTE = 100_000
    settings.DOWNLOADS_PER_HOUR = 100_000
    cache.clear()
    arena = make_published_arena()
    arena.is_open, arena.rank_size = True, 3
    arena.save()
    run = make_asked_judge(arena)
    make_jobs(arena)
    people = {
        "visitor": None,
        "stranger": make_user("stranger"),
        "voter": make_member(arena, "voter"),
        "owner": make_member(arena, "researcher", "owner"),
        "other researcher": make_member(arena, "researcher", "other"),
        "maintainer": make_member(arena, "maintainer"),
        "maintainer of another": make_member(cast.make_arena("other"), "maintainer", "elsewhere"),
        "staff": make_user("staff", is_staff=True),
    }
    add_images(arena=arena, files=[("dot.png", DOT)], actor=None)
    invitation, token = invite(arena=arena, role="voter", days=1, actor=people["maintainer"])
    endpoint = {"url": NOWHERE, "model": "m"}
    battle = arena.battles.first()
    return {
        "arena": arena,
        "people": people,
        "invitation": token,
        "invitation_pk": invitation.pk,
        "prompt": arena.prompts.first().pk,
        "image": Image.objects.get().digest,
        "image_pk": Image.objects.get().pk,
        "battle": battle.pk,
        "verdict": battle.verdicts.first().pk,
        "system": "ada",
        "judge": "judge-llm",
        "asked": run.judge.slug,
        "run": run.pk,
        "call": JudgeCall.objects.first().pk,
        "cascade": CascadeRequest.objects.last().key,
        "trial": Trial.objects.last().key,
        "endpoint": make_system(arena=arena, name="E", configuration={"endpoint": endpoint}).slug,
        "voter": Voter.objects.first().pk,
        "snapshot": Snapshot.objects.filter(arena=arena).first().pk,
        "submission": make_submission(arena, people["owner"]).pk,
        "membership": Membership.objects.get(user=people["voter"]).pk,
    }


def is_let_through(response: Any) -> bool:
    if response.status_code in (401, 403, 404):
        return False
    to = response.headers.get("Location", "")
    return not (response.status_code == 302 and "/accounts/login/" in to)


@pytest.mark.parametrize("is_public", [True, False])
def test_the_pages_are_for_those_they_are_for(world, is_public, subtests):
    Arena.objects.filter(pk=world["arena"].pk).update(is_public=is_public)
    for who in PEOPLE:
        client = client_of(world["people"][who])
        with subtests.test(who=who):
            for name, (method, allowed, args) in PAGES.items():
                expected = who in allowed
                if not is_public and args is not nothing and name != "arena:invitation":
                    expected = expected and who in MEMBERS and name != "ratings:embed"
                address = reverse(name, args=args(world))
                response = client.get(address) if method == "get" else refused_post(client, address)
                if response.streaming:
                    b"".join(response.streaming_content)
                assert is_let_through(response) == expected, (name, who, response.status_code)
    assert JudgeRun.objects.filter(state="planned").count() == 1
    assert System.objects.filter(standing="private").count() == 1


def refused_post(client: Any, address: str) -> Any:
    """Sent in a transaction that is undone, so that the next one finds the same."""
    from django.db import transaction

    with transaction.atomic():
        response = client.post(address)
        transaction.set_rollback(True)
    return response


def test_what_the_api_shows_of_an_arena_is_for_those_who_see_it(world, subtests):
    reads = [
        path.replace("{arena}", "poems")
        for path, methods in openapi()["paths"].items()
        if "get" in methods and path.count("{") == 1 and "{arena}" in path
    ]
    assert len(reads) > 20
    public = {
        f"/api/v1/arenas/poems/{noun}"
        for noun in (
            "", "systems/", "prompts/", "outputs/", "battles/", "judges/", "verdicts/", "leaderboards/",
            "snapshots/", "judge-reports/", "fragilities/", "derivations/", "submission-policy/",
            "probe-reports/", "probe-results/",
        )
    }  # fmt: skip
    assert public <= set(reads)
    for is_public in (True, False):
        Arena.objects.filter(pk=world["arena"].pk).update(is_public=is_public)
        for who, user in world["people"].items():
            headers = {}
            if user is not None:
                words = make_token(user=user, name="t", scope="read", days=1)[1]
                headers = {"Authorization": f"Bearer {words}"}
            seen = is_public or who in MEMBERS
            with subtests.test(who=who, is_public=is_public):
                for path in reads:
                    if path in public:
                        expected = 200 if seen else 404
                    elif who == "visitor":
                        expected = 401
                    elif path.endswith("/submissions/"):
                        expected = 200 if seen else 404
                    else:
                        expected = 200 if who in MANAGES else 404
                    status = client_of(None).get(path, headers=headers).status_code
                    assert status == expected, (path, who, status)
