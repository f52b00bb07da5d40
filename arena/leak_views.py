"""A maintainer's list of the outputs that give their systems away."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from arena.access import managed_arena
from arena.leaks import Detector, excerpts, mark_not_a_leak
from arena.models import Output

A_PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
def leaks(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    if request.method == "POST":
        output = get_object_or_404(Output, arena=place, pk=_number(request.POST.get("output", "")))
        mark_not_a_leak(output=output, by=request.user)
        messages.success(request, "The output is no longer marked: voters get it again.")
        return redirect(request.get_full_path())
    beyond = _number(request.GET.get("beyond", "0"))
    marked = Output.objects.filter(arena=place, pk__gt=beyond, leak__gt="").order_by("pk")
    found = list(marked.select_related("system", "prompt")[: A_PAGE + 1])
    detector = Detector(place)
    context = {
        "arena": place,
        "rows": [(output, excerpts(detector, output)) for output in found[:A_PAGE]],
        "beyond": beyond,
        "next": found[A_PAGE - 1].pk if len(found) > A_PAGE else None,
        "any_unscanned": Output.objects.filter(arena=place, leak=None).exists(),
    }
    return render(request, "arena/manage/leaks.html", context)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Http404("That is not the number of an output.")
    return int(text)
