"""Read API: how fragile the tops of leaderboards are."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view

from arena.access import unseen_systems
from arena.api import BelowAnArena, id_of
from config.api import AnyJsonField, FilterSet, IdFilter, ReadOnlyViewSet, RowSerializer
from ratings.api import IMMUTABLE_SECONDS, SliceSerializer
from ratings.models import Fragility


class FragilitySerializer(RowSerializer):
    snapshot = id_of(help_text="The id of the snapshot whose top it is.")
    slice = SliceSerializer(source="snapshot.slice", read_only=True)

    class Meta:
        model = Fragility
        fields = ["id", "snapshot", "slice", "computed_at", "seconds"]


class FragilityDetailSerializer(FragilitySerializer):
    figures = AnyJsonField(
        read_only=True,
        help_text="The fewest verdicts, prompts and voters found whose removal changes who is first, and who "
        "the first five are (removals); what leaving out one prompt or voter does (left_out); how many more "
        "verdicts separate first from second (separation); the mean rank interval by times as many verdicts "
        "(curve).",
    )

    class Meta(FragilitySerializer.Meta):
        fields = [*FragilitySerializer.Meta.fields, "figures"]


class FragilityFilters(FilterSet):
    snapshot = IdFilter(help_text="That of the snapshot with this id.")


@extend_schema_view(
    list=extend_schema(
        summary="How fragile the tops of leaderboards are",
        description="One per snapshot whose page was asked for it, once it is computed.",
    ),
    retrieve=extend_schema(
        summary="How fragile the top of one snapshot is",
        description="By its id, with all figures. It never changes.",
    ),
)
class Fragilities(BelowAnArena, ReadOnlyViewSet):
    noun = "fragilities"
    arena_field = "snapshot__arena"
    # Its figures name systems: where one of them was hidden since, they are kept back as a whole.
    hides: ClassVar = {"snapshot__ratings__system": unseen_systems}
    queryset = Fragility.objects.filter(computed_at__isnull=False).select_related("snapshot")
    serializer_class = FragilitySerializer
    detail_class = FragilityDetailSerializer
    detail_max_age = IMMUTABLE_SECONDS
    filterset_class = FragilityFilters

    def get_queryset(self) -> QuerySet:
        queryset = super().get_queryset()
        return queryset if self.action == "retrieve" else queryset.defer("figures")
