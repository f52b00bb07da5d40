"""Names to ids, for one import: systems, judges, voters, prompts, outputs, pairs and battles of an arena.

A register looks up what it doesn't remember, adds what isn't there, and counts both. It remembers a
bounded number; what it forgot is looked up again.
"""

import ipaddress
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.crypto import salted_hmac

from arena.models import Arena, Category, Pair, Prompt, System
from judges.bulk import (
    Forgetful,
    IdSet,
    Stage,
    fetch,
    in_batches,
    last_id,
    moment,
)
from judges.formats.errors import DatasetError
from judges.formats.records import JudgeRecord, PromptRecord, SystemRecord
from judges.models import Judge, Voter


@dataclass(slots=True)
class Counts:
    """Of one noun: ``already_there`` counts each distinct one that the files mention."""

    added: int = 0
    already_there: int = 0
    rejected: int = 0


class Register:
    """``ids(wanted)`` gives the id of every key. Subclasses say how to find and how to add."""

    table = ""
    remembers = 100_000

    def __init__(self, arena: Arena, now: datetime) -> None:
        self.arena, self.now = arena, now
        self.known = Forgetful(self.remembers)
        self.met = IdSet(last_id(self.table))
        self.added = 0

    @property
    def counts(self) -> Counts:
        return Counts(self.added, self.met.count)

    def ids(self, wanted: Mapping[Any, Any]) -> dict[Any, int]:
        known = self.known
        result = {key: known[key] for key in wanted if key in known}
        if len(result) == len(wanted):
            return result
        missing = {key: value for key, value in wanted.items() if key not in result}
        found = self.find(missing)
        if len(found) < len(missing):
            absent = {key: value for key, value in missing.items() if key not in found}
            self.added += self.add(absent)
            found |= self.find(absent)
        for number in found.values():
            self.met.add(number)
        known.remember(found)
        return result | found

    def find(self, wanted: Mapping[Any, Any]) -> dict[Any, int]:
        raise TypeError(f"{type(self).__name__} doesn't say how it finds.")

    def add(self, wanted: Mapping[Any, Any]) -> int:
        raise TypeError(f"{type(self).__name__} doesn't say how it adds.")


class Systems(Register):
    """(name, version) to ids; the values are records, or None where only the name is known."""

    table = System._meta.db_table

    def find(self, wanted: Mapping[tuple[str, str], SystemRecord | None]) -> dict[Any, int]:
        found = {}
        for names in in_batches({name for name, _ in wanted}):
            rows = System.objects.filter(arena=self.arena, name__in=names)
            for number, name, version in rows.values_list("pk", "name", "version"):
                if (name, version) in wanted:
                    found[name, version] = number
        return found

    def add(self, wanted: Mapping[tuple[str, str], SystemRecord | None]) -> int:
        taken = System.objects.filter(arena=self.arena).values_list("slug", flat=True)
        titles = [f"{name} {version}".strip() for name, version in wanted]
        own = [record.slug if record else "" for record in wanted.values()]
        slugs = addresses(titles, own, taken=set(taken))
        System.objects.bulk_create(
            [
                System(
                    arena=self.arena,
                    name=name,
                    version=version,
                    slug=slug,
                    organisation=record.organisation if record else "",
                    family=record.family if record else "",
                    **(record.facts if record else {}),
                )
                for ((name, version), record), slug in zip(wanted.items(), slugs, strict=True)
            ],
            batch_size=500,
        )
        return len(wanted)


