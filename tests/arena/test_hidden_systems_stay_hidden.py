"""Nothing that anybody is answered gives a hidden system away: every address is asked, and looked through."""

import io
import json
import random  # noqa: TID251 (any draw will do)
import zipfile

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from arena.matchmaking import draw_battle, plan_pairs
from arena.models import Arena, Battle, Output, Pair, Standing, System
from arena.submissions.verbs import publish, submit, withdraw
from arena.tokens import make_token
from config.api_docs import openapi
from judges.juries.making import make_jury
from judges.models import Judge, Outcome, VerdictTrace
from judges.rankings import next_ranking
from ratings import publications, rankings
from ratings.models import JudgeReport, Publication, Snapshot
from tests import cast
from tests.accounts import client_of, make_member, make_user
from tests.arena.test_submit_a_system import about

pytestmark = pytest.mark.django_db
CANARY = "zxqcanary"


@pytest.fixture
def world(settings):
    """An arena with a private and a withdrawn system that an automatic judge has judged like the others."""
    settings.BOOTSTRAP_ROUNDS = 200
    cache.clear()
    arena = cast.make_small_arena()
    arena.submission_policy = {"judges": ["judge-llm"]}
    arena.rank_size = 3
    arena.is_open = True
    arena.save()
    owner = make_member(arena, "researcher", "owner")
    llm = arena.judges.get(kind=Judge.Kind.LLM)
    for number, name in enumerate(("private", "withdrawn")):
        lines = [
            json.dumps({"prompt": prompt.text, "output": f"{CANARY} says {n} {name}"})
            for n, prompt in enumerate(arena.prompts.order_by("pk"))
        ]
        said = about(f"{CANARY}-{name}", organisation=f"{CANARY} Labs", family=f"{CANARY} family")
        submission = submit(
            arena=arena, owner=owner, about=said, content="\n".join(lines).encode()
        ).submission
        system = submission.system
        for other in System.objects.filter(arena=arena).exclude(pk=system.pk):
            for prompt in arena.prompts.all()[:4]:
                if Pair.objects.filter(system_a=other, system_b=system).exists():
                    battle = cast.make_battle(other, system, prompt)
                    verdict = cast.make_verdict(battle, llm, Outcome((number + prompt.pk) % 3))
                    VerdictTrace.objects.create(verdict=verdict, rationale=f"{CANARY} rhymes.")
        if name == "withdrawn":
            withdraw(submission=submission, actor=owner)
    make_jury(arena=arena, name="Panel", members=[llm])
    publications.refresh_all(arena=arena)
    rankings.refresh(rankings.report_of(arena=arena).pk)
    return arena, owner


def addresses(arena: Arena) -> list[str]:
    """Every page and file of the site that takes what can be filled in, and all of the API."""
    hidden = System.objects.filter(name__startswith=CANARY)
    battle = Battle.objects.filter(system_b__in=hidden).first()
    values = {
        "arena": [arena.slug],
        "pk": [
            *hidden.values_list("pk", flat=True),
            battle.pk,
            *Snapshot.objects.values_list("pk", flat=True),
            *battle.verdicts.values_list("pk", flat=True),
            *arena.prompts.values_list("pk", flat=True),
        ],
        "slug": [*hidden.values_list("slug", flat=True), "judge-llm", "people", "panel", "ada"],
        "part": ["a", "b", "prompt"],
        "table": ["systems", "outputs", "battles", "verdicts", "prompts", "judges"],
        "name": ["systems", "outputs", "battles", "verdicts"],
        "kind": ["jsonl", "csv", "parquet"],
        "suffix": ["jsonl", "csv"],
        "form": ["jsonl"],
    }
    found: list[str] = []
    for pattern in flat(get_resolver()):
        route, names = pattern
        if "arena" not in names or not set(names) <= set(values):
            continue
        paths = [route]
        for name in names:
            paths = [
                path.replace(f"<{name}>", str(value)) for path in paths for value in values[name]
            ]
        found += paths
    query = f"?system={hidden[0].slug}"
    found += [
        f"/a/{arena.slug}/battles/{query}",
        "/",
        f"/api/v1/arenas/{arena.slug}/battles/{query}",
    ]
    for path, methods in openapi()["paths"].items():
        if "get" in methods:
            path = path.replace("{arena}", arena.slug)
            if "{" not in path:
                found.append(f"{path}?limit=200" if "submission" not in path else path)
                continue
            for slug in values["slug"]:
                found.append(path.replace("{slug}", slug))
            for model in (Output, Battle, Snapshot, JudgeReport, Publication):
                for pk in model.objects.order_by("-pk").values_list("pk", flat=True)[:6]:
                    found.append(path.replace("{id}", str(pk)))
    return [path for path in dict.fromkeys(found) if "{" not in path and "<" not in path]


