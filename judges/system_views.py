"""A maintainer's pages of systems: which there are, which can be asked, and letting one answer prompts."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from arena.access import managed_arena
from arena.markdown import printable
from arena.models import Arena, Prompt, System
from judges.answering import give_endpoint, make_system, plan_answers
from judges.configurations import ConfigurationError
from judges.models import JudgeCall
from judges.runs.errors import RunError
from judges.system_forms import AnswersForm, SystemForm

form_page = require_http_methods(["GET", "HEAD", "POST"])
A_PAGE = 50
RUNS_SHOWN = 10


@require_safe
@login_required
def systems(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    found = System.objects.filter(arena=place).order_by("name", "version", "pk")
    page = Paginator(found, A_PAGE).get_page(request.GET.get("page"))
    # Of this page's systems only: counting all of an arena's outputs takes a while.
    counted = System.objects.filter(pk__in=[system.pk for system in page.object_list])
    outputs = dict(counted.annotate(n=Count("outputs")).values_list("pk", "n"))
    context = {
        "arena": place,
        "page": page,
        "rows": [(system, outputs[system.pk]) for system in page.object_list],
        "prompts": _prompts(place),
    }
    return render(request, "judges/manage_systems.html", context)


@form_page
@login_required
def new(request: HttpRequest, arena: str) -> HttpResponse:
    """A new system that can be asked. Sent twice it is one."""
    place = managed_arena(request.user, arena)
    form = SystemForm(request.POST or None, initial=_usual_endpoint(place), user=request.user)
    if request.method == "POST" and form.is_valid():
        about = ("name", "version", "organisation", "family")
        try:
            made = make_system(
                arena=place,
                configuration=form.configuration(),
                actor=request.user,
                **{name: form.cleaned_data[name] for name in about},
            )
        except ConfigurationError as error:
            form.say(error)
        else:
            messages.success(request, f"{made} is there. Next: let it answer prompts.")
            return redirect("judges:manage-system", place.slug, made.slug)
    context = {"arena": place, "form": form, "endpoints": form.endpoints}
    status = 422 if form.errors else 200
    return render(request, "judges/new_system.html", context, status=status)


@form_page
@login_required
def system(request: HttpRequest, arena: str, slug: str) -> HttpResponse:
    """One system: what it is asked by, and which prompts it shall answer. A POST says which form was sent."""
    place = managed_arena(request.user, arena)
    found = get_object_or_404(System, arena=place, slug=printable(slug))
    found.arena = place
    act = request.POST.get("act", "")
    shown = SystemForm.initial_of(found.endpoint) if found.endpoint else _usual_endpoint(place)
    endpoint = SystemForm(
        request.POST if act == "endpoint" else None, initial=shown, of=found, user=request.user
    )
    # Both forms have a max_tokens: what names a field on the page has to be its own.
    answers = AnswersForm(
        request.POST if act == "answer" else None, arena=place, auto_id="answers_%s"
    )
    if request.method == "POST":
        if act == "answer":
            run = _planned(request, found, answers)
            if run is not None:
                return redirect("judges:run", place.slug, run.pk)
        elif act == "endpoint":
            if _is_given(request, found, endpoint):
                return redirect("judges:manage-system", place.slug, found.slug)
        else:
            raise Http404("A system is given an endpoint, or answers prompts.")
    calls = JudgeCall.objects.filter(run__system=found, state=JudgeCall.State.DONE)
    context = {
        "arena": place,
        "system": found,
        "form": endpoint,
        "answers": answers,
        "endpoints": endpoint.endpoints,
        "prompts": _prompts(place),
        "outputs": found.outputs.count(),
        "is_fixed": bool(found.endpoint) and calls.exists(),
        "runs": found.runs.order_by("-pk")[:RUNS_SHOWN],
    }
    status = 422 if endpoint.errors or answers.errors else 200
    return render(request, "judges/manage_system.html", context, status=status)


def _planned(request: HttpRequest, found: System, form: AnswersForm) -> Any:
    """The planned run; None where the form has to be mended first."""
    if not form.is_valid():
        return None
    try:
        return plan_answers(
            system=found, selection=form.selection(), actor=request.user, **form.limits()
        )
    except RunError as error:
        form.add_error(None, str(error))
        return None


def _is_given(request: HttpRequest, found: System, form: SystemForm) -> bool:
    if not form.is_valid():
        return False
    try:
        give_endpoint(system=found, configuration=form.configuration(), actor=request.user)
    except ConfigurationError as error:
        form.say(error)
    except RunError as error:
        form.add_error(None, str(error))
    else:
        messages.success(request, f"{found} is asked there from now on.")
        return True
    return False


def _prompts(place: Arena) -> int:
    """How many can be asked."""
    return Prompt.objects.filter(arena=place).exclude(messages=[]).count()


def _usual_endpoint(place: Arena) -> dict[str, Any]:
    """Where the arena's newest system is asked: a second one is mostly asked there as well."""
    asked = System.objects.filter(arena=place).exclude(endpoint={}).order_by("-pk").first()
    if asked is not None:
        return SystemForm.initial_of({"endpoint": asked.endpoint["endpoint"]})
    return {}
