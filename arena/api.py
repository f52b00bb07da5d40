"""The API: what is compared. Reading is here; what writes is in arena/api_write.py and beside it."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from django.db.models import Model, Q, QuerySet
from django.db.models.lookups import Lookup
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import SAFE_METHODS

from arena.access import (
    managed_arena,
    seen_systems,
    unseen_pairs,
    unseen_systems,
    visible_arena,
    visible_arenas,
)
from arena.making import SETTINGS
from arena.models import HIDDEN, Arena, Battle, Category, Output, Pair, Prompt, System
from config.api import (
    SLUG,
    AnyJsonField,
    Described,
    FilterSet,
    IdFilter,
    ReadOnlyViewSet,
    RowSerializer,
    TextFilter,
)


def slug_of(source: str | None = None, **options: Any) -> serializers.Field:
    """The address of a related row, as a string."""
    if source is not None:
        options["source"] = source
    return serializers.SlugRelatedField(slug_field="slug", read_only=True, **options)


def id_of(source: str | None = None, **options: Any) -> serializers.Field:
    """The id of a related row, without fetching the row."""
    if source is not None:
        options["source"] = source
    return serializers.PrimaryKeyRelatedField(read_only=True, **options)


class BelowAnArena:
    """Everything but arenas belongs to one, that the caller may see, or run. Goes before a view set.

    ``hides``: of rows about systems, by which field they are told, and which of its values aren't the caller's
    to see (see ``arena.access``). ``arena_field`` leads from a row to its arena.
    """

    arena_field = "arena"
    hides: ClassVar[dict[str, Callable[[Any, Arena], QuerySet]]] = {}

    @cached_property
    def arena(self) -> Arena:
        fetch = visible_arena if self.request.method in SAFE_METHODS else managed_arena
        return fetch(self.request.user, self.kwargs["arena"])

    def get_queryset(self) -> QuerySet:
        queryset = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return queryset.none()
        queryset = queryset.filter(**{self.arena_field: self.arena})
        for field, unseen in self.hides.items():
            queryset = queryset.exclude(**{f"{field}__in": unseen(self.request.user, self.arena)})
        return queryset


class RowFilter(Described, filters.CharFilter):
    """Narrows by a row of the arena that is named by its slug; an unknown name is an error, not an empty list.

    ``condition(row)`` is what its rows fulfil.
    """

    def __init__(
        self, model: type[Model], condition: Callable[[Any], Q | Lookup], **kwargs: Any
    ) -> None:
        super().__init__(max_length=120, strip=False, **kwargs)
        self.model_of_row, self.condition = model, condition
        self.described({"type": "string", "minLength": 1, "maxLength": 120})

    def filter(self, queryset: QuerySet, value: str) -> QuerySet:
        if not value:
            return queryset
        arena = self.parent.arena
        rows = self.model_of_row.objects.filter(arena=arena)
        if self.model_of_row is System:
            rows = seen_systems(self.parent.request.user, arena)
        row = rows.filter(slug=value).first()
        if row is None:
            noun = self.model_of_row._meta.verbose_name
            raise ValidationError(
                {self.field_name: [f"The arena {arena.slug} has no {noun} {value!r}."]}
            )
        return queryset.filter(self.condition(row))


# --- arenas ---------------------------------------------------------------------------------------
class CategorySerializer(RowSerializer):
    class Meta:
        model = Category
        fields = ["slug", "name"]


class ArenaSerializer(RowSerializer):
    criteria = AnyJsonField(
        read_only=True, help_text="Names of the criteria judged beside the overall verdict."
    )

    class Meta:
        model = Arena
        fields = ["slug", "name", "description", "criteria", "licence", "source", "created_at"]


class ArenaDetailSerializer(ArenaSerializer):
    categories = CategorySerializer(many=True, read_only=True)
    reasons = AnyJsonField(read_only=True, help_text="What a voter may tick for each answer.")
    checklist = AnyJsonField(
        read_only=True, help_text="What a voter is reminded to look at before voting."
    )
    policy = AnyJsonField(
        read_only=True, help_text="How the next battle is chosen; empty: the usual mixture."
    )
    sharing = AnyJsonField(
        read_only=True, help_text="What the public may take away as files; empty: all that it sees."
    )

    class Meta(ArenaSerializer.Meta):
        fields = [
            *ArenaSerializer.Meta.fields,
            *(name for name in SETTINGS if name not in ArenaSerializer.Meta.fields),
            "is_open",
            "categories",
        ]


@extend_schema_view(
    list=extend_schema(
        summary="All arenas",
        description="The public ones, and those that the caller is a member of. An arena is one task with "
        "its own prompts, systems, judges and leaderboards. Its slug begins the address of everything in it.",
    ),
    retrieve=extend_schema(
        summary="One arena", description="With its guidelines for judges and its categories."
    ),
)
class ArenaViewSet(ReadOnlyViewSet):
    noun = "arenas"
    queryset = Arena.objects.all()
    serializer_class = ArenaSerializer
    detail_class = ArenaDetailSerializer
    lookup_field = "slug"
    lookup_url_kwarg = "arena"
    lookup_value_regex = SLUG

    def get_queryset(self) -> QuerySet:
        if getattr(self, "swagger_fake_view", False):
            return super().get_queryset().none()
        queryset = visible_arenas(self.request.user)
        return queryset.prefetch_related("categories") if self.action == "retrieve" else queryset


# --- systems --------------------------------------------------------------------------------------
class SystemSerializer(RowSerializer):
    link = serializers.CharField(read_only=True, help_text="A URL; empty where none is known.")
    follows = serializers.SerializerMethodField(
        help_text="The address of the version before; null where there is none that you may see."
    )

    def get_follows(self, system: System) -> str | None:
        before = system.follows
        if before is None or (before.is_hidden and system.standing not in HIDDEN):
            return None
        return before.slug

    class Meta:
        model = System
        fields = [
            "id", "slug", "name", "version", "organisation", "family", "licence", "link",
            "description", "base_model", "size", "decoding", "price_in", "price_out", "standing",
            "standing_since", "follows", "created_at",
        ]  # fmt: skip


class SystemFilters(FilterSet):
    organisation = TextFilter(max_length=120, help_text="Exactly this organisation.")
    family = TextFilter(max_length=120, help_text="Exactly this family.")


@extend_schema_view(
    list=extend_schema(
        summary="Systems of an arena",
        description="A system is what answers prompts: a model, a prompt, a pipeline, an agent.",
    ),
    retrieve=extend_schema(summary="One system", description="By its slug."),
)
class SystemViewSet(BelowAnArena, ReadOnlyViewSet):
    noun = "systems"
    hides: ClassVar = {"pk": unseen_systems}
    queryset = System.objects.select_related("follows")
    serializer_class = SystemSerializer
    filterset_class = SystemFilters
    lookup_field = "slug"
    lookup_value_regex = SLUG


# --- prompts --------------------------------------------------------------------------------------
@extend_schema_field({"type": "array", "items": {}})
class MessagesField(serializers.JSONField):
    """A chat as it was stored: normally objects with a role and content."""


class PromptSerializer(RowSerializer):
    messages = MessagesField(
        read_only=True,
        help_text='[{"role": "user", "content": "…"}, …]; empty where the source doesn\'t publish prompts.',
    )
    categories = slug_of(many=True, help_text="Slugs of its categories.")

    class Meta:
        model = Prompt
        fields = [
            "id", "digest", "source_id", "title", "messages", "reference", "language",
            "categories", "created_at",
        ]  # fmt: skip


class PromptFilters(FilterSet):
    category = RowFilter(
        Category,
        lambda category: Q(pk__in=category.prompts.order_by().values("pk")),
        field_name="category",
        help_text="Prompts with the category of this slug.",
    )
    language = TextFilter(max_length=35, help_text="Exactly this language tag.")
    source_id = TextFilter(help_text="The prompt's name in its source.")
    digest = TextFilter(max_length=64, help_text="The content hash.")


@extend_schema_view(
    list=extend_schema(
        summary="Prompts of an arena",
        description="A prompt is a chat of one or more messages. Its digest is the hash of its content "
        "and of its name in its source.",
    ),
    retrieve=extend_schema(summary="One prompt", description="By its id."),
)
class PromptViewSet(BelowAnArena, ReadOnlyViewSet):
    noun = "prompts"
    queryset = Prompt.objects.prefetch_related("categories")
    serializer_class = PromptSerializer
    filterset_class = PromptFilters
    largest_page = 200


# --- outputs --------------------------------------------------------------------------------------
class OutputSerializer(RowSerializer):
    system = slug_of(help_text="The slug of the system.")
    prompt = id_of(help_text="The id of the prompt.")

    class Meta:
        model = Output
        fields = [
            "id", "system", "prompt", "text", "tokens", "latency_ms", "cost", "created_at",
        ]  # fmt: skip


class OutputFilters(FilterSet):
    system = RowFilter(
        System,
        lambda system: Q(system=system),
        field_name="system",
        help_text="Answers of the system with this slug.",
    )
    prompt = IdFilter(help_text="Answers to the prompt with this id.")


@extend_schema_view(
    list=extend_schema(
        summary="Outputs of an arena",
        description="An output is one system's answer to one prompt. Its text is untrusted Markdown.",
    ),
    retrieve=extend_schema(summary="One output", description="By its id."),
)
class OutputViewSet(BelowAnArena, ReadOnlyViewSet):
    noun = "outputs"
    hides: ClassVar = {"system": unseen_systems}
    queryset = Output.objects.select_related("system")
    serializer_class = OutputSerializer
    filterset_class = OutputFilters
    largest_page = 200


# --- battles --------------------------------------------------------------------------------------
class BattleSerializer(RowSerializer):
    prompt = id_of(help_text="The id of the prompt.")
    pair = id_of(help_text="The id of the pair of systems; equal in all battles between the two.")
    system_a = slug_of(help_text="The slug of the system with the lower id.")
    system_b = slug_of(help_text="The slug of the other system.")
    output_a, output_b = (
        id_of(
            allow_null=True,
            help_text=f"The id of {side}'s output; null where the source publishes none.",
        )
        for side in "AB"
    )

    class Meta:
        model = Battle
        fields = [
            "id", "prompt", "pair", "system_a", "system_b", "output_a", "output_b", "created_at",
        ]  # fmt: skip


def of_system(system: System) -> Q:
    """Battles of a system, by the index on pairs: there is none on the battle's own two columns."""
    pairs = Pair.objects.filter(Q(system_a=system) | Q(system_b=system), arena=system.arena_id)
    return Q(pair__in=pairs.order_by().values("pk"))


class BattleFilters(FilterSet):
    system = RowFilter(
        System, of_system, field_name="system", help_text="Battles of the system with this slug."
    )
    opponent = RowFilter(
        System,
        of_system,
        field_name="opponent",
        help_text="And of this one: with `system`, the battles between the two.",
    )
    pair = IdFilter(help_text="Battles of the pair of systems with this id.")
    prompt = IdFilter(help_text="Battles on the prompt with this id.")


@extend_schema_view(
    list=extend_schema(
        summary="Battles of an arena",
        description="A battle is two outputs to the same prompt. The system with the lower id is A, "
        "whichever side was shown first.",
    ),
    retrieve=extend_schema(summary="One battle", description="By its id."),
)
class BattleViewSet(BelowAnArena, ReadOnlyViewSet):
    noun = "battles"
    hides: ClassVar = {"pair": unseen_pairs}
    queryset = Battle.objects.select_related("system_a", "system_b")
    serializer_class = BattleSerializer
    filterset_class = BattleFilters
