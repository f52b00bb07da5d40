"""What is compared: arenas, prompts, systems, their outputs, and the battles between them."""

import hashlib
import json
from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from arena.addresses import SLUG
from arena.constraints import CompositeForeignKey
from arena.leases import Lease, LeaseQuerySet

slug_validator = RegexValidator(
    rf"^{SLUG}\Z", "Lower-case letters, digits, single hyphens and dots only."
)


class WhoVotes(models.TextChoices):
    ANYONE = "anyone", "Anyone, without an account"
    ACCOUNTS = "accounts", "Anyone with an account"
    MEMBERS = "members", "Members only"


class Arena(models.Model):
    """One task with its own prompts, systems, judges, criteria and leaderboards."""

    slug = models.CharField(max_length=60, unique=True, validators=[slug_validator])
    name = models.CharField(max_length=120)
    description = models.TextField(
        blank=True, help_text="One or two sentences: what is compared here."
    )
    guidelines = models.TextField(
        blank=True, help_text="What a judge is asked to look for (Markdown)."
    )
    criteria = models.JSONField(
        default=list,
        blank=True,
        help_text="Names of the criteria judged beside the overall verdict, e.g. accuracy.",
    )
    licence = models.CharField(max_length=60, blank=True)
    source = models.CharField(max_length=300, blank=True, help_text="Where the data comes from.")
    is_public = models.BooleanField(default=True, help_text="If not, only members see it.")
    is_open = models.BooleanField("open for votes", default=False)
    who_votes = models.CharField(max_length=10, choices=WhoVotes.choices, default=WhoVotes.ANYONE)
    policy = models.JSONField(
        default=dict,
        blank=True,
        help_text="How the next battle is chosen: see arena.policies. Empty: the usual mixture.",
    )
    sharing = models.JSONField(
        default=dict,
        blank=True,
        help_text="What the public may take away as files: see arena.sharing. Empty: all that it sees.",
    )
    reasons = models.JSONField(
        default=list, blank=True, help_text="What a voter may tick for each side, e.g. made up."
    )
    checklist = models.JSONField(
        default=list, blank=True, help_text="What a voter is reminded to check before voting."
    )
    asks_certainty = models.BooleanField(default=False)
    asks_comment = models.BooleanField(default=False)
    votes_wanted = models.PositiveIntegerField(
        default=0, help_text="How many votes the arena needs in all; 0: no goal."
    )
    rank_size = models.PositiveSmallIntegerField(
        default=0, help_text="How many outputs a voter puts in order at once, 3 to 5; 0: none."
    )
    submission_policy = models.JSONField(
        default=dict,
        blank=True,
        help_text="Who may submit systems, and how they are ranked: see arena.submissions.policy.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(who_votes__in=WhoVotes.values), name="arena_who_votes_known"
            ),
            models.CheckConstraint(
                condition=Q(rank_size__in=[0, 3, 4, 5]),
                name="arena_rank_size",
                violation_error_message="A ranking has 3, 4 or 5 outputs; 0 is for none.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("arena:home", args=[self.slug])


class Membership(models.Model):
    """What an account may do in one arena. Each role may do what those before it may."""

    class Role(models.TextChoices):
        VOTER = "voter", "Voter"
        RESEARCHER = "researcher", "Researcher"
        MAINTAINER = "maintainer", "Maintainer"

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="memberships", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="arena_memberships"
    )
    role = models.CharField(max_length=10, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["arena", "user"], name="membership_unique"),
            models.CheckConstraint(
                condition=Q(role__in=["voter", "researcher", "maintainer"]),
                name="membership_role_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_role_display()} of {self.arena}"


class Invitation(models.Model):
    """A link that makes whoever follows it a member. Only the digest of its token is kept."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="invitations")
    token_digest = models.CharField(max_length=64, unique=True, editable=False)
    role = models.CharField(max_length=10, choices=Membership.Role.choices)
    note = models.CharField(
        max_length=120, blank=True, help_text="For whom, e.g. the reading group."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    used = models.PositiveIntegerField("how often used", default=0)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Invitation {self.pk} to {self.arena}"


class AccessToken(models.Model):
    """Lets programs act as an account. Only the digest of its words is kept."""

    class Scope(models.TextChoices):
        READ = "read", "Read"
        WRITE = "write", "Read and write"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="access_tokens")
    name = models.CharField(max_length=80, help_text="What it is for.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.READ)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_on = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(scope__in=["read", "write"]), name="access_token_scope_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"


class KeptAnswer(models.Model):
    """What the API answered to a request with an Idempotency-Key. May be deleted: see arena.kept_answers."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of the request.")
    status = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Empty: the request is under way."
    )
    body = models.TextField(blank=True, help_text="JSON.")
    claimed_until = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="kept_answer_unique"),
        ]

    def __str__(self) -> str:
        return f"Answer to {self.key}"


