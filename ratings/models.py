"""What follows from verdicts: immutable snapshots and judge reports, and what is kept current."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.urls import reverse

from arena.leases import Lease, LeaseQuerySet
from arena.models import Arena, System
from judges.models import Judge, Voter


class Immutable(models.Model):
    """A row that is written once."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise ValidationError(f"{self} is immutable: build a new one.")
        super().save(*args, **kwargs)


class Computation(Immutable):
    """From what, how and by which code a published figure was computed: enough to compute it again."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="%(class)ss")
    slice = models.JSONField(help_text="Which verdicts are counted, and how.")
    slice_digest = models.CharField(max_length=64)
    data_digest = models.CharField(max_length=64, help_text="SHA-256 of what was counted.")
    seed = models.BigIntegerField()
    rounds = models.PositiveIntegerField(help_text="Bootstrap rounds.")
    code_version = models.CharField(max_length=40)
    last_verdict_id = models.BigIntegerField(
        default=0, help_text="Later verdicts weren't there yet: it can be recomputed at any time."
    )
    last_retraction_id = models.BigIntegerField(default=0)
    last_exclusion_id = models.BigIntegerField(default=0)
    timings = models.JSONField(default=dict, help_text="Seconds per step.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True


class Snapshot(Computation):
    """The published result of one slice: every system's rating with its interval."""

    class Interval(models.TextChoices):
        PROMPTS = "prompts", "bootstrap by prompt"
        VERDICTS = "verdicts", "bootstrap by verdict"
        SANDWICH = "sandwich", "sandwich"
        NONE = "none", "none"

    interval = models.CharField(max_length=10, choices=Interval.choices)
    n_verdicts = models.PositiveIntegerField()
    n_battles = models.PositiveIntegerField()
    n_prompts = models.PositiveIntegerField()
    n_voters = models.PositiveIntegerField()
    n_ranked = models.PositiveIntegerField()
    n_retracted = models.PositiveIntegerField(
        default=0, help_text="Verdicts taken back, not counted."
    )
    n_set_aside = models.PositiveIntegerField(
        default=0, help_text="Verdicts of excluded voters, not counted."
    )
    set_aside = models.JSONField(
        default=list, help_text="Why, with how many verdicts and voters; the reasons with most."
    )
    tie_parameter = models.FloatField(null=True, help_text="Davidson's nu.")
    helped = models.JSONField(
        default=dict,
        help_text="Where a judge's verdicts sharpen people's: what they are worth, and what people alone say.",
    )
    style = models.JSONField(
        default=dict,
        help_text="Where style is held equal: what each feature is worth, and ratings without that.",
    )
    previous = models.ForeignKey("self", models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["arena", "slice_digest", "data_digest", "code_version", "seed", "rounds"],
                name="snapshot_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"Snapshot {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("ratings:snapshot", args=[self.arena.slug, self.pk])


class SnapshotTallies(Immutable):
    """The cells that a snapshot was fitted on: numpy .npz of system_a, system_b (ids) and counts (m, 4)."""

    snapshot = models.OneToOneField(
        Snapshot, models.CASCADE, related_name="tallies", primary_key=True
    )
    npz = models.BinaryField()

    class Meta:
        verbose_name_plural = "snapshot tallies"

    def __str__(self) -> str:
        return f"Tallies of snapshot {self.snapshot_id}"


class Rating(Immutable):
    """One system in one snapshot. Ratings are on the Elo scale; empty where the system isn't ranked."""

    class Status(models.TextChoices):
        RANKED = "ranked", "Ranked"
        NO_BATTLES = "no_battles", "No verdicts yet"
        NOT_COMPARABLE = (
            "not_comparable",
            "Not comparable: no chain of battles links it to the rest",
        )
        UNBOUNDED_ABOVE = "unbounded_above", "Unbounded: it never lost to a ranked system"
        UNBOUNDED_BELOW = "unbounded_below", "Unbounded: it never won against a ranked system"

    snapshot = models.ForeignKey(Snapshot, models.CASCADE, related_name="ratings", db_index=False)
    system = models.ForeignKey(System, models.CASCADE, related_name="ratings")
    status = models.CharField(max_length=20, choices=Status.choices)
    rating = models.FloatField(null=True)
    lower = models.FloatField(null=True)
    upper = models.FloatField(null=True)
    sd = models.FloatField(null=True)
    rank = models.PositiveIntegerField(
        null=True, help_text="By rating alone; read the interval first."
    )
    rank_lower = models.PositiveIntegerField(null=True)
    rank_upper = models.PositiveIntegerField(null=True)
    rank_upper_bound = models.PositiveIntegerField(
        null=True, help_text="1 + the number of systems that are significantly better."
    )
    tier = models.PositiveIntegerField(null=True)
    n_verdicts = models.PositiveIntegerField()
    wins = models.PositiveIntegerField()
    losses = models.PositiveIntegerField()
    ties = models.PositiveIntegerField(help_text="Ties and both bad.")
    win_rate = models.FloatField(null=True, help_text="Ties count one half.")
    change = models.FloatField(null=True, help_text="Since the snapshot before.")

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["snapshot", "rank"], name="rating_by_rank")]
        constraints = [
            models.UniqueConstraint(fields=["snapshot", "system"], name="rating_unique"),
            models.CheckConstraint(
                condition=Q(status="ranked", rating__isnull=False)
                | (~Q(status="ranked") & Q(rating__isnull=True)),
                name="rating_iff_ranked",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.system}: {'—' if self.rating is None else round(self.rating)}"


class JudgeReport(Computation):
    """One judge against a reference ranking. Scalars that the judges' page sorts by are columns."""

    judge = models.ForeignKey(Judge, models.CASCADE, related_name="reports")
    reference = models.CharField(max_length=130, help_text='"people", or the slug of a judge.')
    tau = models.FloatField("Kendall's τ-b", null=True)
    tau_lower = models.FloatField(null=True)
    tau_upper = models.FloatField(null=True)
    alpha = models.FloatField("decisiveness α", null=True)
    alpha_lower = models.FloatField(null=True)
    alpha_upper = models.FloatField(null=True)
    delta = models.FloatField("bias δ", null=True)
    kappa = models.FloatField("Cohen's κ", null=True)
    accuracy = models.FloatField(null=True)
    n_systems = models.PositiveIntegerField()
    n_battles = models.PositiveIntegerField()
    n_prompts = models.PositiveIntegerField()
    n_judge_verdicts = models.PositiveIntegerField()
    n_reference_verdicts = models.PositiveIntegerField()
    n_set_aside = models.PositiveIntegerField(
        default=0, help_text="Verdicts of excluded voters on either side, not counted."
    )
    figures = models.JSONField(help_text="Every figure with its n, interval and caveats.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "arena",
                    "slice_digest",
                    "reference",
                    "data_digest",
                    "code_version",
                    "seed",
                    "rounds",
                ],
                name="report_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"Report {self.pk}: {self.judge} against {self.reference}"

    def get_absolute_url(self) -> str:
        return reverse("ratings:judge", args=[self.arena.slug, self.judge.slug])


class Publication(Lease):
    """A figure that its arena keeps current: the leaderboard of a slice, or a judge's report.

    This row is the record of work. ``stale_since`` is set by the first verdict that the figure doesn't
    know and cleared when a worker claims the row, so that a verdict which arrives while the figure is
    rebuilt makes it stale again; a claim whose lease ran out is work too.
    """

    class Kind(models.TextChoices):
        LEADERBOARD = "leaderboard", "Leaderboard"
        REPORT = "report", "Judge report"

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="publications", db_index=False)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    slice = models.JSONField()
    slice_digest = models.CharField(max_length=64)
    judge = models.ForeignKey(
        Judge,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="publications",
        help_text="Whose verdicts are counted; empty: people's.",
    )
    counts_people = models.BooleanField(help_text="Whether a new verdict by people makes it stale.")
    is_lasting = models.BooleanField(
        default=True,
        help_text="Kept for ever. If not, only a page asked for it: it goes when nobody looks any more.",
    )
    looked_on = models.DateField(
        null=True, blank=True, help_text="The day of the last look, where it isn't lasting."
    )
    stale_since = models.DateTimeField(null=True, blank=True)
    refreshed_at = models.DateTimeField(null=True, blank=True)
    snapshot = models.ForeignKey(Snapshot, models.SET_NULL, null=True, blank=True, related_name="+")
    report = models.ForeignKey(
        JudgeReport, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    priorities_basis = models.CharField(
        max_length=64,
        blank=True,
        editable=False,
        help_text="Of people's leaderboard: digest of what the priorities of pairs were written from.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = LeaseQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["stale_since"],
                condition=Q(stale_since__isnull=False),
                name="publication_stale",
            ),
            models.Index(
                fields=["claimed_until"],
                condition=Q(claimed_until__isnull=False),
                name="publication_claimed",
            ),
            models.Index(
                fields=["looked_on"], condition=Q(is_lasting=False), name="publication_passing"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["arena", "kind", "slice_digest"], name="publication_unique"
            ),
            models.CheckConstraint(
                condition=Q(is_lasting=True) | Q(looked_on__isnull=False),
                name="publication_lasts_or_is_looked_at",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"

    @property
    def is_pending(self) -> bool:
        """Whether work on it is asked for or under way."""
        return self.stale_since is not None or self.claimed_until is not None


class Fragility(Lease):
    """How little would have to be otherwise for the top of a snapshot to be another one. Computed once."""

    snapshot = models.OneToOneField(Snapshot, models.CASCADE, related_name="fragility")
    figures = models.JSONField(default=dict)
    asked_at = models.DateTimeField(auto_now_add=True)
    computed_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(default=0, help_text="How long computing it took.")

    objects = LeaseQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "fragilities"
        indexes = [
            models.Index(
                fields=["asked_at"], condition=Q(computed_at=None), name="fragility_not_computed"
            ),
        ]

    def __str__(self) -> str:
        return f"Fragility of snapshot {self.snapshot_id}"


class RankingReport(Lease):
    """What an arena's rankings of several outputs come to, kept current like a publication."""

    arena = models.OneToOneField(Arena, models.CASCADE, related_name="ranking_report")
    stale_since = models.DateTimeField(null=True, blank=True)
    last_exclusion_id = models.BigIntegerField(
        default=0, help_text="Later exclusions of voters aren't known to it."
    )
    basis = models.CharField(
        max_length=120,
        blank=True,
        help_text="Digest of the rankings and the release of the engine: with the same nothing is computed.",
    )
    figures = models.JSONField(default=dict, help_text="Every system's row, and the counts.")
    computed_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(default=0, help_text="How long computing it took.")

    objects = LeaseQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["stale_since"],
                condition=Q(stale_since__isnull=False),
                name="ranking_report_stale",
            ),
        ]

    def __str__(self) -> str:
        return f"Rankings of {self.arena}"

    @property
    def is_pending(self) -> bool:
        """Whether work on it is asked for or under way."""
        return self.stale_since is not None or self.claimed_until is not None