class Judges(Register):
    """(name, version) to ids. A judge that is there keeps its configuration, and must be of the same kind."""

    table = Judge._meta.db_table

    def find(self, wanted: Mapping[tuple[str, int], JudgeRecord]) -> dict[Any, int]:
        found = {}
        rows = Judge.objects.filter(arena=self.arena, name__in={name for name, _ in wanted})
        for number, name, version, kind, simulated in rows.values_list(
            "pk", "name", "version", "kind", "is_simulated"
        ):
            record = wanted.get((name, version))
            if record is None:
                continue
            if kind != record.kind:
                raise DatasetError(
                    f"the judge {name!r} is {kind!r} in this arena and {record.kind!r} in the file: "
                    "import under another name with --judge, or into another arena.",
                    column="judge",
                )
            if record.is_simulated and not simulated:
                raise DatasetError(
                    f"the judge {name!r} is simulated in the file and isn't in this arena: import into "
                    "another arena.",
                    column="judge",
                )
            found[name, version] = number
        return found

    def add(self, wanted: Mapping[tuple[str, int], JudgeRecord]) -> int:
        taken = set(Judge.objects.filter(arena=self.arena).values_list("slug", flat=True))
        for record in wanted.values():
            title = record.name if record.version == 1 else f"{record.name} v{record.version}"
            reserved = set() if record.kind == Judge.Kind.CROWD else {"people"}
            slug = addresses([title], [record.slug], taken=taken | reserved)[0]
            taken.add(slug)
            Judge.objects.create(
                arena=self.arena,
                name=record.name,
                version=record.version,
                kind=record.kind,
                slug=slug,
                family=record.family,
                description=record.description,
                is_simulated=record.is_simulated,
                configuration=dict(record.configuration),
            )
        return len(wanted)


class Voters(Register):
    """(judge id, handle as the source has it) to ids."""

    table = Voter._meta.db_table

    def find(self, wanted: Mapping[tuple[int, str], Any]) -> dict[Any, int]:
        stored: dict[tuple[int, str], list[tuple[int, str]]] = {}
        for judge, handle in wanted:
            stored.setdefault((judge, pseudonym(handle)), []).append((judge, handle))
        found = {}
        for handles in in_batches({handle for _, handle in stored}):
            rows = Voter.objects.filter(
                judge_id__in={judge for judge, _ in stored}, handle__in=handles
            )
            for number, judge, handle in rows.values_list("pk", "judge_id", "handle"):
                found.update(dict.fromkeys(stored.get((judge, handle), ()), number))
        return found

    def add(self, wanted: Mapping[tuple[int, str], Any]) -> int:
        # An address and its own pseudonym would be one voter.
        stored = dict.fromkeys((judge, pseudonym(handle)) for judge, handle in wanted)
        Voter.objects.bulk_create(
            [Voter(judge_id=judge, handle=handle) for judge, handle in stored], batch_size=500
        )
        return len(stored)


class Prompts(Register):
    """Digests to ids. Categories are added to prompts that are there; nothing else of them is changed."""

    table = Prompt._meta.db_table

    def __init__(self, arena: Arena, now: datetime) -> None:
        super().__init__(arena, now)
        self.categories: dict[str, int] = {}
        self.labelled = Forgetful(self.remembers)
        # Ids of the categories that prompts were given, or had already: that isn't worth a look-up.
        self.categories_given: set[int] = set()
        self.stage = Stage(
            "prompt",
            {"digest": "text", "messages": "jsonb", "source_id": "text", "title": "text",
             "reference": "text", "language": "text"},
        )  # fmt: skip

    def ids(self, wanted: Mapping[str, PromptRecord]) -> dict[Any, int]:
        result = super().ids(wanted)
        labels = {
            (result[digest], name): None
            for digest, record in wanted.items()
            for name in record.categories
        }
        new = [key for key in labels if key not in self.labelled]
        if new:
            self._label(new)
            self.labelled.remember(dict.fromkeys(new))
        return result

    def make_category(self, slug: str, name: str) -> None:
        """A category with its own address; from then on prompts name it by that, not by its name."""
        found, _ = Category.objects.get_or_create(
            arena=self.arena, slug=slug, defaults={"name": name}
        )
        self.categories[slug] = found.pk

    def find(self, wanted: Mapping[str, PromptRecord]) -> dict[Any, int]:
        found: dict[Any, int] = {}
        for digests in in_batches(wanted):
            marks = ", ".join(["%s"] * len(digests))
            found.update(
                fetch(
                    f"SELECT digest, id FROM {self.table} WHERE arena_id = %s AND digest IN ({marks})",  # noqa: S608
                    [self.arena.pk, *digests],
                )
            )
        return found

    def add(self, wanted: Mapping[str, PromptRecord]) -> int:
        if unknown := [digest for digest, record in wanted.items() if record.is_reference]:
            raise DatasetError(f"{unknown[0]} is not in the files' prompts.", column="prompt")
        rows = [
            (
                digest,
                json.dumps(record.messages),
                record.source_id,
                record.title,
                record.reference,
                record.language,
            )
            for digest, record in wanted.items()
        ]
        constants = {"arena_id": self.arena.pk, "created_at": moment(self.now)}
        return self.stage.insert(self.table, constants, rows)

    def _label(self, labels: Iterable[tuple[int, str]]) -> None:
        labels = list(labels)
        if unknown := {name for _, name in labels if name not in self.categories}:
            self._find_categories(unknown)
        links = Prompt.categories.through
        links.objects.bulk_create(
            [links(prompt_id=number, category_id=self.categories[name]) for number, name in labels],
            ignore_conflicts=True,
            batch_size=400,
        )
        self.categories_given.update(self.categories[name] for _, name in labels)

    def _find_categories(self, names: set[str]) -> None:
        there = Category.objects.filter(arena=self.arena)
        self.categories |= dict(there.filter(name__in=names).values_list("name", "pk"))
        new = sorted(names - set(self.categories))
        taken = set(there.values_list("slug", flat=True))
        for name, slug in zip(new, unique_slugs(new, taken=taken, longest=60), strict=True):
            self.categories[name] = Category.objects.create(
                arena=self.arena, name=name, slug=slug
            ).pk


