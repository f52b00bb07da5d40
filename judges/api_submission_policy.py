"""The API: who may submit systems to an arena, and how they are ranked."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from arena.api import BelowAnArena
from arena.api_once import WritesOnce
from arena.models import Arena
from arena.submissions.policy import (
    BOUNDS,
    MOST_JUDGES,
    WHO,
    SubmissionPolicy,
    SubmissionPolicyError,
)
from config.api import ReadOnly
from config.api_bodies import Body, Flag, Names, Number, Whole
from config.problems import Refused
from judges.placing import PlacingError, change_policy


def _number(name: str, help_text: str, *, whole: bool = False) -> serializers.Field:
    least, most = BOUNDS[name]
    field = Whole if whole else Number
    return field(required=False, min_value=least, max_value=most, help_text=help_text)


class SubmissionPolicyBody(Body):
    who = serializers.ChoiceField(
        choices=list(WHO.items()), required=False, help_text="Who may submit."
    )
    judges = Names(
        required=False,
        max_length=MOST_JUDGES,
        help_text="Slugs of the judges that are asked. The first one's leaderboard gives the provisional "
        "place; without any, people's votes alone do.",
    )
    battles = _number("battles", "The most battles that one system is given.", whole=True)
    width = _number(
        "width", "Rating points: a 95 % interval that is narrower is enough, and asking ends."
    )
    budget = _number("budget", "USD for all models that are asked about one system; 0: no limit.")
    least_share = _number("least_share", "The share of the arena's prompts that must be answered.")
    most_private = _number(
        "most_private",
        "Unpublished systems of one account, those withdrawn unpublished counted too.",
        whole=True,
    )
    most_a_week = _number("most_a_week", "Submissions of one account in a week.", whole=True)
    most_refused_a_day = _number(
        "most_refused_a_day", "Refused submissions of one account in a day.", whole=True
    )
    refuses_leaks = Flag(
        required=False, help_text="Whether outputs that give their system away are refused."
    )


class SubmissionPolicySerializer(serializers.Serializer):
    """Who may submit systems, and how they are ranked."""

    def get_fields(self) -> dict[str, serializers.Field]:
        return SubmissionPolicyBody().get_fields()


class ChangedPolicySerializer(SubmissionPolicySerializer):
    def get_fields(self) -> dict[str, serializers.Field]:
        changed = serializers.BooleanField(help_text="Whether anything is otherwise than before.")
        return super().get_fields() | {"changed": changed}


@extend_schema_view(
    retrieve=extend_schema(
        summary="Who may submit, and how submissions are ranked",
        description="For everybody who sees the arena.",
    ),
    partial_update=extend_schema(
        summary="Change who may submit, and how submissions are ranked",
        description="For maintainers. What isn't sent stays. It holds for submissions that come from then on. "
        "Where models are asked by it, only whoever may have models asked can raise what that costs.",
        request=SubmissionPolicyBody,
        examples=[
            OpenApiExample(
                "Two judges, and a budget",
                value={"judges": ["word-judge"], "budget": 0.5, "battles": 200},
                request_only=True,
            )
        ],
    ),
)
class SubmissionPolicies(WritesOnce, BelowAnArena, ReadOnly, GenericViewSet):
    noun = "submission-policy"
    queryset = Arena.objects.none()
    serializer_class = SubmissionPolicySerializer
    answer_classes: ClassVar = {"partial_update": ChangedPolicySerializer}

    def retrieve(self, request: Request, arena: str) -> Response:
        return Response(SubmissionPolicySerializer(SubmissionPolicy.of(self.arena).as_json()).data)

    def partial_update(self, request: Request, arena: str) -> Response:
        place = self.arena
        wanted: dict[str, Any] = self.body(SubmissionPolicyBody)
        try:
            policy = SubmissionPolicy.from_json(SubmissionPolicy.of(place).as_json() | wanted)
            changed = change_policy(arena=place, policy=policy, actor=request.user)
        except SubmissionPolicyError as error:
            name, _, sentence = str(error).partition(": ")
            raise ValidationError({name: [sentence]}) from error
        except PlacingError as error:
            raise Refused(str(error), status=409) from error
        return Response(ChangedPolicySerializer(policy.as_json() | {"changed": changed}).data)
