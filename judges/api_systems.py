"""The API: where systems are asked, and runs in which they answer prompts; for maintainers."""

from dataclasses import asdict
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api import slug_of
from arena.api_once import WritesOnce
from arena.api_write import OfMaintainers
from arena.models import System
from config.api import SLUG, AnyJsonField, ReadOnlyViewSet, RowSerializer
from config.api_bodies import Body, Flag, Names, Text, Whole
from judges.answering import LONGEST_SYSTEM_PROMPT, give_endpoint, make_system, plan_answers
from judges.api_runs import as_refusals
from judges.models import JudgeRun
from judges.runs import (
    failures_of,
    plan,
)
from judges.runs.selection import MOST_LIMIT

LIMITS = ("budget", "max_tokens", "max_calls")
CONFIGURATION = ("endpoint", "system_prompt", "pictures")
ENDPOINT = {
    "url": "https://api.openai.com/v1",
    "model": "gpt-4o-mini",
    "key_name": "OPENAI_API_KEY",
    "parameters": {"temperature": 0, "max_tokens": 1000},
    "input_price": 0.15,
    "output_price": 0.6,
    "concurrency": 8,
}


# --- where systems are asked ----------------------------------------------------------------------
class SystemEndpointSerializer(RowSerializer):
    system = serializers.CharField(source="slug", read_only=True, help_text="Its address.")
    endpoint = AnyJsonField(
        source="endpoint.endpoint",
        read_only=True,
        help_text="Where its model is asked. key_name names an environment variable; keys are shown nowhere.",
    )
    system_prompt = serializers.CharField(source="endpoint.system_prompt", read_only=True)
    pictures = serializers.BooleanField(source="endpoint.pictures", read_only=True)

    class Meta:
        model = System
        fields = ["system", "name", "version", "organisation", "family", *CONFIGURATION]


class SystemEndpointBody(Body):
    name = Text(max_length=200, help_text="Of the system; a new one is made where there is none.")
    version = Text(required=False, max_length=60)
    organisation = Text(required=False, max_length=120, help_text="Of a new system.")
    family = Text(required=False, max_length=120, help_text="Of a new system.")
    endpoint = serializers.DictField(
        help_text="url and model; and, where they aren't the usual ones, key_name, parameters (temperature, "
        "max_tokens …), input_price and output_price in USD per million tokens, timeout, concurrency, "
        "requests_per_minute and tokens_per_minute."
    )
    system_prompt = Text(
        required=False,
        max_length=LONGEST_SYSTEM_PROMPT,
        trim_whitespace=False,
        help_text="Said to the model before each prompt.",
    )
    pictures = Flag(
        required=False, help_text="The model can see: it is sent the images that prompts show."
    )


@extend_schema_view(
    list=extend_schema(
        summary="Systems that can be asked",
        description="With where, and how. For maintainers: nobody else learns it.",
    ),
    retrieve=extend_schema(summary="Where one system is asked", description="By its slug."),
    create=extend_schema(
        summary="Say where a system is asked",
        description="Of a new system, or of one that was never asked. The same sent again changes nothing; "
        "once it has answered prompts another endpoint is refused, since what two configurations answered "
        "would be mixed under one name.",
        request=SystemEndpointBody,
        examples=[
            OpenApiExample(
                "A model of OpenAI",
                value={"name": "gpt-4o-mini", "family": "GPT", "endpoint": ENDPOINT},
                request_only=True,
            )
        ],
    ),
)
class SystemEndpoints(OfMaintainers, WritesOnce, ReadOnlyViewSet):
    noun = "system-endpoints"
    queryset = System.objects.exclude(endpoint={})
    serializer_class = SystemEndpointSerializer
    answer_classes: ClassVar = {"create": SystemEndpointSerializer}
    lookup_field = "slug"
    lookup_value_regex = SLUG

    def create(self, request: Request, arena: str) -> Response:
        sent = self.body(SystemEndpointBody)
        configuration = {name: sent[name] for name in CONFIGURATION if name in sent}
        about = {name: value for name, value in sent.items() if name not in CONFIGURATION}
        name, version = (" ".join(about.get(key, "").split()) for key in ("name", "version"))
        there = System.objects.filter(arena=self.arena, name=name, version=version).first()
        with as_refusals(request.user):
            if there is not None:
                system = give_endpoint(
                    system=there, configuration=configuration, actor=request.user
                )
            else:
                system = make_system(
                    arena=self.arena, configuration=configuration, actor=request.user, **about
                )
        status = 201 if there is None else 200
        return Response(SystemEndpointSerializer(system).data, status=status)


