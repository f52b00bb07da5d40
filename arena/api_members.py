"""The API: members and invitations of an arena, and the log of what maintainers did."""

from typing import ClassVar

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.crypto import salted_hmac
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api_once import WritesOnce
from arena.api_write import OfMaintainers, as_problems
from arena.forms import InvitationForm, RoleForm
from arena.members import change_role, invite, name_of, remove_member, revoke_invitation
from arena.models import Arena, AuditEntry, Invitation, Membership
from config.api import (
    AnyJsonField,
    FilterSet,
    ReadOnlyViewSet,
    RowSerializer,
    TextFilter,
    checked,
)
from config.api_bodies import Body, Text, Whole


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
class Members(OfMaintainers, WritesOnce, ReadOnlyViewSet):
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
class Invitations(OfMaintainers, WritesOnce, ReadOnlyViewSet):
    keeps_answers = False  # a link is told once
    noun = "invitations"
    queryset = Invitation.objects.select_related("created_by")
    serializer_class = InvitationSerializer
    answer_classes: ClassVar = {"create": InvitationMadeSerializer}

    def create(self, request: Request, arena: str) -> Response:
        place = self.arena
        sent = checked(InvitationForm(self.body(InvitationBody)))
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
        status = 201 if invitation.is_new else 200
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
