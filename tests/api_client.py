"""How tests ask the read API."""

import base64
import json
import uuid
from typing import Any

from django.test import Client

from arena.models import Arena, Submission
from arena.submissions.checking import ABOUT
from arena.submissions.verbs import submit
from judges.cascades.making import Terms, Tier
from judges.cascades.requests import request_cascade
from judges.llm_judges import make_llm_judge
from judges.models import Judge, JudgeCall, JudgeRun, ProbeResult, VerdictTrace
from judges.runs import edit_checklist, plan_run
from judges.trials import start_trial
from judges.voting import retract_verdict
from ratings import publications
from tests import cast

# A picture of one pixel.
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def get(path: str, *, status: int = 200, **headers: str) -> Any:
    """The JSON below /api/v1/ at a path, which must be answered with this status."""
    response = Client().get(f"/api/v1/{path}", headers=headers)
    assert response.status_code == status, response.content[:500]
    expected = "application/json" if status < 400 else "application/problem+json"
    assert response.headers["Content-Type"] == expected
    return response.json()


def rows(path: str) -> list[dict[str, Any]]:
    return get(path)["results"]


def make_published_arena() -> Arena:
    """The small arena with categories, a trace, a retraction, leaderboards, and a report of its LLM."""
    arena = cast.make_small_arena()
    prompts = list(arena.prompts.all())
    category = arena.categories.create(slug="odes", name="Odes")
    category.prompts.set(prompts[:2])
    llm = arena.judges.get(kind=Judge.Kind.LLM)
    VerdictTrace.objects.create(
        verdict=llm.verdicts.earliest("pk"), rationale="It rhymes.", completion="[[A]]", tokens=7
    )
    retract_verdict(verdict=llm.verdicts.latest("pk"), reason="misclick")
    publications.refresh_all(arena=arena)
    return arena


NOWHERE = "http://127.0.0.1:9/v1"
# What an LLM judge is asked with in tests: nobody listens there.
ASKED = {
    "endpoint": {"url": NOWHERE, "model": "a-model"},
    "protocol": {"name": "battle", "options": {"reasoned": True}},
}


def make_submission(arena: Arena, owner: Any) -> Submission:
    """A private system of the owner's, as it waits to be judged."""
    arena.submission_policy = {"judges": ["judge-llm"], "most_private": 100, "most_a_week": 1_000}
    arena.save()
    texts = dict.fromkeys(ABOUT, "") | {"name": "Erik", "price_in": None, "price_out": None}
    lines = [
        json.dumps({"prompt": prompt.text, "output": f"An answer to {prompt.text}"})
        for prompt in arena.prompts.all()
    ]
    content = "\n".join(lines).encode()
    return submit(arena=arena, owner=owner, about=texts, content=content).submission


def make_asked_judge(arena: Arena) -> JudgeRun:
    """An LLM judge with an endpoint, and a planned run of it with a call that is open."""
    judge = make_llm_judge(arena=arena, name="Asked", configuration=ASKED)
    run = plan_run(judge=judge, selection={})
    battle = arena.battles.first()
    JudgeCall.objects.create(
        arena=arena,
        run=run,
        prompt_id=battle.prompt_id,
        battle=battle,
        pair_id=battle.pair_id,
        shown_first=0,
    )
    return run


def make_probed(arena: Arena) -> dict[str, dict[str, int]]:
    """A run of probes that compared one battle; where to find it and the comparison, by noun."""
    judge, battle = arena.judges.filter(kind="llm").first(), arena.battles.first()
    run = JudgeRun.objects.create(
        arena=arena, judge=judge, probes={"names": ["swap"], "seed": 1, "version": 1}
    )
    result = ProbeResult.objects.create(
        arena=arena, run=run, battle=battle, pair=battle.pair, prompt=battle.prompt, probe="swap",
        changed_side=1, before=0, after=1, is_fooled=True,
    )  # fmt: skip
    return {"probe-reports": {"id": run.pk}, "probe-results": {"id": result.pk}}


def make_jobs(arena: Arena) -> dict[str, int]:
    """A trial, a checklist and a request for a cascade, each by its noun."""
    judge = arena.judges.get(slug="asked")
    checklist = {"name": "checklist", "options": {}}
    lister = make_llm_judge(
        arena=arena, name="Lister", configuration=ASKED | {"protocol": checklist}
    )
    kept = edit_checklist(judge=lister, prompt=arena.prompts.first(), questions=["Does it rhyme?"])
    trial = start_trial(
        arena=arena,
        battle=arena.battles.first(),
        configuration=judge.configuration,
        key=uuid.uuid4(),
        judge=judge,
    )
    request = request_cascade(
        arena=arena,
        key=uuid.uuid4(),
        name="Careful cascade",
        tiers=[Tier(judge)],
        terms=Terms(target=0.8),
    )
    return {"trials": trial.pk, "checklists": kept.pk, "cascade-requests": request.pk}
