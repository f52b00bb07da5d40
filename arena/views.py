"""Pages of what is compared: the arenas, their prompts, and what the systems answered."""

from django.core.paginator import Paginator
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from arena.access import visible_arena, visible_arenas
from arena.models import Arena, Category, Output, Prompt, System

PROMPTS_A_PAGE = 50
OUTPUTS_A_PAGE = 12
ARENAS_A_PAGE = 60


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    arenas = visible_arenas(request.user).annotate(
        n_systems=_count_of(System), n_prompts=_count_of(Prompt)
    )
    page = Paginator(arenas, ARENAS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "arena/index.html", {"page": page})


@require_safe
def home(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    context = {
        "arena": place,
        "n_systems": place.systems.count(),
        "n_prompts": place.prompts.exclude(messages=[]).count(),
        "categories": place.categories.all(),
    }
    return render(request, "arena/home.html", context)


@require_safe
def prompts(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    words = request.GET.get("q", "").strip()[:200]
    wanted = request.GET.get("category", "")
    category = None
    if wanted:
        category = Category.objects.filter(arena=place, slug=wanted).first()
        if category is None:
            raise Http404(f"This arena has no category “{wanted[:60]}”.")
    context = {
        "arena": place,
        "page": _page_of_prompts(place, request, words=words, category=category),
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


def _count_of(model: type[System] | type[Prompt]) -> Coalesce:
    counted = model.objects.filter(arena=OuterRef("pk")).order_by().values("arena")
    return Coalesce(Subquery(counted.annotate(n=Count("pk")).values("n")), 0)


def _page_of_prompts(place: Arena, request: HttpRequest, *, words: str, category: Category | None):
    found: QuerySet[Prompt] = Prompt.objects.filter(arena=place)
    if category:
        found = found.filter(categories=category)
    if words:
        # What a person would look for stands at the beginning: a system message and the first question.
        found = found.filter(
            Q(title__icontains=words)
            | Q(source_id__icontains=words)
            | Q(messages__0__content__icontains=words)
            | Q(messages__1__content__icontains=words)
        )
    found = found.prefetch_related("categories")
    return Paginator(found, PROMPTS_A_PAGE).get_page(request.GET.get("page"))
