"""Pages of those who submit systems, and the settings of submissions."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from arena import kept_uploads
from arena.access import role_of, seen_submissions, visible_arena
from arena.downloads import as_csv, as_json
from arena.fragments import answers_in_parts, wants_part
from arena.models import Arena, Membership, Submission
from arena.submissions.forms import SubmissionForm
from arena.submissions.policy import SubmissionPolicy, may_submit
from arena.submissions.verbs import (
    SubmissionError,
    cancel,
    publish,
    queued_before,
    retry,
    submit,
    try_submission,
    withdraw,
)
from arena.uploads import UploadError

A_PAGE = 50
VERBS = {"cancel": cancel, "retry": retry, "publish": publish, "withdraw": withdraw}
DONE = {
    "cancel": "It is cancelled: no more battles are planned for it.",
    "retry": "It goes on.",
    "publish": "The system is published: everybody who sees the arena sees it.",
    "withdraw": "The system is withdrawn.",
}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    refusal = may_submit(request.user, place, role=role_of(request.user, place))
    context: dict[str, Any] = {
        "arena": place,
        "refusal": refusal,
        "policy": SubmissionPolicy.of(place),
        "n_prompts": place.prompts.exclude(messages=[]).count(),
        "largest": settings.LARGEST_UPLOAD // 2**20,
    }
    if refusal:
        return render(request, "arena/submit.html", context, status=403)
    if request.method != "POST":
        form = SubmissionForm(arena=place, owner=request.user, initial=_initial(request, place))
        return render(request, "arena/submit.html", context | {"form": form})
    # Reading the fields first takes the files in, and with them which were dropped.
    data, files = request.POST, request.FILES
    kept = data.get("kept", "")
    form = SubmissionForm(
        data,
        files,
        arena=place,
        owner=request.user,
        dropped=getattr(request, "dropped_uploads", set()),
        kept=kept_uploads.find(kept, user=request.user) if kept else None,
    )
    context |= {
        "form": form,
        "kept": kept if form.kept else "",
        "kept_name": data.get("kept_name", ""),
    }
    is_valid = form.is_valid()
    if file := form.cleaned_data.get("file"):
        # Nobody chooses a file again because a field beside it was wrong.
        file.seek(0)
        context["kept"] = kept_uploads.keep(file.read(), user=request.user)
        context["kept_name"] = file.name
    if not is_valid:
        return render(request, "arena/submit.html", context, status=422)
    sent = form.submission()
    try:
        if "check" in data:
            tried = try_submission(arena=place, owner=request.user, **sent)
            return render(request, "arena/submit.html", context | {"tried": tried})
        received = submit(
            arena=place,
            owner=request.user,
            wants_mail=form.cleaned_data.get("wants_mail", False),
            origin=request.build_absolute_uri("/").removesuffix("/"),
            **sent,
        )
    except UploadError as error:
        # The file has to be mended, so it isn't kept.
        context |= {"wrong": error, "kept": "", "refused": getattr(error, "submission", None)}
        return render(request, "arena/submit.html", context, status=422)
    except SubmissionError as error:
        form.add_error(None, str(error))
        return render(request, "arena/submit.html", context, status=409)
    if context["kept"]:
        kept_uploads.forget(context["kept"], user=request.user)
    if received.is_new:
        messages.success(request, "It is taken in. This page says where it stands.")
    else:
        messages.info(request, "The same was submitted before: this is it.")
    return redirect(received.submission)


def _initial(request: HttpRequest, arena: Arena) -> dict[str, Any]:
    """What is known of the system that this is a new version of: ?follows=its id."""
    follows = request.GET.get("follows", "")
    if not (follows.isascii() and follows.isdigit() and len(follows) < 19):
        return {}
    before = arena.systems.filter(pk=int(follows), owner=request.user.pk).first()
    if before is None:
        return {}
    names = (
        "name", "organisation", "family", "base_model", "licence", "size", "link", "description", "decoding",
        "price_in", "price_out",
    )  # fmt: skip
    return {name: getattr(before, name) for name in names} | {"follows": before.pk}


@require_safe
@login_required
def submissions(request: HttpRequest, arena: str) -> HttpResponse:
    """One's own; all of the arena's for its maintainers."""
    place = visible_arena(request.user, arena)
    found = seen_submissions(request.user, place).select_related("system", "owner")
    state = request.GET.get("state", "")
    if state in Submission.State.values:
        found = found.filter(state=state)
    if request.GET.get("format") in ("csv", "json"):
        return _download(request, place, found)
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 19:
        found = found.filter(pk__lt=int(before))
    page = list(found[: A_PAGE + 1])
    manages = role_of(request.user, place) == Membership.Role.MAINTAINER
    context = {
        "arena": place,
        "submissions": page[:A_PAGE],
        "older_than": page[A_PAGE - 1].pk if len(page) > A_PAGE else None,
        "before": before,
        "state": state,
        "states": Submission.State.choices,
        "are_all": manages,
        "may_submit": not may_submit(request.user, place, role=role_of(request.user, place)),
    }
    return render(request, "arena/submissions.html", context)


COLUMNS = (
    "id", "system", "version", "state", "reason", "outputs", "prompts", "battles", "judged", "rating", "lower",
    "upper", "rank_lower", "rank_upper", "n_ranked", "cost", "created_at", "ended_at",
)  # fmt: skip


def _download(request: HttpRequest, arena: Arena, found: Any) -> HttpResponse:
    rows = [
        {
            "id": one.pk,
            "system": one.system.name if one.system else one.about.get("name", ""),
            "version": one.system.version if one.system else one.about.get("version", ""),
            "state": one.state,
            "reason": one.reason,
            "outputs": one.n_outputs,
            "prompts": one.n_prompts,
            "battles": one.n_battles,
            "judged": one.n_judged,
            **{
                name: one.place.get(name)
                for name in ("rating", "lower", "upper", "rank_lower", "rank_upper", "n_ranked")
            },
            "cost": str(one.cost),
            "created_at": one.created_at.isoformat(),
            "ended_at": one.ended_at.isoformat() if one.ended_at else None,
        }
        for one in found[:10_000]
    ]
    name = f"{arena.slug}-submissions"
    if request.GET["format"] == "json":
        return as_json(name, {"arena": arena.slug, "submissions": rows})
    return as_csv(name, COLUMNS, ([row[column] for column in COLUMNS] for row in rows))


def _found(request: HttpRequest, arena: Arena, pk: int) -> Submission:
    there = seen_submissions(request.user, arena).select_related(
        "system__follows", "owner", "arena"
    )
    submission = there.filter(pk=pk).first()
    if submission is None:
        raise Http404("There is no submission of yours at this address.")
    return submission


@require_safe
@login_required
@answers_in_parts
def submission(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    """Where it stands, and why. The part is what changes while it is under way."""
    place = visible_arena(request.user, arena)
    found = _found(request, place, pk)
    is_mine = found.owner_id == request.user.pk
    context = {
        "arena": place,
        "submission": found,
        "system": found.system,
        "is_mine": is_mine,
        "queued_before": queued_before(found) if found.state == found.State.QUEUED else 0,
        "rounds": _drawn(found),
    }
    template = "arena/_submission_state.html" if wants_part(request) else "arena/submission.html"
    response = render(request, template, context)
    if wants_part(request) and request.GET.get("state") not in (found.state, None):
        # Other buttons: the page is loaded anew, and asks no more when it is over.
        response["HX-Refresh"] = "true"
    return response


def _drawn(submission: Submission) -> list[dict[str, Any]]:
    """The place after each round, the latest first, with where its interval is drawn, in per cent."""
    rounds = submission.rounds
    if not rounds:
        return []
    low = min(one["lower"] for one in rounds)
    high = max(max(one["upper"] for one in rounds), low + 1)

    def at(rating: float) -> float:
        return round(2 + 96 * (rating - low) / (high - low), 2)

    return [
        {
            **one,
            "bar": {
                "left": at(one["lower"]),
                "right": at(one["upper"]),
                "at": at(one["rating"]),
                "has_interval": True,
            },
        }
        for one in reversed(rounds)
    ]


@require_safe
@login_required
def problems(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    """All problems of a refused submission, or the warnings of one that was taken, as a file."""
    place = visible_arena(request.user, arena)
    found = _found(request, place, pk)
    name = f"submission-{found.pk}-problems"
    if request.GET.get("format") == "json":
        listed = [{"line": line, "sentence": said} for line, said in found.problems]
        return as_json(name, {"problems": listed, "count": found.n_problems})
    return as_csv(name, ("line", "problem"), found.problems)


@require_POST
@login_required
def act(request: HttpRequest, arena: str, pk: int, verb: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    found = _found(request, place, pk)
    if verb not in VERBS:
        raise Http404("Nothing can be done so.")
    if verb == "publish" and not request.POST.get("consent"):
        messages.error(
            request, "Nothing was published: tick that you may publish the outputs, and want to."
        )
        return redirect(found)
    try:
        VERBS[verb](submission=found, actor=request.user)
    except SubmissionError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, DONE[verb])
    return redirect(found)
