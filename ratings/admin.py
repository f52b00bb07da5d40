from django.contrib import admin

from config.admin import LargeTableAdmin, Shown
from ratings.models import JudgeReport, Publication, Rating, Snapshot


@admin.register(Publication)
class PublicationAdmin(Shown, LargeTableAdmin):
    """What is kept current; ``error`` says why the last attempt failed."""

    list_display = [
        "id",
        "kind",
        "arena",
        "judge",
        "stale_since",
        "refreshed_at",
        "attempts",
        "error",
    ]
    list_select_related = ["arena", "judge"]
    list_filter = ["kind", ("error", admin.EmptyFieldListFilter)]
    exact_search = ("arena__slug", "judge__slug", "slice_digest")


@admin.register(Snapshot)
class SnapshotAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "arena", "n_verdicts", "n_ranked", "interval", "rounds", "created_at"]
    list_select_related = ["arena"]
    list_filter = ["interval"]
    exact_search = ("arena__slug",)


@admin.register(Rating)
class RatingAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "snapshot_id", "system", "status", "rating", "rank", "n_verdicts"]
    list_select_related = ["system"]
    list_filter = ["status"]
    exact_search = ("snapshot_id", "system__slug")


@admin.register(JudgeReport)
class JudgeReportAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "judge", "reference", "arena", "tau", "alpha", "delta", "created_at"]
    list_select_related = ["judge", "arena"]
    exact_search = ("judge__slug", "arena__slug")

    def get_queryset(self, request):
        # The list doesn't show the figures; the page of one report fetches them.
        return super().get_queryset(request).defer("figures")
