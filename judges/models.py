"""Who decides, and how: judges, their voters, verdicts, scores and runs."""

import hashlib
import json
import uuid
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from arena.constraints import CompositeForeignKey
from arena.leases import Lease, LeaseQuerySet
from arena.models import Arena, Battle, Output, Pair, Prompt, Submission, System, slug_validator


class Outcome(models.IntegerChoices):
    """A decision in the battle's orientation. The numbers are the columns of the engine's tallies."""

    A = 0, "A is better"
    B = 1, "B is better"
    TIE = 2, "Tie"
    BOTH_BAD = 3, "Both bad"

    @property
    def mirrored(self) -> "Outcome":
        """The same decision with the two sides exchanged."""
        return MIRRORED[self]


MIRRORED = {
    Outcome.A: Outcome.B,
    Outcome.B: Outcome.A,
    Outcome.TIE: Outcome.TIE,
    Outcome.BOTH_BAD: Outcome.BOTH_BAD,
}


class Judge(models.Model):
    """An identity that decides. What it is configured to do never changes: a change is a new version."""

    class Kind(models.TextChoices):
        CROWD = "crowd", "People"
        LLM = "llm", "LLM"
        JURY = "jury", "Jury"
        PROGRAM = "program", "Program"
        CASCADE = "cascade", "Cascade"
        IMPORTED = "imported", "Imported"

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="judges")
    slug = models.CharField(max_length=120, validators=[slug_validator])
    name = models.CharField(max_length=200)
    version = models.PositiveIntegerField(default=1)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    configuration = models.JSONField(default=dict, blank=True)
    digest = models.CharField(max_length=64, editable=False)
    family = models.CharField(
        max_length=120,
        blank=True,
        help_text="The family of its model, compared with that of systems.",
    )
    description = models.TextField(blank=True)
    is_simulated = models.BooleanField(
        default=False, help_text="Its verdicts come from a simulation; every page says so."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "version"]
        constraints = [
            models.UniqueConstraint(fields=["arena", "slug"], name="judge_unique_slug"),
            models.UniqueConstraint(
                fields=["arena", "name", "version"], name="judge_unique_name_version"
            ),
            models.UniqueConstraint(fields=["id", "arena"], name="judge_id_arena"),
            models.CheckConstraint(
                condition=~Q(slug="people") | Q(kind="crowd"),
                name="judge_people_are_people",
                violation_error_message='The address "people" is reserved for people.',
            ),
        ]

    def __str__(self) -> str:
        return self.name if self.version == 1 else f"{self.name} v{self.version}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.digest = self.configuration_digest()
        if self.pk:
            before = Judge.objects.filter(pk=self.pk).values_list("digest", flat=True).first()
            if before is not None and before != self.digest:
                raise ValidationError(
                    f"The configuration of {self} can't change: make a new version of the judge."
                )
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("ratings:judge", args=[self.arena.slug, self.slug])

    @property
    def is_people(self) -> bool:
        return self.kind == self.Kind.CROWD

    def configuration_digest(self) -> str:
        canonical = json.dumps([self.kind, self.configuration], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


class Voter(models.Model):
    """One person within a crowd."""

    judge = models.ForeignKey(Judge, models.CASCADE, related_name="voters", db_index=False)
    handle = models.CharField(max_length=120, help_text="A pseudonym: never a name or an address.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="voters"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["judge", "handle"], name="voter_unique_handle"),
            models.UniqueConstraint(fields=["id", "judge"], name="voter_id_judge"),
        ]

    def __str__(self) -> str:
        return self.handle


class JudgeRun(Lease):
    """One job: a judge asked about many battles, or a system asked to answer many prompts.

    A program's run counts battles. Others count calls: ``total``, ``done`` and ``failed`` are always those of
    the run's JudgeCall rows, which are written with them in one transaction.
    """

    class State(models.TextChoices):
        PLANNED = "planned", "Planned"
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        WAITING = "waiting", "Waiting for figures"
        PAUSED = "paused", "Paused"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="runs")
    judge = models.ForeignKey(
        Judge, models.CASCADE, null=True, blank=True, related_name="runs", db_constraint=False
    )
    system = models.ForeignKey(
        System, models.CASCADE, null=True, blank=True, related_name="runs", db_constraint=False
    )
    submission = models.ForeignKey(
        Submission, models.SET_NULL, null=True, blank=True, related_name="runs",
        help_text="Which battles it asks about is then decided where submissions are placed.",
    )  # fmt: skip
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    selection = models.JSONField(
        default=dict,
        blank=True,
        help_text="Which battles or prompts: see judges.runs.selection and judges.answering.",
    )
    total = models.PositiveIntegerField(
        default=0, help_text="Battles to judge by a program, calls to make to an LLM."
    )
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    verdicts_cast = models.PositiveIntegerField(default=0)
    from_cache = models.PositiveIntegerField("answers from the cache", default=0)
    rounds = models.JSONField(
        default=dict, blank=True, help_text="Of a run until intervals are narrow: where it stands."
    )
    examples = models.JSONField(
        default=list, blank=True, help_text="[battle, outcome] that the judge is shown first."
    )
    probes = models.JSONField(
        default=dict,
        blank=True,
        help_text="Of a run that casts no verdicts but asks about changed battles: see judges.runs.probing.",
    )
    budget = models.DecimalField(
        "budget (USD)", max_digits=12, decimal_places=4, null=True, blank=True
    )
    max_tokens = models.PositiveBigIntegerField("budget (tokens)", null=True, blank=True)
    max_calls = models.PositiveIntegerField("budget (calls)", null=True, blank=True)
    cost = models.DecimalField("cost so far (USD)", max_digits=12, decimal_places=6, default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    calls_made = models.PositiveIntegerField(
        default=0,
        help_text="Answers and failures, those tried again counted again; no cached ones.",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = LeaseQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["id", "arena"], name="run_id_arena"),
            CompositeForeignKey(
                fields=["judge", "arena"],
                to="judges.Judge",
                to_fields=["id", "arena"],
                name="run_judge_in_arena",
                violation_error_message="The judge belongs to another arena.",
            ),
            CompositeForeignKey(
                fields=["system", "arena"],
                to="arena.System",
                to_fields=["id", "arena"],
                name="run_system_in_arena",
                violation_error_message="The system belongs to another arena.",
            ),
            models.CheckConstraint(
                condition=Q(judge__isnull=False, system__isnull=True)
                | Q(judge__isnull=True, system__isnull=False),
                name="run_of_judge_or_system",
            ),
            models.CheckConstraint(
                condition=Q(done__lte=models.F("total")), name="run_done_at_most_total"
            ),
        ]

    def __str__(self) -> str:
        return f"Run {self.pk}: {self.subject}"

    @property
    def subject(self) -> "Judge | System":
        """Whose run it is."""
        subject = self.system if self.judge_id is None else self.judge
        assert subject is not None  # noqa: S101 (a constraint says so)
        return subject

    @property
    def is_llm(self) -> bool:
        """Whether an LLM judge is asked."""
        return self.judge is not None and self.judge.kind == Judge.Kind.LLM

    @property
    def answers(self) -> bool:
        """Whether a system is asked for outputs."""
        return self.system_id is not None

    @property
    def is_probing(self) -> bool:
        """Whether a judge is asked about battles that were changed. It then casts no verdicts."""
        return bool(self.probes)

    @property
    def makes_calls(self) -> bool:
        """Whether an endpoint is asked: of all runs but those of programs."""
        return self.is_llm or self.answers


