"""The account's own page, and the form that deletes it."""

from django import forms
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from arena.access import may_make_arenas
from arena.models import Membership
from judges.accounts import delete_account, votes_of
from judges.models import Voter
from judges.voters import COOKIE

MEMBERSHIPS_SHOWN = 200


class DeletionForm(forms.Form):
    votes = forms.ChoiceField(
        label="What becomes of your votes",
        choices=[
            (
                "keep",
                "They stay and are counted, under a pseudonym that nothing ties to you any more",
            ),
            ("retract", "They are all taken back, no longer counted, and the comments are erased"),
        ],
        initial="keep",
        widget=forms.RadioSelect,
    )
    confirmation = forms.CharField(
        label="Your e-mail address, to confirm",
        max_length=254,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )

    def __init__(self, *args, name: str, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.name = name
        self.fields["confirmation"].help_text = "Type it as it stands above."

    def clean_confirmation(self) -> str:
        typed = self.cleaned_data["confirmation"].strip()
        if typed.casefold() != self.name.casefold():
            raise forms.ValidationError(
                "This isn’t the address of the account. Nothing was deleted: type it as it stands above."
            )
        return typed


@require_safe
@login_required
def account(request: HttpRequest) -> HttpResponse:
    mine = (
        Membership.objects.filter(user=request.user)
        .select_related("arena")
        .order_by("arena__name", "pk")[: MEMBERSHIPS_SHOWN + 1]
    )
    context = {
        "memberships": mine[:MEMBERSHIPS_SHOWN],
        "are_there_more": len(mine) > MEMBERSHIPS_SHOWN,
        "n_votes": votes_of(request.user),
        "may_make_arenas": may_make_arenas(request.user),
    }
    return render(request, "judges/account.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def delete(request: HttpRequest) -> HttpResponse:
    name = request.user.email or request.user.get_username()
    form = DeletionForm(request.POST or None, name=name)
    if request.method == "POST" and form.is_valid():
        user, retract = request.user, form.cleaned_data["votes"] == "retract"
        taken_back = delete_account(user=user, retract=retract)
        logout(request)
        messages.success(
            request,
            f"Your account is deleted, and {taken_back:,} votes were taken back."
            if retract
            else "Your account is deleted. Your votes stay, and nothing ties them to you any more.",
        )
        response = redirect("arena:index")
        # The browser's own cookie would still know the pseudonyms.
        response.delete_cookie(COOKIE, samesite="Lax")
        return response
    only_maintainer = _arenas_left_alone(request.user)
    context = {
        "form": form,
        "name": name,
        "n_votes": votes_of(request.user),
        "n_arenas": Voter.objects.filter(user=request.user).count(),
        "only_maintainer": only_maintainer,
    }
    return render(request, "judges/account_delete.html", context)


def _arenas_left_alone(user) -> list[str]:
    """Names of the arenas that would be without a maintainer."""
    mine = Membership.objects.filter(user=user, role=Membership.Role.MAINTAINER)
    others = (
        Membership.objects.filter(arena__in=mine.values("arena"), role=Membership.Role.MAINTAINER)
        .exclude(user=user)
        .values("arena")
    )
    return list(mine.exclude(arena__in=others).values_list("arena__name", flat=True)[:20])