class AuditEntry(models.Model):
    """One thing that a maintainer did. Rows are added, never changed."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="audit_entries")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    act = models.CharField(max_length=60, help_text="A verb and its object, e.g. exclude voter.")
    subject = models.CharField(max_length=200, blank=True, help_text="Whom or what it was done to.")
    details = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.act}: {self.subject}" if self.subject else self.act


class Category(models.Model):
    """A label of prompts, by which leaderboards can be narrowed."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="categories")
    slug = models.CharField(max_length=60, validators=[slug_validator])
    name = models.CharField(max_length=80)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"
        constraints = [
            models.UniqueConstraint(fields=["arena", "slug"], name="category_unique_slug"),
        ]

    def __str__(self) -> str:
        return self.name


class Prompt(models.Model):
    """A chat of one or more messages. A prompt without messages stands for prompts that were not published."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="prompts")
    digest = models.CharField(
        max_length=64, editable=False, help_text="Content hash: an import can run twice."
    )
    messages = models.JSONField(
        default=list, blank=True, help_text='[{"role": "user", "content": "…"}, …]'
    )
    source_id = models.CharField(
        max_length=200,
        blank=True,
        help_text="The prompt's name in its source; part of its identity.",
    )
    title = models.CharField(max_length=120, blank=True)
    reference = models.TextField(blank=True, help_text="A reference answer, where there is one.")
    language = models.CharField(max_length=35, blank=True)
    categories = models.ManyToManyField(Category, blank=True, related_name="prompts")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["arena", "digest"], name="prompt_unique_digest"),
            models.UniqueConstraint(fields=["id", "arena"], name="prompt_id_arena"),
        ]

    def __str__(self) -> str:
        return self.title or self.text[:80] or "Prompt not published"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.digest = self.content_digest(self.messages, source_id=self.source_id)
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("arena:prompt", args=[self.arena.slug, self.pk])

    @property
    def text(self) -> str:
        """The first thing that the user says."""
        return next((m["content"] for m in self.messages if m.get("role") == "user"), "")

    @property
    def is_published(self) -> bool:
        return bool(self.messages)

    @staticmethod
    def content_digest(messages: list[dict[str, str]], *, source_id: str = "") -> str:
        """SHA-256 of the canonical JSON of the messages and the source's own name for the prompt."""
        canonical = json.dumps(
            [messages, source_id], ensure_ascii=False, sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


class Standing(models.TextChoices):
    """Of a system. The hidden ones are seen by their owner and the maintainers only."""

    PRIVATE = "private", "Private"
    PUBLISHED = "published", "Published"
    DEPRECATED = "deprecated", "Deprecated"
    WITHDRAWN = "withdrawn", "Withdrawn before it was published"


HIDDEN = (Standing.PRIVATE, Standing.WITHDRAWN)


class System(models.Model):
    """Something that answers prompts: a model, a prompt, a pipeline, an agent.

    What was published once can't be hidden again, so that nobody can take away a result that doesn't suit:
    a deprecated system gets no new battles, and stays in every table.
    """

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="systems")
    slug = models.CharField(max_length=120, validators=[slug_validator])
    name = models.CharField(max_length=200)
    version = models.CharField(max_length=60, blank=True)
    organisation = models.CharField(max_length=120, blank=True)
    family = models.CharField(
        max_length=120,
        blank=True,
        help_text="What it descends from: self-preference is measured by it.",
    )
    licence = models.CharField(max_length=60, blank=True)
    link = models.URLField(blank=True)
    description = models.TextField(blank=True)
    base_model = models.CharField(
        max_length=120, blank=True, help_text="What it was made of, e.g. by fine-tuning."
    )
    size = models.CharField(max_length=40, blank=True, help_text="E.g. 7B parameters.")
    decoding = models.CharField(
        max_length=300, blank=True, help_text="How answers were drawn, e.g. temperature 0.7."
    )
    price_in = models.DecimalField(
        "price of input (USD per million tokens)",
        max_digits=12, decimal_places=6, null=True, blank=True,
    )  # fmt: skip
    price_out = models.DecimalField(
        "price of output (USD per million tokens)",
        max_digits=12, decimal_places=6, null=True, blank=True,
    )  # fmt: skip
    standing = models.CharField(max_length=10, choices=Standing.choices, default=Standing.PUBLISHED)
    standing_since = models.DateTimeField(
        null=True, blank=True, help_text="When it was published, deprecated or withdrawn."
    )
    published_at = models.DateTimeField(
        null=True, blank=True, help_text="Empty: it was never hidden, or it is still."
    )
    follows = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="followed_by",
        help_text="The version before.",
    )
    endpoint = models.JSONField(
        default=dict,
        blank=True,
        help_text="Where its outputs can be generated, and how; empty: nowhere. Never holds a key.",
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="systems"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "version"]
        constraints = [
            models.UniqueConstraint(
                fields=["arena", "name", "version"], name="system_unique_name_version"
            ),
            models.UniqueConstraint(fields=["arena", "slug"], name="system_unique_slug"),
            models.UniqueConstraint(fields=["id", "arena"], name="system_id_arena"),
            models.CheckConstraint(
                condition=Q(standing__in=Standing.values), name="system_standing_known"
            ),
        ]
        indexes = [
            # Nearly always there is none: every list asks for them.
            models.Index(fields=["arena"], condition=Q(standing__in=HIDDEN), name="system_hidden"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()

    def get_absolute_url(self) -> str:
        return reverse("ratings:system", args=[self.arena.slug, self.slug])

    @property
    def is_hidden(self) -> bool:
        return self.standing in HIDDEN


class Submission(Lease):
    """A system's outputs as somebody submitted them, and where their way to a rank stands.

    The row is the record of the work: whoever dies in the middle, the next one goes on from it.
    """

    class State(models.TextChoices):
        REFUSED = "refused", "Refused"
        QUEUED = "queued", "Queued"
        JUDGING = "judging", "Being judged"
        WAITING = "waiting", "Waiting for people"
        RANKED = "ranked", "Ranked"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        WITHDRAWN = "withdrawn", "Withdrawn"

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="submissions", db_index=False)
    system = models.OneToOneField(
        System,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="submission",
        help_text="None where it was refused.",
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="submissions",
    )
    key = models.CharField(
        max_length=64,
        editable=False,
        help_text="SHA-256 of all that was sent: the same sent again is the same submission.",
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    reason = models.TextField(blank=True, help_text="Why it stands there, in a sentence.")
    file_name = models.CharField(max_length=200, blank=True)
    about = models.JSONField(default=dict, help_text="What was said of the system.")
    n_outputs = models.PositiveIntegerField("outputs", default=0)
    n_prompts = models.PositiveIntegerField(
        "prompts", default=0, help_text="Of the arena when it was submitted."
    )
    problems = models.JSONField(default=list, blank=True, help_text="[[line, sentence], …]")
    n_problems = models.PositiveIntegerField("problems found", default=0)
    judges = models.JSONField(
        default=list, blank=True, help_text="Addresses of the judges; the first one ranks."
    )
    battles_wanted = models.PositiveIntegerField(
        default=0, help_text="The most battles that are spent on it."
    )
    width_wanted = models.FloatField(
        default=0, help_text="Rating points: enough when its 95 % interval is narrower."
    )
    n_battles = models.PositiveIntegerField("battles planned", default=0)
    n_judged = models.PositiveIntegerField("battles judged", default=0)
    cost = models.DecimalField("cost (USD)", max_digits=12, decimal_places=6, default=0)
    spent_before = models.DecimalField(
        "spent by cancelled runs (USD)",
        max_digits=12,
        decimal_places=6,
        default=0,
        help_text="What was cancelled is begun anew with what is left of the budget.",
    )
    place = models.JSONField(
        default=dict, blank=True, help_text="Its provisional place: see ratings.placing."
    )
    rounds = models.JSONField(
        default=list, blank=True, help_text="The places before, one for each round."
    )
    wants_mail = models.BooleanField(default=False)
    origin = models.CharField(
        max_length=200, blank=True, help_text="Scheme and host of the site, for links in a mail."
    )
    mailed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = LeaseQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["arena", "owner"], name="submission_of_owner"),
            models.Index(
                fields=["id"],
                condition=Q(state__in=["queued", "judging", "waiting"]),
                name="submission_under_way",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["arena", "owner", "key"],
                condition=~Q(state="refused"),
                name="submission_once",
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        "refused", "queued", "judging", "waiting", "ranked", "failed", "cancelled",
                        "withdrawn",
                    ]
                ),
                name="submission_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state="refused") | Q(system__isnull=False),
                name="submission_has_a_system",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"Submission {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("arena:submission", args=[self.arena.slug, self.pk])

    @property
    def is_under_way(self) -> bool:
        return self.state in (self.State.QUEUED, self.State.JUDGING)


