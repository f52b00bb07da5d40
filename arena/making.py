"""Making an arena: its settings, its prompts, the systems' outputs, and when votes are taken.

Every verb is one transaction, can be repeated without doing anything twice, and leaves an audit entry when it
changed something. ``actor`` is the account that asks, or None where a command does.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction

from arena.audit import account_of, note
from arena.leaks import Detector, prompt_text
from arena.matchmaking import plan_pairs
from arena.models import Arena, Category, Membership, Output, Pair, Prompt, System
from arena.signals import outputs_added, policy_changed
from arena.slugs import free_slug
from arena.upload_problems import Problems, place_of
from arena.uploads import OutputRow, PromptRow

BATCH = 1_000  # rows written, or looked for, at once
LONGEST_DETAIL = 300  # characters of a value that the audit log repeats
# What a maintainer may change afterwards. The slug stays: addresses are given to others.
SETTINGS = (
    "name",
    "description",
    "guidelines",
    "licence",
    "source",
    "is_public",
    "who_votes",
    "criteria",
    "reasons",
    "checklist",
    "asks_certainty",
    "asks_comment",
    "votes_wanted",
    "rank_size",
    "policy",
    "sharing",
)


class MakingError(ValueError):
    """One sentence: what can't be done, and what to do first."""


@dataclass(frozen=True)
class PromptPlan:
    """What an upload of prompts would do: the rows that are new, and how many are there already."""

    new: list[PromptRow]
    known: int
    new_categories: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class OutputPlan:
    """What an upload of outputs would do. ``new`` pairs each row with the id of its prompt."""

    new: list[tuple[OutputRow, int]]
    known: int
    is_new_system: bool
    # Prompts of the arena that the system would still have no output for.
    unanswered: int


@transaction.atomic
def create_arena(
    *, name: str, maintainer: Any, slug: str = "", actor: Any = None, **settings: Any
) -> Arena:
    """Make an arena, closed for votes, with its first maintainer.

    Without a slug it is made of the name. A second call with the same slug, name and maintainer gives the
    arena that is there. Raises MakingError when the address is taken, ValidationError when a field is wrong.
    """
    _refuse_unknown(settings)
    if not slug:
        taken = set(Arena.objects.values_list("slug", flat=True))
        slug = free_slug(name, taken=taken, otherwise="arena", longest=60)
    existing = Arena.objects.filter(slug=slug).first()
    if existing:
        if existing.name == name and _maintains(maintainer, existing):
            return existing
        raise MakingError(f"The address “{slug}” is taken by another arena: choose another.")
    arena = Arena(slug=slug, name=name, **settings)
    arena.full_clean()
    try:
        with transaction.atomic():
            arena.save()
    except IntegrityError as error:
        raise MakingError(
            f"The address “{slug}” was taken a moment ago: choose another."
        ) from error
    Membership.objects.create(arena=arena, user=maintainer, role=Membership.Role.MAINTAINER)
    note(arena=arena, actor=actor, act="create arena", subject=name, slug=slug)
    return arena


@transaction.atomic
def change_arena(*, arena: Arena, actor: Any, **settings: Any) -> list[str]:
    """Change some of SETTINGS; the names of those that are now otherwise. Raises ValidationError."""
    _refuse_unknown(settings)
    kept = _locked(arena)
    changed = {
        name: (getattr(kept, name), value)
        for name, value in settings.items()
        if getattr(kept, name) != value
    }
    if changed:
        for name, (_, value) in changed.items():
            setattr(kept, name, value)
        kept.full_clean()
        kept.save(update_fields=list(changed))
        details = {
            name: {"before": _shortened(before), "after": _shortened(after)}
            for name, (before, after) in changed.items()
        }
        note(arena=kept, actor=actor, act="change settings", subject=", ".join(changed), **details)
        if "policy" in changed:
            policy_changed.send(Arena, arena_id=kept.pk)
    arena.refresh_from_db()
    return list(changed)


