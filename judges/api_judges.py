"""The API: judges that are made and tried, what they can be, and what juries and cascades come to."""

import uuid
from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from arena.api import BelowAnArena, RowFilter, id_of, slug_of
from arena.api_once import WritesOnce
from arena.api_write import OfMaintainers
from arena.members import name_of
from arena.models import Arena, Battle, Prompt
from config.api import (
    LARGEST_ID,
    SLUG,
    AnyJsonField,
    FilterSet,
    IdFilter,
    ReadOnly,
    ReadOnlyViewSet,
    RowSerializer,
    WordFilter,
)
from config.api_bodies import AnObject, Body, Names, Text, Whole
from config.problems import Refused
from judges.api import JudgeDetailSerializer, JudgeViewSet
from judges.api_runs import as_refusals, row_named
from judges.derived_figures import Derived
from judges.disclosure import disclosed
from judges.judge_forms import MOST_TIERS
from judges.llm_judges import make_llm_judge, new_version, protocol_of
from judges.models import CascadeRequest, Derivation, Judge, Outcome, Preparation, Trial
from judges.presets import PRESETS
from judges.runs import RunError, edit_checklist, make_program_judge
from judges.runs.preparing import Scope, scopes_of

# What can be made at once: a cascade is calibrated by a worker, below cascade-requests.
MADE = [("llm", "LLM"), ("jury", "Jury"), ("program", "Program")]
KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 200},
    OpenApiParameter.HEADER,
    description="Words of yours, other ones each time. Sent again with the same, it is the same request.",
)


def key_of(request: Request, arena: Arena, noun: str) -> uuid.UUID:
    """The same for the same Idempotency-Key of the same account; a new one without."""
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > 200:
        raise ValidationError({"Idempotency-Key": ["At most 200 characters are taken."]})
    if not key:
        return uuid.uuid4()
    words = f"{request.user.pk} {arena.pk} {key}"
    return uuid.UUID(salted_hmac(f"judges.{noun}", words, algorithm="sha256").hexdigest()[:32])


# --- judges ---------------------------------------------------------------------------------------
class JudgeBody(Body):
    kind = serializers.ChoiceField(
        choices=MADE,
        help_text="Cascades are asked for below cascade-requests, since a worker calibrates them.",
    )
    name = Text(max_length=120)
    family = Text(required=False, max_length=120, help_text="Of an LLM's model.")
    description = Text(required=False, max_length=2_000)
    configuration = AnObject(
        help_text="Of an LLM: `endpoint` (url, model, key_name, parameters, input_price, output_price …), "
        "`protocol` (name, options: see judge-protocols), `both_orders`, `repetitions`, `margin`, `pictures`. "
        "Of a jury: `rule`, `members` (slugs; a council has none: all systems with an endpoint), `options`. "
        "Of a program: `program`, `parameters`. A key is named, never sent."
    )


class VersionBody(Body):
    configuration = AnObject(help_text="As of a new LLM judge.")


class JuryConfiguration(Body):
    rule = Text(default="majority", max_length=40)
    members = Names(required=False, max_length=500)
    options = AnObject(default=dict)


class ProgramConfiguration(Body):
    program = Text(max_length=60)
    parameters = AnObject(default=dict)


def _within(body_class: type[Body], configuration: dict[str, Any]) -> dict[str, Any]:
    """The configuration, each value of its type; raises ValidationError by dotted names."""
    body = body_class(data=configuration)
    if not body.is_valid():
        raise ValidationError({f"configuration.{name}": said for name, said in body.errors.items()})
    return body.validated_data