class Pairs(Register):
    """(lower system id, higher system id) to ids."""

    table = Pair._meta.db_table

    def __init__(self, arena: Arena, now: datetime) -> None:
        super().__init__(arena, now)
        self.stage = Stage("pair", {"system_a_id": "bigint", "system_b_id": "bigint"})

    def find(self, wanted: Mapping[tuple[int, int], Any]) -> dict[Any, int]:
        self.stage.fill(list(wanted))
        rows = fetch(
            "SELECT s.system_a_id, s.system_b_id, (SELECT p.id"  # noqa: S608
            f" FROM {self.table} p WHERE p.system_a_id = s.system_a_id"
            f" AND p.system_b_id = s.system_b_id) FROM {self.stage.name} s"
        )
        return {(a, b): number for a, b, number in rows if number is not None}

    def add(self, wanted: Mapping[tuple[int, int], Any]) -> int:
        constants = {"arena_id": self.arena.pk, "priority": 1}
        return self.stage.insert(self.table, constants, list(wanted))


def addresses(titles: list[str], own: list[str], *, taken: set[str]) -> list[str]:
    """For each the address that it has where it comes from, if it is free here; else one made of its title."""
    result, taken = [], set(taken)
    free = {slug for slug in own if slug} - taken
    for title, slug in zip(titles, own, strict=True):
        if slug not in free:
            slug = unique_slugs([title], taken=taken | free, longest=120)[0]
        free.discard(slug)
        taken.add(slug)
        result.append(slug)
    return result


def unique_slugs(titles: Iterable[str], *, taken: set[str], longest: int) -> list[str]:
    """An address for each title, none of them taken or given twice."""
    result = []
    taken = set(taken)
    for title in titles:
        plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
        plain = re.sub(r"[^a-z0-9.]+", "-", plain)
        plain = re.sub(r"[-.]{2,}", "-", plain).strip("-.")[:longest].strip("-.") or "unnamed"
        slug, number = plain, 1
        while slug in taken:
            number += 1
            slug = f"{plain[: longest - 8].strip('-.')}-{number}"
        taken.add(slug)
        result.append(slug)
    return result


def pseudonym(handle: str) -> str:
    """The handle; one that is an e-mail or network address is replaced by a keyed hash of it."""
    if "@" not in handle and "." not in handle and ":" not in handle:
        return handle
    candidate = handle.rsplit("_", 1)[-1]  # arena_user_203.0.113.7
    try:
        ipaddress.ip_address(candidate)
    except ValueError:
        if not re.search(r"[^@\s]+@[^@\s]+\.[^@\s]+", handle):
            return handle
    return "voter-" + salted_hmac("judges.voter", handle).hexdigest()[:16]