def plan_prompts(*, arena: Arena, rows: Iterable[PromptRow]) -> PromptPlan:
    """What add_prompts would do, without doing it. Raises UploadError."""
    problems, by_digest, lines, repeated = Problems(), {}, {}, 0
    for row in rows:
        digest = Prompt.content_digest(row.messages, source_id=row.source_id)
        if row.source_id and lines.setdefault(row.source_id, (row.line, digest))[1] != digest:
            problems.add(
                row.line,
                f"The id “{row.source_id[:60]}” stands at another prompt in "
                f"{place_of(lines[row.source_id][0])}: give each prompt its own.",
            )
        repeated += digest in by_digest
        by_digest.setdefault(digest, row)
    known = _found(Prompt.objects.filter(arena=arena), "digest", by_digest)
    others = _found(Prompt.objects.filter(arena=arena), "source_id", lines)
    for row in by_digest.values():
        digest = Prompt.content_digest(row.messages, source_id=row.source_id)
        if row.source_id in others and digest not in known:
            problems.add(
                row.line,
                f"The arena has another prompt with the id “{row.source_id[:60]}”: a prompt can't be "
                "changed, since votes rest on it. Give the new one another id.",
            )
    problems.check()
    new = [row for digest, row in by_digest.items() if digest not in known]
    names = {name for row in new for name in row.categories}
    there = set(arena.categories.values_list("name", flat=True))
    return PromptPlan(new, known=len(known) + repeated, new_categories=sorted(names - there))


@transaction.atomic
def add_prompts(*, arena: Arena, rows: Iterable[PromptRow], actor: Any) -> PromptPlan:
    """Add the prompts that aren't there yet; all of them or, with an UploadError, none."""
    arena = _locked(arena)
    plan = plan_prompts(arena=arena, rows=rows)
    if not plan.new:
        return plan
    made = Prompt.objects.bulk_create(
        [
            Prompt(
                arena=arena,
                # bulk_create doesn't call save, which would set it.
                digest=Prompt.content_digest(row.messages, source_id=row.source_id),
                messages=row.messages,
                source_id=row.source_id,
                title=row.title,
                reference=row.reference,
                language=row.language,
            )
            for row in plan.new
        ],
        batch_size=BATCH,
    )
    categories = _categories(arena, plan)
    label = Prompt.categories.through
    label.objects.bulk_create(
        [
            label(prompt_id=prompt.pk, category_id=categories[name])
            for prompt, row in zip(made, plan.new, strict=True)
            for name in row.categories
        ],
        batch_size=BATCH,
    )
    note(arena=arena, actor=actor, act="add prompts", subject=f"{len(made):,} prompts")
    return plan


def plan_outputs(
    *, arena: Arena, system: str, version: str = "", rows: Iterable[OutputRow]
) -> OutputPlan:
    """What add_outputs would do, without doing it. Raises UploadError."""
    rows = list(rows)
    problems = Problems()
    prompt_of = _prompts_of(arena, rows, problems)
    problems.check()
    answered: dict[int, OutputRow] = {}
    for row, prompt in zip(rows, prompt_of, strict=True):
        before = answered.setdefault(prompt, row)
        if before.text != row.text:
            problems.add(
                row.line,
                f"{place_of(before.line).capitalize()} answers the same prompt otherwise: keep one output "
                "for a prompt.",
            )
    found = System.objects.filter(arena=arena, name=system, version=version).first()
    there: dict[int, str] = {}
    if found:
        stored = Output.objects.filter(system=found)
        for some in _batches(list(answered)):
            there.update(stored.filter(prompt__in=some).values_list("prompt_id", "text"))
    for prompt, row in answered.items():
        if prompt in there and there[prompt] != row.text:
            problems.add(
                row.line,
                "The system has another output for this prompt already, and votes may rest on it. Give "
                "the system another version, such as the date, to compare both.",
            )
    problems.check()
    new = [(row, prompt) for prompt, row in answered.items() if prompt not in there]
    has = Output.objects.filter(system=found).count() if found else 0
    asked = Prompt.objects.filter(arena=arena).exclude(messages=[]).count()
    return OutputPlan(
        new,
        known=len(rows) - len(new),
        is_new_system=found is None,
        unanswered=max(0, asked - has - len(new)),
    )


