"""What the admin pages of all rooms share: they stay quick at millions of rows."""

from collections.abc import Sequence
from functools import reduce
from operator import and_
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

# A list counts as far as this, and its pages end there: whoever looks for one row of a million searches.
COUNTED = 10_000
# A word names at most so many rows of a related table.
MATCHES = 1000


class CountsNoFurther(Paginator):
    """Looks at COUNTED + 1 rows at most to know how many pages there are."""

    @cached_property
    def count(self) -> int:
        return len(self.object_list.order_by().values_list("pk")[: COUNTED + 1])


class LargeTableAdmin(admin.ModelAdmin):
    """A list by id, newest first, that never counts its table.

    Tables that stay small set ``search_fields``. Those that don't set ``exact_search``: lookups of whole
    values, each answered by an index, in this table or in a related one. A number is an id too.
    """

    paginator = CountsNoFurther
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 50
    ordering = ["-pk"]
    sortable_by = ()
    exact_search: tuple[str, ...] = ()

    def get_search_fields(self, request: HttpRequest) -> Sequence[str]:
        # The search box is there when this isn't empty.
        return super().get_search_fields(request) or self.exact_search

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        if not self.exact_search:
            return super().get_search_results(request, queryset, search_term)
        if not search_term.strip():
            return queryset, False
        # Either one name with spaces in it, or several words of which each narrows the list.
        words = [self._condition(word) for word in search_term.split()]
        return queryset.filter(self._condition(search_term.strip()) | reduce(and_, words)), False

    def _condition(self, word: str) -> Q:
        """Each related table is searched by itself: an OR across joined tables would read them whole."""
        number = int(word) if word.isascii() and word.isdigit() and len(word) < 19 else None
        condition = Q(pk__in=[])
        if number is not None:
            condition |= Q(pk=number)
        for lookup in self.exact_search:
            first, _, rest = lookup.partition("__")
            related = self.model._meta.get_field(first).related_model
            if related and rest:
                ids = related._default_manager.filter(**{rest: word}).order_by()
                found = list(ids.values_list("pk", flat=True)[:MATCHES])
                condition |= Q(**{f"{first}__in": found})
            elif not related:
                condition |= Q(**{lookup: word})
            elif number is not None:
                condition |= Q(**{lookup: number})
        return condition


class Kept:
    """Rows on which verdicts and published figures rest: never deleted here."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class Shown(Kept):
    """Rows that are only looked at."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class FixedOnceMade:
    """``fixed`` fields are chosen when the row is made and never again."""

    fixed: tuple[str, ...] = ()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        always = tuple(super().get_readonly_fields(request, obj))
        return always if obj is None else (*always, *self.fixed)