@extend_schema_view(
    create=extend_schema(
        summary="Make a judge",
        description="An LLM judge, a jury or a program. The same name and configuration give the judge that is "
        "there. What is wrong in an LLM's configuration is said by its dotted name, e.g. `endpoint.url`.",
        request=JudgeBody,
    ),
    versions=extend_schema(
        summary="Configure an LLM judge anew",
        description="A new version, with a slug of its own. Verdicts stay with the old one.",
        request=VersionBody,
    ),
)
class Judges(WritesOnce, JudgeViewSet):
    answer_classes: ClassVar = dict.fromkeys(("create", "versions"), JudgeDetailSerializer)

    def create(self, request: Request, arena: str) -> Response:
        place = self.arena
        sent = self.body(JudgeBody)
        make: dict[str, Callable[..., Judge]] = {
            "llm": self._llm,
            "jury": self._jury,
            "program": self._program,
        }
        began = timezone.now()
        with as_refusals(request.user):
            judge = make[sent["kind"]](place, sent)
        return self._answer(judge, began)

    @action(detail=True, methods=["post"])
    def versions(self, request: Request, arena: str, slug: str) -> Response:
        judge = self.get_object()
        configuration = self.body(VersionBody)["configuration"]
        began = timezone.now()
        with as_refusals(request.user):
            made = new_version(judge=judge, configuration=configuration, actor=request.user)
        return self._answer(made, began)

    @staticmethod
    def _answer(judge: Judge, began: Any) -> Response:
        status = 201 if judge.created_at >= began else 200
        return Response(JudgeDetailSerializer(judge).data, status=status)

    def _llm(self, place: Arena, sent: dict[str, Any]) -> Judge:
        return make_llm_judge(
            arena=place,
            name=sent["name"],
            configuration=sent["configuration"],
            family=sent.get("family", ""),
            description=sent.get("description", ""),
            actor=self.request.user,
        )

    def _jury(self, place: Arena, sent: dict[str, Any]) -> Judge:
        # Here, since a web process that only lists judges has no use for rules.
        from judges.juries.councils import make_council
        from judges.juries.making import JuryError, make_jury

        configuration = _within(JuryConfiguration, sent["configuration"])
        rule, options = configuration["rule"], configuration["options"]
        about = {"name": sent["name"], "description": sent.get("description", "")}
        try:
            if rule == "council" and not configuration.get("members"):
                if unknown := sorted(set(options) - {"quorum", "protocol"}):
                    raise JuryError(
                        f"A council of systems has no {unknown[0]!r}, but quorum and protocol."
                    )
                return make_council(arena=place, actor=self.request.user, **options, **about)
            members = [
                row_named(Judge, place, slug, "configuration.members")
                for slug in configuration.get("members", [])
            ]
            return make_jury(
                arena=place,
                members=members,
                rule=rule,
                options=options,
                actor=self.request.user,
                **about,
            )
        except JuryError as error:
            raise Refused(str(error), status=409) from error

    def _program(self, place: Arena, sent: dict[str, Any]) -> Judge:
        from judges.programs import PROGRAMS, ParameterError

        configuration = _within(ProgramConfiguration, sent["configuration"])
        program = PROGRAMS.get(configuration["program"])
        if program is None:
            known = f"There is no such program, but {', '.join(PROGRAMS)}."
            raise ValidationError({"configuration.program": [known]})
        try:
            return make_program_judge(
                arena=place,
                program=program,
                name=sent["name"],
                parameters=configuration["parameters"],
                description=sent.get("description", ""),
            )
        except ParameterError as error:
            raise ValidationError({"configuration.parameters": [str(error)]}) from error


# --- protocols ------------------------------------------------------------------------------------
class ProtocolSerializer(serializers.Serializer):
    name = serializers.CharField()
    judges_battles = serializers.BooleanField(help_text="false: it scores one output at a time.")
    needs_probabilities = serializers.BooleanField(help_text="Of the tokens of a reply.")
    options = serializers.DictField(help_text="What can be chosen, with what is taken otherwise.")


class PresetSerializer(serializers.Serializer):
    slug = serializers.CharField()
    title = serializers.CharField()
    sentence = serializers.CharField()
    configuration = serializers.DictField(help_text="Needs an endpoint to be a judge's.")


class ProtocolsSerializer(serializers.Serializer):
    """How LLM judges can be asked."""

    protocols = ProtocolSerializer(many=True)
    presets = PresetSerializer(many=True, help_text="Ready choices, to begin with.")


@extend_schema_view(
    retrieve=extend_schema(
        summary="How LLM judges can be asked",
        description="Every protocol with its options, and ready choices. For maintainers.",
    )
)
class Protocols(OfMaintainers, ReadOnly, GenericViewSet):
    noun = "judge-protocols"
    queryset = Judge.objects.none()
    serializer_class = ProtocolsSerializer

    def retrieve(self, request: Request, arena: str) -> Response:
        from judges.protocols import PROTOCOLS, Options

        _ = self.arena  # to others there is no such address
        usual = {field.name: field.default for field in fields(Options)}
        protocols = [
            {
                "name": name,
                "judges_battles": protocol.judges_battles,
                "needs_probabilities": protocol.needs_probabilities,
                "options": {
                    option: protocol.defaults.get(option, usual[option])
                    for option in sorted(protocol.known | set(protocol.defaults))
                },
            }
            for name, protocol in PROTOCOLS.items()
        ]
        answer = {"protocols": protocols, "presets": PRESETS}
        return Response(ProtocolsSerializer(answer).data)


