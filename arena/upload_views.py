"""The two steps of every upload: what it would do, and then doing it. Works without scripts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core import signing
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from arena import kept_uploads
from arena.models import Arena
from arena.templatetags.typeset import count_of
from arena.uploads import Upload, UploadError

EXAMPLES = 5  # rows that the second look shows
SALT = "arena.uploads"


@dataclass(frozen=True)
class Desk:
    """Where one kind of thing is uploaded.

    ``read(content, kind=…)`` gives an Upload or raises UploadError; ``plan(rows, about)`` says what adding them
    would do, ``add(rows, about)`` does it, both with the same return value; ``done(plan)`` is a sentence.
    """

    name: str
    address: str  # of this page
    template: str
    form: type
    read: Callable[..., Upload]
    plan: Callable[[list[Any], dict[str, str]], Any]
    add: Callable[[list[Any], dict[str, str]], Any]
    done: Callable[[Any], str]


def what_was_added(new: int, known: int, noun: str) -> str:
    """A sentence for a Desk's ``done``."""
    there = f" {count_of(known, noun)} {_was(known)} there already." if known else ""
    return f"{count_of(new, noun)} {_was(new)} added.{there}"


def _was(n: int) -> str:
    return "was" if n == 1 else "were"


def check_then_add(
    request: HttpRequest, arena: Arena, desk: Desk, context: dict[str, Any]
) -> HttpResponse:
    """The page of a desk: the form, then the second look, then back with a message."""
    context = {"arena": arena, "desk": desk, **context}
    if request.method != "POST":
        return render(request, desk.template, context | {"form": desk.form()})
    if "agreed" in request.POST:
        return _add(request, arena, desk, context)
    # Reading the fields first takes the files in, and with them which were dropped.
    data, files = request.POST, request.FILES
    form = desk.form(data, files, dropped=getattr(request, "dropped_uploads", set()))
    if not form.is_valid():
        return render(request, desk.template, context | {"form": form}, status=422)
    content, kind = form.cleaned_data["content"], form.cleaned_data["as"]
    about = form.about() if hasattr(form, "about") else {}
    try:
        upload = desk.read(content, kind=kind)
        plan = desk.plan(upload.rows, about)
    except UploadError as error:
        return render(request, desk.template, context | {"form": form, "wrong": error}, status=422)
    token = kept_uploads.keep(content, user=request.user)
    agreed = signing.dumps(
        {"arena": arena.pk, "desk": desk.name, "token": token, "kind": kind, "about": about},
        salt=SALT,
        compress=True,
    )
    second_look = {
        "plan": plan,
        "about": about,
        "unused": upload.unused,
        "examples": upload.rows[:EXAMPLES],
        "n_rows": len(upload.rows),
        "agreed": agreed,
    }
    return render(request, desk.template, context | {"form": form} | second_look)


def _add(request: HttpRequest, arena: Arena, desk: Desk, context: dict[str, Any]) -> HttpResponse:
    try:
        agreed = signing.loads(request.POST["agreed"], salt=SALT, max_age=kept_uploads.KEPT_SECONDS)
    except signing.BadSignature:
        agreed = {}
    content = None
    if (agreed.get("arena"), agreed.get("desk")) == (arena.pk, desk.name):
        content = kept_uploads.find(agreed["token"], user=request.user)
    if content is None:
        messages.error(
            request,
            "What you uploaded isn’t here any more: it was added already, or too long ago. Nothing was "
            "added now; if something is missing below, upload it once more.",
        )
        return redirect(desk.address)
    try:
        plan = desk.add(desk.read(content, kind=agreed["kind"]).rows, agreed["about"])
    except UploadError as error:
        # Somebody else added something since the second look.
        return render(
            request, desk.template, context | {"form": desk.form(), "wrong": error}, status=422
        )
    except ValidationError as error:
        messages.error(request, f"Nothing was added: {' '.join(error.messages)}")
        return redirect(desk.address)
    kept_uploads.forget(agreed["token"], user=request.user)
    messages.success(request, desk.done(plan))
    return redirect(desk.address)
