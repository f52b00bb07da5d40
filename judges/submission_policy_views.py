"""A maintainer's page: who may submit systems, and which judges rank them."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from arena.access import managed_arena
from arena.submissions.forms import SubmissionPolicyForm
from arena.submissions.policy import SubmissionPolicy
from judges.placing import PlacingError, change_policy, may_judge

MOST = 200


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def change(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    judges = [
        (judge.slug, f"{judge} ({judge.get_kind_display().lower()})")
        for judge in may_judge(place).order_by("kind", "name", "-version")[:MOST]
    ]
    form = SubmissionPolicyForm.of(place, request.POST or None, judges=judges)
    if request.method == "POST" and form.is_valid():
        policy = SubmissionPolicy.from_json(form.cleaned_data["policy"])
        try:
            changed = change_policy(arena=place, policy=policy, actor=request.user)
        except PlacingError as error:
            form.add_error(None, str(error))
        else:
            messages.success(
                request,
                "Submissions that come from now on are ranked so."
                if changed
                else "Nothing was different.",
            )
            return redirect("judges:manage-submissions", place.slug)
    status = 422 if form.errors else 200
    context = {"arena": place, "form": form, "judges": judges}
    return render(request, "judges/manage_submissions.html", context, status=status)