@transaction.atomic
def add_outputs(
    *,
    arena: Arena,
    system: str,
    rows: Iterable[OutputRow],
    actor: Any,
    version: str = "",
    organisation: str = "",
    family: str = "",
    licence: str = "",
    link: str = "",
) -> OutputPlan:
    """Add a system's outputs, and the system when it is new; all of them or, with an UploadError, none.

    Organisation, family, licence and link are those of a new system; one that is there keeps its own.
    """
    arena = _locked(arena)
    plan = plan_outputs(arena=arena, system=system, version=version, rows=rows)
    if not plan.new:
        return plan
    found = System.objects.filter(arena=arena, name=system, version=version).first()
    if found is None:
        found = create_system(
            arena=arena,
            name=system,
            version=version,
            actor=actor,
            organisation=organisation,
            family=family,
            licence=licence,
            link=link,
        )
    newest = newest_output()
    Output.objects.bulk_create(
        [
            Output(
                arena=arena,
                system=found,
                prompt_id=prompt,
                text=row.text,
                tokens=row.tokens,
                latency_ms=row.latency_ms,
                cost=row.cost,
            )
            for row, prompt in plan.new
        ],
        batch_size=BATCH,
    )
    note(
        arena=arena,
        actor=actor,
        act="add outputs",
        subject=str(found),
        outputs=len(plan.new),
        is_new_system=plan.is_new_system,
    )
    follow_outputs(arena=arena, after=newest)
    return plan


def create_system(
    *, arena: Arena, name: str, version: str = "", actor: Any = None, **fields: Any
) -> System:
    """A new system with an address of its own. Raises ValidationError; the caller has locked the arena."""
    taken = set(System.objects.filter(arena=arena).values_list("slug", flat=True))
    system = System(
        arena=arena,
        name=name,
        version=version,
        slug=free_slug(f"{name} {version}", taken=taken, otherwise="system", longest=120),
        owner=account_of(actor),
        **fields,
    )
    system.full_clean()
    system.save()
    return system


@transaction.atomic
def keep_outputs(*, system: System, outputs: Iterable[Output]) -> None:
    """Keep what a system has just answered; where it has an output already, that one stays.

    Each is looked at for leaks before anybody can see it. Pairs come when follow_outputs is called.
    """
    arena = _locked(system.arena)
    detector, outputs = Detector(arena), list(outputs)
    for output in outputs:
        output.leak = detector.leak(output, prompt=prompt_text(output))
    Output.objects.bulk_create(outputs, ignore_conflicts=True, batch_size=BATCH)


@transaction.atomic
def follow_outputs(*, arena: Arena, after: int, of: System | None = None) -> None:
    """What follows from outputs with a higher id than ``after``: pairs of their systems, and who is told.

    ``of``: they are all this system's.
    """
    plan_pairs(arena=_locked(arena), of=of)
    outputs_added.send(Output, arena_id=arena.pk, after=after)


def newest_output() -> int:
    """The highest id of an output; 0 where there is none."""
    return Output.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


@transaction.atomic
def open_arena(*, arena: Arena, actor: Any) -> bool:
    """Take votes from now on; whether it was closed before.

    Raises MakingError when there is nothing to compare: no two systems that answer the same prompt.
    """
    kept = _locked(arena)
    if not kept.is_open:
        plan_pairs(arena=kept)
        if not Pair.objects.filter(arena=kept, cumulative__isnull=False).exists():
            raise MakingError(
                "There is nothing to vote on yet: no two systems answer the same prompt. Add prompts, and "
                "the outputs of at least two systems; then open the arena."
            )
        Arena.objects.filter(pk=kept.pk).update(is_open=True)
        note(arena=kept, actor=actor, act="open arena")
    arena.is_open = True
    return not kept.is_open


