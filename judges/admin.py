from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from config.admin import FixedOnceMade, Kept, LargeTableAdmin, Shown
from judges.models import (
    Ballot,
    CachedReply,
    CascadeRequest,
    Derivation,
    EndpointState,
    Exclusion,
    GoldItem,
    Judge,
    JudgeCall,
    JudgeRun,
    Preparation,
    ProbeResult,
    Ranking,
    Retraction,
    Score,
    Trial,
    Verdict,
    VerdictTrace,
    Voter,
)
from judges.voting import retract_verdict

# More than this at once is a decision about a voter or a judge, not about verdicts.
RETRACTED_AT_ONCE = 500


@admin.register(Judge)
class JudgeAdmin(FixedOnceMade, Kept, LargeTableAdmin):
    list_display = ["name", "version", "kind", "arena", "family", "is_simulated"]
    list_select_related = ["arena"]
    list_filter = ["kind", "is_simulated"]
    search_fields = ["slug", "name", "family", "arena__slug"]
    autocomplete_fields = ["arena"]
    readonly_fields = ["digest"]
    # A judge that decides otherwise is a new version.
    fixed = ("arena", "slug", "version", "kind", "configuration")


@admin.register(Voter)
class VoterAdmin(Shown, LargeTableAdmin):
    list_display = ["handle", "judge", "created_at"]
    list_select_related = ["judge"]
    exact_search = ("handle",)


@admin.register(JudgeRun)
class JudgeRunAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "subject", "arena", "state", "done", "failed", "total", "cost"]
    list_select_related = ["judge", "system", "arena"]
    list_filter = ["state"]
    exact_search = ("judge__slug", "system__slug", "arena__slug")


@admin.register(Derivation)
class DerivationAdmin(Shown, LargeTableAdmin):
    list_display = ["judge", "stale_since", "computed_at", "seconds", "withdrawn_at", "error"]
    list_select_related = ["judge"]
    exact_search = ("judge__slug", "judge__arena__slug")


@admin.register(CascadeRequest)
class CascadeRequestAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "name", "arena", "state", "created_at", "error"]
    list_select_related = ["arena"]
    list_filter = ["state"]
    exact_search = ("arena__slug",)


@admin.register(Trial)
class TrialAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "arena", "judge", "battle_id", "state", "created_at"]
    list_select_related = ["arena", "judge"]
    list_filter = ["state"]
    exact_search = ("arena__slug", "judge__slug")


@admin.register(Preparation)
class PreparationAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "judge", "prompt_id", "battle_id", "output_id", "created_at"]
    list_select_related = ["judge"]
    exact_search = ("judge__slug", "prompt")


@admin.register(ProbeResult)
class ProbeResultAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "run_id", "battle_id", "probe", "before", "after", "is_fooled"]
    list_filter = ["is_fooled"]
    exact_search = ("run", "battle", "probe")


@admin.register(JudgeCall)
class JudgeCallAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "run_id", "battle_id", "output_id", "shown_first", "state", "failure"]
    list_filter = ["state"]
    exact_search = ("run", "battle", "failure")


class TraceInline(Shown, admin.StackedInline):
    model = VerdictTrace


class RetractionInline(Shown, admin.StackedInline):
    model = Retraction


@admin.register(Verdict)
class VerdictAdmin(Shown, LargeTableAdmin):
    """Append-only. A verdict is taken back by the action, which adds a retraction."""

    list_display = [
        "id", "battle_id", "judge", "voter", "criterion", "outcome", "is_counted", "cast_at",
    ]  # fmt: skip
    list_select_related = ["judge", "voter", "retraction"]
    list_filter = ["outcome"]
    exact_search = ("battle_id", "voter__handle", "judge__slug")
    inlines = [TraceInline, RetractionInline]
    actions = ["retract"]

    @admin.display(boolean=True, description="counted")
    def is_counted(self, verdict: Verdict) -> bool:
        return not hasattr(verdict, "retraction")

    def has_retract_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("judges.add_retraction")

    @admin.action(description="Take the selected verdicts back", permissions=["retract"])
    def retract(self, request: HttpRequest, queryset: QuerySet[Verdict]) -> None:
        chosen = list(queryset.order_by("pk")[: RETRACTED_AT_ONCE + 1])
        if len(chosen) > RETRACTED_AT_ONCE:
            self.message_user(
                request,
                f"Nothing was taken back: choose at most {RETRACTED_AT_ONCE} verdicts at once.",
                messages.ERROR,
            )
            return
        reason = f"By {request.user.get_username()}, in the admin"
        with transaction.atomic():
            for verdict in chosen:
                retract_verdict(verdict=verdict, reason=reason)
        self.message_user(
            request, f"Taken back: {len(chosen)}. They stay on record and are not counted."
        )


@admin.register(Score)
class ScoreAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "judge", "output_id", "criterion", "value", "created_at"]
    list_select_related = ["judge"]
    exact_search = ("output_id", "judge__slug")


@admin.register(GoldItem)
class GoldItemAdmin(LargeTableAdmin):
    list_display = ["source_id", "arena", "expected"]
    list_select_related = ["arena"]
    search_fields = ["source_id", "arena__slug"]
    autocomplete_fields = ["arena"]


@admin.register(Ballot)
class BallotAdmin(Shown, LargeTableAdmin):
    list_display = [
        "id",
        "arena",
        "voter",
        "battle_id",
        "purpose",
        "state",
        "outcome",
        "decided_at",
    ]
    list_select_related = ["arena", "voter"]
    exact_search = ("battle_id", "voter__handle", "arena__slug")
    exclude = ("network",)


@admin.register(Ranking)
class RankingAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "arena", "voter", "prompt_id", "state", "decided_at"]
    list_select_related = ["arena", "voter"]
    exact_search = ("prompt_id", "voter__handle", "arena__slug")
    exclude = ("network",)


@admin.register(Exclusion)
class ExclusionAdmin(Shown, LargeTableAdmin):
    """Made on the voters page, which keeps the audit log and refreshes what is counted."""

    list_display = ["id", "voter", "is_excluded", "reason", "by", "created_at"]
    list_select_related = ["voter", "by"]
    exact_search = ("voter__handle",)


class Forgotten:
    """Rows that workers write, and that may be deleted: they are made anew when they are needed."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(EndpointState)
class EndpointStateAdmin(Forgotten, LargeTableAdmin):
    list_display = ["id", "model", "url", "updated_at"]
    search_fields = ["model", "url"]


@admin.register(CachedReply)
class CachedReplyAdmin(Forgotten, LargeTableAdmin):
    list_display = ["id", "model", "finish", "input_tokens", "output_tokens", "created_at"]
    exact_search = ("key",)
