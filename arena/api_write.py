"""The API: what all writing endpoints share, and adding prompts and outputs. The verbs are the pages'."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

from django.core.exceptions import ValidationError as WrongField
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from arena.access import managed_arena
from arena.api import BelowAnArena, OutputViewSet, PromptViewSet
from arena.api_access import MayWrite, Somebody
from arena.api_once import WritesOnce
from arena.forms import OutputsForm
from arena.making import MakingError, add_outputs, add_prompts, plan_outputs, plan_prompts
from arena.members import InvitationError, LastMaintainer
from arena.models import Arena, System
from arena.submissions.formats import read_submission
from arena.uploads import Upload, UploadError, read_prompts
from config.api_bodies import Csv, Gzip, JsonLines, JsonList, NdJson, PlainText, records_of
from config.problems import Refused


@contextmanager
def as_problems() -> Iterator[None]:
    """What a verb refuses, as the answer of the API."""
    try:
        yield
    except UploadError as error:
        errors: dict[str, list[str]] = {}
        for problem in error.problems:
            errors.setdefault(problem.place or "body", []).append(problem.sentence)
        place, (sentence, *_) = next(iter(errors.items()))
        found = "1 problem" if error.count == 1 else f"{error.count:,} problems"
        raise Refused(
            f"{found}; nothing was stored. {place.capitalize()}: {sentence}", errors=errors
        ) from error
    except (MakingError, LastMaintainer, InvitationError) as error:
        raise Refused(str(error), status=409) from error
    except WrongField as error:
        found_in = error.message_dict if hasattr(error, "error_dict") else {"body": error.messages}
        raise ValidationError(
            {"body" if name == "__all__" else name: said for name, said in found_in.items()}
        ) from error


class OfMaintainers(BelowAnArena):
    """What only maintainers of the arena see. Goes before a view set."""

    permission_classes = [Somebody, MayWrite]
    anybody_reads = False

    @cached_property
    def arena(self) -> Arena:
        return managed_arena(self.request.user, self.kwargs["arena"])


# --- prompts and outputs --------------------------------------------------------------------------
class AddedSerializer(serializers.Serializer):
    """What came of a list of records."""

    added = serializers.IntegerField(help_text="How many were added; or would be, with check=true.")
    known = serializers.IntegerField(help_text="How many were there already, and were left alone.")
    unused = serializers.ListField(
        child=serializers.CharField(),
        help_text="Names of fields that stood there and mean nothing.",
    )
    is_check = serializers.BooleanField(help_text="Whether nothing was stored, as was asked for.")


CHECK = OpenApiParameter(
    "check",
    {"type": "boolean"},
    OpenApiParameter.QUERY,
    description="true: say what would be added or is wrong, and store nothing.",
)


def bodies(record: type[serializers.Serializer], *, text: bool = False) -> dict[str, Any]:
    """How a list of records may be sent, for the description."""
    lines = {"application/jsonl": OpenApiTypes.STR, "application/x-ndjson": OpenApiTypes.STR}
    return {
        "application/json": record(many=True),
        **lines,
        "text/csv": OpenApiTypes.STR,
        **({"text/plain": OpenApiTypes.STR} if text else {}),
    }


class TakesRecords(WritesOnce):
    """A list that is added to by records: all of them or none. Goes before a view set.

    ``read(content, kind=…)`` gives an Upload or raises UploadError; ``plan`` says what adding would do and
    ``add`` does it, with the same return value.
    """

    parser_classes: ClassVar[list] = [JsonList, JsonLines, NdJson, Csv]
    answer_classes: ClassVar = {"create": AddedSerializer}
    parameters: ClassVar[tuple[str, ...]] = ("check",)
    read: Callable[..., Upload]

    def known_parameters(self) -> dict[str, Any]:
        if self.action == "create":
            return dict.fromkeys(self.parameters)
        return super().known_parameters()

    def about(self) -> dict[str, Any]:
        """What the parameters say, as ``plan`` and ``add`` take it."""
        return {}

    def answer(self, plan: Any) -> dict[str, Any]:
        return {"added": len(plan.new), "known": plan.known}

    def create(self, request: Request, arena: str) -> Response:
        # Before the body is read, who sends it is asked.
        place, about = self.arena, self.about()
        check = request.query_params.get("check", "false")
        if check not in ("true", "false"):
            raise ValidationError({"check": ["Must be one of true, false."]})
        records = records_of(request.data)
        with as_problems():
            upload = self.read(records.content, kind=records.kind)
            if check == "true":
                plan = self.plan(arena=place, rows=upload.rows, **about)
            else:
                plan = self.add(arena=place, rows=upload.rows, actor=request.user, **about)
        answer = {"unused": upload.unused, "is_check": check == "true", **self.answer(plan)}
        is_new = plan.new and check != "true"
        return Response(self.get_serializer_class()(answer).data, status=201 if is_new else 200)


class MessageRecord(serializers.Serializer):
    role = serializers.CharField(help_text="system, user, assistant or tool.")
    content = serializers.CharField()


class PromptRecord(serializers.Serializer):
    # Only for the description: arena/uploads.py reads it.
    prompt = serializers.CharField(required=False, help_text="Its text; or messages.")
    messages = MessageRecord(many=True, required=False)
    id = serializers.CharField(required=False, max_length=200, help_text="Your name for it.")
    title = serializers.CharField(required=False, max_length=120)
    reference = serializers.CharField(required=False, help_text="A reference answer.")
    language = serializers.CharField(required=False, max_length=35)
    categories = serializers.ListField(child=serializers.CharField(max_length=80), required=False)


class PromptsAddedSerializer(AddedSerializer):
    new_categories = serializers.ListField(child=serializers.CharField())


@extend_schema_view(
    create=extend_schema(
        summary="Add prompts",
        description="A list of records in JSON, or JSON lines, CSV, or plain text with one prompt a line. "
        "All are added or none; what is there already is left alone.",
        parameters=[CHECK],
        request=bodies(PromptRecord, text=True),
    )
)
class Prompts(TakesRecords, PromptViewSet):
    parser_classes: ClassVar[list] = [*TakesRecords.parser_classes, PlainText]
    answer_classes: ClassVar = {"create": PromptsAddedSerializer}
    read, plan, add = map(staticmethod, (read_prompts, plan_prompts, add_prompts))

    def answer(self, plan: Any) -> dict[str, Any]:
        return {**super().answer(plan), "new_categories": plan.new_categories}


class OutputRecord(serializers.Serializer):
    # Only for the description: arena/uploads.py reads it.
    prompt_id = serializers.CharField(
        required=False, help_text="Your name for the prompt, or its id here; or prompt."
    )
    prompt = serializers.CharField(required=False, help_text="The text of the prompt.")
    output = serializers.CharField()
    tokens = serializers.IntegerField(required=False, min_value=0)
    latency_ms = serializers.IntegerField(required=False, min_value=0)
    cost = serializers.FloatField(
        required=False, min_value=0, help_text="US dollars; kept in millionths."
    )


class OutputsAddedSerializer(AddedSerializer):
    system = serializers.CharField(allow_null=True, help_text="Its slug; null where it isn't made.")
    is_new_system = serializers.BooleanField()
    unanswered = serializers.IntegerField(
        help_text="Prompts that the system has no output for even so."
    )


SYSTEM = ("system", "version", "organisation", "family", "licence", "link")


def _about_a_system(name: str) -> OpenApiParameter:
    field = OutputsForm.base_fields[name]
    return OpenApiParameter(
        name,
        {"type": "string", "minLength": 1, "maxLength": field.max_length},
        OpenApiParameter.QUERY,
        required=field.required,
        description=str(field.help_text) or f"{field.label or name.capitalize()}, of a new system.",
    )


@extend_schema_view(
    create=extend_schema(
        summary="Add a system's outputs",
        description="A list of records in JSON, or JSON lines, or CSV, or a file as AlpacaEval or Arena-Hard "
        "write it; gzipped or not. All are added or none; what is there already is left alone. The parameters "
        "say whose they are; a new system is made.",
        parameters=[*(_about_a_system(name) for name in SYSTEM), CHECK],
        request={**bodies(OutputRecord), Gzip.media_type: OpenApiTypes.BINARY},
    )
)
class Outputs(TakesRecords, OutputViewSet):
    answer_classes: ClassVar = {"create": OutputsAddedSerializer}
    parameters: ClassVar = (*SYSTEM, "check")
    parser_classes: ClassVar[list] = [*TakesRecords.parser_classes, Gzip]
    add = staticmethod(add_outputs)

    @staticmethod
    def read(content: bytes, *, kind: str) -> Upload:
        # JSON may be in several formats, and what is in it tells.
        return read_submission(content, kind="csv" if kind == "csv" else "")

    @staticmethod
    def plan(*, arena: Arena, rows: list, system: str, version: str, **about: str) -> Any:
        return plan_outputs(arena=arena, rows=rows, system=system, version=version)

    def about(self) -> dict[str, str]:
        found, errors = {}, {}
        for name in SYSTEM:
            try:
                sent = self.request.query_params.get(name)
                found[name] = OutputsForm.base_fields[name].clean(sent)
            except WrongField as error:
                errors[name] = error.messages
        if errors:
            raise ValidationError(errors)
        self.of = found
        return found

    def answer(self, plan: Any) -> dict[str, Any]:
        system = System.objects.filter(
            arena=self.arena, name=self.of["system"], version=self.of["version"]
        ).first()
        return {
            **super().answer(plan),
            "system": system and system.slug,
            "is_new_system": plan.is_new_system,
            "unanswered": plan.unanswered,
        }