class Image(models.Model):
    """A picture that texts of the arena refer to by its name. Its file is WebP, in the default storage."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="images", db_index=False)
    name = models.CharField(max_length=200)
    digest = models.CharField(
        max_length=64, editable=False, help_text="Of the file that is served: its address."
    )
    source_digest = models.CharField(
        max_length=64, editable=False, help_text="Of what was uploaded: an upload can run twice."
    )
    width = models.PositiveSmallIntegerField(editable=False)
    height = models.PositiveSmallIntegerField(editable=False)
    size = models.PositiveIntegerField("size in bytes", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["arena", "name"], name="image_unique_name"),
            models.CheckConstraint(
                condition=Q(width__gt=0, height__gt=0), name="image_has_an_extent"
            ),
        ]
        indexes = [models.Index(fields=["arena", "digest"], name="image_arena_digest")]

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> str:
        """Where its file is in the storage: the same for the same content in the same arena."""
        return f"images/{self.arena_id}/{self.digest}.webp"


class Output(models.Model):
    """One system's answer to one prompt."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="outputs", db_index=False)
    system = models.ForeignKey(
        System, models.CASCADE, related_name="outputs", db_constraint=False, db_index=False
    )
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="outputs", db_constraint=False)
    text = models.TextField(blank=True)
    tokens = models.PositiveIntegerField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField("latency (ms)", null=True, blank=True)
    cost = models.DecimalField("cost (USD)", max_digits=12, decimal_places=6, null=True, blank=True)
    leak = models.CharField(  # noqa: DJ001 (null: not looked at yet)
        max_length=200,
        null=True,
        blank=True,
        help_text="Words by which the output gives its system away: it isn't shown to voters. "
        "Empty: none; null: not looked at yet.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["system", "prompt"], name="output_unique"),
            models.UniqueConstraint(
                fields=["id", "prompt", "system"], name="output_id_prompt_system"
            ),
            models.UniqueConstraint(fields=["id", "arena"], name="output_id_arena"),
            CompositeForeignKey(
                fields=["system", "arena"],
                to="arena.System",
                to_fields=["id", "arena"],
                name="output_system_in_arena",
                violation_error_message="The system belongs to another arena.",
            ),
            CompositeForeignKey(
                fields=["prompt", "arena"],
                to="arena.Prompt",
                to_fields=["id", "arena"],
                name="output_prompt_in_arena",
                violation_error_message="The prompt belongs to another arena.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.system} on {self.prompt}"


class OutputStyle(models.Model):
    """How long an output is and how it is marked up: what ratings can hold equal. Counted once, by a worker."""

    output = models.OneToOneField(Output, models.CASCADE, primary_key=True, related_name="style")
    characters = models.PositiveIntegerField()
    headers = models.PositiveIntegerField(help_text="Outside fences of code, like the next two.")
    lists = models.PositiveIntegerField(help_text="Items of lists.")
    bold = models.PositiveIntegerField(help_text="Bold passages.")

    def __str__(self) -> str:
        return f"Style of output {self.output_id}"


class Pair(models.Model):
    """Two systems of an arena, the lower id first, and how much their next verdict is worth."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="pairs")
    system_a = models.ForeignKey(
        System, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    system_b = models.ForeignKey(System, models.CASCADE, related_name="+", db_constraint=False)
    priority = models.FloatField(
        default=1.0, help_text="Written when ratings are refreshed; read when a battle is chosen."
    )
    cumulative = models.FloatField(
        null=True,
        blank=True,
        help_text="Sum of the priorities up to and with this pair, in the arena: a pair is drawn by one "
        "look into the index. Null: the pair isn't drawn.",
    )

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["arena", "cumulative"], name="pair_draw")]
        constraints = [
            models.UniqueConstraint(fields=["system_a", "system_b"], name="pair_unique"),
            models.UniqueConstraint(
                fields=["id", "arena", "system_a", "system_b"], name="pair_id_arena_systems"
            ),
            models.CheckConstraint(
                condition=Q(system_a__lt=F("system_b")),
                name="pair_canonical",
                violation_error_message="A pair is stored with the lower system id first.",
            ),
            *(
                CompositeForeignKey(
                    fields=[f"system_{side}", "arena"],
                    to="arena.System",
                    to_fields=["id", "arena"],
                    name=f"pair_system_{side}_in_arena",
                    violation_error_message="Both systems must belong to the pair's arena.",
                )
                for side in "ab"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.system_a} against {self.system_b}"


class Battle(models.Model):
    """Two outputs to the same prompt, that of the lower system id as A.

    A battle from a source that publishes no outputs has neither, and is told from others by ``source_key``.
    """

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="battles", db_constraint=False)
    pair = models.ForeignKey(Pair, models.CASCADE, related_name="battles", db_constraint=False)
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="battles", db_constraint=False)
    system_a = models.ForeignKey(
        System, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    system_b = models.ForeignKey(
        System, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    output_a = models.ForeignKey(
        Output, models.CASCADE, null=True, blank=True, related_name="+", db_constraint=False,
        db_index=False,
    )  # fmt: skip
    output_b = models.ForeignKey(
        Output, models.CASCADE, null=True, blank=True, related_name="+", db_constraint=False,
        db_index=False,
    )  # fmt: skip
    source_key = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="63-bit hash of the source's row, where outputs are unknown.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["output_a", "output_b"],
                condition=Q(output_a__isnull=False),
                name="battle_unique_outputs",
            ),
            models.UniqueConstraint(
                fields=["pair", "source_key"],
                condition=Q(source_key__isnull=False),
                name="battle_unique_source_key",
            ),
            models.UniqueConstraint(
                fields=["id", "arena", "pair", "prompt"], name="battle_id_arena_pair_prompt"
            ),
            models.CheckConstraint(
                condition=Q(output_a__isnull=False, output_b__isnull=False, source_key__isnull=True)
                | Q(output_a__isnull=True, output_b__isnull=True, source_key__isnull=False),
                name="battle_outputs_or_source_key",
                violation_error_message="A battle has both outputs, or neither and a source key.",
            ),
            models.CheckConstraint(
                condition=Q(system_a__lt=F("system_b")),
                name="battle_canonical",
                violation_error_message="A battle is stored with the lower system id as A.",
            ),
            CompositeForeignKey(
                fields=["pair", "arena", "system_a", "system_b"],
                to="arena.Pair",
                to_fields=["id", "arena", "system_a", "system_b"],
                name="battle_pair_systems",
                violation_error_message="The systems must be those of the pair, in the same arena.",
            ),
            CompositeForeignKey(
                fields=["prompt", "arena"],
                to="arena.Prompt",
                to_fields=["id", "arena"],
                name="battle_prompt_in_arena",
                violation_error_message="The prompt belongs to another arena.",
            ),
            *(
                CompositeForeignKey(
                    fields=[f"output_{side}", "prompt", f"system_{side}"],
                    to="arena.Output",
                    to_fields=["id", "prompt", "system"],
                    name=f"battle_output_{side}",
                    violation_error_message="Both outputs must answer the battle's prompt.",
                )
                for side in "ab"
            ),
        ]

    def __str__(self) -> str:
        return f"Battle {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("judges:battle", args=[self.arena.slug, self.pk])


class WantedBattle(models.Model):
    """A battle that people are asked about before others: no judge was sure enough of it."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="wanted_battles", db_index=False)
    battle = models.OneToOneField(Battle, models.CASCADE, related_name="wanted")
    source = models.CharField(
        max_length=120, help_text="Who asks: the address of a cascade, for instance."
    )
    votes = models.PositiveSmallIntegerField(help_text="How many votes it needs in all.")
    since = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["arena", "id"], name="wanted_in_turn")]
        constraints = [
            models.CheckConstraint(condition=Q(votes__gte=1), name="wanted_needs_votes"),
        ]

    def __str__(self) -> str:
        return f"{self.battle} for {self.source}"
