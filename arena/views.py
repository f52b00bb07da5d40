"""Pages of what is compared: the arenas, their prompts, and what the systems answered."""

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from arena.access import public_systems, unseen_systems, visible_arena, visible_arenas
from arena.counts import CappedCount
from arena.models import HIDDEN, Category, Output, Prompt, System
from arena.prompts import count_published, prompts_page

OUTPUTS_A_PAGE = 12
ARENAS_A_PAGE = 60


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    arenas = visible_arenas(request.user).annotate(
        n_systems=CappedCount(System.objects.exclude(standing__in=HIDDEN)),
        n_prompts=CappedCount(Prompt.objects.all()),
    )
    page = Paginator(arenas, ARENAS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "arena/index.html", {"page": page})


@require_safe
def home(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    n_published, are_many = count_published(place)
    context = {
        "arena": place,
        "n_systems": public_systems(place).count(),
        "n_prompts": n_published,
        "are_many": are_many,
        "categories": place.categories.all(),
    }
    return render(request, "arena/home.html", context)


@require_safe
def prompts(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    words = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    wanted = request.GET.get("category", "")
    category = None
    if wanted:
        category = Category.objects.filter(arena=place, slug=wanted).first()
        if category is None:
            raise Http404(f"This arena has no category “{wanted[:60]}”.")
    context = {
        "arena": place,
        "page": prompts_page(
            place,
            category=category,
            words=words,
            before=_cursor(request, "before"),
            after=None if "before" in request.GET else _cursor(request, "after"),
        ),
        "categories": place.categories.all(),
        "category": category,
        "q": words,
    }
    return render(request, "arena/prompts.html", context)


@require_safe
def prompt(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    place = visible_arena(request.user, arena)
    found = get_object_or_404(Prompt, arena=place, pk=pk)
    outputs = (
        Output.objects.filter(prompt=found)
        .exclude(system__in=unseen_systems(request.user, place))
        .select_related("system")
        .order_by("system__name", "system__version")
    )
    context = {
        "arena": place,
        "prompt": found,
        "categories": found.categories.all(),
        "page": Paginator(outputs, OUTPUTS_A_PAGE).get_page(request.GET.get("page")),
        "is_raw": request.GET.get("raw") == "1",
    }
    return render(request, "arena/prompt.html", context)


def _cursor(request: HttpRequest, key: str) -> int | None:
    text = request.GET.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Http404(f"{key} is the number of a prompt.")
    return int(text)