# --- runs -----------------------------------------------------------------------------------------
class AnswerRunSerializer(RowSerializer):
    system = slug_of(help_text="The address of the system that answers.")
    why = serializers.CharField(
        source="error",
        read_only=True,
        help_text="Why it paused or stopped; empty where somebody paused it, or it didn't.",
    )
    selection = AnyJsonField(read_only=True, help_text="Which prompts.")
    outputs = serializers.IntegerField(
        source="done", read_only=True, help_text="Prompts that were answered."
    )

    class Meta:
        model = JudgeRun
        fields = [
            "id", "system", "state", "why", "selection", "total", "outputs", "failed", "from_cache",
            "calls_made", "input_tokens", "output_tokens", "cost", *LIMITS, "created_at", "started_at",
            "finished_at",
        ]  # fmt: skip


class PlanSerializer(serializers.Serializer):
    """What a planned run would do."""

    prompts = serializers.IntegerField(help_text="How many would be asked: one call each.")
    left_out = serializers.IntegerField(help_text="Prompts without messages, which can't be asked.")
    input_tokens = serializers.IntegerField(help_text="Estimated from the lengths of texts.")
    output_tokens = serializers.IntegerField()
    cost = serializers.FloatField(help_text="USD, estimated.")
    most_cost = serializers.FloatField(help_text="Without retries and pictures it can't cost more.")
    seconds = serializers.FloatField()


class FailureSerializer(serializers.Serializer):
    """How many calls failed for one reason."""

    failure = serializers.CharField()
    count = serializers.IntegerField()
    example = serializers.CharField(help_text="A sentence about the last of them.")


class AnswerRunDetailSerializer(AnswerRunSerializer):
    plan = serializers.SerializerMethodField(
        help_text="What it would do; null once it was confirmed."
    )
    failures = serializers.SerializerMethodField(help_text="The most frequent reason first.")

    class Meta(AnswerRunSerializer.Meta):
        fields = [*AnswerRunSerializer.Meta.fields, "plan", "failures"]

    def get_plan(self, run: JudgeRun) -> PlanSerializer(allow_null=True):  # type: ignore[valid-type]
        if run.state != JudgeRun.State.PLANNED:
            return None
        return PlanSerializer(asdict(plan(run))).data

    def get_failures(self, run: JudgeRun) -> FailureSerializer(many=True):  # type: ignore[valid-type]
        return FailureSerializer(failures_of(run), many=True).data


class LimitsBody(Body):
    budget = serializers.DecimalField(
        required=False,
        max_digits=12,
        decimal_places=4,
        help_text="USD; it pauses before more is spent.",
    )
    max_tokens = Whole(required=False, min_value=1, max_value=10**8)
    max_calls = Whole(required=False, min_value=1, max_value=10**8)


class AnswerRunBody(LimitsBody):
    system = Text(max_length=120, help_text="The address of the system.")
    prompts = serializers.ListField(
        child=Whole(min_value=1), required=False, help_text="Ids; those of all where none is named."
    )
    categories = Names(required=False, help_text="Addresses of categories.")
    limit = Whole(
        required=False,
        min_value=1,
        max_value=MOST_LIMIT,
        help_text="A sample of so many prompts, the same every time.",
    )


@extend_schema_view(
    list=extend_schema(
        summary="Runs in which systems answer prompts", description="For maintainers."
    ),
    retrieve=extend_schema(
        summary="One run, with its plan or its failures", description="By its id."
    ),
    create=extend_schema(
        summary="Plan a run",
        description="Nothing is asked: the answer says how many calls it would make and what they may cost. "
        "Prompts that the system has answered are left out. The same sent again gives the run that is "
        "planned. It is confirmed, and steered, below runs.",
        request=AnswerRunBody,
        examples=[
            OpenApiExample(
                "Twenty prompts, at most one dollar",
                value={"system": "gpt-4o-mini", "limit": 20, "budget": "1.00"},
                request_only=True,
            )
        ],
    ),
)
class AnswerRuns(OfMaintainers, WritesOnce, ReadOnlyViewSet):
    noun = "answer-runs"
    queryset = JudgeRun.objects.filter(system__isnull=False).select_related("system", "arena")
    serializer_class = AnswerRunSerializer
    detail_class = AnswerRunDetailSerializer
    answer_classes: ClassVar = {"create": AnswerRunDetailSerializer}

    def create(self, request: Request, arena: str) -> Response:
        sent = self.body(AnswerRunBody)
        system = System.objects.filter(arena=self.arena, slug=sent["system"]).first()
        if system is None:
            raise ValidationError(
                {"system": [f"The arena {self.arena.slug} has no system {sent['system']!r}."]}
            )
        names = ("prompts", "categories", "limit")
        newest = system.runs.order_by("-pk").values_list("pk", flat=True).first() or 0
        with as_refusals(request.user):
            run = plan_answers(
                system=system,
                selection={name: sent[name] for name in names if sent.get(name)},
                actor=request.user,
                **_limits(sent),
            )
        status = 201 if run.pk > newest else 200
        return Response(AnswerRunDetailSerializer(run).data, status=status)


def _limits(sent: dict[str, Any]) -> dict[str, Any]:
    return {name: sent[name] for name in LIMITS if sent.get(name) is not None}
