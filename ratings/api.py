"""Read API: what follows from the verdicts. Published figures only; asking never starts a computation."""

from functools import cached_property
from typing import Any

from django.db.models import F, Prefetch, Q, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers

from arena.api import BelowAnArena, RowFilter, id_of, slug_of
from arena.models import Category
from config.api import (
    AnyJsonField,
    FilterSet,
    FlagFilter,
    ReadOnlyViewSet,
    RowSerializer,
    TextFilter,
    WordFilter,
)
from judges.models import Judge
from ratings import expiry
from ratings.models import JudgeReport, Publication, Rating, Snapshot
from ratings.slices import METHODS, PEOPLE

# Snapshots and reports never change; only their arena may cease to be public.
IMMUTABLE_SECONDS = 300


@extend_schema_field({"type": "object", "additionalProperties": {"type": "number"}})
class SecondsField(serializers.JSONField):
    """Seconds by the name of a step."""


class SliceSerializer(serializers.Serializer):
    """Which verdicts are counted, and how."""

    judge = serializers.CharField(help_text='"people" (every crowd of the arena) or a slug.')
    category = serializers.CharField(help_text="The slug of a category of prompts; empty: all.")
    criterion = serializers.CharField(help_text="Empty: the overall verdict.")
    since = serializers.CharField(help_text="The first day; empty: from the beginning.")
    until = serializers.CharField(help_text="The day before which it ends; empty: no end.")
    shared_with = serializers.CharField(
        help_text="Only battles that this one decided too; empty: all of them."
    )
    method = serializers.ChoiceField(choices=list(METHODS))
    ridge = serializers.FloatField(help_text="The penalty on log-strengths.")
    without = serializers.CharField(
        required=False,
        help_text="The handle of a voter who is left out beside those who are excluded.",
    )
    helped_by = serializers.CharField(
        required=False, help_text="The slug of a judge whose verdicts sharpen those of people."
    )


class SimulatedJudges(serializers.Serializer):
    is_simulated = serializers.SerializerMethodField(
        help_text="Whether verdicts behind it come from a simulated judge."
    )

    def get_is_simulated(self, row: Any) -> bool:
        sides = {
            row.slice["judge"],
            row.slice.get("shared_with", ""),
            getattr(row, "reference", ""),
        }
        return bool(sides & self.context["view"].simulated)


class BelowAnArenaOfJudges(BelowAnArena):
    @cached_property
    def simulated(self) -> set[str]:
        """Slugs of the arena's simulated judges, and "people" when a crowd is among them."""
        found = Judge.objects.filter(arena=self.arena, is_simulated=True).values_list(
            "slug", "kind"
        )
        return {PEOPLE if kind == Judge.Kind.CROWD else slug for slug, kind in found} | {
            slug for slug, _ in found
        }


# --- snapshots ------------------------------------------------------------------------------------
class RatingSerializer(RowSerializer):
    system = slug_of(help_text="The slug of the system.")
    name = serializers.CharField(source="system.name", read_only=True)
    version = serializers.CharField(source="system.version", read_only=True)
    organisation = serializers.CharField(source="system.organisation", read_only=True)

    class Meta:
        model = Rating
        fields = [
            "system", "name", "version", "organisation", "status", "rating", "lower", "upper", "sd",
            "rank", "rank_lower", "rank_upper", "rank_upper_bound", "tier", "n_verdicts", "wins",
            "losses", "ties", "win_rate", "change",
        ]  # fmt: skip


def with_ratings(prefix: str = "") -> Prefetch:
    """Prefetches the rows of a leaderboard in its order: by rank, then those that have none."""
    rows = Rating.objects.select_related("system")
    return Prefetch(f"{prefix}ratings", rows.order_by(F("rank").asc(nulls_last=True), "system_id"))


class SnapshotSerializer(SimulatedJudges, RowSerializer):
    slice = SliceSerializer(read_only=True)
    previous = id_of(
        allow_null=True, help_text="The id of the snapshot of the same slice before this one."
    )

    class Meta:
        model = Snapshot
        fields = [
            "id", "slice", "slice_digest", "is_simulated", "interval", "n_verdicts", "n_battles",
            "n_prompts", "n_voters", "n_ranked", "n_retracted", "n_set_aside", "data_digest", "seed",
            "rounds", "code_version", "previous", "created_at",
        ]  # fmt: skip


