"""Everything that can be wrong with a submission, found before anything is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError

from arena.leaks import Detector, prompt_text
from arena.making import OutputPlan, plan_outputs
from arena.models import Arena, Output, Prompt, System
from arena.submissions.policy import SubmissionPolicy
from arena.upload_problems import MOST_PROBLEMS, Problem, Problems, UploadError
from arena.uploads import OutputRow

NAMED = 10  # prompts without an output
BATCH = 500
# What is said of a system when it is submitted, beside whose version it is.
ABOUT = (
    "name", "version", "organisation", "family", "base_model", "licence", "size", "link", "description",
    "decoding", "price_in", "price_out",
)  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """What a submission would store. ``leaks`` holds, by line, what gives the system away."""

    plan: OutputPlan
    n_prompts: int
    missing: int
    leaks: Mapping[int, str] = field(default_factory=dict)
    warnings: Sequence[Problem] = ()


def check(
    *,
    arena: Arena,
    about: Mapping[str, Any],
    rows: Sequence[OutputRow],
    policy: SubmissionPolicy,
) -> Checked:
    """What would be stored. Raises UploadError with every problem at once, each with its line and a remedy."""
    found = Problems()
    system = _system(arena, about, found)
    plan = None
    try:
        # As of a system that isn't there: whose name is taken would hear of every single output otherwise.
        plan = plan_outputs(arena=arena, system="", rows=rows)
    except UploadError as error:
        _add(found, error)
    if System.objects.filter(arena=arena, name=about["name"], version=about["version"]).exists():
        found.add(0, name_taken(about).sentence)
    asked = Prompt.objects.filter(arena=arena).exclude(messages=[])
    n_prompts = asked.count()
    if plan:
        _look_for_missing(found, plan, asked, n_prompts, policy)
    leaks = _leaks(arena, system, rows if plan is None else [row for row, _ in plan.new], plan)
    warnings = [
        Problem(
            line,
            f"It says “{words}”, which gives the system away: voters don’t get it"
            + (
                ". Take that out of the answer."
                if policy.refuses_leaks
                else ", and only automatic judges compare it."
            ),
        )
        for line, words in sorted(leaks.items())
    ]
    if policy.refuses_leaks:
        for warning in warnings:
            found.add(warning.line, warning.sentence)
    found.check()
    assert plan is not None  # noqa: S101 (or there was a problem)
    return Checked(
        plan=plan,
        n_prompts=n_prompts,
        missing=n_prompts - len(plan.new),
        leaks=leaks,
        warnings=[] if policy.refuses_leaks else warnings[:MOST_PROBLEMS],
    )


def name_taken(about: Mapping[str, Any]) -> Problem:
    called = f"{about['name']} {about['version']}".strip()
    return Problem(
        0,
        f"The arena has a system {called} already: give yours another version, such as the date, or another "
        "name.",
    )


def _system(arena: Arena, about: Mapping[str, Any], found: Problems) -> System:
    """The system as it would be, unsaved."""
    system = System(arena=arena, slug="a", **about)
    try:
        system.clean_fields(exclude=["slug", "owner"])
    except ValidationError as error:
        for name, sentences in error.message_dict.items():
            label = str(System._meta.get_field(name).verbose_name)
            for sentence in sentences:
                found.add(0, f"{label.capitalize()}: {sentence}")
    return system


def _add(found: Problems, error: UploadError) -> None:
    for problem in error.problems:
        found.add(problem.line, problem.sentence)
    found.count += error.count - len(error.problems)


def _look_for_missing(
    found: Problems, plan: OutputPlan, asked: Any, n_prompts: int, policy: SubmissionPolicy
) -> None:
    missing = n_prompts - len(plan.new)
    if not missing or len(plan.new) >= policy.least_share * n_prompts:
        return
    answered = {prompt for _, prompt in plan.new}
    names = []
    for prompt in asked.order_by("pk").only("pk", "source_id").iterator(chunk_size=BATCH):
        if prompt.pk not in answered:
            names.append(prompt.source_id or str(prompt.pk))
        if len(names) == NAMED:
            break
    others = f" and {missing - len(names):,} others" if missing > len(names) else ""
    wanted = (
        "every prompt"
        if policy.least_share == 1
        else f"at least {100 * policy.least_share:g} % of the prompts"
    )
    found.add(
        0,
        f"{missing:,} of {n_prompts:,} prompts have no output, and this arena wants {wanted} answered: "
        f"{', '.join(names)[:600]}{others}. Add them.",
    )


def _leaks(
    arena: Arena, system: System, rows: Sequence[OutputRow], plan: OutputPlan | None
) -> dict[int, str]:
    """What gives the system away, by line."""
    detector = Detector(arena, also=system)
    prompt_of = {row.line: prompt for row, prompt in plan.new} if plan else {}
    leaks = {}
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        prompts = Prompt.objects.only("messages").in_bulk(
            [prompt_of[row.line] for row in some if row.line in prompt_of]
        )
        for row in some:
            prompt = prompts.get(prompt_of.get(row.line, 0))
            output = Output(system=system, prompt=prompt, text=row.text)
            asked = prompt_text(output) if prompt else row.prompt
            if words := detector.leak(output, prompt=asked):
                leaks[row.line] = words
    return leaks