# --- trials ---------------------------------------------------------------------------------------
class TrialSerializer(RowSerializer):
    judge = slug_of(allow_null=True, help_text="Null where it isn't made.")
    battle = id_of(help_text="The id of the battle.")

    class Meta:
        model = Trial
        fields = ["id", "judge", "battle", "state", "error", "created_at", "finished_at"]


class TrialDetailSerializer(TrialSerializer):
    configuration = serializers.SerializerMethodField()
    steps = AnyJsonField(read_only=True, help_text="Each request with its reply and what was read.")
    decisions = serializers.SerializerMethodField(
        help_text="What a run would cast: criterion, outcome, confidence, rule."
    )

    class Meta(TrialSerializer.Meta):
        fields = [*TrialSerializer.Meta.fields, "configuration", "steps", "decisions"]

    def get_configuration(self, trial: Trial) -> dict[str, Any]:
        shown = disclosed(trial.configuration)
        # It follows from the rest, which can be sent as it is to make the judge.
        return {name: value for name, value in shown.items() if name != "protocol_digest"}

    def get_decisions(self, trial: Trial) -> list[dict[str, Any]]:
        return [
            {**decision, "outcome": Outcome(decision["outcome"]).name}
            for decision in trial.decisions
        ]


class TrialBody(Body):
    battle = Whole(min_value=1, max_value=LARGEST_ID, help_text="The id of the battle.")
    judge = Text(required=False, max_length=120, allow_blank=False, help_text="Its slug; or")
    configuration = AnObject(required=False, help_text="that of an LLM judge that isn't made yet.")


@extend_schema_view(
    list=extend_schema(
        summary="Trials of LLM judges", description="Kept for a month. For maintainers."
    ),
    retrieve=extend_schema(
        summary="One trial", description="By its id, with each request, its reply and its reading."
    ),
    create=extend_schema(
        summary="Try an LLM judge on one battle",
        description="A worker asks; the answer says in `state` whether it has. Nothing is cast.",
        request=TrialBody,
        parameters=[KEY],
    ),
)
class Trials(OfMaintainers, WritesOnce, ReadOnlyViewSet):
    keeps_answers = False  # the key is the trial's
    noun = "trials"
    queryset = Trial.objects.select_related("judge")
    serializer_class = TrialSerializer
    detail_class = TrialDetailSerializer
    answer_classes: ClassVar = {"create": TrialDetailSerializer}

    def get_queryset(self) -> QuerySet:
        queryset = super().get_queryset()
        # Long texts, which a list doesn't show.
        return queryset.defer("steps", "configuration") if self.action == "list" else queryset

    def create(self, request: Request, arena: str) -> Response:
        # Here, since it brings the protocols along.
        from judges.trials import start_trial

        place = self.arena
        sent = self.body(TrialBody)
        if ("judge" in sent) == ("configuration" in sent):
            raise ValidationError({"judge": ["Send either a judge or a configuration."]})
        battle = Battle.objects.filter(arena=place, pk=sent["battle"]).first()
        if battle is None:
            raise ValidationError({"battle": [f"The arena {place.slug} has no such battle."]})
        judge, configuration = None, sent.get("configuration")
        if "judge" in sent:
            judge = row_named(Judge, place, sent["judge"], "judge")
            configuration = judge.configuration
        key, began = key_of(request, place, self.noun), timezone.now()
        with as_refusals(request.user):
            if judge is not None and "protocol_digest" not in judge.configuration:
                raise RunError(f"{judge} has no endpoint that could be asked.")
            trial = start_trial(
                arena=place,
                battle=battle,
                configuration=configuration,
                key=key,
                judge=judge,
                actor=request.user,
            )
        status = 201 if trial.created_at >= began else 200
        return Response(TrialDetailSerializer(trial).data, status=status)


# --- checklists -----------------------------------------------------------------------------------
class ChecklistSerializer(RowSerializer):
    judge = slug_of(help_text="The slug of the judge.")
    prompt = id_of(help_text="The id of the prompt.")
    questions = serializers.ListField(
        source="checklist", child=serializers.CharField(), read_only=True
    )
    by = serializers.SerializerMethodField(help_text="Who edited it; empty: the judge wrote it.")

    class Meta:
        model = Preparation
        fields = ["id", "judge", "prompt", "questions", "by", "created_at"]

    def get_by(self, kept: Preparation) -> str:
        return name_of(kept.edited_by) if kept.edited_by else ""


class ChecklistBody(Body):
    judge = Text(max_length=120, help_text="The slug of an LLM judge that asks by a checklist.")
    prompt = Whole(min_value=1, max_value=LARGEST_ID, help_text="The id of the prompt.")
    questions = Names(help_text="1 to 10 questions of at most 300 characters.")