class Verdict(models.Model):
    """One decision on one battle. Append-only; what is taken back is a Retraction beside it.

    ``pair`` and ``prompt`` repeat the battle's (the database keeps them equal), so that a leaderboard is one
    GROUP BY on one index.
    """

    class Side(models.IntegerChoices):
        A = 0, "A"
        B = 1, "B"

    arena = models.ForeignKey(
        Arena, models.CASCADE, related_name="verdicts", db_constraint=False, db_index=False
    )
    battle = models.ForeignKey(Battle, models.CASCADE, related_name="verdicts", db_constraint=False)
    pair = models.ForeignKey(
        Pair, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    prompt = models.ForeignKey(
        Prompt, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    judge = models.ForeignKey(
        Judge, models.CASCADE, related_name="verdicts", db_constraint=False, db_index=False
    )
    voter = models.ForeignKey(
        Voter, models.CASCADE, null=True, blank=True, related_name="verdicts", db_constraint=False,
        db_index=False,
    )  # fmt: skip
    run = models.ForeignKey(
        JudgeRun, models.SET_NULL, null=True, blank=True, related_name="verdicts", db_index=False
    )
    criterion = models.CharField(max_length=40, blank=True, help_text="Empty: the overall verdict.")
    outcome = models.PositiveSmallIntegerField(choices=Outcome.choices)
    shown_first = models.PositiveSmallIntegerField(
        choices=Side.choices, null=True, blank=True, help_text="Empty: not known."
    )
    confidence = models.FloatField(
        null=True, blank=True, help_text="Between 0 and 1, where stated."
    )
    repetition = models.BigIntegerField(
        default=0,
        help_text="0 for the first verdict on the battle, 1 for its repeat …; a 63-bit hash of the "
        "source's row where the source doesn't say who voted.",
    )
    cast_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        indexes = [
            # Covers the leaderboard's GROUP BY: the table itself isn't read.
            models.Index(
                fields=["judge", "criterion", "pair", "outcome", "prompt"], name="verdict_cells"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["voter", "battle", "criterion", "repetition"],
                condition=Q(voter__isnull=False),
                name="verdict_unique_of_voter",
            ),
            models.UniqueConstraint(
                fields=["judge", "battle", "criterion", "repetition"],
                condition=Q(voter__isnull=True),
                name="verdict_unique_of_judge",
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=Outcome.values), name="verdict_outcome_known"
            ),
            models.CheckConstraint(
                condition=Q(confidence__isnull=True) | Q(confidence__range=(0, 1)),
                name="verdict_confidence_in_unit_interval",
            ),
            CompositeForeignKey(
                fields=["battle", "arena", "pair", "prompt"],
                to="arena.Battle",
                to_fields=["id", "arena", "pair", "prompt"],
                name="verdict_battle",
                violation_error_message="Arena, pair and prompt must be the battle's.",
            ),
            CompositeForeignKey(
                fields=["judge", "arena"],
                to="judges.Judge",
                to_fields=["id", "arena"],
                name="verdict_judge_in_arena",
                violation_error_message="The judge belongs to another arena.",
            ),
            CompositeForeignKey(
                fields=["voter", "judge"],
                to="judges.Voter",
                to_fields=["id", "judge"],
                name="verdict_voter_of_judge",
                violation_error_message="The voter belongs to another crowd.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.judge}: {self.get_outcome_display()}"


class Retraction(models.Model):
    """Takes a verdict back. The verdict stays; it is no longer counted."""

    verdict = models.OneToOneField(Verdict, models.CASCADE, related_name="retraction")
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"Retraction of verdict {self.verdict_id}"


class VerdictTrace(models.Model):
    """The words behind a verdict, kept apart so that the table that is counted stays slim."""

    verdict = models.OneToOneField(Verdict, models.CASCADE, related_name="trace", primary_key=True)
    rationale = models.TextField(blank=True)
    completion = models.TextField("raw completion", blank=True)
    parse = models.JSONField(default=dict, blank=True)
    tokens = models.PositiveIntegerField(null=True, blank=True)
    cost = models.DecimalField("cost (USD)", max_digits=12, decimal_places=6, null=True, blank=True)
    latency_ms = models.PositiveIntegerField("latency (ms)", null=True, blank=True)

    def __str__(self) -> str:
        return f"Trace of verdict {self.verdict_id}"


class JudgeCall(models.Model):
    """One question to an LLM judge in one run, and what came of it. The rows are the record of the work.

    A battle is asked about once or in both orders, an output once, each as often as the judge repeats itself;
    a preparation (the checklist of a prompt, a battle's adapted reference) comes before either. In a run of a
    system each prompt is asked once. A run of probes asks about each battle in one order: as it is, the same
    again, and changed by each ``probe``. An open call is claimed for a while by a worker; whose claim ran out
    it is open to all again.
    """

    class Purpose(models.TextChoices):
        JUDGE = "judge", "Judge"
        PREPARE = "prepare", "Prepare"
        ANSWER = "answer", "Answer"
        PROBE = "probe", "Probe"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        DONE = "done", "Done"
        ERROR = "error", "Error"
        CANCELLED = "cancelled", "Cancelled"

    arena = models.ForeignKey(
        Arena, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    run = models.ForeignKey(
        JudgeRun, models.CASCADE, related_name="calls", db_constraint=False, db_index=False
    )
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.JUDGE)
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="+", db_constraint=False)
    battle = models.ForeignKey(
        Battle, models.CASCADE, null=True, blank=True, related_name="+", db_constraint=False
    )
    pair = models.ForeignKey(
        Pair, models.CASCADE, null=True, blank=True, related_name="+", db_constraint=False,
        db_index=False,
    )  # fmt: skip
    output = models.ForeignKey(
        Output, models.CASCADE, null=True, blank=True, related_name="+", db_constraint=False
    )
    shown_first = models.PositiveSmallIntegerField(
        choices=Verdict.Side.choices, null=True, blank=True
    )
    repetition = models.PositiveIntegerField(default=0)
    probe = models.CharField(max_length=40, blank=True, help_text="See judges.probes.")
    changed_side = models.PositiveSmallIntegerField(
        choices=Verdict.Side.choices, null=True, blank=True
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    failure = models.CharField(max_length=30, blank=True, help_text="Why it failed, in a word.")
    error = models.TextField(blank=True, help_text="The same in a sentence.")
    text = models.TextField("raw completion", blank=True)
    parse = models.JSONField(default=dict, blank=True)
    choice = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="As the answers were shown: 0 the first, 1 the second, 2 a tie, 3 both bad.",
    )
    score = models.FloatField(null=True, blank=True)
    confidence = models.FloatField(null=True, blank=True)
    input_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_tokens = models.PositiveIntegerField(null=True, blank=True)
    cost = models.DecimalField("cost (USD)", max_digits=12, decimal_places=6, null=True, blank=True)
    latency_ms = models.PositiveIntegerField("latency (ms)", null=True, blank=True)
    from_cache = models.BooleanField(default=False)
    attempts = models.PositiveIntegerField(default=0, help_text="How often it was claimed.")
    most_tokens = models.PositiveIntegerField(
        default=0, help_text="What it can take at the very most: set aside while it is asked."
    )
    most_cost = models.DecimalField(
        "most that it can cost (USD)", max_digits=12, decimal_places=6, default=0
    )
    claim = models.UUIDField(null=True, blank=True, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = LeaseQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["run", "state", "id"], name="call_of_run"),
            models.Index(
                fields=["run", "claimed_until"],
                condition=Q(claimed_until__isnull=False),
                name="call_claimed",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "battle", "shown_first", "repetition"],
                condition=Q(purpose="judge", battle__isnull=False),
                name="call_unique_battle",
            ),
            models.UniqueConstraint(
                fields=["run", "output", "repetition"],
                condition=Q(purpose="judge", output__isnull=False),
                name="call_unique_output",
            ),
            models.UniqueConstraint(
                fields=["run", "battle"],
                condition=Q(purpose="prepare", battle__isnull=False),
                name="call_unique_preparation_of_battle",
            ),
            models.UniqueConstraint(
                fields=["run", "output"],
                condition=Q(purpose="prepare", output__isnull=False),
                name="call_unique_preparation_of_output",
            ),
            models.UniqueConstraint(
                fields=["run", "prompt"],
                condition=Q(purpose="prepare", battle__isnull=True, output__isnull=True),
                name="call_unique_preparation_of_prompt",
            ),
            models.UniqueConstraint(
                fields=["run", "prompt"],
                condition=Q(purpose="answer"),
                name="call_unique_answer",
            ),
            models.UniqueConstraint(
                fields=["run", "battle", "probe", "repetition"],
                condition=Q(purpose="probe"),
                name="call_unique_probe",
            ),
            models.CheckConstraint(
                condition=Q(purpose="probe") & ~Q(probe="")
                | ~Q(purpose="probe") & Q(probe="", changed_side__isnull=True),
                name="call_probe_named",
            ),
            models.CheckConstraint(
                condition=Q(
                    purpose__in=["judge", "probe"],
                    battle__isnull=False,
                    pair__isnull=False,
                    output__isnull=True,
                    shown_first__isnull=False,
                    shown_first__in=[0, 1],
                )
                | Q(
                    purpose="judge",
                    battle__isnull=True,
                    pair__isnull=True,
                    output__isnull=False,
                    shown_first__isnull=True,
                )
                | Q(
                    purpose="prepare",
                    battle__isnull=False,
                    pair__isnull=False,
                    output__isnull=True,
                    shown_first__isnull=True,
                )
                | Q(
                    purpose="prepare",
                    battle__isnull=True,
                    pair__isnull=True,
                    shown_first__isnull=True,
                )
                | Q(
                    purpose="answer",
                    battle__isnull=True,
                    pair__isnull=True,
                    output__isnull=True,
                    shown_first__isnull=True,
                ),
                name="call_of_battle_output_or_prompt",
            ),
            models.CheckConstraint(
                condition=Q(state="open", finished_at__isnull=True)
                | Q(state__in=["done", "error"], finished_at__isnull=False, claimed_until=None)
                | Q(state="cancelled", claimed_until=None),
                name="call_state",
            ),
            models.CheckConstraint(
                condition=Q(choice__isnull=True) | Q(choice__range=(0, 3)),
                name="call_choice_known",
            ),
            models.CheckConstraint(
                condition=Q(confidence__isnull=True) | Q(confidence__range=(0, 1)),
                name="call_confidence_in_unit_interval",
            ),
            CompositeForeignKey(
                fields=["run", "arena"],
                to="judges.JudgeRun",
                to_fields=["id", "arena"],
                name="call_run_in_arena",
                violation_error_message="The run belongs to another arena.",
            ),
            CompositeForeignKey(
                fields=["prompt", "arena"],
                to="arena.Prompt",
                to_fields=["id", "arena"],
                name="call_prompt_in_arena",
                violation_error_message="The prompt belongs to another arena.",
            ),
            CompositeForeignKey(
                fields=["battle", "arena", "pair", "prompt"],
                to="arena.Battle",
                to_fields=["id", "arena", "pair", "prompt"],
                name="call_battle",
                violation_error_message="Arena, pair and prompt must be the battle's.",
            ),
            CompositeForeignKey(
                fields=["output", "arena"],
                to="arena.Output",
                to_fields=["id", "arena"],
                name="call_output_in_arena",
                violation_error_message="The output belongs to another arena.",
            ),
        ]

    def __str__(self) -> str:
        return f"Call {self.pk} of run {self.run_id}"


