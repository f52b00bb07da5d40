"""The API: making and running an arena. The same verbs and checks as the pages of a maintainer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError as WrongField
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from arena.access import managed_arena, may_make_arenas
from arena.api import (
    ArenaDetailSerializer,
    ArenaViewSet,
    BelowAnArena,
    OutputViewSet,
    PromptViewSet,
)
from arena.api_access import MayWrite, Somebody
from arena.forms import (
    InvitationForm,
    Lines,
    NewArenaForm,
    OutputsForm,
    PolicyForm,
    RoleForm,
    SettingsForm,
)
from arena.making import (
    MakingError,
    add_outputs,
    add_prompts,
    change_arena,
    close_arena,
    create_arena,
    open_arena,
    plan_outputs,
    plan_prompts,
)
from arena.members import (
    InvitationError,
    LastMaintainer,
    change_role,
    invite,
    name_of,
    remove_member,
    revoke_invitation,
)
from arena.models import Arena, AuditEntry, Invitation, Membership, System
from arena.policies import Policy, PolicyError
from arena.uploads import Upload, UploadError, read_outputs, read_prompts
from config.api import (
    AnyJsonField,
    FilterSet,
    ReadOnlyViewSet,
    RowSerializer,
    TextFilter,
    Writes,
    checked,
)
from config.api_bodies import (
    Body,
    Csv,
    Flag,
    JsonBody,
    JsonLines,
    Names,
    NdJson,
    PlainText,
    Text,
    Whole,
    records_of,
)
from config.problems import Refused


@contextmanager
def as_problems(unit: str = "line") -> Iterator[None]:
    """What a verb refuses, as the answer of the API. ``unit`` is what an uploaded record is called."""
    try:
        yield
    except UploadError as error:
        errors: dict[str, list[str]] = {}
        for problem in error.problems:
            place = f"{unit} {problem.line}" if problem.line else "body"
            errors.setdefault(place, []).append(problem.sentence)
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


# --- the arena itself -----------------------------------------------------------------------------
class PolicyBody(Body):
    # Only for the description: PolicyForm checks it.
    uniform = serializers.FloatField(required=False, min_value=0)
    least_judged = serializers.FloatField(required=False, min_value=0)
    active = serializers.FloatField(required=False, min_value=0)
    overlap_share = serializers.FloatField(required=False, min_value=0, max_value=1)
    overlap_voters = serializers.IntegerField(required=False, min_value=2, max_value=1000)
    repeat_share = serializers.FloatField(required=False, min_value=0, max_value=1)
    gold_share = serializers.FloatField(required=False, min_value=0, max_value=1)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        is_empty, data = self.validate_empty_values(data)
        if is_empty:
            return data
        try:
            wanted = asdict(Policy.from_json(data))
        except PolicyError as error:
            raise ValidationError([str(error)]) from error
        typed = {f"policy-{name}": value for name, value in wanted.items()}
        form = PolicyForm(typed, prefix="policy")
        if not form.is_valid():
            raise ValidationError(
                [
                    sentence if name == "__all__" else f"{name}: {sentence}"
                    for name, found in form.errors.items()
                    for sentence in found
                ]
            )
        return form.cleaned_data["policy"]


def field_of(field: forms.Field) -> serializers.Field:
    """What the API takes where a form has this field: of the same meaning, and of its own type."""
    options: dict[str, Any] = {
        "required": False,
        "help_text": str(field.help_text or field.label).replace(" One a line.", ""),
    }
    if isinstance(field, Lines):
        return Names(**options)
    if isinstance(field, forms.BooleanField):
        return Flag(**options)
    if isinstance(field, forms.ChoiceField):
        coerce = getattr(field, "coerce", str)
        choices = [(coerce(value), label) for value, label in field.choices if value != ""]
        return serializers.ChoiceField(choices=choices, **options)
    if isinstance(field, forms.IntegerField):
        return Whole(min_value=field.min_value, max_value=2**31 - 1, **options)
    return Text(max_length=field.max_length, allow_blank=not field.required, **options)


class SettingsBody(Body):
    policy = PolicyBody(
        required=False,
        help_text="How the next battle is chosen; what isn't named takes its usual value.",
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        """Those of the page of settings, so that what can be set there can be sent."""
        of_the_page = {name: field_of(field) for name, field in SettingsForm.base_fields.items()}
        return of_the_page | super().get_fields()


class NewArenaBody(SettingsBody):
    slug = Text(
        max_length=60,
        help_text="The last part of the arena's address, which can't be changed: lower-case letters, "
        "digits, single hyphens and dots. Sending the same again makes no second arena.",
    )
    name = Text(max_length=120)


class ChangeBody(SettingsBody):
    is_open = Flag(required=False, help_text="Whether votes are taken.")


class ChangedSerializer(ArenaDetailSerializer):
    changed = serializers.ListField(
        child=serializers.CharField(),
        read_only=True,
        help_text="What is otherwise than before; empty: nothing.",
    )

    class Meta(ArenaDetailSerializer.Meta):
        fields = [*ArenaDetailSerializer.Meta.fields, "changed"]


def _settings(form_class: type[SettingsForm], body: dict[str, Any]) -> dict[str, Any]:
    """Those that were sent, checked as the page of settings does."""
    policy = {"policy": body.pop("policy")} if "policy" in body else {}
    # The page takes lists one a line.
    typed = {name: "\n".join(v) if isinstance(v, list) else v for name, v in body.items()}
    return checked(form_class(typed), only=body) | policy


@extend_schema_view(
    create=extend_schema(
        summary="Make an arena",
        description="It is closed for votes, and whoever makes it becomes its maintainer. The same sent "
        "again is answered with the arena that is there.",
        request=NewArenaBody,
    ),
    partial_update=extend_schema(
        summary="Change an arena",
        description="Its settings, how battles are chosen, and whether votes are taken: all of what was "
        "sent, or nothing.",
        request=ChangeBody,
    ),
)
class Arenas(Writes, ArenaViewSet):
    answer_classes: ClassVar = {
        "create": ArenaDetailSerializer,
        "partial_update": ChangedSerializer,
    }

    def create(self, request: Request) -> Response:
        if not may_make_arenas(request.user):
            raise PermissionDenied("On this site only staff make arenas.")
        settings = _settings(NewArenaForm, self.body(NewArenaBody))
        is_there = Arena.objects.filter(slug=settings["slug"]).exists()
        with as_problems():
            made = create_arena(maintainer=request.user, actor=request.user, **settings)
        if is_there and (other := [n for n, v in settings.items() if getattr(made, n) != v]):
            raise Refused(
                f"You made this arena before, with another {', '.join(other)}. Nothing was changed: PATCH "
                "changes its settings.",
                status=409,
            )
        return Response(ArenaDetailSerializer(made).data, status=200 if is_there else 201)

    def partial_update(self, request: Request, arena: str) -> Response:
        place = managed_arena(request.user, arena)
        body = self.body(ChangeBody)
        is_open = body.pop("is_open", None)
        settings = _settings(SettingsForm, body)
        with as_problems(), transaction.atomic():
            place.changed = change_arena(arena=place, actor=request.user, **settings)
            if is_open is not None:
                decide = open_arena if is_open else close_arena
                if decide(arena=place, actor=request.user):
                    place.changed.append("is_open")
        return Response(ChangedSerializer(place).data)


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


class TakesRecords(Writes):
    """A list that is added to by records: all of them or none. Goes before a view set.

    ``read(content, kind=…)`` gives an Upload or raises UploadError; ``plan`` says what adding would do and
    ``add`` does it, with the same return value.
    """

    parser_classes: ClassVar[list] = [JsonBody, JsonLines, NdJson, Csv]
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
        with as_problems(records.unit):
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
        description="A list of records in JSON, or JSON lines, or CSV. All are added or none; what is there "
        "already is left alone. The parameters say whose they are; a new system is made.",
        parameters=[*(_about_a_system(name) for name in SYSTEM), CHECK],
        request=bodies(OutputRecord),
    )
)
class Outputs(TakesRecords, OutputViewSet):
    answer_classes: ClassVar = {"create": OutputsAddedSerializer}
    parameters: ClassVar = (*SYSTEM, "check")
    read, add = staticmethod(read_outputs), staticmethod(add_outputs)

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


# --- members and invitations ----------------------------------------------------------------------
class MemberSerializer(RowSerializer):
    name = serializers.SerializerMethodField(help_text="The account's e-mail address, or its name.")

    class Meta:
        model = Membership
        fields = ["id", "name", "role", "created_at"]

    def get_name(self, membership: Membership) -> str:
        return name_of(membership.user)


class RoleBody(Body):
    role = serializers.ChoiceField(choices=Membership.Role.choices)


@extend_schema_view(
    list=extend_schema(
        summary="Members of an arena", description="For its maintainers. Invitations make members."
    ),
    retrieve=extend_schema(summary="One member", description="By the id of the membership."),
    partial_update=extend_schema(
        summary="Give a member another role",
        description="The last maintainer stays one.",
        request=RoleBody,
    ),
    destroy=extend_schema(
        summary="Remove a member",
        description="Votes stay. The last maintainer can't be removed.",
    ),
)
class Members(OfMaintainers, Writes, ReadOnlyViewSet):
    noun = "members"
    queryset = Membership.objects.select_related("user")
    serializer_class = MemberSerializer

    def partial_update(self, request: Request, arena: str, pk: str) -> Response:
        membership = self.get_object()
        role = checked(RoleForm(self.body(RoleBody)))["role"]
        with as_problems():
            change_role(membership=membership, role=role, actor=request.user)
        membership.role = role
        return Response(MemberSerializer(membership).data)

    def destroy(self, request: Request, arena: str, pk: str) -> Response:
        with as_problems():
            remove_member(membership=self.get_object(), actor=request.user)
        return Response(status=204)


class InvitationSerializer(RowSerializer):
    created_by = serializers.SerializerMethodField(
        help_text="The account's e-mail address, or its name; empty when it is gone."
    )

    class Meta:
        model = Invitation
        fields = [
            "id", "role", "note", "created_by", "created_at", "expires_at", "revoked_at", "used",
        ]  # fmt: skip

    def get_created_by(self, invitation: Invitation) -> str:
        return name_of(invitation.created_by) if invitation.created_by else ""


class InvitationMadeSerializer(InvitationSerializer):
    link = serializers.CharField(
        read_only=True, help_text="What to send. It is told this once: only its digest is kept."
    )

    class Meta(InvitationSerializer.Meta):
        fields = [*InvitationSerializer.Meta.fields, "link"]


class InvitationBody(Body):
    role = serializers.ChoiceField(choices=Membership.Role.choices)
    note = Text(required=False, max_length=120, help_text="For whom, for you to remember.")
    days = Whole(default=14, min_value=1, max_value=365, help_text="How long it is good.")


@extend_schema_view(
    list=extend_schema(
        summary="Invitations to an arena",
        description="For its maintainers. Links aren't told again.",
    ),
    retrieve=extend_schema(summary="One invitation", description="By its id."),
    create=extend_schema(
        summary="Make an invitation",
        description="A link by which whoever follows it becomes a member. Each request makes another, unless "
        "the same was sent with the same Idempotency-Key.",
        request=InvitationBody,
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                {"type": "string", "minLength": 1, "maxLength": 200},
                OpenApiParameter.HEADER,
                description="Words of yours, other ones for each invitation. Sent again with the same, the "
                "answer is the same invitation with its link.",
            )
        ],
    ),
    destroy=extend_schema(
        summary="Revoke an invitation",
        description="Its link is of no use any more; who came by it stays a member.",
    ),
)
class Invitations(OfMaintainers, Writes, ReadOnlyViewSet):
    noun = "invitations"
    queryset = Invitation.objects.select_related("created_by")
    serializer_class = InvitationSerializer
    answer_classes: ClassVar = {"create": InvitationMadeSerializer}

    def create(self, request: Request, arena: str) -> Response:
        place = self.arena
        sent = checked(InvitationForm(self.body(InvitationBody)))
        began = timezone.now()
        with as_problems():
            invitation, token = invite(
                arena=place,
                role=sent["role"],
                days=sent["days"],
                note_to_self=sent["note"],
                actor=request.user,
                token=self._token_of(request, place),
            )
        invitation.link = request.build_absolute_uri(reverse("arena:invitation", args=[token]))
        status = 201 if invitation.created_at >= began else 200
        return Response(InvitationMadeSerializer(invitation).data, status=status)

    @staticmethod
    def _token_of(request: Request, arena: Arena) -> str:
        """The same for the same key of the same account; empty without a key."""
        key = request.headers.get("Idempotency-Key", "")
        if len(key) > 200:
            raise ValidationError({"Idempotency-Key": ["At most 200 characters are taken."]})
        if not key:
            return ""
        # Nobody can make it of the key, who hasn't the secret of the site.
        words = f"{request.user.pk} {arena.pk} {key}"
        return salted_hmac("arena.invitations", words, algorithm="sha256").hexdigest()

    def destroy(self, request: Request, arena: str, pk: str) -> Response:
        revoke_invitation(invitation=self.get_object(), actor=request.user)
        return Response(status=204)

    def get_queryset(self) -> QuerySet:
        queryset = super().get_queryset()
        return queryset if self.action in ("list", "retrieve") else queryset.select_related("arena")


# --- the log --------------------------------------------------------------------------------------
class EntrySerializer(RowSerializer):
    actor = serializers.SerializerMethodField(
        help_text="The account's e-mail address, or its name; empty where a command did it, or it is gone."
    )
    details = AnyJsonField(
        read_only=True, help_text="What was changed from what to what, and the like."
    )

    class Meta:
        model = AuditEntry
        fields = ["id", "act", "subject", "actor", "details", "at"]

    def get_actor(self, entry: AuditEntry) -> str:
        return name_of(entry.actor) if entry.actor else ""


class EntryFilters(FilterSet):
    act = TextFilter(max_length=60, help_text="Entries of this act, e.g. exclude voter.")


@extend_schema_view(
    list=extend_schema(
        summary="What maintainers did",
        description="The log of an arena, for its maintainers. Entries are added, never changed.",
    ),
    retrieve=extend_schema(summary="One entry", description="By its id."),
)
class Log(OfMaintainers, ReadOnlyViewSet):
    noun = "log"
    queryset = AuditEntry.objects.select_related("actor")
    serializer_class = EntrySerializer
    filterset_class = EntryFilters
