"""A maintainer's pages of judges: making them, trying them on a battle before they judge many."""

import json
import random  # noqa: TID251 (which battle is shown needn't be reproducible)
import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Exists, Max, Min, OuterRef
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from arena.access import managed_arena
from arena.fragments import answers_in_parts, wants_part
from arena.markdown import printable
from arena.models import Arena, Battle, System
from judges.endpoints.interface import CallError
from judges.judge_forms import MOST_TIERS, CascadeForm, CouncilForm, JuryForm, LLMJudgeForm, TryForm
from judges.llm_judges import ConfigurationError, make_llm_judge, new_version
from judges.models import CascadeRequest, Judge, Outcome, Trial, Verdict
from judges.presets import PRESETS, preset_named
from judges.runs.errors import RunError

form_page = require_http_methods(["GET", "HEAD", "POST"])
MOST_JUDGES = 500
OUTCOMES = {Outcome.A: "A", Outcome.B: "B", Outcome.TIE: "a tie", Outcome.BOTH_BAD: "both bad"}


@require_safe
@login_required
def judges(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    kind = request.GET.get("kind", "")
    found = Judge.objects.filter(arena=place).annotate(n_runs=Count("runs"))
    if kind in Judge.Kind.values:
        found = found.filter(kind=kind)
    context = {
        "arena": place,
        "judges": found.order_by("kind", "name", "-version")[:MOST_JUDGES],
        "kind": kind,
        "kinds": Judge.Kind.choices,
        "waiting": CascadeRequest.objects.filter(arena=place).exclude(state="done")[:5],
    }
    return render(request, "judges/manage_judges.html", context)


# --- LLM judges ---------------------------------------------------------------------------------------


@form_page
@login_required
def new(request: HttpRequest, arena: str) -> HttpResponse:
    """A new judge: typed, from a preset, or as it was tried."""
    place = managed_arena(request.user, arena)
    if request.method == "POST":
        return _sent(request, place, LLMJudgeForm(request.POST, user=request.user), of=None)
    if "trial" in request.GET:
        trial = _trial(place, request.GET["trial"])
        return _page(
            request, place, LLMJudgeForm(initial=_typed(trial), user=request.user), of=None
        )
    preset = preset_named(request.GET.get("preset", ""))
    initial = _last_endpoint(place) | LLMJudgeForm.initial_of(preset.configuration)
    if "criteria" in preset.options and place.criteria:
        initial["criteria"] = place.criteria
    form = LLMJudgeForm(initial=initial, user=request.user)
    return _page(request, place, form, of=None, preset=preset)


@form_page
@login_required
def version(request: HttpRequest, arena: str, slug: str) -> HttpResponse:
    """The same judge, configured otherwise."""
    place = managed_arena(request.user, arena)
    of = _llm_judge(place, slug)
    if request.method == "POST":
        return _sent(request, place, LLMJudgeForm(request.POST, of=of, user=request.user), of=of)
    configuration = of.configuration
    if "trial" in request.GET:
        configuration = _trial(place, request.GET["trial"]).configuration
    form = LLMJudgeForm(initial=LLMJudgeForm.initial_of(configuration), of=of, user=request.user)
    return _page(request, place, form, of=of)


def _sent(
    request: HttpRequest, place: Arena, form: LLMJudgeForm, *, of: Judge | None
) -> HttpResponse:
    on = TryForm(request.POST)
    trying = "try" in request.POST
    if not form.is_valid() or (trying and not on.is_valid()):
        return _page(request, place, form, of=of, on=on)
    try:
        if trying:
            about = {
                name: form.cleaned_data.get(name, "") for name in ("name", "family", "description")
            }
            trial = _try(
                request, place, form.configuration(), on, about=about | _of(of), judge=None
            )
            return redirect("judges:trial", place.slug, trial.key)
        judge = _made(request, place, form.configuration(), form.cleaned_data, of=of)
    except ConfigurationError as error:
        form.say(error)
    except (RunError, CallError) as error:
        form.add_error("url" if isinstance(error, CallError) else None, str(error))
    else:
        messages.success(
            request, f"{judge} is made. Next: try it on a battle, or plan a run of it."
        )
        return redirect("judges:manage-judges", place.slug)
    return _page(request, place, form, of=of, on=on)


def _made(
    request: HttpRequest, place: Arena, configuration: Any, about: Any, *, of: Judge | None
) -> Judge:
    if of is not None:
        return new_version(judge=of, configuration=configuration, actor=request.user)
    return make_llm_judge(
        arena=place,
        name=about["name"],
        configuration=configuration,
        family=about["family"],
        description=about["description"],
        actor=request.user,
    )


def _page(
    request: HttpRequest,
    place: Arena,
    form: LLMJudgeForm,
    *,
    of: Judge | None,
    preset: Any = None,
    on: TryForm | None = None,
) -> HttpResponse:
    context = {
        "arena": place,
        "form": form,
        "on": on or TryForm(),
        "of": of,
        "presets": PRESETS,
        "preset": preset,
        "endpoints": form.endpoints,
    }
    return render(request, "judges/llm_judge.html", context, status=422 if form.errors else 200)


def _of(of: Judge | None) -> dict[str, str]:
    return {"of": of.slug} if of else {}


def _typed(trial: Trial) -> dict[str, Any]:
    about = {name: trial.about.get(name, "") for name in ("name", "family", "description")}
    return LLMJudgeForm.initial_of(trial.configuration) | about


def _last_endpoint(place: Arena) -> dict[str, Any]:
    """Where the arena's newest LLM judge is asked: a second one is mostly asked there as well."""
    newest = Judge.objects.filter(
        arena=place, kind=Judge.Kind.LLM, configuration__has_key="endpoint"
    ).order_by("-pk")
    judge = newest.first()
    return LLMJudgeForm.initial_of({"endpoint": judge.configuration["endpoint"]}) if judge else {}


def _llm_judge(place: Arena, slug: str) -> Judge:
    judges = Judge.objects.filter(arena=place, kind=Judge.Kind.LLM)
    judge = get_object_or_404(judges, slug=printable(slug))
    if "protocol_digest" not in judge.configuration:
        raise Http404(f"{judge} came with a dataset: it has no endpoint that could be asked.")
    return judge


# --- trying -------------------------------------------------------------------------------------------


@form_page
@login_required
def try_judge(request: HttpRequest, arena: str, slug: str) -> HttpResponse:
    """A judge that exists, on one battle."""
    place = managed_arena(request.user, arena)
    judge = _llm_judge(place, slug)
    form = TryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            trial = _try(request, place, judge.configuration, form, about={}, judge=judge)
        except (RunError, CallError, ConfigurationError) as error:
            form.add_error(None, str(error))
        else:
            return redirect("judges:trial", place.slug, trial.key)
    context = {"arena": place, "judge": judge, "form": form}
    return render(request, "judges/try.html", context, status=422 if form.errors else 200)


@form_page
@login_required
@answers_in_parts
def trial(request: HttpRequest, arena: str, key: uuid.UUID) -> HttpResponse:
    """What was asked and replied. A POST tries the same on another battle, or makes the judge."""
    place = managed_arena(request.user, arena)
    tried = _trial(place, str(key))
    on = TryForm(request.POST or None)
    if request.method == "POST" and on.is_valid():
        try:
            if "make" in request.POST:
                if tried.judge is not None:
                    raise Http404("The judge that was tried is there already.")
                of = Judge.objects.filter(arena=place, slug=tried.about.get("of", "")).first()
                judge = _made(request, place, tried.configuration, tried.about, of=of)
                messages.success(request, f"{judge} is made. Next: plan a run of it.")
                return redirect("judges:manage-judges", place.slug)
            again = _try(
                request, place, tried.configuration, on, about=tried.about, judge=tried.judge
            )
            return redirect("judges:trial", place.slug, again.key)
        except (RunError, CallError, ConfigurationError) as error:
            on.add_error(None, str(error))
    context = {
        "arena": place,
        "trial": tried,
        "on": on if request.method == "POST" else TryForm(),
        "endpoint": tried.configuration["endpoint"],
        "protocol": tried.configuration["protocol"],
        "steps": [_shown(step) for step in tried.steps],
        "decisions": [
            decision | {"word": OUTCOMES[Outcome(decision["outcome"])]}
            for decision in tried.decisions
        ],
        "cost": sum(step["cost"] or 0 for step in tried.steps),
        "people": _people_on(tried.battle),
        "is_waiting": tried.state == Trial.State.QUEUED,
    }
    template = "judges/_trial.html" if wants_part(request) else "judges/trial.html"
    return render(request, template, context, status=422 if on.errors else 200)


def _try(
    request: HttpRequest,
    place: Arena,
    configuration: Any,
    on: TryForm,
    *,
    about: dict[str, Any],
    judge: Judge | None,
) -> Trial:
    # Here, since it brings the protocols along.
    from judges.trials import start_trial

    return start_trial(
        arena=place,
        battle=_battle(place, on.cleaned_data["battle"]),
        configuration=configuration,
        key=on.cleaned_data["key"],
        judge=judge,
        about=about,
        actor=request.user,
    )


def _battle(place: Arena, number: int | None) -> Battle:
    """The one that was named, or one at random, rather one that people voted on. Raises RunError."""
    battles = Battle.objects.filter(arena=place, output_a__isnull=False)
    if number is not None:
        if found := battles.filter(pk=number).first():
            return found
        raise RunError(f"This arena has no battle {number} with outputs.")
    votes = Verdict.objects.filter(
        battle=OuterRef("pk"), judge__kind=Judge.Kind.CROWD, criterion="", retraction=None
    )
    for some in (battles.filter(Exists(votes)), battles):
        ends = some.aggregate(least=Min("pk"), most=Max("pk"))
        if ends["least"] is not None:
            start = random.randint(ends["least"], ends["most"])  # noqa: S311 (no secret)
            found = some.filter(pk__gte=start).order_by("pk").first()
            if found is not None:
                return found
    raise RunError(
        "This arena has no battles yet: add prompts and the outputs of two systems first."
    )


def _trial(place: Arena, key: str) -> Trial:
    try:
        wanted = uuid.UUID(key)
    except ValueError as error:
        raise Http404("There is no such trial.") from error
    trials = Trial.objects.select_related(
        "judge", "battle__system_a", "battle__system_b", "battle__prompt"
    )
    return get_object_or_404(trials, arena=place, key=wanted)


def _shown(step: dict[str, Any]) -> dict[str, Any]:
    """A step with what a page says of it."""
    reading = step["reading"] or {}
    choice = reading.get("choice")
    words = ["the first answer", "the second answer", "a tie", "both bad"]
    said = "" if choice is None else words[choice]
    outcome = ""
    if choice is not None and step["shown_first"] is not None:
        of = Outcome(choice)
        outcome = OUTCOMES[of if step["shown_first"] == Verdict.Side.A else of.mirrored]
    if step["purpose"] == "prepare":
        title = f"First: what the judge writes{' of ' + step['output'] if step['output'] else ''}"
    elif step["output"]:
        title = f"Output {step['output']}"
    else:
        title = f"{'AB'[step['shown_first']]} shown first"
    criteria = {
        name: words[value] if isinstance(value, int) and 0 <= value < 4 else value
        for name, value in reading.get("by_criterion", {}).items()
    }
    request = step["request"]
    return {
        **step,
        "title": title,
        "said": said,
        "outcome": outcome,
        "criteria": criteria,
        "schema": json.dumps(request["schema"], indent=2) if request and request["schema"] else "",
    }


def _people_on(battle: Battle) -> str:
    """What people said of the battle, in words."""
    counted = (
        Verdict.objects.filter(
            battle=battle, judge__kind=Judge.Kind.CROWD, criterion="", retraction=None
        )
        .order_by()
        .values_list("outcome")
        .annotate(n=Count("pk"))
    )
    found = dict(counted)
    return ", ".join(f"{found[of]} for {word}" for of, word in OUTCOMES.items() if of in found)


# --- juries and cascades ------------------------------------------------------------------------------


@form_page
@login_required
def new_jury(request: HttpRequest, arena: str) -> HttpResponse:
    from judges.juries.councils import make_council
    from judges.juries.making import MEMBERS, JuryError, make_jury

    place = managed_arena(request.user, arena)
    members = list(Judge.objects.filter(arena=place, kind__in=MEMBERS)[:MOST_JUDGES])
    n_endpoints = System.objects.filter(arena=place).exclude(endpoint={}).count()
    wants_council = "council" in request.POST
    form = JuryForm(None if wants_council else request.POST or None, judges=members)
    council = CouncilForm(request.POST if wants_council else None, auto_id="council_%s")
    if wants_council and council.is_valid():
        try:
            made = make_council(arena=place, name=council.cleaned_data["name"], actor=request.user)
        except (JuryError, ConfigurationError) as error:
            council.add_error(None, str(error))
        else:
            messages.success(request, f"{made} is made. Next: plan a run of each of its members.")
            return redirect("ratings:judge", place.slug, made.slug)
    if request.method == "POST" and not wants_council and form.is_valid():
        try:
            jury = make_jury(
                arena=place,
                name=form.cleaned_data["name"],
                members=form.chosen(),
                rule=form.cleaned_data["rule"],
                options=form.options(),
                description=form.cleaned_data["description"],
                actor=request.user,
            )
        except JuryError as error:
            form.add_error(None, str(error))
        else:
            messages.success(
                request,
                f"{jury} is made. A worker derives its verdicts from those of its members, now and "
                "whenever they change.",
            )
            return redirect("ratings:judge", place.slug, jury.slug)
    context = {
        "arena": place,
        "form": form,
        "members": members,
        "council": council,
        "n_endpoints": n_endpoints,
    }
    wrong = form.errors or council.errors
    return render(request, "judges/new_jury.html", context, status=422 if wrong else 200)


@form_page
@login_required
def new_cascade(request: HttpRequest, arena: str) -> HttpResponse:
    from judges.cascades.making import TIERS, CascadeError, Terms, Tier
    from judges.cascades.requests import request_cascade

    place = managed_arena(request.user, arena)
    possible = list(Judge.objects.filter(arena=place, kind__in=TIERS)[:MOST_JUDGES])
    form = CascadeForm(request.POST or None, judges=possible)
    if request.method == "POST" and form.is_valid():
        try:
            asked = request_cascade(
                arena=place,
                key=form.cleaned_data["key"],
                name=form.cleaned_data["name"],
                tiers=[Tier(judge, confidence) for judge, confidence in form.tiers()],
                terms=Terms(**form.terms()),
                description=form.cleaned_data["description"],
                actor=request.user,
            )
        except CascadeError as error:
            form.add_error(None, str(error))
        else:
            return redirect("judges:cascade-request", place.slug, asked.key)
    context = {"arena": place, "form": form, "judges": possible, "most_tiers": MOST_TIERS}
    return render(request, "judges/new_cascade.html", context, status=422 if form.errors else 200)


@require_safe
@login_required
@answers_in_parts
def cascade_request(request: HttpRequest, arena: str, key: uuid.UUID) -> HttpResponse:
    place = managed_arena(request.user, arena)
    asked = get_object_or_404(CascadeRequest.objects.select_related("judge"), arena=place, key=key)
    if asked.judge is not None:
        made = reverse("ratings:judge", args=[place.slug, asked.judge.slug])
        if not wants_part(request):
            return redirect(made)
        response = HttpResponse(status=204)
        response.headers["HX-Redirect"] = made
        return response
    context = {"arena": place, "asked": asked, "is_waiting": asked.state == "queued"}
    template = (
        "judges/_cascade_request.html" if wants_part(request) else "judges/cascade_request.html"
    )
    return render(request, template, context)