class ProbeResult(models.Model):
    """One battle, decided by a judge as it is and changed by a probe, or asked again as it is. Written once.

    Outcomes are single decisions in the battle's orientation. They are no verdicts, and count in no ranking.
    """

    arena = models.ForeignKey(
        Arena, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    run = models.ForeignKey(
        JudgeRun, models.CASCADE, related_name="probe_results", db_constraint=False, db_index=False
    )
    battle = models.ForeignKey(Battle, models.CASCADE, related_name="+", db_constraint=False)
    pair = models.ForeignKey(
        Pair, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    prompt = models.ForeignKey(
        Prompt, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    probe = models.CharField(max_length=40, help_text="See judges.probes.")
    changed_side = models.PositiveSmallIntegerField(
        choices=Verdict.Side.choices, null=True, blank=True, help_text="Empty: neither."
    )
    before = models.PositiveSmallIntegerField(choices=Outcome.choices)
    after = models.PositiveSmallIntegerField(choices=Outcome.choices)
    is_fooled = models.BooleanField(
        help_text="Whether the change is one that counts against the judge: see judges.probes."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["run", "probe", "id"],
                condition=Q(is_fooled=True),
                name="probe_result_fooled",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["run", "battle", "probe"], name="probe_result_unique"),
            models.CheckConstraint(
                condition=Q(before__in=Outcome.values, after__in=Outcome.values),
                name="probe_result_outcomes_known",
            ),
            models.CheckConstraint(
                condition=Q(is_fooled=False) | ~Q(before=models.F("after")),
                name="probe_result_fooled_is_changed",
            ),
            CompositeForeignKey(
                fields=["run", "arena"],
                to="judges.JudgeRun",
                to_fields=["id", "arena"],
                name="probe_result_run_in_arena",
                violation_error_message="The run belongs to another arena.",
            ),
            CompositeForeignKey(
                fields=["battle", "arena", "pair", "prompt"],
                to="arena.Battle",
                to_fields=["id", "arena", "pair", "prompt"],
                name="probe_result_battle",
                violation_error_message="Arena, pair and prompt must be the battle's.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.probe} of battle {self.battle_id} in run {self.run_id}"


class Preparation(models.Model):
    """What an LLM judge wrote before it judged: the questions of a prompt, or a reference for one case.

    Written once per judge, used by all of its runs. Questions may be edited until an output was judged by them.
    """

    arena = models.ForeignKey(
        Arena, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    judge = models.ForeignKey(
        Judge, models.CASCADE, related_name="preparations", db_constraint=False, db_index=False
    )
    prompt = models.ForeignKey(
        Prompt, models.CASCADE, related_name="preparations", db_constraint=False
    )
    battle = models.ForeignKey(
        Battle, models.CASCADE, null=True, blank=True, related_name="+", db_constraint=False
    )
    pair = models.ForeignKey(
        Pair, models.CASCADE, null=True, blank=True, related_name="+", db_constraint=False,
        db_index=False,
    )  # fmt: skip
    output = models.ForeignKey(
        Output, models.CASCADE, null=True, blank=True, related_name="+", db_constraint=False
    )
    checklist = models.JSONField(default=list, blank=True, help_text="Questions of the prompt.")
    reference = models.TextField(blank=True, help_text="The adapted reference answer.")
    edited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["judge", "prompt"],
                condition=Q(battle__isnull=True, output__isnull=True),
                name="preparation_unique_prompt",
            ),
            models.UniqueConstraint(
                fields=["judge", "battle"],
                condition=Q(battle__isnull=False),
                name="preparation_unique_battle",
            ),
            models.UniqueConstraint(
                fields=["judge", "output"],
                condition=Q(output__isnull=False),
                name="preparation_unique_output",
            ),
            models.CheckConstraint(
                condition=Q(battle__isnull=True, pair__isnull=True)
                | Q(battle__isnull=False, pair__isnull=False, output__isnull=True),
                name="preparation_of_battle_output_or_prompt",
            ),
            CompositeForeignKey(
                fields=["judge", "arena"],
                to="judges.Judge",
                to_fields=["id", "arena"],
                name="preparation_judge_in_arena",
                violation_error_message="The judge belongs to another arena.",
            ),
            CompositeForeignKey(
                fields=["prompt", "arena"],
                to="arena.Prompt",
                to_fields=["id", "arena"],
                name="preparation_prompt_in_arena",
                violation_error_message="The prompt belongs to another arena.",
            ),
            CompositeForeignKey(
                fields=["battle", "arena", "pair", "prompt"],
                to="arena.Battle",
                to_fields=["id", "arena", "pair", "prompt"],
                name="preparation_battle",
                violation_error_message="Arena, pair and prompt must be the battle's.",
            ),
            CompositeForeignKey(
                fields=["output", "arena"],
                to="arena.Output",
                to_fields=["id", "arena"],
                name="preparation_output_in_arena",
                violation_error_message="The output belongs to another arena.",
            ),
        ]

    def __str__(self) -> str:
        return f"Preparation {self.pk} of {self.judge}"


class Score(models.Model):
    """One judge's absolute score of one output. Pairwise verdicts follow from scores: never count both."""

    arena = models.ForeignKey(
        Arena, models.CASCADE, related_name="scores", db_constraint=False, db_index=False
    )
    judge = models.ForeignKey(
        Judge, models.CASCADE, related_name="scores", db_constraint=False, db_index=False
    )
    output = models.ForeignKey(Output, models.CASCADE, related_name="scores")
    criterion = models.CharField(max_length=40, blank=True)
    value = models.FloatField()
    repetition = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["judge", "output", "criterion", "repetition"], name="score_unique"
            ),
            CompositeForeignKey(
                fields=["judge", "arena"],
                to="judges.Judge",
                to_fields=["id", "arena"],
                name="score_judge_in_arena",
                violation_error_message="The judge belongs to another arena.",
            ),
            CompositeForeignKey(
                fields=["output", "arena"],
                to="arena.Output",
                to_fields=["id", "arena"],
                name="score_output_in_arena",
                violation_error_message="The output belongs to another arena.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.judge}: {self.value:g}"


class GoldItem(models.Model):
    """A comparison whose right answer is known: voters are checked on it."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="gold_items", db_index=False)
    source_id = models.CharField(max_length=200)
    prompt = models.TextField()
    output_a = models.TextField()
    output_b = models.TextField()
    expected = models.PositiveSmallIntegerField(choices=Outcome.choices)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["arena", "source_id"], name="gold_unique_source_id"),
            models.CheckConstraint(
                condition=Q(expected__in=Outcome.values), name="gold_expected_known"
            ),
        ]

    def __str__(self) -> str:
        return f"Gold item {self.source_id}"


class Ballot(models.Model):
    """A battle, or a gold item, as it was handed to one voter, and what became of it.

    Decided once: a second click finds it decided. A voter meets a battle once, and again only as a repeat
    or after taking the vote back.
    """

    class Purpose(models.TextChoices):
        FRESH = "fresh", "Drawn by priority"
        OVERLAP = "overlap", "Other people have voted on it"
        REPEAT = "repeat", "The voter has voted on it"
        GOLD = "gold", "Gold item"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        VOTED = "voted", "Voted"
        SKIPPED = "skipped", "Skipped"
        UNDONE = "undone", "Vote taken back"

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="ballots", db_index=False)
    voter = models.ForeignKey(Voter, models.CASCADE, related_name="ballots", db_index=False)
    battle = models.ForeignKey(
        Battle, models.CASCADE, null=True, blank=True, related_name="ballots"
    )
    gold_item = models.ForeignKey(
        GoldItem, models.CASCADE, null=True, blank=True, related_name="ballots", db_index=False
    )
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.FRESH)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    key = models.UUIDField(
        unique=True,
        default=uuid.uuid4,
        editable=False,
        help_text="Names it on pages; can't be guessed.",
    )
    shown_first = models.PositiveSmallIntegerField(choices=Verdict.Side.choices)
    repetition = models.PositiveIntegerField(
        default=0, help_text="How many ballots of this voter on this battle came before."
    )
    outcome = models.PositiveSmallIntegerField(
        choices=Outcome.choices, null=True, blank=True, help_text="In the battle's orientation."
    )
    reasons = models.JSONField(
        default=dict, blank=True, help_text='What was ticked: {"a": [...], "b": [...]}.'
    )
    created_at = models.DateTimeField(auto_now_add=True)
    shown_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    dwell_ms = models.PositiveIntegerField(
        "dwell time (ms)", null=True, blank=True, help_text="From shown to decided."
    )
    network = models.CharField(
        max_length=32,
        blank=True,
        help_text="Keyed hash of the address, another one every day; erased after a day.",
    )

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["voter", "state", "decided_at"], name="ballot_of_voter"),
            models.Index(
                fields=["network", "decided_at"],
                condition=~Q(network=""),
                name="ballot_of_network",
            ),
            models.Index(fields=["arena", "state", "decided_at"], name="ballot_of_arena"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["voter", "battle", "repetition"],
                condition=Q(battle__isnull=False),
                name="ballot_unique_battle",
            ),
            models.UniqueConstraint(
                fields=["voter", "gold_item", "repetition"],
                condition=Q(gold_item__isnull=False),
                name="ballot_unique_gold",
            ),
            models.CheckConstraint(
                condition=Q(battle__isnull=False, gold_item__isnull=True)
                | Q(battle__isnull=True, gold_item__isnull=False, purpose="gold"),
                name="ballot_battle_or_gold",
            ),
            models.CheckConstraint(
                condition=Q(state="open", decided_at__isnull=True)
                | Q(state__in=["voted", "undone"], decided_at__isnull=False, outcome__isnull=False)
                | Q(state="skipped", decided_at__isnull=False),
                name="ballot_state",
            ),
        ]

    def __str__(self) -> str:
        return f"Ballot {self.pk}"


class Ranking(models.Model):
    """A few outputs of one prompt as they were handed to one voter, to be put in order.

    Decided once, like a ballot. A voter meets a prompt once, and again only after taking the order back.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        DECIDED = "decided", "Decided"
        SKIPPED = "skipped", "Skipped"
        UNDONE = "undone", "Taken back"

    arena = models.ForeignKey(
        Arena, models.CASCADE, related_name="rankings", db_constraint=False, db_index=False
    )
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="rankings", db_constraint=False)
    voter = models.ForeignKey(Voter, models.CASCADE, related_name="rankings", db_index=False)
    key = models.UUIDField(
        unique=True,
        default=uuid.uuid4,
        editable=False,
        help_text="Names it on pages; can't be guessed.",
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    is_ordered = models.BooleanField(
        default=False, help_text="Whether its outputs have ranks: decided, maybe taken back later."
    )
    repetition = models.PositiveIntegerField(
        default=0, help_text="How many rankings of this voter on this prompt came before."
    )
    comment = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    shown_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    dwell_ms = models.PositiveIntegerField(
        "dwell time (ms)", null=True, blank=True, help_text="From shown to decided."
    )
    network = models.CharField(
        max_length=32,
        blank=True,
        help_text="Keyed hash of the address, another one every day; erased after a day.",
    )

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["voter", "state", "decided_at"], name="ranking_of_voter"),
            models.Index(
                fields=["network", "decided_at"],
                condition=~Q(network=""),
                name="ranking_of_network",
            ),
            models.Index(fields=["arena", "state", "id"], name="ranking_of_arena"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["voter"], condition=Q(state="open"), name="ranking_one_open"
            ),
            models.UniqueConstraint(
                fields=["voter", "prompt", "repetition"], name="ranking_unique_prompt"
            ),
            models.UniqueConstraint(
                fields=["id", "prompt", "is_ordered"], name="ranking_id_prompt_is_ordered"
            ),
            models.CheckConstraint(
                condition=Q(state="open", decided_at__isnull=True, is_ordered=False)
                | Q(state__in=["decided", "undone"], decided_at__isnull=False, is_ordered=True)
                | Q(state="skipped", decided_at__isnull=False, is_ordered=False),
                name="ranking_state",
            ),
            CompositeForeignKey(
                fields=["prompt", "arena"],
                to="arena.Prompt",
                to_fields=["id", "arena"],
                name="ranking_prompt_in_arena",
                violation_error_message="The prompt belongs to another arena.",
            ),
        ]

    def __str__(self) -> str:
        return f"Ranking {self.pk}"


class RankedOutput(models.Model):
    """One output of a ranking: where it stood on the page, and the rank that it was given.

    ``prompt``, ``system`` and ``is_ordered`` repeat the ranking's and the output's; the database keeps them
    equal.
    """

    ranking = models.ForeignKey(
        Ranking, models.CASCADE, related_name="outputs", db_constraint=False, db_index=False
    )
    prompt = models.ForeignKey(
        Prompt, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    system = models.ForeignKey(
        System, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    output = models.ForeignKey(Output, models.CASCADE, related_name="+", db_constraint=False)
    position = models.PositiveSmallIntegerField(help_text="On the page, from 0.")
    is_ordered = models.BooleanField(default=False)
    rank = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="1 + how many outputs of the ranking are better."
    )

    class Meta:
        ordering = ["ranking", "position"]
        constraints = [
            models.UniqueConstraint(fields=["ranking", "output"], name="ranked_output_once"),
            models.UniqueConstraint(fields=["ranking", "position"], name="ranked_output_position"),
            models.CheckConstraint(condition=Q(position__lt=5), name="ranked_output_at_most_five"),
            models.CheckConstraint(
                condition=Q(is_ordered=False, rank__isnull=True)
                | Q(is_ordered=True, rank__isnull=False, rank__range=(1, 5)),
                name="ranked_output_rank_when_decided",
            ),
            CompositeForeignKey(
                fields=["ranking", "prompt", "is_ordered"],
                to="judges.Ranking",
                to_fields=["id", "prompt", "is_ordered"],
                name="ranked_output_of_ranking",
                violation_error_message="Prompt and state must be the ranking's.",
            ),
            CompositeForeignKey(
                fields=["output", "prompt", "system"],
                to="arena.Output",
                to_fields=["id", "prompt", "system"],
                name="ranked_output_output",
                violation_error_message="Prompt and system must be the output's.",
            ),
        ]

    def __str__(self) -> str:
        return f"Output {self.output_id} in ranking {self.ranking_id}"


class Exclusion(models.Model):
    """Sets a voter's verdicts aside, or takes them in again. Rows are only added: the last one counts."""

    voter = models.ForeignKey(Voter, models.CASCADE, related_name="exclusions")
    is_excluded = models.BooleanField(default=True)
    reason = models.CharField(max_length=200)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.voter} {'excluded' if self.is_excluded else 'taken in again'}"


class Derivation(Lease):
    """Keeps the verdicts of a judge current that follow from those of others: of a jury or a cascade.

    ``stale_since`` says since when ``sources`` have said something else; ``figures`` is what the last pass came
    to.
    """

    judge = models.OneToOneField(Judge, models.CASCADE, related_name="derivation", primary_key=True)
    sources = models.ManyToManyField(
        Judge, related_name="derivations", blank=True, help_text="Whose verdicts it follows from."
    )
    stale_since = models.DateTimeField(null=True, blank=True)
    rests_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Not begun before, so that long passes leave room for others.",
    )
    computed_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(default=0)
    figures = models.JSONField(default=dict, blank=True)
    withdrawn_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Since when a cascade no longer claims what it was made for.",
    )

    objects = LeaseQuerySet.as_manager()

    class Meta:
        ordering = ["judge"]
        indexes = [
            models.Index(
                fields=["stale_since"],
                condition=Q(stale_since__isnull=False),
                name="derivation_stale",
            )
        ]

    def __str__(self) -> str:
        return f"Verdicts of {self.judge}"


