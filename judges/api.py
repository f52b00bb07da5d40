"""Read API: who decides, and what they decided."""

from typing import Any, ClassVar

from django.db.models import F, IntegerChoices, QuerySet
from django.db.models.lookups import Exact
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from arena.access import unseen_pairs
from arena.api import BelowAnArena, RowFilter, id_of, slug_of
from config.api import (
    SLUG,
    AnyJsonField,
    FilterSet,
    IdFilter,
    ReadOnlyViewSet,
    RowSerializer,
    TextFilter,
    WordFilter,
)
from judges.disclosure import disclosed
from judges.models import Judge, Outcome, Verdict, VerdictTrace, Voter

OUTCOMES = {outcome.name: outcome.value for outcome in Outcome}


def names_of(of: type[IntegerChoices]) -> list[tuple[str, str]]:
    return [(choice.name, str(choice.label)) for choice in of]


# The schema gives each of these sets one name, whatever the fields are called.
OUTCOME_NAMES, SIDE_NAMES = names_of(Outcome), names_of(Verdict.Side)


class NameOf(serializers.ChoiceField):
    """The name of an integer choice: A and not 0."""

    def __init__(self, of: type[IntegerChoices], **kwargs: Any) -> None:
        self.names = {choice.value: choice.name for choice in of}
        super().__init__(choices=names_of(of), read_only=True, **kwargs)

    def to_representation(self, value: int | None) -> str | None:
        return None if value is None else self.names[value]


# --- judges ---------------------------------------------------------------------------------------
class JudgeSerializer(RowSerializer):
    class Meta:
        model = Judge
        fields = [
            "id", "slug", "name", "version", "kind", "family", "description", "is_simulated",
            "digest", "created_at",
        ]  # fmt: skip


class JudgeDetailSerializer(JudgeSerializer):
    configuration = serializers.SerializerMethodField(
        help_text="How it decides. What may be a secret isn't shown."
    )

    class Meta(JudgeSerializer.Meta):
        fields = [*JudgeSerializer.Meta.fields, "configuration"]

    @extend_schema_field({})
    def get_configuration(self, judge: Judge) -> Any:
        return disclosed(judge.configuration)


class JudgeFilters(FilterSet):
    kind = WordFilter(
        words={kind.value: kind.value for kind in Judge.Kind}, help_text="Judges of this kind."
    )
    family = TextFilter(max_length=120, help_text="Exactly this family.")


@extend_schema_view(
    list=extend_schema(
        summary="Judges of an arena",
        description="A judge is whoever decides battles: a crowd of people, an LLM, a jury, a program, "
        "an imported source. `is_simulated`: its verdicts come from a simulation.",
    ),
    retrieve=extend_schema(
        summary="One judge", description="By its slug, with its configuration, which never changes."
    ),
)
class JudgeViewSet(BelowAnArena, ReadOnlyViewSet):
    noun = "judges"
    queryset = Judge.objects.all()
    serializer_class = JudgeSerializer
    detail_class = JudgeDetailSerializer
    filterset_class = JudgeFilters
    lookup_field = "slug"
    lookup_value_regex = SLUG


# --- verdicts -------------------------------------------------------------------------------------
class TraceSerializer(RowSerializer):
    parse = AnyJsonField(read_only=True, help_text="What was read out of the completion.")

    class Meta:
        model = VerdictTrace
        fields = ["rationale", "completion", "parse", "tokens", "cost", "latency_ms"]


class VerdictSerializer(RowSerializer):
    battle = id_of(help_text="The id of the battle.")
    prompt = id_of(help_text="The id of the battle's prompt.")
    system_a = slug_of("pair.system_a", help_text="The slug of the battle's system A.")
    system_b = slug_of("pair.system_b", help_text="The slug of the battle's system B.")
    judge = slug_of(help_text="The slug of the judge.")
    voter = serializers.CharField(
        source="voter.handle",
        allow_null=True,
        default=None,
        read_only=True,
        help_text="A pseudonym; null where the judge is no crowd or the source names no voters.",
    )
    outcome = NameOf(Outcome, help_text="In the battle's orientation.")
    shown_first = NameOf(
        Verdict.Side, allow_null=True, help_text="Which side was shown first; null: not known."
    )
    retracted_at = serializers.DateTimeField(
        source="retraction.created_at",
        allow_null=True,
        default=None,
        read_only=True,
        help_text="When it was taken back; it is no longer counted. Null: it is counted.",
    )

    class Meta:
        model = Verdict
        fields = [
            "id", "battle", "prompt", "system_a", "system_b", "judge", "voter", "criterion",
            "outcome", "shown_first", "confidence", "repetition", "cast_at", "retracted_at",
        ]  # fmt: skip


class VerdictDetailSerializer(VerdictSerializer):
    trace = TraceSerializer(
        allow_null=True, default=None, read_only=True, help_text="The words behind it, if any."
    )

    class Meta(VerdictSerializer.Meta):
        fields = [*VerdictSerializer.Meta.fields, "trace"]


class VoterFilter(TextFilter):
    """Narrows by the pseudonym of a voter in any crowd of the arena."""

    def filter(self, queryset: QuerySet, value: str) -> QuerySet:
        if not value:
            return queryset
        arena = self.parent.arena
        found = list(
            Voter.objects.filter(judge__arena=arena, handle=value).values_list("pk", flat=True)
        )
        if not found:
            raise ValidationError({"voter": [f"The arena {arena.slug} has no voter {value!r}."]})
        return queryset.filter(voter__in=found)


class VerdictFilters(FilterSet):
    judge = RowFilter(
        Judge,
        # The sum keeps databases from the index on judges, whose order isn't that of ids: they would sort
        # all verdicts of the judge for every page. Walking the ids finds the next ones at once.
        lambda judge: Exact(F("judge_id") + 0, judge.pk),
        field_name="judge",
        help_text="Verdicts of the judge with this slug.",
    )
    battle = IdFilter(help_text="Verdicts on the battle with this id.")
    voter = VoterFilter(max_length=120, help_text="Verdicts of the voter with this pseudonym.")
    outcome = WordFilter(words=OUTCOMES, help_text="Verdicts with this outcome.")
    criterion = TextFilter(max_length=40, help_text="Verdicts by this criterion.")


@extend_schema_view(
    list=extend_schema(
        summary="Verdicts of an arena",
        description="A verdict is one decision on one battle: A, B, TIE or BOTH_BAD, where A is the system "
        "with the lower id. Verdicts are never changed or deleted; one that was taken back says so in "
        "`retracted_at`. To follow an arena, keep the last id and ask with `after` for what came since.",
    ),
    retrieve=extend_schema(
        summary="One verdict",
        description="By its id, with its trace: the rationale, the raw completion and what they cost.",
    ),
)
class VerdictViewSet(BelowAnArena, ReadOnlyViewSet):
    noun = "verdicts"
    hides: ClassVar = {"pair": unseen_pairs}
    queryset = Verdict.objects.select_related(
        "judge", "voter", "retraction", "pair__system_a", "pair__system_b"
    )
    serializer_class = VerdictSerializer
    detail_class = VerdictDetailSerializer
    filterset_class = VerdictFilters

    def get_queryset(self) -> QuerySet:
        queryset = super().get_queryset()
        return queryset.select_related("trace") if self.action == "retrieve" else queryset
