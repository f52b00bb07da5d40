"""Read API: how robust judges are to what should not matter. Figures of a run of at most a few thousand
comparisons are computed when they are asked for, as its page does."""

from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers

from arena.access import unseen_pairs
from arena.api import BelowAnArena, RowFilter, id_of, slug_of
from config.api import (
    AnyJsonField,
    FilterSet,
    FlagFilter,
    IdFilter,
    ReadOnlyViewSet,
    RowSerializer,
    WordFilter,
)
from judges.api import NameOf
from judges.models import Judge, JudgeRun, Outcome, ProbeResult, Verdict
from judges.probes import PROBES, RETEST
from judges.runs.probing import begun
from ratings.probes import Probed, probed, sentences


class ProbeReportSerializer(RowSerializer):
    judge = slug_of(help_text="The slug of the judge.")
    names = serializers.SerializerMethodField(help_text="The probes that it asks with.")
    seed = serializers.SerializerMethodField(help_text="Which answer is changed follows from it.")
    version = serializers.SerializerMethodField(help_text="Of the words of the probes.")

    class Meta:
        model = JudgeRun
        fields = [
            "id", "judge", "state", "names", "seed", "version", "total", "done", "failed", "created_at",
            "started_at", "finished_at",
        ]  # fmt: skip

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_names(self, run: JudgeRun) -> list[str]:
        return run.probes["names"]

    def get_seed(self, run: JudgeRun) -> int:
        return run.probes["seed"]

    def get_version(self, run: JudgeRun) -> int:
        return run.probes["version"]


class ProbeReportDetailSerializer(ProbeReportSerializer):
    sentences = serializers.SerializerMethodField(help_text="What it comes to, in plain words.")
    n_battles = serializers.SerializerMethodField(help_text="That were compared so far.")
    n_prompts = serializers.SerializerMethodField(help_text="That these are on.")
    retest = AnyJsonField(
        source="found.retest",
        read_only=True,
        help_text="The share of decisions that stayed when the same was asked again: value, lower, upper, n, "
        "unit, or the reason why there is none.",
    )
    probes = serializers.SerializerMethodField(
        help_text="Of each probe the share unchanged, the same of asking again, the difference of the two, "
        "and how many changes were for the changed answer, with the sign test's p."
    )

    class Meta(ProbeReportSerializer.Meta):
        fields = [
            *ProbeReportSerializer.Meta.fields,
            "sentences",
            "n_battles",
            "n_prompts",
            "retest",
            "probes",
        ]

    def to_representation(self, run: JudgeRun) -> Any:
        run.found = probed(run, self.context["view"].arena)
        return super().to_representation(run)

    def _found(self, run: JudgeRun) -> Probed:
        return run.found

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_sentences(self, run: JudgeRun) -> list[str]:
        return sentences(self._found(run))

    def get_n_battles(self, run: JudgeRun) -> int:
        return self._found(run).n_battles

    def get_n_prompts(self, run: JudgeRun) -> int:
        return self._found(run).n_prompts

    @extend_schema_field({"type": "array", "items": {}})
    def get_probes(self, run: JudgeRun) -> list[dict[str, Any]]:
        return [row.as_dict() for row in self._found(run).rows]


class ProbeReportFilters(FilterSet):
    judge = RowFilter(
        Judge, lambda judge: Q(judge=judge), field_name="judge", help_text="Probes of this judge."
    )


@extend_schema_view(
    list=extend_schema(
        summary="Probes of the judges of an arena",
        description="Each is a run in which an LLM judge was asked about battles as they are, the same again, "
        "and changed in ways that should not matter. Its decisions are no verdicts.",
    ),
    retrieve=extend_schema(
        summary="What probes found",
        description="By the id of the run: figures of what was compared so far.",
    ),
)
class ProbeReports(BelowAnArena, ReadOnlyViewSet):
    noun = "probe-reports"
    queryset = begun(JudgeRun.objects.select_related("judge"))
    serializer_class = ProbeReportSerializer
    detail_class = ProbeReportDetailSerializer
    filterset_class = ProbeReportFilters


class ProbeResultSerializer(RowSerializer):
    run = id_of(help_text="The id of the run, which is that of its report.")
    battle = id_of(help_text="The id of the battle.")
    prompt = id_of(help_text="The id of the battle's prompt.")
    changed_side = NameOf(
        Verdict.Side, allow_null=True, help_text="Whose answer was changed; null: neither."
    )
    before = NameOf(Outcome, help_text="The decision on the battle as it is.")
    after = NameOf(Outcome, help_text="The decision with the probe, or on asking again.")

    class Meta:
        model = ProbeResult
        fields = [
            "id", "run", "battle", "prompt", "probe", "changed_side", "before", "after", "is_fooled",
            "created_at",
        ]  # fmt: skip


class ProbeResultFilters(FilterSet):
    run = IdFilter(help_text="Comparisons of the run with this id.")
    battle = IdFilter(help_text="Comparisons of the battle with this id.")
    probe = WordFilter(
        words={name: name for name in (RETEST, *PROBES)}, help_text="Comparisons by this probe."
    )
    is_fooled = FlagFilter(help_text="Whether the change counts against the judge.")


@extend_schema_view(
    list=extend_schema(
        summary="Comparisons of probes",
        description="One battle decided twice by a judge: as it is, and changed by a probe or asked again. In "
        "the battle's orientation.",
    ),
    retrieve=extend_schema(summary="One comparison", description="By its id. It never changes."),
)
class ProbeResults(BelowAnArena, ReadOnlyViewSet):
    noun = "probe-results"
    hides: ClassVar = {"pair": unseen_pairs}
    queryset: QuerySet = ProbeResult.objects.all()
    serializer_class = ProbeResultSerializer
    filterset_class = ProbeResultFilters
