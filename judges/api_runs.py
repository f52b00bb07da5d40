"""The API: runs of judges and systems, what steers them, and their calls. For maintainers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from arena.access import may_ask_models
from arena.api import RowFilter, id_of
from arena.api_once import WritesOnce
from arena.api_write import OfMaintainers
from arena.members import name_of
from arena.models import System
from config.api import (
    AnyJsonField,
    FilterSet,
    IdFilter,
    ReadOnlyViewSet,
    RowSerializer,
    WordFilter,
)
from config.api_bodies import AnObject, Body, Text, Whole
from config.problems import Refused
from judges.api import NameOf
from judges.configurations import ConfigurationError
from judges.endpoints.interface import CallError, Failure
from judges.models import Judge, JudgeCall, JudgeRun, Outcome, Verdict
from judges.runs import (
    RunError,
    cancel_run,
    confirm_run,
    failures_of,
    pause_run,
    plan,
    resume_run,
    retry_failed,
)
from judges.runs.once import plan_once, start_once
from judges.runs.progress import WHAT_TO_DO, progress_of
from judges.runs.settling import outcome_of
from judges.runs.traces import asked_of

LIMITS = ("budget", "max_tokens", "max_calls")
FAILURES = [failure.value for failure in Failure]


@contextmanager
def as_refusals(user: Any) -> Iterator[None]:
    """What a verb of judges or runs refuses, as the answer of the API: a configuration by its dotted names."""
    try:
        yield
    except ConfigurationError as error:
        errors = {name: [text] for name, text in error.problems.items()}
        raise Refused(str(error), errors=errors) from error
    except (RunError, CallError) as error:
        is_forbidden = str(error) == may_ask_models(user)
        raise Refused(str(error), status=403 if is_forbidden else 409) from error


def row_named(model: Any, arena: Any, slug: str, field: str) -> Any:
    """The row of the arena at this address; raises Refused, which names the field."""
    row = model.objects.filter(arena=arena, slug=slug).first()
    if row is None:
        sentence = f"The arena {arena.slug} has no {model._meta.verbose_name} {slug!r}."
        raise Refused(f"{field}: {sentence}", errors={field: [sentence]})
    return row


# --- runs -----------------------------------------------------------------------------------------
class RunSerializer(RowSerializer):
    subject = serializers.SerializerMethodField(
        help_text="The slug of the judge or system that is asked."
    )
    kind = serializers.SerializerMethodField(help_text="The kind of the judge, or “system”.")
    selection = AnyJsonField(read_only=True, help_text="Which battles or prompts it is about.")
    rounds = AnyJsonField(
        read_only=True,
        help_text="Of a run until intervals are narrow: rounds and battles so far, the widest interval in "
        "rating points and whose it is, and at the end what was said.",
    )
    probes = AnyJsonField(
        read_only=True,
        help_text="Of a run that casts no verdicts but asks with probes: their names and the seed.",
    )
    by = serializers.SerializerMethodField(
        help_text="The account's e-mail address, or its name; empty where a command did it."
    )

    class Meta:
        model = JudgeRun
        fields = [
            "id", "subject", "kind", "state", "selection", "rounds", "probes", "total", "done", "failed",
            "verdicts_cast", "from_cache", "calls_made", "input_tokens", "output_tokens", "cost", *LIMITS,
            "error", "by", "created_at", "started_at", "finished_at",
        ]  # fmt: skip

    def get_subject(self, run: JudgeRun) -> str:
        return run.subject.slug

    def get_kind(self, run: JudgeRun) -> str:
        return "system" if run.judge is None else run.judge.kind

    def get_by(self, run: JudgeRun) -> str:
        return name_of(run.created_by) if run.created_by else ""


class RunFailureSerializer(serializers.Serializer):
    failure = serializers.CharField(help_text="Why, in a word: `retry` takes it.")
    count = serializers.IntegerField(help_text="How many calls.")
    example = serializers.CharField(help_text="What the last of them said.")
    what_to_do = serializers.CharField(help_text="Empty where nobody can tell.")


class RunDetailSerializer(RunSerializer):
    left = serializers.SerializerMethodField(help_text="Calls, or a program's battles, to do.")
    in_flight = serializers.SerializerMethodField(help_text="Calls that are being asked now.")
    per_minute = serializers.SerializerMethodField(help_text="Lately; null: too few to tell.")
    seconds_left = serializers.SerializerMethodField(help_text="At that rate.")
    is_waiting = serializers.SerializerMethodField(
        help_text="Under way, but no worker has taken it for longer than it takes when one runs."
    )
    failures = serializers.SerializerMethodField(help_text="The most frequent reason first.")

    class Meta(RunSerializer.Meta):
        fields = [
            *RunSerializer.Meta.fields, "left", "in_flight", "per_minute", "seconds_left", "is_waiting",
            "failures",
        ]  # fmt: skip

    def to_representation(self, run: JudgeRun) -> Any:
        self.progress = progress_of(run)
        return super().to_representation(run)

    def get_left(self, run: JudgeRun) -> int:
        return self.progress.left

    def get_in_flight(self, run: JudgeRun) -> int:
        return self.progress.in_flight

    def get_per_minute(self, run: JudgeRun) -> float | None:
        return self.progress.per_minute

    def get_seconds_left(self, run: JudgeRun) -> float | None:
        return self.progress.seconds_left

    def get_is_waiting(self, run: JudgeRun) -> bool:
        return self.progress.is_waiting

    @extend_schema_field(RunFailureSerializer(many=True))
    def get_failures(self, run: JudgeRun) -> list[dict[str, Any]]:
        if not run.makes_calls or not run.failed:
            return []
        return [
            {**asdict(one), "what_to_do": WHAT_TO_DO.get(one.failure, "")}
            for one in failures_of(run)
        ]


class RunPlanSerializer(serializers.Serializer):
    """What a run would ask, estimated from the lengths of texts, as things are now."""

    battles = serializers.IntegerField()
    prompts = serializers.IntegerField(help_text="Of a system that is asked to answer them.")
    left_out = serializers.IntegerField(
        help_text="Prompts that were chosen and can't be asked: they weren't published."
    )
    calls = serializers.IntegerField()
    preparations = serializers.IntegerField(
        help_text="Of the calls, those that come first: for checklists and adapted references."
    )
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = serializers.FloatField(help_text="In USD, at the prices in the configuration.")
    most_cost = serializers.FloatField(
        help_text="No estimate: without retries and pictures it can't cost more."
    )
    seconds = serializers.FloatField()
    is_measured = serializers.BooleanField(
        help_text="Whether replies and time are those of earlier calls."
    )
    warning = serializers.CharField(
        help_text="Why the endpoint couldn't be asked as things are; empty where it could."
    )
    note = serializers.CharField()


class RunLimitsBody(Body):
    budget = serializers.DecimalField(
        required=False,
        max_digits=12,
        decimal_places=4,
        min_value=Decimal("0.0001"),
        max_value=Decimal(99_999_999),
        help_text="In USD: the run pauses before it would cost more; pictures aren't foreseen.",
    )
    max_tokens = Whole(required=False, min_value=1, max_value=99_999_999, help_text="Likewise.")
    max_calls = Whole(required=False, min_value=1, max_value=99_999_999, help_text="Likewise.")


class RunBody(RunLimitsBody):
    judge = Text(max_length=120, help_text="The slug of it.")
    selection = AnObject(
        default=dict,
        help_text="`battles` (existing, voted or all), `systems`, `pairs`, `categories`, `prompts`, "
        "`limit`, `failed_of`. Nothing: all battles. A program takes none.",
    )
    probes = AnObject(
        required=False,
        help_text="`names` of probes and a `seed` (1 unless told): it then asks about battles as they are, the "
        "same again, and changed by each, and casts no verdicts. `selection` is then of battles that there "
        "are, 100 of them unless its `limit` says otherwise.",
    )


class RetryBody(Body):
    failure = serializers.ChoiceField(
        choices=FAILURES, required=False, help_text="Only what failed for this reason."
    )


class NoBody(Body):
    pass


class RunFilters(FilterSet):
    judge = RowFilter(
        Judge, lambda judge: Q(judge=judge), field_name="judge", help_text="Runs of this judge."
    )
    system = RowFilter(
        System, lambda system: Q(system=system), field_name="system", help_text="Of this system."
    )
    state = WordFilter(
        words={state.value: state.value for state in JudgeRun.State},
        help_text="Runs in this state.",
    )


def _steers(summary: str, description: str, request: Any = None) -> Callable[..., Any]:
    return extend_schema(summary=summary, description=description, request=request)


@extend_schema_view(
    list=extend_schema(
        summary="Runs of an arena",
        description="A run is a judge asked about many battles, or a system asked to answer many prompts. "
        "`total`, `done` and `failed` count calls; of a program, battles. For maintainers.",
    ),
    retrieve=extend_schema(
        summary="One run", description="By its id, with its rate and why calls of it failed."
    ),
    create=extend_schema(
        summary="Plan a run",
        description="Nothing is asked before it is confirmed. What this account has planned already is given "
        "back. A program is run at once, since it asks nobody and costs nothing. Runs in which systems answer "
        "prompts are planned below answer-runs.",
        request=RunBody,
    ),
    plan=extend_schema(
        summary="What a run would ask", description="Calls, tokens, price and time: an estimate."
    ),
    confirm=_steers("Confirm a planned run", "It begins; one that has begun is left as it is."),
    pause=_steers("Pause a run", "Nothing further is asked; what is being asked is kept."),
    resume=_steers(
        "Resume a run",
        "One that paused or failed goes on, within other limits where they are sent.",
        RunLimitsBody,
    ),
    cancel=_steers("Cancel a run", "What hasn't been asked is given up. What came of it stays."),
    retry=_steers("Ask again what failed", "All of it, or what failed for one reason.", RetryBody),
)
class Runs(OfMaintainers, WritesOnce, ReadOnlyViewSet):
    noun = "runs"
    queryset = JudgeRun.objects.select_related("arena", "judge", "system", "created_by")
    serializer_class = RunSerializer
    detail_class = RunDetailSerializer
    filterset_class = RunFilters
    answer_classes: ClassVar = {
        "plan": RunPlanSerializer,
        **dict.fromkeys(
            ("create", "confirm", "pause", "resume", "cancel", "retry"), RunDetailSerializer
        ),
    }

    def create(self, request: Request, arena: str) -> Response:
        place = self.arena
        sent = self.body(RunBody)
        began = timezone.now()
        with as_refusals(request.user):
            run = self._planned(place, sent)
        answer = RunDetailSerializer(self.get_queryset().get(pk=run.pk)).data
        return Response(answer, status=201 if run.created_at >= began else 200)

    def _planned(self, place: Any, sent: dict[str, Any]) -> JudgeRun:
        limits = {name: sent.get(name) for name in LIMITS}
        actor, selection = self.request.user, sent["selection"]
        judge = row_named(Judge, place, sent["judge"], "judge")
        if judge.kind != Judge.Kind.PROGRAM:
            return plan_once(
                judge=judge,
                selection=selection,
                limits=limits,
                probes=sent.get("probes"),
                actor=actor,
            )
        if "probes" in sent:
            raise RunError("Probes ask an LLM judge: a program's rules can be read.")
        if selection or any(limits.values()):
            raise RunError(
                "A program judges every battle that it hasn't decided, and costs nothing: leave selection and "
                "limits out."
            )
        return start_once(judge=judge, actor=actor)

    @action(detail=True, methods=["get"])
    def plan(self, request: Request, arena: str, pk: str) -> Response:
        run = self.get_object()
        if not run.makes_calls:
            raise Refused(f"{run} is a program's: it asks nobody and costs nothing.", status=409)
        with as_refusals(request.user):
            found = plan(run)
        return Response(RunPlanSerializer({**asdict(found), "note": found.note}).data)

    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, arena: str, pk: str) -> Response:
        return self._done(confirm_run, NoBody)

    @action(detail=True, methods=["post"])
    def pause(self, request: Request, arena: str, pk: str) -> Response:
        return self._done(pause_run, NoBody)

    @action(detail=True, methods=["post"])
    def resume(self, request: Request, arena: str, pk: str) -> Response:
        return self._done(resume_run, RunLimitsBody)

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, arena: str, pk: str) -> Response:
        return self._done(cancel_run, NoBody)

    @action(detail=True, methods=["post"])
    def retry(self, request: Request, arena: str, pk: str) -> Response:
        return self._done(retry_failed, RetryBody)

    def _done(self, verb: Callable[..., Any], body: type[Body]) -> Response:
        """Do it, and answer with the run as it then is."""
        run = self.get_object()
        sent = self.body(body)
        with as_refusals(self.request.user):
            verb(run=run, actor=self.request.user, **sent)
        return Response(RunDetailSerializer(self.get_object()).data)


# --- calls ----------------------------------------------------------------------------------------
class CallSerializer(RowSerializer):
    prompt = id_of(help_text="The id of the prompt.")
    battle = id_of(allow_null=True, help_text="The id of the battle, where it is about one.")
    output = id_of(allow_null=True, help_text="The id of the output, where it is about one alone.")
    shown_first = NameOf(Verdict.Side, allow_null=True, help_text="Which side was shown first.")
    changed_side = NameOf(
        Verdict.Side, allow_null=True, help_text="Of a probe, whose answer was changed."
    )
    outcome = serializers.SerializerMethodField(
        help_text="What was chosen, in the battle's orientation: A, B, TIE or BOTH_BAD."
    )
    parse = AnyJsonField(read_only=True, help_text="What was read out of the reply.")
    text = serializers.CharField(read_only=True, help_text="The reply, to the letter.")

    class Meta:
        model = JudgeCall
        fields = [
            "id", "purpose", "state", "prompt", "battle", "output", "shown_first", "repetition", "probe",
            "changed_side", "choice",
            "outcome", "score", "confidence", "text", "parse", "failure", "error", "input_tokens",
            "output_tokens", "cost", "latency_ms", "from_cache", "attempts", "finished_at",
        ]  # fmt: skip

    def get_outcome(self, call: JudgeCall) -> str | None:
        if call.choice is None or call.shown_first is None:
            return None
        return Outcome(outcome_of(call.choice, call.shown_first)).name


class CallDetailSerializer(CallSerializer):
    request = serializers.SerializerMethodField(
        help_text="What is asked, rendered again. `is_proven`: the cache holds the reply to exactly this. "
        "`why_not`: why it can't be rendered."
    )

    class Meta(CallSerializer.Meta):
        fields = [*CallSerializer.Meta.fields, "request"]

    @extend_schema_field({})
    def get_request(self, call: JudgeCall) -> Any:
        return asdict(asked_of(call, run=self.context["view"].run))


class CallFilters(FilterSet):
    state = WordFilter(
        words={state.value: state.value for state in JudgeCall.State},
        help_text="Calls in this state.",
    )
    failure = WordFilter(
        words={failure: failure for failure in FAILURES},
        help_text="Calls that failed for this reason.",
    )
    battle = IdFilter(help_text="Calls about the battle with this id.")
    prompt = IdFilter(help_text="Calls about the prompt with this id.")


@extend_schema_view(
    list=extend_schema(
        summary="Calls of a run",
        description="Each question of the run and what came of it, in the order in which they are asked. "
        "`choice` is as the answers were shown: 0 the first, 1 the second, 2 a tie, 3 both bad. For "
        "maintainers.",
    ),
    retrieve=extend_schema(summary="One call", description="By its id, with its request."),
)
class Calls(OfMaintainers, ReadOnlyViewSet):
    noun = "calls"
    queryset = JudgeCall.objects.all()
    serializer_class = CallSerializer
    detail_class = CallDetailSerializer
    filterset_class = CallFilters
    largest_page = 200

    @cached_property
    def run(self) -> JudgeRun:
        runs = JudgeRun.objects.select_related("arena", "judge", "system")
        return get_object_or_404(runs, arena=self.arena, pk=self.kwargs["run"])

    def get_queryset(self) -> QuerySet:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset.none()
        calls = self.run.calls.all()
        # What the database's index knows: only what failed has a reason.
        if self.action == "list" and "failure" in self.request.query_params:
            calls = calls.filter(state=JudgeCall.State.ERROR)
        return calls.select_related("prompt") if self.action == "retrieve" else calls
