"""The API: gold items and exclusions of voters, for maintainers."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api import slug_of
from arena.api_once import WritesOnce
from arena.api_write import CHECK, OfMaintainers, TakesRecords, bodies
from arena.members import name_of
from arena.uploads import read_gold_items
from config.api import ReadOnlyViewSet, RowSerializer
from config.api_bodies import Body, Flag, Text
from judges.exclusions import ExclusionError, exclude_voter, last_exclusion_id, readmit_voter
from judges.gold import add_gold_items, plan_gold_items
from judges.models import Exclusion, GoldItem, Outcome, Voter


# --- gold items -----------------------------------------------------------------------------------
class GoldItemSerializer(RowSerializer):
    expected = serializers.SerializerMethodField(
        help_text="The right answer: a, b, tie or both_bad."
    )

    class Meta:
        model = GoldItem
        fields = ["id", "source_id", "prompt", "output_a", "output_b", "expected", "reason"]

    def get_expected(self, item: GoldItem) -> str:
        return Outcome(item.expected).name.lower()


class GoldRecord(serializers.Serializer):
    # Only for the description: arena/uploads.py reads it.
    id = serializers.CharField(max_length=200, help_text="Your name for it; voters don't see it.")
    prompt = serializers.CharField()
    output_a = serializers.CharField()
    output_b = serializers.CharField()
    expected = serializers.CharField(help_text="a, b, tie or both_bad.")
    reason = serializers.CharField(required=False, help_text="Why, for maintainers.")


@extend_schema_view(
    list=extend_schema(
        summary="Gold items of an arena",
        description="Comparisons with a known answer, by which voters are checked. For maintainers.",
    ),
    retrieve=extend_schema(summary="One gold item", description="By its id."),
    create=extend_schema(
        summary="Add gold items",
        description="A list of records in JSON, or JSON lines, or CSV. All are added or none; what is there "
        "already is left alone.",
        parameters=[CHECK],
        request=bodies(GoldRecord),
    ),
)
class GoldItems(OfMaintainers, TakesRecords, ReadOnlyViewSet):
    noun = "gold-items"
    queryset = GoldItem.objects.all()
    serializer_class = GoldItemSerializer
    largest_page = 200
    read, plan, add = map(staticmethod, (read_gold_items, plan_gold_items, add_gold_items))


# --- exclusions -----------------------------------------------------------------------------------
class ExclusionSerializer(RowSerializer):
    voter = serializers.CharField(
        source="voter.handle", read_only=True, help_text="The pseudonym of the voter."
    )
    judge = slug_of("voter.judge", help_text="The slug of the crowd that the voter belongs to.")
    by = serializers.SerializerMethodField(
        help_text="The account's e-mail address, or its name; empty where a command did it."
    )

    class Meta:
        model = Exclusion
        fields = ["id", "voter", "judge", "is_excluded", "reason", "by", "created_at"]

    def get_by(self, exclusion: Exclusion) -> str:
        return name_of(exclusion.by) if exclusion.by else ""


class DecisionSerializer(serializers.Serializer):
    """What was decided of a voter."""

    is_new = serializers.BooleanField(
        help_text="false: it was so already, and nothing was changed."
    )
    decision = ExclusionSerializer(
        allow_null=True, help_text="The one that stands; null for a voter who was never excluded."
    )


class DecisionBody(Body):
    voter = Text(max_length=120, help_text="The pseudonym of the voter.")
    judge = Text(
        required=False,
        max_length=120,
        allow_blank=False,
        help_text="The slug of the crowd, where voters of several have the same pseudonym.",
    )
    is_excluded = Flag(default=True, help_text="false: count the voter's verdicts again.")
    reason = Text(
        max_length=200,
        help_text="One short sentence, shown below every leaderboard that leaves the verdicts out.",
    )


@extend_schema_view(
    list=extend_schema(
        summary="Exclusions of voters",
        description="Every decision to set a voter's verdicts aside or to count them again, in the order in "
        "which they were made; the last one of a voter stands. For maintainers.",
    ),
    retrieve=extend_schema(summary="One decision", description="By its id."),
    create=extend_schema(
        summary="Exclude a voter, or lift it",
        description="Nothing is deleted: figures leave the verdicts out from now on, or count them again.",
        request=DecisionBody,
    ),
)
class Exclusions(OfMaintainers, WritesOnce, ReadOnlyViewSet):
    noun = "exclusions"
    queryset = Exclusion.objects.select_related("voter__judge", "by")
    serializer_class = ExclusionSerializer
    answer_classes: ClassVar = {"create": DecisionSerializer}

    def get_queryset(self) -> Any:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset.none()
        return self.queryset.filter(voter__judge__arena=self.arena)

    def create(self, request: Request, arena: str) -> Response:
        place = self.arena
        sent = self.body(DecisionBody)
        voters = Voter.objects.filter(judge__arena=place, handle=sent["voter"])
        if "judge" in sent:
            voters = voters.filter(judge__slug=sent["judge"])
        found = list(voters.select_related("judge")[:2])
        if not found:
            crowd = f"crowd {sent['judge']!r}" if "judge" in sent else f"arena {place.slug}"
            raise ValidationError({"voter": [f"The {crowd} has no voter {sent['voter']!r}."]})
        if len(found) > 1:
            crowds = ", ".join(
                voters.order_by("judge__slug").values_list("judge__slug", flat=True)[:9]
            )
            raise ValidationError({"judge": [f"Say in which of these crowds: {crowds}."]})
        decide = exclude_voter if sent["is_excluded"] else readmit_voter
        before = last_exclusion_id()
        try:
            decision = decide(voter=found[0], reason=sent["reason"], by=request.user)
        except ExclusionError as error:
            raise ValidationError({"reason": [str(error)]}) from error
        is_new = decision is not None and decision.pk > before
        if decision is None:
            decision = found[0].exclusions.order_by("-pk").first()
        answer = DecisionSerializer({"is_new": is_new, "decision": decision}).data
        return Response(answer, status=201 if is_new else 200)
