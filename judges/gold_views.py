"""The maintainer's page of gold items: one by a form, many by a file."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from arena.access import managed_arena
from arena.forms import UploadForm
from arena.upload_views import Desk, check_then_add, what_was_added
from arena.uploads import GoldRow, UploadError, read_gold_items
from judges.gold import GoldPlan, add_gold_items, plan_gold_items
from judges.models import GoldItem

ITEMS_A_PAGE = 20
LONGEST_TEXT = 100_000


class GoldUploadForm(UploadForm):
    kinds = ("jsonl", "csv")


def _area(rows: int) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows})


class GoldForm(forms.Form):
    """One item, typed."""

    source_id = forms.CharField(
        max_length=200, label="Id", help_text="A name of yours, such as g1; voters don’t see it."
    )
    prompt = forms.CharField(max_length=LONGEST_TEXT, widget=_area(3))
    output_a = forms.CharField(max_length=LONGEST_TEXT, label="Output A", widget=_area(4))
    output_b = forms.CharField(max_length=LONGEST_TEXT, label="Output B", widget=_area(4))
    expected = forms.ChoiceField(
        label="The right answer",
        choices=[
            ("a", "A is better"),
            ("b", "B is better"),
            ("tie", "Tie"),
            ("both_bad", "Both bad"),
        ],
        widget=forms.RadioSelect,
    )
    reason = forms.CharField(
        required=False, max_length=2_000, label="Why", help_text="For maintainers.", widget=_area(2)
    )


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def gold(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)

    def done(plan: GoldPlan) -> str:
        return what_was_added(len(plan.new), plan.known, "gold item")

    address = reverse("judges:manage-gold", args=[place.slug])
    desk = Desk(
        name="gold",
        address=address,
        template="judges/gold.html",
        form=GoldUploadForm,
        read=read_gold_items,
        plan=lambda rows, about: plan_gold_items(arena=place, rows=rows),
        add=lambda rows, about: add_gold_items(arena=place, rows=rows, actor=request.user),
        done=done,
    )
    one = GoldForm(request.POST if "one" in request.POST else None, prefix="item")
    items = Paginator(GoldItem.objects.filter(arena=place).order_by("-pk"), ITEMS_A_PAGE)
    context = {
        "one": one,
        "page": items.get_page(request.GET.get("page")),
    }
    if "one" not in request.POST:
        return check_then_add(request, place, desk, context)
    if one.is_valid():
        try:
            row = GoldRow(line=0, **one.cleaned_data)
            plan = add_gold_items(arena=place, rows=[row], actor=request.user)
        except UploadError as error:
            one.add_error("source_id", error.problems[0].sentence)
        else:
            messages.success(request, done(plan) if plan.new else "This item is there already.")
            return redirect(address)
    context |= {"arena": place, "desk": desk, "form": GoldUploadForm()}
    return render(request, "judges/gold.html", context, status=422)
