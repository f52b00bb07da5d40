"""The API: making an arena, changing it, opening it for votes."""

from dataclasses import asdict
from typing import Any, ClassVar

from django import forms
from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from arena.access import managed_arena, may_make_arenas
from arena.api import ArenaDetailSerializer, ArenaViewSet
from arena.api_once import WritesOnce
from arena.api_write import as_problems
from arena.forms import Lines, NewArenaForm, PolicyForm, SettingsForm
from arena.making import change_arena, close_arena, create_arena, open_arena
from arena.models import Arena
from arena.policies import Policy, PolicyError
from arena.sharing import Sharing, SharingError
from config.api import checked
from config.api_bodies import Body, Flag, Names, Text, Whole
from config.problems import Refused


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


class SharingBody(Body):
    # Only for the description: Sharing checks it.
    outputs = serializers.BooleanField(required=False)
    verdicts = serializers.BooleanField(required=False)
    rationales = serializers.BooleanField(required=False)
    newest_verdicts = serializers.FloatField(required=False, min_value=0, max_value=100)
    newest_prompts = serializers.FloatField(required=False, min_value=0, max_value=100)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        is_empty, data = self.validate_empty_values(data)
        if is_empty:
            return data
        try:
            return Sharing.from_json(data).as_json()
        except SharingError as error:
            raise ValidationError([str(error)]) from error


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

    sharing = SharingBody(
        required=False,
        help_text="What the public may take away as files; what isn't named takes its usual value.",
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
    values = {name: body.pop(name) for name in ("policy", "sharing") if name in body}
    # The page takes lists one a line.
    typed = {name: "\n".join(v) if isinstance(v, list) else v for name, v in body.items()}
    return checked(form_class(typed), only=body) | values


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
class Arenas(WritesOnce, ArenaViewSet):
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
