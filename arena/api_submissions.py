"""The API: submitting a system's outputs, and what becomes of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.forms import Field
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
)
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, Throttled, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from arena.access import seen_submissions, visible_arena
from arena.api import BelowAnArena, slug_of
from arena.api_access import MayWrite, Somebody
from arena.api_once import WritesOnce
from arena.api_write import as_problems
from arena.models import Arena, Submission, System
from arena.submissions.checking import ABOUT
from arena.submissions.formats import KINDS
from arena.submissions.forms import AboutForm
from arena.submissions.verbs import (
    SubmissionError,
    cancel,
    publish,
    queued_before,
    retry,
    submit,
    try_submission,
    withdraw,
)
from config.api import (
    AnyJsonField,
    FilterSet,
    ReadOnlyViewSet,
    RowSerializer,
    WordFilter,
    checked,
)
from config.api_bodies import BytesParser
from config.problems import Refused

FLAGS = {"true": True, "false": False}
MEDIA_TYPES = (
    "application/json", "application/jsonl", "application/x-ndjson", "text/csv", "application/gzip",
    "application/octet-stream",
)  # fmt: skip


def _parser(of: str) -> type[BytesParser]:
    return type("File", (BytesParser,), {"media_type": of, "unpacks": False})


@contextmanager
def as_answers() -> Iterator[None]:
    """What a verb of submissions refuses, as the answer of the API."""
    try:
        with as_problems():
            yield
    except SubmissionError as error:
        if error.wait:
            raise Throttled(wait=error.wait, detail=str(error)) from error
        if error.forbidden:
            raise PermissionDenied(str(error)) from error
        raise Refused(str(error), status=409) from error


# --- answers --------------------------------------------------------------------------------------
class PlaceSerializer(serializers.Serializer):
    """Where a system stands by one judge, in rating points, with 95 % intervals."""

    judge = serializers.CharField(help_text="The address of the judge that ranks.")
    rating = serializers.FloatField()
    lower = serializers.FloatField()
    upper = serializers.FloatField()
    width = serializers.FloatField(help_text="From lower to upper.")
    rank_lower = serializers.IntegerField(help_text="The best rank in the interval.")
    rank_upper = serializers.IntegerField()
    n_ranked = serializers.IntegerField(help_text="Systems that are ranked, this one among them.")
    n_verdicts = serializers.IntegerField(help_text="Of this judge on this system.")
    n_battles = serializers.IntegerField()
    at = serializers.DateTimeField()


class ProblemOfAFile(serializers.Serializer):
    line = serializers.IntegerField(help_text="Counted from 1; 0: of the whole.")
    sentence = serializers.CharField(help_text="What is wrong and what to do.")


def _problems(pairs: Any) -> list[dict[str, Any]]:
    return [{"line": line, "sentence": sentence} for line, sentence in pairs]


class SubmissionSerializer(RowSerializer):
    system = slug_of(
        allow_null=True, help_text="The system's address; null where the submission was refused."
    )
    standing = serializers.CharField(
        source="system.standing",
        default="",
        read_only=True,
        help_text="private, published, deprecated or withdrawn; empty where it was refused.",
    )
    about = AnyJsonField(read_only=True, help_text="What was said of the system.")
    judges = AnyJsonField(read_only=True, help_text="Who is asked; the first one ranks.")
    place = serializers.SerializerMethodField(
        help_text="Its provisional place; null while there is none."
    )
    page = serializers.SerializerMethodField(help_text="Where people read the same.")

    class Meta:
        model = Submission
        fields = [
            "id", "system", "standing", "state", "reason", "about", "file_name", "n_outputs", "n_prompts",
            "n_problems", "judges", "battles_wanted", "width_wanted", "n_battles", "n_judged", "cost",
            "place", "page", "created_at", "ended_at",
        ]  # fmt: skip

    @extend_schema_field(PlaceSerializer(allow_null=True))
    def get_place(self, submission: Submission) -> dict[str, Any] | None:
        return submission.place or None

    def get_page(self, submission: Submission) -> str:
        view = self.context["view"]
        path = reverse("arena:submission", args=[view.arena.slug, submission.pk])
        return view.request.build_absolute_uri(path)


class SubmissionDetailSerializer(SubmissionSerializer):
    queued_before = serializers.SerializerMethodField(
        help_text="Submissions of the site that are worked on before it; null where it doesn't wait."
    )
    problems = serializers.SerializerMethodField(
        help_text="Why it was refused, or what it was warned of; at most 200."
    )
    rounds = serializers.SerializerMethodField(help_text="The places before, one a round.")

    class Meta(SubmissionSerializer.Meta):
        fields = [*SubmissionSerializer.Meta.fields, "queued_before", "problems", "rounds"]

    def get_queued_before(self, submission: Submission) -> int | None:
        return queued_before(submission) if submission.state == Submission.State.QUEUED else None

    @extend_schema_field(ProblemOfAFile(many=True))
    def get_problems(self, submission: Submission) -> list[dict[str, Any]]:
        return _problems(submission.problems)

    @extend_schema_field(PlaceSerializer(many=True))
    def get_rounds(self, submission: Submission) -> list[dict[str, Any]]:
        return submission.rounds


class CheckSerializer(serializers.Serializer):
    """What a submission would store; nothing is stored."""

    name = serializers.CharField()
    version = serializers.CharField(allow_blank=True)
    format = serializers.CharField(help_text="How the file was read.")
    outputs = serializers.IntegerField()
    prompts = serializers.IntegerField(help_text="Of the arena.")
    missing = serializers.IntegerField(help_text="Prompts without an output.")
    unused = serializers.ListField(
        child=serializers.CharField(),
        help_text="Names of fields that stood there and mean nothing.",
    )
    warnings = ProblemOfAFile(many=True, help_text="What isn't refused, at most 200.")


# --- what is sent ---------------------------------------------------------------------------------
def _about(name: str, field: Field) -> OpenApiParameter:
    schema: dict[str, Any] = {"type": "string", "minLength": 1}
    if name.startswith("price"):
        schema = {"type": "number", "minimum": 0, "maximum": 999_999}
    elif longest := getattr(field, "max_length", None):
        schema["maxLength"] = longest
    said = str(field.help_text or field.label or name.capitalize())
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=said)


SENT = [
    *(_about(name, AboutForm.base_fields[name]) for name in ABOUT),
    OpenApiParameter(
        "format",
        {"type": "string", "enum": list(KINDS)},
        OpenApiParameter.QUERY,
        description="How to read the file; without it, as it looks. Compressed ones are seen to be so.",
    ),
    OpenApiParameter(
        "file_name",
        {"type": "string", "minLength": 1, "maxLength": 200},
        OpenApiParameter.QUERY,
        description="Kept with the submission.",
    ),
    OpenApiParameter(
        "private",
        {"type": "boolean", "default": True},
        OpenApiParameter.QUERY,
        description="false: publish it at once. That can't be taken back.",
    ),
    OpenApiParameter(
        "follows",
        {"type": "string", "minLength": 1, "maxLength": 120},
        OpenApiParameter.QUERY,
        description="The address of a system of yours of which this is a new version.",
    ),
    OpenApiParameter(
        "mail",
        {"type": "boolean", "default": False},
        OpenApiParameter.QUERY,
        description="true: send one mail when it is ranked, or can't be.",
    ),
]
OUTPUTS = OpenApiExample(
    "Two outputs",
    value=[
        {"prompt_id": "p1", "output": "Because air scatters blue light most.", "tokens": 9},
        {"prompt": "Why is grass green?", "output": "Chlorophyll.", "latency_ms": 120},
    ],
    request_only=True,
    media_type="application/json",
)
FILE = dict.fromkeys(MEDIA_TYPES, OpenApiTypes.BINARY)
FILE["application/json"] = {"type": "array", "items": {"type": "object"}}
FILE["application/jsonl"] = FILE["application/x-ndjson"] = FILE["text/csv"] = OpenApiTypes.STR


class SubmissionFilters(FilterSet):
    state = WordFilter(
        field_name="state",
        words={value: value for value in Submission.State.values},
        help_text="Only those in this state.",
    )


def _verb(summary: str, description: str) -> Any:
    return extend_schema(summary=summary, description=description, request=None)


@extend_schema_view(
    list=extend_schema(
        summary="Submissions",
        description="One's own; all of the arena's for its maintainers.",
    ),
    retrieve=extend_schema(
        summary="One submission",
        description="Where it stands and why, with its provisional place: ask until its state is ranked, "
        "failed, waiting or cancelled.",
    ),
    create=extend_schema(
        summary="Submit a system's outputs",
        description="The body is a file in any of the formats, at most 20 MB, compressed with gzip or not. "
        "All of it is stored, or nothing: then every problem is told with its line. The parameters say what "
        "is known of the system. The same sent again by the same account is answered with the submission "
        "that is there.",
        parameters=SENT,
        request=FILE,
        examples=[OUTPUTS],
    ),
    check=extend_schema(
        summary="Check a submission",
        description="Everything that submitting looks at, and nothing is stored.",
        parameters=SENT,
        request=FILE,
        examples=[OUTPUTS],
    ),
    cancel=_verb("Cancel a submission", "No more battles are planned for it; verdicts stay."),
    retry=_verb("Try a submission again", "Goes on with one that failed or was cancelled."),
    publish=_verb(
        "Publish a system",
        "Everybody who sees the arena sees it from now on, and people are asked about it. It can't be "
        "hidden again.",
    ),
    withdraw=_verb(
        "Withdraw a system",
        "A private one is hidden for good; a published one is deprecated: it gets no new battles, and its "
        "results stay.",
    ),
)
class Submissions(BelowAnArena, WritesOnce, ReadOnlyViewSet):
    noun = "submissions"
    queryset = Submission.objects.select_related("system")
    serializer_class = SubmissionSerializer
    detail_class = SubmissionDetailSerializer
    filterset_class = SubmissionFilters
    permission_classes = [Somebody, MayWrite]
    anybody_reads = False
    parser_classes: ClassVar[list] = [_parser(of) for of in MEDIA_TYPES]
    answer_classes: ClassVar = {
        "create": SubmissionDetailSerializer,
        "check": CheckSerializer,
    } | dict.fromkeys(("cancel", "retry", "publish", "withdraw"), SubmissionDetailSerializer)

    @cached_property
    def arena(self) -> Arena:
        return visible_arena(self.request.user, self.kwargs["arena"])

    def get_queryset(self) -> QuerySet:
        found = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return found
        return found.filter(pk__in=seen_submissions(self.request.user, self.arena).values("pk"))

    def known_parameters(self) -> dict[str, Any]:
        if self.action in ("create", "check"):
            return dict.fromkeys(parameter.name for parameter in SENT)
        return super().known_parameters()

    def create(self, request: Request, arena: str) -> Response:
        sent = self._sent()
        origin = request.build_absolute_uri("/").removesuffix("/")
        with as_answers():
            received = submit(
                arena=self.arena,
                owner=request.user,
                wants_mail=self._flag("mail", default=False),
                origin=origin,
                **sent,
            )
        received.submission.refresh_from_db()
        return self._answer(received.submission, status=201 if received.is_new else 200)

    @action(detail=False, methods=["post"])
    def check(self, request: Request, arena: str) -> Response:
        sent = self._sent()
        self._flag("mail", default=False)
        with as_answers():
            tried = try_submission(arena=self.arena, owner=request.user, **sent)
        answer = {
            "name": tried.about["name"],
            "version": tried.about["version"],
            "format": tried.file.kind,
            "outputs": len(tried.checked.plan.new),
            "prompts": tried.checked.n_prompts,
            "missing": tried.checked.missing,
            "unused": tried.file.unused,
            "warnings": _problems(one.by_line() for one in tried.checked.warnings),
        }
        return Response(CheckSerializer(answer).data)

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, arena: str, pk: str) -> Response:
        return self._do(cancel)

    @action(detail=True, methods=["post"])
    def retry(self, request: Request, arena: str, pk: str) -> Response:
        return self._do(retry)

    @action(detail=True, methods=["post"])
    def publish(self, request: Request, arena: str, pk: str) -> Response:
        return self._do(publish)

    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, arena: str, pk: str) -> Response:
        return self._do(withdraw)

    def _do(self, verb: Any) -> Response:
        with as_answers():
            verb(submission=self.get_object(), actor=self.request.user)
        return self._answer(self.get_object())

    def _answer(self, submission: Submission, *, status: int = 200) -> Response:
        return Response(self.get_serializer(submission).data, status=status)

    def _sent(self) -> dict[str, Any]:
        """What ``submit`` takes beside arena, owner and mail. Raises ValidationError."""
        given = self.request.query_params
        place = self.arena  # before the body is read, who sends it is asked
        about = {name: given[name] for name in ABOUT if name in given}
        # A file may tell the name itself.
        only = [name for name in ABOUT if name in given]
        form = AboutForm(about)
        values = {name: form.fields[name].empty_value for name in ABOUT if name not in given
                  and hasattr(form.fields[name], "empty_value")}  # fmt: skip
        values |= {name: None for name in ("price_in", "price_out") if name not in given}
        values |= checked(form, only=only)
        kind = given.get("format", "")
        if kind and kind not in KINDS:
            raise ValidationError({"format": [f"Must be one of {', '.join(KINDS)}."]})
        follows = None
        if "follows" in given:
            follows = System.objects.filter(
                arena=place, owner=self.request.user, slug=given["follows"]
            ).first()
            if follows is None:
                raise ValidationError(
                    {"follows": [f"You have no system {given['follows']!r} in {place.slug}."]}
                )
        file_name = given.get("file_name", "")
        if len(file_name) > 200 or "\0" in file_name:
            raise ValidationError({"file_name": ["At most 200 characters, and no NUL."]})
        private = self._flag("private", default=True)
        content = self.request.data
        if not isinstance(content, bytes) or not content:
            raise Refused("There is no body: send the file with the system's outputs.")
        return {
            "about": values,
            "content": content,
            "file_name": file_name,
            "kind": kind,
            "private": private,
            "follows": follows,
        }

    def _flag(self, name: str, *, default: bool) -> bool:
        value = self.request.query_params.get(name)
        if value is None:
            return default
        if value not in FLAGS:
            raise ValidationError({name: ["Must be one of true, false."]})
        return FLAGS[value]