class ChecklistFilters(FilterSet):
    judge = RowFilter(
        Judge, lambda judge: Q(judge=judge), field_name="judge", help_text="Of this judge."
    )
    prompt = IdFilter(help_text="Of the prompt with this id.")


@extend_schema_view(
    list=extend_schema(
        summary="Checklists of prompts",
        description="The questions by which a judge checks outputs to a prompt. For maintainers.",
    ),
    retrieve=extend_schema(summary="One checklist", description="By its id."),
    create=extend_schema(
        summary="Set the checklist of a prompt",
        description="Also before the judge has written one. The same again changes nothing; once an output was "
        "judged by it, it stays.",
        request=ChecklistBody,
    ),
)
class Checklists(OfMaintainers, WritesOnce, ReadOnlyViewSet):
    noun = "checklists"
    queryset = (
        Preparation.objects.filter(battle=None, output=None)
        .exclude(checklist=[])
        .select_related("judge", "edited_by")
    )
    serializer_class = ChecklistSerializer
    filterset_class = ChecklistFilters
    answer_classes: ClassVar = {"create": ChecklistSerializer}

    def get_queryset(self) -> QuerySet:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset.none()
        # By the judges, which an index knows.
        return self.queryset.filter(judge__in=Judge.objects.filter(arena=self.arena))

    def create(self, request: Request, arena: str) -> Response:
        place = self.arena
        sent = self.body(ChecklistBody)
        judge = row_named(Judge, place, sent["judge"], "judge")
        prompt = Prompt.objects.filter(arena=place, pk=sent["prompt"]).first()
        if prompt is None:
            raise ValidationError({"prompt": [f"The arena {place.slug} has no such prompt."]})
        began = timezone.now()
        with as_refusals(request.user):
            if "protocol_digest" not in judge.configuration or Scope.PROMPT not in scopes_of(
                protocol_of(judge)
            ):
                raise RunError(f"{judge} asks by no checklist.")
            kept = edit_checklist(
                judge=judge, prompt=prompt, questions=sent["questions"], actor=request.user
            )
        status = 201 if kept.created_at >= began else 200
        return Response(ChecklistSerializer(kept).data, status=status)


# --- cascades -------------------------------------------------------------------------------------
class CascadeRequestSerializer(RowSerializer):
    judge = slug_of(allow_null=True, help_text="The slug of what was made; null before.")
    tiers = AnyJsonField(read_only=True)
    terms = AnyJsonField(read_only=True)

    class Meta:
        model = CascadeRequest
        fields = [
            "id", "name", "description", "tiers", "terms", "state", "error", "judge", "created_at",
            "finished_at",
        ]  # fmt: skip


class TierBody(Body):
    judge = Text(max_length=120, help_text="Its slug.")
    confidence = Text(
        default="stored",
        max_length=20,
        help_text="What tells how sure it is: stored, annotators (its orders and repetitions agree) or none.",
    )


class CascadeBody(Body):
    name = Text(max_length=120)
    description = Text(required=False, max_length=2_000)
    tiers = TierBody(many=True, allow_empty=False, max_length=MOST_TIERS)
    target = serializers.FloatField(
        min_value=0.01, max_value=0.999, help_text="Agreement with the majority of people."
    )
    delta = serializers.FloatField(
        default=0.1, min_value=0.001, max_value=0.5, help_text="Chance that the claim is wrong."
    )
    share = serializers.FloatField(
        default=0.5, min_value=0.05, max_value=0.95, help_text="Of the battles, calibrated on."
    )
    seed = Whole(default=0, min_value=0, max_value=2**31 - 1, help_text="Of the division.")
    votes = Whole(default=3, min_value=1, max_value=1_000, help_text="That make a majority.")
    ties = serializers.ChoiceField(choices=["count", "leave out"], default="count")
    unit = serializers.ChoiceField(choices=["battle", "prompt"], default="battle")