class VoterReport(Lease):
    """When the records of an arena's voters were computed, and whether that is under way."""

    arena = models.OneToOneField(Arena, models.CASCADE, related_name="voter_report")
    computed_at = models.DateTimeField(null=True, blank=True)
    n_voters = models.PositiveIntegerField(default=0)
    first = models.ForeignKey(
        System,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who is first by the votes of all that aren't excluded.",
    )
    seconds = models.FloatField(default=0, help_text="How long computing them took.")

    objects = LeaseQuerySet.as_manager()

    def __str__(self) -> str:
        return f"Records of the voters of {self.arena}"


class VoterRecord(models.Model):
    """What a maintainer should know of one voter. Computed by a worker; overall verdicts, none taken back."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="voter_records", db_index=False)
    voter = models.OneToOneField(Voter, models.CASCADE, related_name="record")
    handle = models.CharField(max_length=120)
    n_verdicts = models.PositiveIntegerField()
    n_retracted = models.PositiveIntegerField(
        default=0, help_text="Overall verdicts taken back, after their systems were revealed."
    )
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    agreement = models.FloatField(
        null=True, help_text="Share of votes that agree with most others on the battle."
    )
    agreement_lower = models.FloatField(null=True)
    agreement_upper = models.FloatField(null=True)
    n_agreement = models.PositiveIntegerField(
        default=0, help_text="Votes on battles where most others agree on one outcome."
    )
    gold_right = models.PositiveIntegerField(default=0)
    n_gold = models.PositiveIntegerField(default=0)
    retest_same = models.PositiveIntegerField(default=0)
    n_retest = models.PositiveIntegerField(default=0, help_text="Battles decided more than once.")
    left = models.PositiveIntegerField(default=0)
    n_sides = models.PositiveIntegerField(default=0, help_text="Votes for a side that is known.")
    left_share = models.FloatField(null=True)
    median_dwell_ms = models.PositiveIntegerField("median dwell time (ms)", null=True)
    p = models.FloatField("p of all tests together", null=True)
    p_strange = models.FloatField(null=True)
    p_side = models.FloatField(null=True)
    p_favour = models.FloatField(null=True)
    favoured = models.ForeignKey(System, models.SET_NULL, null=True, related_name="+")
    first_without = models.ForeignKey(
        System,
        models.SET_NULL,
        null=True,
        related_name="+",
        help_text="Who is first without this voter, where that was computed.",
    )
    changes_first = models.BooleanField(null=True, help_text="Null: not computed.")
    computed_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["arena", "n_verdicts"], name="voter_record_by_verdicts"),
            models.Index(fields=["arena", "p"], name="voter_record_by_p"),
        ]

    def __str__(self) -> str:
        return f"Record of {self.handle}"

    @property
    def seconds(self) -> float | None:
        """The median dwell time."""
        return None if self.median_dwell_ms is None else self.median_dwell_ms / 1000
