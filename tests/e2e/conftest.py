"""A real Chromium in front of the real site, and what every page must pass in it."""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.db import connection
from django.test import override_settings
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from arena.leaks import scan_outputs
from arena.matchmaking import plan_pairs
from arena.members import invite
from arena.models import Arena, Battle, Output, Prompt, Submission, System
from judges.answering import make_system, plan_answers
from judges.endpoints.interface import Answer, CallError, Failure
from judges.exclusions import exclude_voter
from judges.llm_judges import make_llm_judge
from judges.models import CascadeRequest, Judge, JudgeRun, Trial, Voter
from judges.protocols.interface import Reply
from judges.runs import cancel_run, confirm_run, pause_run, plan_run
from judges.runs.calls import Result, store_results
from judges.runs.rows import make_rows
from judges.trials import start_trial, work_on_trial
from ratings import publications, rankings
from ratings.models import Snapshot
from ratings.voters import refresh
from tests import cast
from tests.accounts import client_of, make_member
from tests.api_client import make_submission
from tests.e2e import chromium

# A machine that is busy with other tests may need seconds to draw a chart.
TIMEOUT = 15_000
expect.set_options(timeout=TIMEOUT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder drives a browser; `-m "not browser"` leaves it out."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module", autouse=True)
def static_files_as_they_are(tmp_path_factory) -> Iterator[None]:
    """The test server serves static files under their own names, whatever was collected before."""
    plain = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    with override_settings(STORAGES=plain, STATIC_ROOT=tmp_path_factory.mktemp("static")):
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium per module.

    Playwright keeps an event loop in this thread for as long as it runs, and Django then refuses the
    database: so it runs only while browser tests do, and they allow it.
    """
    found = chromium.find()
    if found is None:
        pytest.skip(chromium.MISSING)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=found, args=chromium.ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Complaints:
    """What went wrong in a page without the page failing by itself."""

    console: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def clear(self) -> None:
        for complaints in (self.console, self.foreign, self.broken):
            complaints.clear()

    def check(self) -> None:
        assert not self.foreign, f"The page asked other hosts: {self.foreign}"
        assert not self.broken, f"The page asked for what isn't there: {self.broken}"
        assert not self.console, f"The browser's console holds errors: {self.console}"


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def open_page(
    browser: Browser, live_server, complaints: Complaints
) -> Iterator[Callable[..., Page]]:
    """Opens a new page in a context of its own: ``open_page(width=375, color_scheme="dark")``.

    Addresses are relative to the test server. When the test ends, every page that was opened must have
    asked no other host, and have left no error in its console.
    """
    contexts = []
    own = urlsplit(live_server.url).netloc

    # Chromium finds no other host (chromium.ARGUMENTS), so nothing has to be stopped here: requests that are
    # held until this process has seen them are slow, and nothing is taken from the cache.
    def note(request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and url.netloc != own:
            complaints.foreign.append(request.url)

    def open_page(*, width: int = 1280, height: int = 900, **options) -> Page:
        context = browser.new_context(
            base_url=live_server.url, viewport={"width": width, "height": height}, **options
        )
        context.set_default_timeout(TIMEOUT)
        contexts.append(context)
        context.on("request", note)
        page = context.new_page()
        page.on(
            "console",
            lambda message: message.type == "error" and complaints.console.append(message.text),
        )
        page.on("pageerror", lambda error: complaints.console.append(str(error)))
        page.on(
            "response",
            lambda response: (
                response.status >= 400
                and complaints.broken.append(f"{response.status} {response.url}")
            ),
        )
        return page

    yield open_page
    for context in contexts:
        context.close()
    complaints.check()


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page()


class Settle:
    """``settle(page)`` waits until the page has loaded nothing for a tenth of a second, and for its charts.

    Playwright's own "networkidle" takes half a second of every page.
    """

    def __init__(self) -> None:
        self.loading: set[Request] = set()

    def watch(self, page: Page) -> None:
        page.on("request", lambda request: self.loading.add(request))
        for end in ("requestfinished", "requestfailed"):
            page.on(end, lambda request: self.loading.discard(request))

    def __call__(self, page: Page) -> None:
        deadline = time.monotonic() + TIMEOUT / 1000
        quiet = 0
        while quiet < 2:
            page.wait_for_timeout(50)
            quiet = 0 if self.loading else quiet + 1
            assert time.monotonic() < deadline, f"Never done: {[one.url for one in self.loading]}"
        page.wait_for_function(SETTLED)


# A chart waits until it comes into view.
SETTLED = """() => document.readyState === "complete"
    && !document.querySelector(".htmx-request")
    && [...document.querySelectorAll("[data-chart-state=waiting]")].every((chart) => {
        const {top, bottom} = chart.getBoundingClientRect();
        return !chart.checkVisibility() || bottom < 0 || top > innerHeight;
    })"""


@pytest.fixture
def settle() -> Settle:
    return Settle()


@pytest.fixture
def axe() -> Callable[..., None]:
    """``axe(page)`` fails on what axe-core calls a serious or critical breach of accessibility.

    ``axe(page, rules=[…])`` asks only these of its rules.
    """

    def check(page: Page, *, rules: list[str] | None = None) -> None:
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if rules is not None:
            options["runOnly"] = {"type": "rule", "values": rules}
        # What is half faded in has too little contrast for as long as that takes.
        page.evaluate(
            "() => Promise.allSettled(document.getAnimations().map((one) => one.finished))"
        )
        grave = [
            f"{violation['id']}: {violation['help']} "
            + "; ".join(f"{node['target']} {node['html'][:160]}" for node in violation["nodes"][:5])
            for violation in Axe().run(page, options=options).response["violations"]
            if violation["impact"] in ("serious", "critical")
        ]
        assert not grave, f"axe at {page.url}: " + "\n".join(grave)

    return check


# Names as long as real ones: they are what makes a table too wide for a phone.
NAMES = ("Ada", "basil-8x70b-instruct-v0.3-preview-20261122", "Cleo", "Dora")
OUTPUT = "Roses are **red**.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\n" + "word_" * 60 + "\n```\n"


@dataclass(frozen=True)
class World:
    """One of each noun, from an arena whose leaderboards and reports have been computed."""

    arena: Arena
    system: System
    prompt: Prompt
    battle: Battle
    judge: Judge
    people: Judge
    snapshot: Snapshot
    maintainer: Any
    invitation: str  # the token of one that is good
    voters: list[Voter]  # the first is excluded
    run: JudgeRun  # of an LLM judge, paused; some of its calls are answered and some failed
    planned: JudgeRun
    probing: JudgeRun  # of the same judge, cancelled
    trial: Trial  # of the same judge, on one battle
    asked: CascadeRequest  # could not be made
    answering: JudgeRun  # of a system with an endpoint, planned
    submissions: list[Submission]  # one is ranked, one was refused


def open_for_votes(arena: Arena) -> None:
    arena.policy = {"overlap_share": 0, "repeat_share": 0, "gold_share": 0}
    arena.is_open = True
    arena.rank_size = 3
    arena.save()
    plan_pairs(arena=arena)


def run_a_judge(arena: Arena) -> tuple[JudgeRun, JudgeRun]:
    """A run that paused with answers and failures, and one that is planned. Nobody is asked."""
    endpoint = {"url": "http://127.0.0.1:9/v1", "model": "a-model-with-a-rather-long-name-20261122"}
    judge = make_llm_judge(
        arena=arena,
        name="Strict judge",
        configuration={
            "endpoint": endpoint | {"input_price": 1.0, "output_price": 2.0},
            "protocol": {"name": "battle"},
        },
    )
    run = plan_run(judge=judge, selection={"limit": 6})
    confirm_run(run=run)
    make_rows(run)
    calls = list(run.calls.order_by("pk").values_list("pk", flat=True))
    results = [
        Result(call, text="Verdict: A", choice=0, input_tokens=900, output_tokens=3, seconds=1.5)
        for call in calls[:6]
    ]
    results += [
        Result(call, failure=failure, error=f"{failure}: <b>" + "word_" * 60, text="x" * 300)
        for call, failure in zip(
            calls[6:10], (Failure.TIMEOUT, Failure.UNREADABLE) * 2, strict=True
        )
    ]
    store_results(run.pk, results)
    pause_run(run=run)
    return run, plan_run(judge=judge, selection={"systems": [arena.systems.first().slug]})


def probe_a_judge(judge: Judge) -> JudgeRun:
    """A run of probes that was cancelled half-way: the judge says that what comes first is better."""
    names = ["swap", "padding", "attack-praise"]
    run = confirm_run(run=plan_run(judge=judge, selection={"limit": 20}, probes={"names": names}))
    make_rows(run)
    calls = run.calls.order_by("pk").values_list("pk", flat=True)[:70]
    store_results(run.pk, [Result(call, text="Verdict: A", choice=0) for call in calls])
    return cancel_run(run=run)


class Unreadable:
    """A model that answers the first order as it should, and the second with a lot of words."""

    def __init__(self, endpoint: Any) -> None:
        self.asked = 0

    async def __aenter__(self) -> "Unreadable":
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    async def ask(self, question: Any, *, read: Callable) -> tuple[Answer, Any]:
        self.asked += 1
        if self.asked > 1:
            raise CallError(Failure.UNREADABLE, "No verdict.", text="<b>" + "word_" * 60)
        reply = Reply('{"verdict": "A"}')
        return Answer(reply, 900, 3, cost=0.0001, seconds=1.5), read(reply)


def try_a_judge(run: JudgeRun, battle: Battle, settings: Any) -> Trial:
    settings.ENDPOINTS = [run.judge.configuration["endpoint"]["url"]]
    trial = start_trial(
        arena=run.arena,
        battle=battle,
        configuration=run.judge.configuration,
        key=uuid.uuid4(),
        judge=run.judge,
    )

    def work() -> None:
        work_on_trial(trial.pk, make_asker=Unreadable)
        connection.close()

    # In a thread of its own, as in a worker: this one runs Playwright's loop.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()
    return trial


@pytest.fixture
def world(transactional_db, settings) -> World:
    settings.BOOTSTRAP_ROUNDS = 200
    arena = cast.make_small_arena(NAMES)
    Output.objects.filter(system__name=NAMES[1]).update(text=OUTPUT)
    voters = list(Voter.objects.filter(judge__arena=arena).order_by("handle"))
    exclude_voter(voter=voters[0], reason="always votes for the left side")
    leaking = Output.objects.filter(system__name=NAMES[2]).order_by("pk").first()
    Output.objects.filter(pk=leaking.pk).update(text=f"As {NAMES[2]}, I can't.")
    scan_outputs(arena=arena)
    # "Ada answers." names its system as well; what only the cast says mustn't keep people from voting.
    Output.objects.filter(arena=arena).exclude(pk=leaking.pk).update(leak="")
    open_for_votes(arena)
    publications.refresh_all(arena=arena)
    refresh(arena=arena)
    rankings.refresh(rankings.report_of(arena=arena).pk)
    battle = arena.battles.latest("pk")
    maintainer = make_member(arena, "maintainer", "somebody-with-a-rather-long-address")
    make_member(arena, "voter")
    run, planned = run_a_judge(arena)
    _, token = invite(
        arena=arena, role="voter", days=9, actor=maintainer, note_to_self="Reading group"
    )
    answering = make_system(
        arena=arena,
        name="A system with an endpoint and a rather long name",
        configuration={"endpoint": run.judge.configuration["endpoint"]},
    )
    submitted = make_submission(arena, maintainer)
    place = {
        "judge": "judge-llm", "rating": 1012.4, "lower": 951.0, "upper": 1073.8, "width": 122.8,
        "rank_lower": 2, "rank_upper": 4, "n_ranked": 7, "n_verdicts": 60, "n_battles": 60,
    }  # fmt: skip
    Submission.objects.filter(pk=submitted.pk).update(
        state="ranked",
        reason="Its 95 % interval is 123 rating points, under 150.",
        place=place,
        rounds=[place | {"n_battles": 24, "n_verdicts": 24, "lower": 871.0, "width": 202.8}, place],
        n_battles=60,
        n_judged=60,
    )
    return World(
        arena=arena,
        system=arena.systems.get(name=NAMES[1]),
        prompt=battle.prompt,
        battle=battle,
        judge=arena.judges.get(name="Judge LLM"),
        people=arena.judges.get(kind=Judge.Kind.CROWD),
        snapshot=Snapshot.objects.filter(arena=arena).latest("pk"),
        maintainer=maintainer,
        invitation=token,
        voters=voters,
        run=run,
        planned=planned,
        probing=probe_a_judge(run.judge),
        trial=try_a_judge(run, battle, settings),
        asked=CascadeRequest.objects.create(
            arena=arena,
            key=uuid.uuid4(),
            name="Two tiers",
            tiers=[],
            terms={},
            state="failed",
            error="People have voted on too few battles.",
        ),
        answering=plan_answers(system=answering, selection={}),
        submissions=[
            submitted,
            Submission.objects.create(
                arena=arena,
                owner=maintainer,
                key="refused",
                state="refused",
                reason="There are problems in what was sent; nothing was stored.",
                about={"name": "Erik with a rather long name", "version": "2026-11-23"},
                file_name="outputs.jsonl",
                problems=[
                    [line, "It isn't JSON: every line must hold one object."]
                    for line in range(1, 12)
                ],
                n_problems=11,
            ),
        ],
    )


@pytest.fixture
def sign_in(live_server) -> Callable[[Page, Any], None]:
    """``sign_in(page, user)``: the page's context carries the session of the account."""

    def sign_in(page: Page, user: Any) -> None:
        cookie = client_of(user).cookies[settings.SESSION_COOKIE_NAME]
        page.context.add_cookies(
            [{"name": cookie.key, "value": cookie.value, "url": live_server.url}]
        )

    return sign_in
