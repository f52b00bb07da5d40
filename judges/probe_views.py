"""Planning a run of probes: which, of how many battles, within which limits."""

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from arena.access import managed_arena
from arena.markdown import printable
from judges.configurations import ConfigurationError
from judges.models import Judge
from judges.probes import PROBES, USUAL
from judges.run_forms import LimitsForm
from judges.runs import RunError
from judges.runs.once import plan_once
from judges.runs.probing import MOST_BATTLES, MOST_SEED, USUAL_BATTLES


class ProbesForm(LimitsForm):
    probes = forms.MultipleChoiceField(
        choices=[(probe.name, f"{probe.title}: {probe.what}") for probe in PROBES.values()],
        initial=list(USUAL),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one probe."},
    )
    battles = forms.ChoiceField(
        label="Of which battles",
        choices=[
            ("existing", "Battles that there are"),
            ("voted", "Battles that people voted on"),
        ],
        initial="existing",
        widget=forms.RadioSelect,
        help_text="Whether the judge has decided them or not. Where it has, its answer is in the cache and "
        "costs nothing.",
    )
    limit = forms.IntegerField(
        min_value=1,
        max_value=MOST_BATTLES,
        initial=USUAL_BATTLES,
        label="How many battles",
        help_text="A sample spread over all of them. The more, the smaller a weakness can be told from noise; "
        "each costs two calls and one more for each probe.",
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=MOST_SEED,
        initial=1,
        help_text="Draws which answer is changed and with which words: the same seed asks the same again.",
    )
    field_order = ["probes", "battles", "limit", "seed", *LimitsForm.LIMITS]

    def asked(self) -> dict[str, Any]:
        """What plan_once takes."""
        given = self.cleaned_data
        return {
            "selection": {"battles": given["battles"], "limit": given["limit"]},
            "probes": {"names": given["probes"], "seed": given["seed"]},
            "limits": self.limits(),
        }


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new(request: HttpRequest, arena: str, slug: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    llm = Judge.objects.filter(kind=Judge.Kind.LLM, configuration__has_key="protocol_digest")
    judge = get_object_or_404(llm, arena=place, slug=printable(slug))
    form = ProbesForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            run = plan_once(judge=judge, actor=request.user, **form.asked())
        except (RunError, ConfigurationError) as error:
            form.add_error(None, str(error))
        else:
            return redirect("judges:run", place.slug, run.pk)
    context = {"arena": place, "judge": judge, "form": form}
    status = 422 if form.is_bound else 200
    return render(request, "judges/probe_judge.html", context, status=status)
