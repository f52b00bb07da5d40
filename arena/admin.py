from django.contrib import admin
from django.db import models

from arena.models import (
    AccessToken,
    Arena,
    AuditEntry,
    Battle,
    Category,
    Image,
    Invitation,
    Membership,
    Output,
    Pair,
    Prompt,
    Submission,
    System,
    WantedBattle,
)
from config.admin import FixedOnceMade, Kept, LargeTableAdmin, Shown


@admin.register(Arena)
class ArenaAdmin(FixedOnceMade, Kept, LargeTableAdmin):
    """To take an arena off the site, make it not public."""

    list_display = ["name", "slug", "is_public", "licence", "created_at"]
    list_filter = ["is_public"]
    search_fields = ["slug", "name"]
    fixed = ("slug",)


@admin.register(Category)
class CategoryAdmin(LargeTableAdmin):
    list_display = ["name", "slug", "arena"]
    list_select_related = ["arena"]
    search_fields = ["slug", "name", "arena__slug"]
    autocomplete_fields = ["arena"]


@admin.register(Prompt)
class PromptAdmin(FixedOnceMade, Kept, LargeTableAdmin):
    list_display = ["__str__", "arena", "source_id", "language", "created_at"]
    list_select_related = ["arena"]
    exact_search = ("source_id", "digest", "arena__slug")
    autocomplete_fields = ["arena", "categories"]
    readonly_fields = ["digest"]
    # Outputs and verdicts answer these words.
    fixed = ("arena", "messages", "source_id")


@admin.register(System)
class SystemAdmin(FixedOnceMade, Kept, LargeTableAdmin):
    list_display = ["name", "version", "arena", "organisation", "family", "licence"]
    list_select_related = ["arena"]
    search_fields = ["slug", "name", "organisation", "family", "arena__slug"]
    autocomplete_fields = ["arena"]
    raw_id_fields = ["owner", "follows"]
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    # Checked and kept where systems are asked, and where they are submitted.
    readonly_fields = ["endpoint", "standing", "standing_since"]
    fixed = ("arena", "slug")


@admin.register(Submission)
class SubmissionAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "arena", "system", "owner", "state", "created_at"]
    list_select_related = ["arena", "system", "owner"]
    list_filter = ["state"]
    exact_search = ("arena__slug", "system__slug", "owner__email", "owner__username")


@admin.register(Output)
class OutputAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "system", "prompt_id", "arena", "tokens", "latency_ms", "created_at"]
    list_select_related = ["system", "arena"]
    exact_search = ("system__slug", "prompt__source_id")


@admin.register(Pair)
class PairAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "system_a", "system_b", "arena", "priority"]
    list_select_related = ["system_a", "system_b", "arena"]
    exact_search = ("system_a__slug", "system_b__slug")


@admin.register(Battle)
class BattleAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "system_a", "system_b", "prompt_id", "arena", "created_at"]
    list_select_related = ["system_a", "system_b", "arena"]
    # By the pair, which has an index: the battle's own two columns have none.
    exact_search = ("pair__system_a__slug", "pair__system_b__slug", "prompt__source_id")


# Members, invitations, tokens and images are changed on their own pages, which keep the audit log.
@admin.register(Membership)
class MembershipAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "user", "arena", "role", "created_at"]
    list_select_related = ["user", "arena"]
    list_filter = ["role"]
    exact_search = ("user__email", "user__username", "arena__slug")


@admin.register(Invitation)
class InvitationAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "arena", "role", "note", "expires_at", "revoked_at", "used"]
    list_select_related = ["arena"]
    exact_search = ("arena__slug",)
    exclude = ("token_digest",)


@admin.register(AccessToken)
class AccessTokenAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "user", "name", "scope", "expires_at", "revoked_at", "last_used_on"]
    list_select_related = ["user"]
    exact_search = ("user__email", "user__username")
    exclude = ("digest",)


@admin.register(AuditEntry)
class AuditEntryAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "at", "arena", "actor", "act", "subject"]
    list_select_related = ["arena", "actor"]
    exact_search = ("arena__slug", "actor__email", "actor__username")


@admin.register(Image)
class ImageAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "name", "arena", "width", "height", "size", "created_at"]
    list_select_related = ["arena"]
    exact_search = ("arena__slug",)


@admin.register(WantedBattle)
class WantedBattleAdmin(Shown, LargeTableAdmin):
    list_display = ["id", "battle_id", "arena", "source", "votes", "since"]
    list_select_related = ["arena"]
    exact_search = ("battle_id", "arena__slug")