class RequestedQuerySet(LeaseQuerySet):
    def still_wanted(self, *, most: int) -> list[int]:
        """What waits and nobody works on, to be asked for again; what was begun ``most`` times is given up."""
        waiting = self.unclaimed().filter(state=Requested.State.QUEUED)
        waiting.filter(attempts__gte=most).update(
            state=Requested.State.FAILED,
            error=f"It was begun {most} times and its worker never finished: see the worker's log.",
            finished_at=timezone.now(),
        )
        return list(waiting.filter(attempts__lt=most).values_list("pk", flat=True))


class Requested(Lease):
    """Work that somebody asked for by a form or the API, and that a worker does once."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    key = models.UUIDField(
        unique=True, editable=False, help_text="Of the form that asked: sent twice, it is one."
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = RequestedQuerySet.as_manager()

    class Meta:
        abstract = True

    def finish(self, state: str, *, error: str = "") -> Self:
        """Done, or failed for this reason: written with all that was set on the row."""
        self.state, self.error = state, error
        self.claimed_until, self.finished_at = None, timezone.now()
        self.save()
        return self


class Trial(Requested):
    """An LLM judge asked about one battle, to be looked at: requests, replies and readings; nothing is cast.

    ``configuration`` may be that of a judge that isn't made yet; ``about`` is then what else was typed of it.
    """

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="trials")
    judge = models.ForeignKey(
        Judge, models.CASCADE, null=True, blank=True, related_name="trials", db_constraint=False
    )
    battle = models.ForeignKey(Battle, models.CASCADE, related_name="+")
    configuration = models.JSONField()
    about = models.JSONField(default=dict, blank=True)
    steps = models.JSONField(default=list, blank=True, help_text="Requests with what came of each.")
    decisions = models.JSONField(
        default=list, blank=True, help_text="What would be cast, overall and by criterion."
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            CompositeForeignKey(
                fields=["judge", "arena"],
                to="judges.Judge",
                to_fields=["id", "arena"],
                name="trial_judge_in_arena",
                violation_error_message="The judge belongs to another arena.",
            ),
        ]

    def __str__(self) -> str:
        return f"Trial {self.pk}"


class CascadeRequest(Requested):
    """A cascade that somebody asked for: a worker calibrates it, which takes numpy, and makes the judge."""

    arena = models.ForeignKey(Arena, models.CASCADE, related_name="cascade_requests")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    tiers = models.JSONField(help_text='[{"slug": …, "confidence": …}, …], the cheapest first.')
    terms = models.JSONField(help_text="As judges.cascades.making.Terms has them.")
    judge = models.ForeignKey(
        Judge, models.CASCADE, null=True, blank=True, related_name="+", help_text="What was made."
    )

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Request for {self.name}"


class EndpointState(models.Model):
    """What all workers know of one endpoint: who may ask how often, and whether it answers at all.

    Written by ``judges.endpoints.gate`` only: as a whole, and only if ``version`` is the one that was read.
    """

    digest = models.CharField(max_length=64, unique=True, help_text="Of the URL and the model.")
    url = models.TextField()
    model = models.TextField()
    version = models.PositiveBigIntegerField(default=0)
    state = models.JSONField(default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.model} at {self.url}"


class CachedReply(models.Model):
    """What a model replied to a request. Only replies that could be read are here."""

    key = models.CharField(
        unique=True,
        max_length=64,
        help_text="Of the endpoint, the parameters, the whole request and the repetition.",
    )
    model = models.TextField()
    text = models.TextField()
    tokens = models.JSONField(null=True, blank=True, help_text="With their probabilities.")
    finish = models.CharField(max_length=40)
    input_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_tokens = models.PositiveIntegerField(null=True, blank=True)
    seconds = models.FloatField(help_text="That the call took.")
    raw = models.JSONField(default=dict, help_text="What else the server said of it.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "cached replies"

    def __str__(self) -> str:
        return f"{self.model}: {self.key[:8]}"
