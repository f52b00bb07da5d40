"""The page of an account's access tokens."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from arena.models import AccessToken
from arena.tokens import LONGEST_DAYS, TokenError, make_token, revoke_token

TOKENS_SHOWN = 100


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=80, label="What it is for", help_text="Such as “upload from the cluster”."
    )
    scope = forms.ChoiceField(
        label="What it may do",
        choices=[
            ("read", "Read what you may see"),
            ("write", "Read, and do in arenas what you may do there"),
        ],
        widget=forms.RadioSelect,
        initial="read",
    )
    days = forms.IntegerField(
        min_value=1, max_value=LONGEST_DAYS, initial=90, label="Good for so many days"
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def tokens(request: HttpRequest) -> HttpResponse:
    form, words = TokenForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        try:
            _, words = make_token(user=request.user, **form.cleaned_data)
        except TokenError as error:
            form.add_error(None, str(error))
        else:
            # Shown in this answer and never again, so no redirect: only its digest is kept.
            form = TokenForm()
    context = {
        "form": form,
        "words": words,
        "now": timezone.now(),
        "tokens": AccessToken.objects.filter(user=request.user)[:TOKENS_SHOWN],
    }
    wrong = form.is_bound and not form.is_valid()
    return render(request, "arena/tokens.html", context, status=422 if wrong else 200)


@require_POST
@login_required
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(AccessToken, user=request.user, pk=pk)
    revoke_token(token=token)
    messages.success(request, f"The token “{token.name}” is of no use any more.")
    return redirect("arena:tokens")
