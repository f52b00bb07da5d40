"""Pages of who belongs to an arena: members and invitations for maintainers, and the link itself."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from arena.access import managed_arena, role_of
from arena.forms import InvitationForm, RoleForm
from arena.members import (
    ORDER,
    InvitationError,
    LastMaintainer,
    accept_invitation,
    change_role,
    find_invitation,
    invite,
    name_of,
    remove_member,
    revoke_invitation,
)
from arena.models import Invitation, Membership

A_PAGE = 50


@require_safe
@login_required
def members(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    found = Membership.objects.filter(arena=place).select_related("user")
    context = {
        "arena": place,
        "page": Paginator(found, A_PAGE).get_page(request.GET.get("page")),
        "roles": Membership.Role.choices,
    }
    return render(request, "arena/manage/members.html", context)


@require_POST
@login_required
def give_role(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    place = managed_arena(request.user, arena)
    membership = get_object_or_404(Membership, arena=place, pk=pk)
    form = RoleForm(request.POST)
    if form.is_valid():
        role = form.cleaned_data["role"]
        try:
            if change_role(membership=membership, role=role, actor=request.user):
                name = Membership.Role(role).label.lower()
                messages.success(request, f"{name_of(membership.user)} is now a {name}.")
        except LastMaintainer as error:
            messages.error(request, str(error))
    return _back_to_members(request, place)


@require_POST
@login_required
def remove(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    place = managed_arena(request.user, arena)
    membership = Membership.objects.filter(arena=place, pk=pk).select_related("user").first()
    if membership is not None:  # on a second click it is gone already
        try:
            remove_member(membership=membership, actor=request.user)
            messages.success(
                request, f"{name_of(membership.user)} is no longer a member. Their votes stay."
            )
        except LastMaintainer as error:
            messages.error(request, str(error))
    return _back_to_members(request, place)


def _back_to_members(request: HttpRequest, place) -> HttpResponse:
    """Whoever just gave up being a maintainer can't see the page any more."""
    if role_of(request.user, place) == Membership.Role.MAINTAINER:
        return redirect("arena:manage-members", place.slug)
    return redirect("judges:account")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def invitations(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    form, link = InvitationForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        _, token = invite(
            arena=place,
            role=form.cleaned_data["role"],
            days=form.cleaned_data["days"],
            note_to_self=form.cleaned_data["note"],
            actor=request.user,
        )
        # Shown in this answer and never again, so no redirect: only its digest is kept.
        link = request.build_absolute_uri(reverse("arena:invitation", args=[token]))
        form = InvitationForm()
    found = Invitation.objects.filter(arena=place).select_related("created_by")
    context = {
        "arena": place,
        "form": form,
        "link": link,
        "now": timezone.now(),
        "page": Paginator(found, A_PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "arena/manage/invitations.html", context)


@require_POST
@login_required
def revoke(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    place = managed_arena(request.user, arena)
    invitation = get_object_or_404(Invitation, arena=place, pk=pk)
    revoke_invitation(invitation=invitation, actor=request.user)
    messages.success(
        request, "The link is of no use any more. Who came by it before stays a member."
    )
    return redirect("arena:manage-invitations", place.slug)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    try:
        found = find_invitation(token)
    except InvitationError as error:
        return render(request, "arena/invitation.html", {"why_not": str(error)}, status=410)
    if not request.user.is_authenticated:
        if request.method == "POST":
            return redirect_to_login(request.get_full_path())
        return render(request, "arena/invitation.html", {"invitation": found})
    if request.method == "POST":
        try:
            membership = accept_invitation(token=token, user=request.user)
        except InvitationError as error:
            return render(request, "arena/invitation.html", {"why_not": str(error)}, status=410)
        label = membership.get_role_display().lower()
        messages.success(request, f"You are a {label} of this arena now.")
        return redirect("arena:home", found.arena.slug)
    role = role_of(request.user, found.arena)
    context = {
        "invitation": found,
        "is_member": role is not None and ORDER.index(role) >= ORDER.index(found.role),
    }
    return render(request, "arena/invitation.html", context)