def flat(resolver: URLResolver, prefix: str = "/") -> list[tuple[str, list[str]]]:
    rows = []
    for entry in resolver.url_patterns:
        route = getattr(entry.pattern, "_route", None)
        if route is None:
            continue
        names = list(entry.pattern.converters)
        for name, converter in entry.pattern.converters.items():
            kind = next(
                (
                    word
                    for word in ("dotted", "int", "slug", "str", "uuid")
                    if f"<{word}:{name}>" in route
                ),
                "",
            )
            route = route.replace(f"<{kind}:{name}>" if kind else f"<{name}>", f"<{name}>")
            del converter
        if isinstance(entry, URLPattern):
            rows.append((prefix + route, names))
        else:
            rows += [(path, names + more) for path, more in flat(entry, prefix + route)]
    return rows


def body(response) -> bytes:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    if not content.startswith(b"PK"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return b"".join(archive.read(name) for name in archive.namelist())


def test_nobody_else_is_told_of_them(world, settings, subtests):
    arena, _ = world
    settings.API_REQUESTS_PER_MINUTE = settings.DOWNLOADS_PER_HOUR = 100_000
    asked = addresses(arena)
    assert len(asked) > 150
    assert {f"/a/poems/data/{file}" for file in ("archive.zip", "verdicts.jsonl")} <= set(asked)
    people = {
        "visitor": None,
        "stranger": make_user("stranger"),
        "voter": make_member(arena, "voter"),
        "other researcher": make_member(arena, "researcher", "other"),
    }
    answered = 0
    for who, user in people.items():
        client = client_of(user)
        with subtests.test(who=who):
            for path in asked:
                response = client.get(path)
                said = body(response)
                answered += response.status_code == 200
                # An address that was asked for may be repeated, where nothing is found there.
                if CANARY in path:
                    assert response.status_code in (
                        400,
                        404,
                    ) or CANARY.encode() not in said.replace(path.encode(), b"").replace(
                        f"{CANARY}-private".encode(), b""
                    ), (who, path)
                else:
                    assert CANARY.encode() not in said, (who, path, said[:300])
    assert answered > 200


def test_the_owner_and_the_maintainers_see_them(world, settings):
    arena, owner = world
    settings.API_REQUESTS_PER_MINUTE = 100_000
    system = System.objects.get(name=f"{CANARY}-private")
    battle = Battle.objects.filter(system_b=system).first()
    output = Output.objects.filter(system=system).first()
    for user in (owner, make_member(arena, "maintainer"), make_user("staff", is_staff=True)):
        client = client_of(user)
        for path in (
            system.get_absolute_url(),
            battle.get_absolute_url(),
            f"/a/poems/prompts/{output.prompt_id}/",
            "/a/poems/battles/",
            "/a/poems/submissions/",
        ):
            assert CANARY in client.get(path).content.decode(), (user, path)
        words = make_token(user=user, name="t", scope="read", days=1)[1]
        for path in ("systems/", f"outputs/{output.pk}/", f"battles/{battle.pk}/"):
            answer = Client().get(
                f"/api/v1/arenas/poems/{path}", headers={"Authorization": f"Bearer {words}"}
            )
            assert CANARY in answer.content.decode(), (user, path)


def test_nobody_is_asked_about_what_isnt_published(world):
    arena, owner = world
    hidden = set(System.objects.exclude(standing=Standing.PUBLISHED).values_list("pk", flat=True))
    assert len(hidden) == 2
    plan_pairs(arena=arena)
    rng = random.Random(1)
    nothing = Battle.objects.none().values("pk")
    drawn = {draw_battle(arena=arena, seen=nothing, rng=rng).pk for _ in range(60)}
    seen = Battle.objects.filter(pk__in=drawn)
    systems = set(seen.values_list("system_a", flat=True)) | set(
        seen.values_list("system_b", flat=True)
    )
    assert len(systems) == 4
    assert not systems & hidden
    private = System.objects.get(name=f"{CANARY}-private").submission
    # They say their name, so voters wouldn't get them for another reason.
    Output.objects.filter(system=private.system).update(leak="")
    publish(submission=private, actor=owner)
    drawn = {draw_battle(arena=arena, seen=nothing, rng=rng) for _ in range(60)}
    assert private.system_id in {battle.system_b_id for battle in drawn}
    withdraw(submission=private, actor=owner)  # deprecated now
    drawn = {draw_battle(arena=arena, seen=nothing, rng=rng) for _ in range(60)}
    assert private.system_id not in {battle.system_b_id for battle in drawn}
    voter = cast.make_voter(arena.judges.get(kind=Judge.Kind.CROWD), "ranker")
    for _ in range(3):
        ranking = next_ranking(arena=arena, voter=voter, rng=rng)
        assert not hidden & set(ranking.outputs.values_list("system_id", flat=True))
        ranking.delete()
