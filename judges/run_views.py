"""The maintainer's pages of runs: which there are, a new one, how one goes and how it is steered, its calls."""

import json
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from arena.access import managed_arena
from arena.downloads import as_csv, as_json
from arena.models import Arena
from arena.templatetags.typeset import count_of
from judges import run_tables
from judges.llm_judges import ConfigurationError
from judges.models import Judge, JudgeCall, JudgeRun
from judges.run_forms import LimitsForm, RunForm, judges_that_run
from judges.runs import (
    FailureCount,
    RunError,
    cancel_run,
    confirm_run,
    failures_of,
    pause_run,
    plan,
    resume_run,
    retry_failed,
)
from judges.runs.once import plan_once, start_once
from judges.runs.progress import WHAT_TO_DO, progress_of, run_in_words
from judges.runs.traces import asked_of, led_to
from judges.selections import id_from

form_page = require_http_methods(["GET", "HEAD", "POST"])
# What is said of a run's progress is read out at these steps only.
STEP = 10


@require_safe
@login_required
def runs(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    state = request.GET.get("state", "")
    state = state if state in JudgeRun.State.values else ""
    judges = list(run_tables.judges_with_runs(place))
    judge = request.GET.get("judge", "")
    judge = judge if any(judge == one.slug for one in judges) else ""
    sort = run_tables.sort_key(request.GET.get("sort", ""))
    found = run_tables.runs_of(place, state=state, judge=judge, sort=sort)
    wanted, name = request.GET.get("format", ""), f"{place.slug}-runs"
    if wanted == "csv":
        cells = (list(row.values()) for row in run_tables.rows(found))
        return as_csv(name, run_tables.COLUMNS, cells)
    if wanted == "json":
        return as_json(name, {"arena": place.slug, "runs": list(run_tables.rows(found))})
    if wanted:
        raise Http404("format is csv or json.")
    context = {
        "arena": place,
        "page": Paginator(found, run_tables.A_PAGE).get_page(request.GET.get("page")),
        "states": JudgeRun.State.choices,
        "state": state,
        "judges": judges,
        "judge": judge,
        "sort": sort,
        "may_begin": judges_that_run(place).exists(),
    }
    return render(request, "judges/runs.html", context)


@form_page
@login_required
def new(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    asked = {
        name: request.GET[name] for name in ("judge", "battles", "failed_of") if name in request.GET
    }
    form = RunForm(request.POST or None, arena=place, initial=asked)
    if request.method == "POST" and form.is_valid():
        judge = form.cleaned_data["judge"]
        try:
            if judge.kind == Judge.Kind.PROGRAM:
                run = start_once(judge=judge, actor=request.user)
                messages.success(
                    request, "The program is at work, or will be as soon as a worker is free."
                )
            else:
                run = plan_once(
                    judge=judge,
                    selection=form.selection(),
                    limits=form.limits(),
                    actor=request.user,
                )
        except (RunError, ConfigurationError) as error:
            form.add_error(None, str(error))
        else:
            return redirect("judges:run", place.slug, run.pk)
    context = {"arena": place, "form": form, "may_begin": judges_that_run(place).exists()}
    status = 422 if form.is_bound else 200
    return render(request, "judges/run_new.html", context, status=status)


@never_cache
@form_page
@login_required
def run(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    """How the run goes; a POST does what its button says."""
    place = managed_arena(request.user, arena)
    found = _run(place, pk)
    form = LimitsForm(
        request.POST if request.POST.get("act") == "resume" else None,
        initial=LimitsForm.of(found),
    )
    if request.method == "POST" and _is_done(request, found, form):
        return redirect("judges:run", place.slug, found.pk)
    context = _context(place, found)
    if request.GET.get("part") == "progress":
        return _part(request, context)
    context |= _plan_of(found) | {"form": form, "failures": _failures(found)}
    status = 422 if form.is_bound else 200
    return render(request, "judges/run.html", context, status=status)


@require_safe
@login_required
def calls(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    place = managed_arena(request.user, arena)
    found = _run(place, pk)
    state = request.GET.get("state", "")
    state = state if state in JudgeCall.State.values else ""
    failure = request.GET.get("failure", "")
    failure = failure if failure in WHAT_TO_DO else ""
    after = None
    if "after" in request.GET and (after := id_from(request.GET["after"])) is None:
        raise Http404("after is the number of a call.")
    context = {
        "arena": place,
        "run": found,
        "run_name": f"Run {found.pk}",
        "page": run_tables.calls_page(found, state=state, failure=failure, after=after),
        "is_first_page": after is None,
        "states": JudgeCall.State.choices,
        "state": state,
        "failures": list(WHAT_TO_DO),
        "failure": failure,
    }
    return render(request, "judges/calls.html", context)


@require_safe
@login_required
def call(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    place = managed_arena(request.user, arena)
    found = get_object_or_404(
        JudgeCall.objects.select_related("output__system").defer("output__text"),
        arena=place,
        pk=pk,
    )
    run = _run(place, found.run_id)
    context = {
        "arena": place,
        "run": run,
        "run_name": f"Run {run.pk}",
        "call": found,
        "row": run_tables.call_row(found),
        "asked": asked_of(found, run=run),
        "what_to_do": WHAT_TO_DO.get(found.failure, ""),
        "led_to": led_to(found, run=run),
        "read": _read(found),
    }
    return render(request, "judges/call.html", context)


def _run(arena: Arena, pk: int) -> JudgeRun:
    found = get_object_or_404(
        JudgeRun.objects.select_related("judge", "system", "created_by"), arena=arena, pk=pk
    )
    found.arena = found.subject.arena = arena
    return found


def _read(found: JudgeCall) -> list[tuple[str, str]]:
    """(what, words) of what was read in the reply beside the decision, as the protocol names it."""
    parse = found.parse or {}
    rows = [
        (name, run_tables.choice_in_words(found, value))
        for name, value in parse.get("by_criterion", {}).items()
    ]
    rows += [(name, _as_json(value)) for name, value in parse.get("details", {}).items()]
    rows += [
        (name, _as_json(parse[name])) for name in ("checklist", "reference") if parse.get(name)
    ]
    return rows


def _as_json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_done(request: HttpRequest, found: JudgeRun, form: LimitsForm) -> bool:
    """Do what the button says and say so. False where a form has to be mended first."""
    act, actor = request.POST.get("act", ""), request.user
    try:
        if act == "confirm":
            confirm_run(run=found, actor=actor)
            messages.success(request, "The run begins as soon as a worker is free.")
        elif act == "pause":
            pause_run(run=found, actor=actor)
            messages.success(
                request, "Nothing further is asked. What is being asked is awaited and kept."
            )
        elif act == "resume":
            if not form.is_valid():
                return False
            resume_run(run=found, actor=actor, **form.limits())
            messages.success(request, "The run goes on.")
        elif act == "cancel":
            cancel_run(run=found, actor=actor)
            messages.success(request, "The run is cancelled. What came of it stays.")
        elif act == "retry":
            failure = request.POST.get("failure", "")
            if failure and failure not in WHAT_TO_DO:
                raise Http404("No call fails for such a reason.")
            n = retry_failed(run=found, failure=failure, actor=actor)
            messages.success(
                request,
                f"{count_of(n, 'call')} will be asked again."
                if n
                else "Nothing of it has failed any more.",
            )
        else:
            raise Http404("A run is confirmed, paused, resumed, cancelled or retried.")
    except RunError as error:
        messages.error(request, str(error))
    return True


def _context(arena: Arena, found: JudgeRun) -> dict[str, Any]:
    progress = progress_of(found)
    return {
        "arena": arena,
        "run": found,
        "progress": progress,
        "tens": int(progress.share * 100) // STEP * STEP,
    }


def _failures(found: JudgeRun) -> list[tuple[FailureCount, str]]:
    """With what to do about each."""
    if not found.makes_calls or not found.failed:
        return []
    return [(one, WHAT_TO_DO.get(one.failure, "")) for one in failures_of(found)]


def _part(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """What a page that is open asks for: how far the run is, or to be loaded anew when its state is another."""
    found = context["run"]
    if request.GET.get("state") != found.state:
        response = HttpResponse()
        response.headers["HX-Refresh"] = "true"
        return response
    context["is_part"] = True
    if request.GET.get("failed") != str(found.failed):
        context |= {"is_other": True, "failures": _failures(found)}
    context["is_news"] = request.GET.get("said") != str(context["tens"])
    return render(request, "judges/_run_progress.html", context)


def _plan_of(found: JudgeRun) -> dict[str, Any]:
    context: dict[str, Any] = {"words": run_in_words(found)}
    if found.state == JudgeRun.State.PLANNED:
        try:
            context["plan"] = plan(found)
        except (ConfigurationError, RunError) as error:
            context["why_no_plan"] = str(error)
    return context