@transaction.atomic
def close_arena(*, arena: Arena, actor: Any) -> bool:
    """Take no more votes; whether it was open before. Those that were cast stay and count."""
    kept = _locked(arena)
    if kept.is_open:
        Arena.objects.filter(pk=kept.pk).update(is_open=False)
        note(arena=kept, actor=actor, act="close arena")
    arena.is_open = False
    return kept.is_open


# --- what the verbs share ---------------------------------------------------------------------------------


def _locked(arena: Arena) -> Arena:
    """The row as it is now, kept from others until the transaction ends: of two clicks one waits."""
    return Arena.objects.select_for_update().get(pk=arena.pk)


def _refuse_unknown(settings: dict[str, Any]) -> None:
    if unknown := sorted(settings.keys() - set(SETTINGS)):
        raise TypeError(f"An arena has no setting {unknown[0]!r}.")


def _maintains(user: Any, arena: Arena) -> bool:
    role = Membership.Role.MAINTAINER
    return Membership.objects.filter(arena=arena, user=user, role=role).exists()


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_DETAIL:
        return f"{value[:LONGEST_DETAIL]}…"
    return value


def _batches(values: list[Any]) -> Iterable[list[Any]]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]


def _found(rows: Any, name: str, wanted: Iterable[str]) -> set[str]:
    """Which of the wanted values the column holds."""
    found: set[str] = set()
    for some in _batches(list(wanted)):
        found |= set(rows.filter(**{f"{name}__in": some}).values_list(name, flat=True))
    return found


def _categories(arena: Arena, plan: PromptPlan) -> dict[str, int]:
    """Name -> id of the categories that the plan's prompts belong to."""
    there = dict(arena.categories.values_list("name", "pk"))
    taken = set(arena.categories.values_list("slug", flat=True))
    for name in plan.new_categories:
        slug = free_slug(name, taken=taken, otherwise="category", longest=60)
        taken.add(slug)
        there[name] = Category.objects.create(arena=arena, name=name, slug=slug).pk
    return there


def _prompts_of(arena: Arena, rows: list[OutputRow], problems: Problems) -> list[int]:
    """The id of each row's prompt; 0 where there is a problem."""
    prompts = Prompt.objects.filter(arena=arena)
    named = {row.prompt_id for row in rows if row.prompt_id}
    by_name: dict[str, list[int]] = {}
    for some in _batches(sorted(named)):
        for name, pk in prompts.filter(source_id__in=some).values_list("source_id", "pk"):
            by_name.setdefault(name, []).append(pk)
    numbers = [int(name) for name in named if name.isascii() and name.isdigit() and len(name) < 19]
    by_number: set[int] = set()
    for some in _batches(numbers):
        by_number |= set(prompts.filter(pk__in=some).values_list("pk", flat=True))
    wanted = {row.prompt.strip() for row in rows if not row.prompt_id}
    by_text: dict[str, list[int]] = {}
    if wanted:
        for prompt in prompts.only("pk", "messages").iterator(chunk_size=BATCH):
            if (text := prompt.text.strip()) in wanted:
                by_text.setdefault(text, []).append(prompt.pk)
    found = []
    for row in rows:
        if row.prompt_id:
            ids = by_name.get(row.prompt_id, [])
            if not ids and row.prompt_id.isascii() and row.prompt_id.isdigit():
                number = int(row.prompt_id)
                ids = [number] if number in by_number else []
            called = f"the id “{row.prompt_id[:60]}”"
        else:
            ids = by_text.get(row.prompt.strip(), [])
            called = f"the text “{row.prompt.strip()[:60]}”"
        if not ids:
            problems.add(
                row.line,
                f"The arena has no prompt with {called}: add the prompt first, or correct it.",
            )
        elif len(ids) > 1:
            problems.add(
                row.line,
                f"The arena has {len(ids)} prompts with {called}: name the one that is meant by its "
                f"number as prompt_id, e.g. {ids[0]}.",
            )
        found.append(ids[0] if len(ids) == 1 else 0)
    return found
