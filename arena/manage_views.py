"""Pages of a maintainer: an arena's settings, prompts, outputs, and its log."""

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from arena.access import managed_arena, may_make_arenas
from arena.forms import (
    NewArenaForm,
    OutputsForm,
    PolicyForm,
    PromptsForm,
    SettingsForm,
    SharingForm,
)
from arena.making import (
    MakingError,
    OutputPlan,
    PromptPlan,
    add_outputs,
    add_prompts,
    change_arena,
    close_arena,
    create_arena,
    open_arena,
    plan_outputs,
    plan_prompts,
)
from arena.members import name_of
from arena.models import AuditEntry, Output, Pair, System
from arena.submissions.formats import read_submission
from arena.upload_views import Desk, check_then_add, what_was_added
from arena.uploads import read_prompts

ENTRIES_A_PAGE = 50
SYSTEMS_SHOWN = 500

form_page = require_http_methods(["GET", "HEAD", "POST"])


@form_page
@login_required
def new(request: HttpRequest) -> HttpResponse:
    if not may_make_arenas(request.user):
        raise PermissionDenied("On this site only staff make arenas.")
    form = NewArenaForm(request.POST or None)
    if request.method == "POST" and "preview" not in request.POST and form.is_valid():
        try:
            arena = create_arena(
                slug=form.cleaned_data["slug"],
                maintainer=request.user,
                actor=request.user,
                **form.settings(),
            )
        except MakingError as error:
            form.add_error("slug", str(error))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, "The arena is made, and closed for votes until you open it.")
            return redirect("arena:manage", arena.slug)
    return _form(request, "arena/manage/new.html", form, {})


@require_safe
@login_required
def manage(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    outputs = Output.objects.filter(arena=place)
    context = {
        "arena": place,
        "n_prompts": place.prompts.count(),
        "n_systems": place.systems.count(),
        "n_outputs": outputs.count(),
        "n_pairs": Pair.objects.filter(arena=place).count(),
        "n_leaks": outputs.exclude(leak=None).exclude(leak="").count(),
        "n_members": place.memberships.count(),
    }
    return render(request, "arena/manage/overview.html", context)


@form_page
@login_required
def change_settings(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    form = SettingsForm(request.POST or None, instance=place)
    if request.method == "POST" and "preview" not in request.POST and form.is_valid():
        try:
            changed = change_arena(arena=place, actor=request.user, **form.settings())
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(
                request, "The settings are changed." if changed else "Nothing was different."
            )
            return redirect("arena:manage-settings", place.slug)
    return _form(request, "arena/manage/settings.html", form, {"arena": place})


@form_page
@login_required
def change_policy(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    form = PolicyForm.of(place, request.POST or None)
    if request.method == "POST" and form.is_valid():
        change_arena(arena=place, actor=request.user, policy=form.cleaned_data["policy"])
        messages.success(request, "Within seconds, battles are chosen like this.")
        return redirect("arena:manage-policy", place.slug)
    return _form(request, "arena/manage/policy.html", form, {"arena": place})


@form_page
@login_required
def change_sharing(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    form = SharingForm.of(place, request.POST or None)
    if request.method == "POST" and form.is_valid():
        change_arena(arena=place, actor=request.user, sharing=form.cleaned_data["sharing"])
        messages.success(request, "From now on, that is what the public can take away.")
        return redirect("arena:manage-sharing", place.slug)
    return _form(request, "arena/manage/sharing.html", form, {"arena": place})


@form_page
@login_required
def upload_prompts(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)

    def done(plan: PromptPlan) -> str:
        return what_was_added(len(plan.new), plan.known, "prompt")

    desk = Desk(
        name="prompts",
        address=reverse("arena:manage-prompts", args=[place.slug]),
        template="arena/manage/prompts.html",
        form=PromptsForm,
        read=read_prompts,
        plan=lambda rows, about: plan_prompts(arena=place, rows=rows),
        add=lambda rows, about: add_prompts(arena=place, rows=rows, actor=request.user),
        done=done,
    )
    return check_then_add(request, place, desk, {"n_prompts": place.prompts.count()})


@form_page
@login_required
def upload_outputs(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)

    def done(plan: OutputPlan) -> str:
        return what_was_added(len(plan.new), plan.known, "output")

    desk = Desk(
        name="outputs",
        address=reverse("arena:manage-outputs", args=[place.slug]),
        template="arena/manage/outputs.html",
        form=OutputsForm,
        read=read_submission,
        plan=lambda rows, about: plan_outputs(
            arena=place, rows=rows, system=about["system"], version=about["version"]
        ),
        add=lambda rows, about: add_outputs(arena=place, rows=rows, actor=request.user, **about),
        done=done,
    )
    systems = System.objects.filter(arena=place)[: SYSTEMS_SHOWN + 1]
    context = {
        "systems": systems[:SYSTEMS_SHOWN],
        "are_there_more": len(systems) > SYSTEMS_SHOWN,
        "n_prompts": place.prompts.count(),
    }
    return check_then_add(request, place, desk, context)


@require_POST
@login_required
def open_for_votes(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    try:
        open_arena(arena=place, actor=request.user)
    except MakingError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The arena is open: whoever may vote can vote from now on.")
    return redirect("arena:manage", place.slug)


@require_POST
@login_required
def close_for_votes(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    close_arena(arena=place, actor=request.user)
    messages.success(request, "The arena is closed: no more votes. Those that were cast count.")
    return redirect("arena:manage", place.slug)


@require_safe
@login_required
def log(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    entries = place.audit_entries.all()
    acts = sorted(entries.order_by().values_list("act", flat=True).distinct())
    act, words = (
        request.GET.get("act", ""),
        request.GET.get("q", "").replace("\x00", "").strip()[:200],
    )
    words = words.replace("\x00", "")
    shown = entries.filter(act=act) if act in acts else entries
    if words:
        shown = shown.filter(subject__icontains=words)
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 19:
        shown = shown.filter(pk__lt=int(before))
    page = list(shown.select_related("actor")[: ENTRIES_A_PAGE + 1])
    _name_accounts(page)
    context = {
        "arena": place,
        "acts": acts,
        "act": act,
        "q": words,
        "entries": page[:ENTRIES_A_PAGE],
        "older_than": page[ENTRIES_A_PAGE - 1].pk if len(page) > ENTRIES_A_PAGE else None,
        "before": before,
    }
    return render(request, "arena/manage/log.html", context)


def _name_accounts(entries: list[AuditEntry]) -> None:
    """Give each entry about an account that is still there its address, as ``about``; in one query."""
    ids = {entry.details.get("account") for entry in entries} - {None}
    users = get_user_model().objects.in_bulk(ids) if ids else {}
    for entry in entries:
        user = users.get(entry.details.get("account"))
        entry.about = name_of(user) if user else entry.subject


def _form(request: HttpRequest, template: str, form, context: dict) -> HttpResponse:
    """The form as it was typed, with the guidelines as voters will see them when that was asked for."""
    wrong = form.is_bound and not form.is_valid() and "preview" not in request.POST
    context = {**context, "form": form}
    if "preview" in request.POST:
        context["guidelines"] = request.POST.get("guidelines", "")
    return render(request, template, context, status=422 if wrong else 200)