@extend_schema_view(
    list=extend_schema(
        summary="Cascades that were asked for", description="With what came of it. For maintainers."
    ),
    retrieve=extend_schema(
        summary="One request", description="By its id: `judge` is the cascade once it is made."
    ),
    create=extend_schema(
        summary="Ask for a cascade",
        description="A worker calibrates it on people's votes and makes the judge: ask for the request until "
        "its `state` is done or failed. On the same votes the same terms give the judge that is there.",
        request=CascadeBody,
        parameters=[KEY],
    ),
)
class CascadeRequests(OfMaintainers, WritesOnce, ReadOnlyViewSet):
    keeps_answers = False  # the key is the request's
    noun = "cascade-requests"
    queryset = CascadeRequest.objects.select_related("judge")
    serializer_class = CascadeRequestSerializer
    answer_classes: ClassVar = {"create": CascadeRequestSerializer}

    def create(self, request: Request, arena: str) -> Response:
        from judges.cascades.making import CascadeError, Terms, Tier
        from judges.cascades.requests import request_cascade

        place = self.arena
        sent = self.body(CascadeBody)
        tiers = [
            Tier(row_named(Judge, place, tier["judge"], "tiers"), tier["confidence"])
            for tier in sent["tiers"]
        ]
        terms = {name: sent[name] for name in Terms.__slots__}
        key, began = key_of(request, place, self.noun), timezone.now()
        try:
            asked = request_cascade(
                arena=place,
                key=key,
                name=sent["name"],
                tiers=tiers,
                terms=Terms(**terms),
                description=sent.get("description", ""),
                actor=request.user,
            )
        except CascadeError as error:
            raise Refused(str(error), status=409) from error
        status = 201 if asked.created_at >= began else 200
        return Response(CascadeRequestSerializer(asked).data, status=status)


# --- derivations ----------------------------------------------------------------------------------
class DerivationSerializer(RowSerializer):
    judge = slug_of(help_text="The slug of the jury or cascade.")
    kind = serializers.CharField(source="judge.kind", read_only=True)
    is_pending = serializers.SerializerMethodField(
        help_text="Whether its sources have said something else since, or it was never derived."
    )

    class Meta:
        model = Derivation
        fields = ["judge", "kind", "is_pending", "computed_at", "seconds", "withdrawn_at"]

    def get_is_pending(self, derivation: Derivation) -> bool:
        return derivation.stale_since is not None


class DerivationDetailSerializer(DerivationSerializer):
    rule = serializers.SerializerMethodField(help_text="In words; of a jury.")
    members = serializers.SerializerMethodField(
        help_text="Of a jury: how often each voted and was outvoted, and its exam where one was held."
    )
    target = serializers.SerializerMethodField(help_text="Of a cascade: the agreement it claims.")
    tiers = serializers.SerializerMethodField(
        help_text="Of a cascade: the threshold of each, what it rests on, what it decides, its cost."
    )
    held_out = serializers.SerializerMethodField(
        help_text="Of a cascade: what it achieved on battles that weren't calibrated on."
    )
    after = serializers.SerializerMethodField(help_text="And on battles that people decided since.")
    figures = AnyJsonField(read_only=True, help_text="What the last pass came to.")

    class Meta(DerivationSerializer.Meta):
        fields = [
            *DerivationSerializer.Meta.fields, "rule", "members", "target", "tiers", "held_out", "after",
            "figures",
        ]  # fmt: skip

    def get_rule(self, derivation: Derivation) -> str:
        return _derived(derivation).rule

    def get_members(self, derivation: Derivation) -> list[dict[str, Any]]:
        return _derived(derivation).members

    def get_target(self, derivation: Derivation) -> float | None:
        return derivation.judge.configuration.get("target")

    def get_tiers(self, derivation: Derivation) -> list[dict[str, Any]]:
        return _derived(derivation).tiers

    def get_held_out(self, derivation: Derivation) -> dict[str, Any]:
        derived = _derived(derivation)
        return derived.held_out if derived.is_cascade else {}

    def get_after(self, derivation: Derivation) -> dict[str, Any]:
        return _derived(derivation).after


def _derived(derivation: Derivation) -> Derived:
    return Derived(derivation.judge, derivation, derivation.figures)


class DerivationFilters(FilterSet):
    kind = WordFilter(
        words={"jury": "jury", "cascade": "cascade"},
        field_name="judge__kind",
        help_text="Of juries, or of cascades.",
    )


@extend_schema_view(
    list=extend_schema(
        summary="Juries and cascades",
        description="Whose verdicts follow from those of others, and whether they are current.",
    ),
    retrieve=extend_schema(
        summary="What a jury or cascade came to",
        description="By the slug of the judge: members and exam, or target, tiers and what was achieved.",
    ),
)
class Derivations(BelowAnArena, ReadOnlyViewSet):
    noun = "derivations"
    queryset = Derivation.objects.select_related("judge")
    serializer_class = DerivationSerializer
    detail_class = DerivationDetailSerializer
    filterset_class = DerivationFilters
    lookup_field = "judge__slug"
    lookup_url_kwarg = "slug"
    lookup_value_regex = SLUG

    def get_queryset(self) -> QuerySet:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset.none()
        return self.queryset.filter(judge__arena=self.arena)