class SetAsideSerializer(serializers.Serializer):
    """Verdicts that aren't counted because their voters are excluded, by reason."""

    reason = serializers.CharField()
    n_verdicts = serializers.IntegerField()
    n_voters = serializers.IntegerField()


class SnapshotDetailSerializer(SnapshotSerializer):
    timings = SecondsField(read_only=True, help_text="Seconds per step.")
    set_aside = SetAsideSerializer(many=True, read_only=True)
    helped = AnyJsonField(
        read_only=True,
        help_text="Where a judge's verdicts sharpen people's: lambda (power), what they are worth in votes, "
        "and rating, lower and upper by people alone (alone), by slug. Else empty.",
    )
    style = AnyJsonField(
        read_only=True,
        help_text="Where style is held equal: beta of each feature in logits, and ratings with style (plain), "
        "by slug. Else empty.",
    )
    ratings = RatingSerializer(many=True, read_only=True)

    class Meta(SnapshotSerializer.Meta):
        fields = [
            *SnapshotSerializer.Meta.fields,
            "tie_parameter",
            "helped",
            "style",
            "set_aside",
            "last_verdict_id",
            "last_retraction_id",
            "last_exclusion_id",
            "timings",
            "ratings",
        ]


def published(kind: Publication.Kind, column: str) -> Any:
    """Condition by which ``current=true`` keeps what the arena publishes now and ``false`` the rest."""

    def narrow(filters: FilterSet, queryset: QuerySet, name: str, value: str) -> QuerySet:
        latest = Publication.objects.filter(
            arena=filters.arena, kind=kind, **{f"{column}__isnull": False}
        )
        condition = Q(pk__in=latest.order_by().values(column))
        return queryset.filter(condition if value == "true" else ~condition)

    return narrow


class SnapshotFilters(FilterSet):
    slice_digest = TextFilter(max_length=64, help_text="The history of one leaderboard.")
    current = FlagFilter(
        method="narrow_to_current",
        help_text="true: only the latest of each leaderboard; false: only older ones.",
    )
    narrow_to_current = published(Publication.Kind.LEADERBOARD, "snapshot")


@extend_schema_view(
    list=extend_schema(
        summary="Snapshots of an arena",
        description="A snapshot is the result of one slice of the verdicts, written once. "
        "Equal slices of equal data give equal snapshots.",
    ),
    retrieve=extend_schema(
        summary="One snapshot",
        description="By its id, with every system's rating. It never changes.",
    ),
)
class SnapshotViewSet(BelowAnArenaOfJudges, ReadOnlyViewSet):
    noun = "snapshots"
    queryset = Snapshot.objects.all()
    serializer_class = SnapshotSerializer
    detail_class = SnapshotDetailSerializer
    detail_max_age = IMMUTABLE_SECONDS
    filterset_class = SnapshotFilters

    def get_queryset(self) -> QuerySet:
        queryset = super().get_queryset()
        return queryset.prefetch_related(with_ratings()) if self.action == "retrieve" else queryset


# --- leaderboards ---------------------------------------------------------------------------------
class LeaderboardSerializer(RowSerializer):
    stale_since = serializers.DateTimeField(
        read_only=True,
        allow_null=True,
        help_text="Since when there are verdicts that it doesn't count yet; null: it is current.",
    )
    refreshed_at = serializers.DateTimeField(read_only=True, allow_null=True)
    snapshot = SnapshotSerializer(read_only=True)

    class Meta:
        model = Publication
        fields = ["id", "stale_since", "refreshed_at", "snapshot"]


class LeaderboardDetailSerializer(LeaderboardSerializer):
    snapshot = SnapshotDetailSerializer(read_only=True)


class LeaderboardJudgeFilter(RowFilter):
    """Like any judge, and "people" for every crowd together."""

    def filter(self, queryset: QuerySet, value: str) -> QuerySet:
        if value == PEOPLE:
            return queryset.filter(judge=None)
        return super().filter(queryset, value)


class CategoryFilter(RowFilter):
    """Empty: leaderboards of all categories together."""

    takes_empty = True

    def described(self, schema: dict[str, Any]) -> None:
        super().described(schema | {"minLength": 0})

    def filter(self, queryset: QuerySet, value: str) -> QuerySet:
        if not value and self.field_name in self.parent.data:
            return queryset.filter(slice__category="")
        return super().filter(queryset, value)


class LeaderboardFilters(FilterSet):
    judge = LeaderboardJudgeFilter(
        Judge,
        lambda judge: Q(judge=judge),
        field_name="judge",
        help_text="Ranked by this judge, or by `people`.",
    )
    category = CategoryFilter(
        Category,
        lambda category: Q(slice__category=category.slug),
        field_name="category",
        help_text="On prompts of this category; empty: on all prompts.",
    )
    method = WordFilter(
        field_name="slice__method",
        words={method: method for method in METHODS},
        help_text="How ratings are fitted.",
    )
    without = TextFilter(
        field_name="slice__without",
        max_length=120,
        help_text="Without the voter of this handle.",
    )
    helped_by = TextFilter(
        field_name="slice__helped_by",
        max_length=120,
        help_text="People's, sharpened by the judge of this slug.",
    )


@extend_schema_view(
    list=extend_schema(
        summary="Leaderboards of an arena",
        description="What the arena publishes now: the latest snapshot of each leaderboard, without its "
        "rows. A leaderboard that nobody has computed yet isn't there.",
    ),
    retrieve=extend_schema(
        summary="One leaderboard",
        description="By its id, with the latest snapshot and every system's rating, best first. The id "
        "stays the same when the leaderboard is computed anew.",
    ),
)
class LeaderboardViewSet(BelowAnArenaOfJudges, ReadOnlyViewSet):
    noun = "leaderboards"
    queryset = Publication.objects.filter(
        kind=Publication.Kind.LEADERBOARD, snapshot__isnull=False
    ).select_related("snapshot")
    serializer_class = LeaderboardSerializer
    detail_class = LeaderboardDetailSerializer
    filterset_class = LeaderboardFilters

    def get_queryset(self) -> QuerySet:
        queryset = super().get_queryset()
        if self.action == "retrieve":
            queryset = queryset.prefetch_related(with_ratings("snapshot__"))
        return queryset

    def get_object(self) -> Publication:
        found = super().get_object()
        expiry.note_look(found)
        return found


# --- judge reports --------------------------------------------------------------------------------
class JudgeReportSerializer(SimulatedJudges, RowSerializer):
    judge = slug_of(help_text="The slug of the judge.")
    slice = SliceSerializer(read_only=True)

    class Meta:
        model = JudgeReport
        fields = [
            "id", "judge", "reference", "is_simulated", "slice", "slice_digest", "tau", "tau_lower",
            "tau_upper", "alpha", "alpha_lower", "alpha_upper", "delta", "kappa", "accuracy",
            "n_systems", "n_battles", "n_prompts", "n_judge_verdicts", "n_reference_verdicts",
            "n_set_aside", "data_digest", "seed", "rounds", "code_version", "created_at",
        ]  # fmt: skip


class JudgeReportDetailSerializer(JudgeReportSerializer):
    timings = SecondsField(read_only=True, help_text="Seconds per step.")
    figures = AnyJsonField(
        read_only=True, help_text="Every figure with its n, its interval and its caveats."
    )

    class Meta(JudgeReportSerializer.Meta):
        fields = [
            *JudgeReportSerializer.Meta.fields,
            "last_verdict_id",
            "last_retraction_id",
            "last_exclusion_id",
            "timings",
            "figures",
        ]


class JudgeReportFilters(FilterSet):
    judge = RowFilter(
        Judge,
        lambda judge: Q(judge=judge),
        field_name="judge",
        help_text="Reports on the judge with this slug.",
    )
    reference = TextFilter(
        max_length=130, help_text="Compared with `people`, or with the judge of this slug."
    )
    current = FlagFilter(
        method="narrow_to_current",
        help_text="true: only the latest report of each kind; false: only older ones.",
    )
    narrow_to_current = published(Publication.Kind.REPORT, "report")


@extend_schema_view(
    list=extend_schema(
        summary="Judge reports of an arena",
        description="A report is one judge against a reference ranking: agreement (τ), decisiveness (α), "
        "bias (δ), and agreement verdict by verdict (κ, accuracy).",
    ),
    retrieve=extend_schema(
        summary="One judge report", description="By its id, with every figure. It never changes."
    ),
)
class JudgeReportViewSet(BelowAnArenaOfJudges, ReadOnlyViewSet):
    noun = "judge-reports"
    queryset = JudgeReport.objects.select_related("judge")
    serializer_class = JudgeReportSerializer
    detail_class = JudgeReportDetailSerializer
    detail_max_age = IMMUTABLE_SECONDS
    filterset_class = JudgeReportFilters

    def get_queryset(self) -> QuerySet:
        queryset = super().get_queryset()
        return queryset.defer("figures", "timings") if self.action == "list" else queryset
