"""The work of one import: records in, chunks of rows out, and an account of what happened to each."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.utils import timezone

from arena import categories
from arena.models import Arena
from judges import bulk
from judges.beside_verdicts import Beside, link_versions
from judges.formats.errors import DatasetError, UnreadableDataset, Where
from judges.formats.reading import Source
from judges.formats.records import (
    ArenaRecord,
    BattleRecord,
    CategoryRecord,
    GoldRecord,
    JudgeRecord,
    OutputRecord,
    Outputs,
    PromptRecord,
    RankingRecord,
    Record,
    ScoreRecord,
    SystemRecord,
    Unanswered,
    VerdictRecord,
    VoterRecord,
)
from judges.hashlog import HashLog
from judges.models import MIRRORED, GoldItem, Judge, Ranking
from judges.registers import Counts, Judges, Pairs, Prompts, Systems, Voters
from judges.registers_of_battles import Battles
from judges.registers_of_battles import Outputs as OutputRegister
from judges.signals import rankings_changed
from judges.verdicts_in_bulk import VerdictRow, Verdicts
from judges.voting import announce

FIRST_CHUNK_RECORDS = 500
CHUNK_RECORDS = 5_000
CHUNK_CHARACTERS = 4_000_000
Key = tuple[str, str]  # name and version of a system


@dataclass(slots=True)
class ImportReport:
    """What an import did. ``nouns`` are plural names to counts, in the order to show them."""

    arena: Arena
    nouns: dict[str, Counts] = field(default_factory=dict)
    unanswered: int = 0  # records where the source says that its judge failed
    left_out: int = 0  # verdicts of judges that weren't asked for
    rejected: int = 0
    arena_created: bool = False


class Importer:
    """Takes records, and writes them in chunks."""

    def __init__(
        self, *, arena: Arena, files: Source, source: str = "", judges: Collection[str] = ()
    ) -> None:
        self.arena, self.files, self.rejects = arena, files, files.rejects
        self.only_judges = frozenset(judges)
        self.keeps_name = False  # of an arena that is made: somebody gave it
        self.named_source = source
        self.source = source or files.path.name.split(".")[0]
        self.now = timezone.now()
        self.report = ImportReport(arena)
        self.systems = Systems(arena, self.now)
        self.prompts = Prompts(arena, self.now)
        self.outputs = OutputRegister(arena, self.now)
        self.pairs = Pairs(arena, self.now)
        self.battles = Battles(arena, self.now)
        self.judges = Judges(arena, self.now)
        self.voters = Voters(arena, self.now)
        self.verdicts = Verdicts(arena, self.now)
        self.gold = Counts()
        self.beside = Beside(arena, self.now)
        self.judges_seen: dict[tuple[str, int], JudgeRecord] = {}
        self.criteria: set[str] = set()
        self.rows_seen, self.ids_seen, self.verdicts_seen = HashLog(), HashLog(), HashLog()
        tables = ("arena_system", "arena_prompt", "arena_output", "arena_pair", "arena_battle")
        tables += ("judges_judge", "judges_voter", "judges_verdict")
        self.statistics = bulk.Statistics(tables, first=FIRST_CHUNK_RECORDS)
        self.chunk_records, self.records = FIRST_CHUNK_RECORDS, 0
        self._bad: dict[str, int] = dict.fromkeys(("outputs", "battles", "verdicts"), 0)
        self._followed: dict[Key, Key] = {}
        self._clear()

    def _clear(self) -> None:
        self._systems: dict[Key, SystemRecord | None] = {}
        self._prompts: dict[str, PromptRecord] = {}
        self._answers: list[OutputRecord] = []
        self._decisions: list[VerdictRecord] = []
        self._bare_battles: list[BattleRecord] = []
        self._voters: list[VoterRecord] = []
        self._scores: list[ScoreRecord] = []
        self._rankings: list[RankingRecord] = []
        self._waiting = self._characters = 0

    def take(self, record: Record) -> bool:
        """Whether a chunk was written."""
        match record:
            case VerdictRecord():  # the usual one first
                if self.only_judges and record.judge.name not in self.only_judges:
                    self.report.left_out += 1
                    return False
                self._decisions.append(record)
            case OutputRecord():
                self._answers.append(record)
            case SystemRecord():
                self._systems[record.name, record.version] = record
                if record.follows:
                    self._followed[record.name, record.version] = record.follows
            case BattleRecord():
                self._bare_battles.append(record)
            case VoterRecord():
                self._voters.append(record)
            case ScoreRecord():
                self._scores.append(record)
            case RankingRecord():
                self._rankings.append(record)
            case JudgeRecord():
                self._judge_id(record, record.where or Where(self.files.path.name))
            case CategoryRecord():
                self.prompts.make_category(record.slug, record.name)
            case PromptRecord():
                self._prompts[record.digest] = record
            case GoldRecord():
                self._store_gold(record)
            case ArenaRecord():
                self._describe(record)
            case Unanswered():
                self.report.unanswered += 1
        self._waiting += 1
        self._characters += size_of(record)
        if self._waiting < self.chunk_records and self._characters < CHUNK_CHARACTERS:
            return False
        self.flush()
        return True

    def finish(self) -> None:
        self.flush()
        total = self.verdicts.added + self.verdicts.already_there + self.rejects.count
        if self.report.left_out and not total:
            raise UnreadableDataset(
                f"no verdict is of {', '.join(sorted(self.only_judges))}: see --judge.",
                where=None,
            )
        if new := sorted(self.criteria.difference(self.arena.criteria)):
            self.arena.criteria = [*self.arena.criteria, *new]
            self.arena.save(update_fields=["criteria"])
        link_versions(self.arena, self._followed)
        # The labels are written past the ORM's signals.
        categories.announce(self.prompts.categories_given)
        if changed := self.verdicts.judges | self.beside.judges:
            announce(arena_id=self.arena.pk, judge_ids=sorted(changed))
        if self.beside.rankings.added:
            rankings_changed.send(Ranking, arena_id=self.arena.pk)

    def flush(self) -> None:
        """Write what waits. Every reject happens here or in the format."""
        if self._waiting:
            self._write_nouns()
            self.records += self._waiting
            self.statistics.keep_current(self.records)
            self.chunk_records = CHUNK_RECORDS
        self._count()
        self._clear()

    def _write_nouns(self) -> None:
        decisions = self._decisions
        systems = dict(self._systems)
        prompts = dict(self._prompts)
        for answer in self._answers:
            systems.setdefault(answer.system, None)
            _meet(prompts, answer.prompt)
        for decision in decisions:
            for key in decision.systems:
                if key not in systems:
                    systems[key] = None
            _meet(prompts, decision.prompt)
        for other in (*self._bare_battles, *self._scores, *self._rankings):
            _meet(prompts, other.prompt)
            for key in (other.system,) if isinstance(other, ScoreRecord) else other.systems:
                systems.setdefault(key, None)
        system_ids = self.systems.ids(systems)
        prompt_ids = self.prompts.ids(prompts)
        decisions = self._store_outputs(decisions, system_ids, prompt_ids)
        if self._bare_battles:
            self._store_battles(system_ids, prompt_ids)
        if self._voters:
            self._store_voters()
        if decisions:
            self._store_verdicts(decisions, system_ids, prompt_ids)
        if self._scores or self._rankings:
            self._store_beside(system_ids, prompt_ids)

    def _store_outputs(
        self,
        decisions: list[VerdictRecord],
        system_ids: dict[Key, int],
        prompt_ids: dict[str, int],
    ) -> list[VerdictRecord]:
        """The decisions whose outputs don't contradict what is there."""
        wanted, owners = [], []
        for answer in self._answers:
            key = system_ids[answer.system], prompt_ids[answer.prompt.digest]
            wanted.append((key, answer.text, answer))
            owners.append(answer)
        for decision in decisions:
            if decision.outputs.__class__ is tuple:
                prompt = prompt_ids[decision.prompt.digest]
                for system, text in zip(decision.systems, decision.outputs, strict=True):
                    wanted.append(((system_ids[system], prompt), text, None))
                    owners.append(decision)
        if not wanted:
            return decisions
        bad: set[int] = set()

        def problem(position: int, error: DatasetError) -> None:
            owner = owners[position]
            if id(owner) not in bad:
                bad.add(id(owner))
                noun = "outputs" if isinstance(owner, OutputRecord) else "verdicts"
                self._reject(noun, error, owner)

        self.outputs.store(wanted, problem)
        return [d for d in decisions if id(d) not in bad] if bad else decisions

    def _store_battles(self, system_ids: dict[Key, int], prompt_ids: dict[str, int]) -> None:
        sides = []
        for battle in self._bare_battles:
            a, b = (system_ids[key] for key in battle.systems)
            sides.append((a, b) if a < b else (b, a))
        pair_ids = self.pairs.ids(dict.fromkeys(sides))
        keys = [
            (pair_ids[side], prompt_ids[battle.prompt.digest], battle.source_key, *side)
            for battle, side in zip(self._bare_battles, sides, strict=True)
        ]
        found = self.battles.ids(dict.fromkeys(keys))
        for battle, key in zip(self._bare_battles, keys, strict=True):
            if key not in found:
                self._reject("battles", _no_battle(battle), battle)

    def _store_voters(self) -> None:
        keys = [(self._judge_id(said.judge, said.where), said.handle) for said in self._voters]
        ids = self.voters.ids(dict.fromkeys(keys))
        self.beside.store_exclusions(
            [
                (ids[key], key[0], said)
                for key, said in zip(keys, self._voters, strict=True)
                if said.exclusions
            ]
        )

    def _store_beside(self, system_ids: dict[Key, int], prompt_ids: dict[str, int]) -> None:
        """Scores and rankings: what judges and people said that isn't a verdict."""
        scores = [
            (
                self._judge_id(said.judge, said.where),
                (system_ids[said.system], prompt_ids[said.prompt.digest]),
                said,
            )
            for said in self._scores
        ]
        rankings = []
        if self._rankings:
            keys = [(self._judge_id(r.judge, r.where), r.voter) for r in self._rankings]
            voters = self.voters.ids(dict.fromkeys(keys))
            rankings = [
                (
                    voters[key],
                    prompt_ids[said.prompt.digest],
                    [system_ids[system] for system in said.systems],
                    said,
                )
                for key, said in zip(keys, self._rankings, strict=True)
            ]
        for said in (*self.beside.store_scores(scores), *self.beside.store_rankings(rankings)):
            self.rejects.add(_no_output(), said.where)

    def _store_verdicts(
        self,
        decisions: list[VerdictRecord],
        system_ids: dict[Key, int],
        prompt_ids: dict[str, int],
    ) -> None:
        judges = self._judge_ids(decisions)
        voters = self._voter_ids(decisions, judges)
        sides = []
        for decision in decisions:
            first, second = decision.systems
            a, b = system_ids[first], system_ids[second]
            sides.append((a, b) if a < b else (b, a))
        pair_ids = self.pairs.ids(dict.fromkeys(sides))
        times = bulk.moments([decision.cast_at or self.now for decision in decisions])
        identities = self._identities(decisions, times)

        keys = []
        for decision, side, identity in zip(decisions, sides, identities, strict=True):
            prompt = decision.prompt
            source_key = None
            if decision.outputs is Outputs.UNKNOWN:
                source_key = decision.source_key
                if source_key is None:
                    source_key = hash63("prompt", prompt.digest) if prompt.source_id else identity
            keys.append((pair_ids[side], prompt_ids[prompt.digest], source_key, *side))
        battle_ids = self.battles.ids(dict.fromkeys(keys))

        rows, kept = [], []
        for decision, key, identity, judge, voter, time in zip(
            decisions, keys, identities, judges, voters, times, strict=True
        ):
            battle = battle_ids.get(key)
            if battle is None:
                self._reject("verdicts", _no_battle(decision), decision)
                continue
            repetition = decision.repetition
            if repetition is None:
                anonymous = voter is None and decision.judge.kind == Judge.Kind.CROWD
                repetition = identity if anonymous else 0
            if decision.criterion:
                self.criteria.add(decision.criterion)
            outcome, shown_first = decision.outcome, decision.shown_first
            if system_ids[decision.systems[0]] != key[3]:
                outcome = MIRRORED[outcome]
                shown_first = None if shown_first is None else 1 - shown_first
            rows.append(
                VerdictRow(battle, key[0], key[1], judge, voter, decision.criterion, int(outcome),
                           shown_first, decision.confidence, repetition, time)
            )  # fmt: skip
            kept.append(decision)
        rows, kept = self._without_duplicates(rows, kept)
        traces = [(n, d.trace) for n, d in enumerate(kept) if d.trace is not None]
        retracted = [(n, d.retraction) for n, d in enumerate(kept) if d.retraction is not None]
        if rows:
            self.verdicts.store(
                rows, traces, lambda n, error: self._reject("verdicts", error, kept[n]), retracted
            )

    def _voter_ids(self, decisions: list[VerdictRecord], judges: list[int]) -> list[int | None]:
        keys = [
            (judge, decision.voter) if decision.voter else None
            for decision, judge in zip(decisions, judges, strict=True)
        ]
        ids = self.voters.ids(dict.fromkeys(filter(None, keys)))
        return [ids[key] if key else None for key in keys]

    def _judge_ids(self, decisions: list[VerdictRecord]) -> list[int]:
        # Formats use one record for all verdicts of a judge, or nearly so.
        judges = {id(decision.judge): decision for decision in decisions}
        ids: dict[int, int] = {}
        for key, decision in judges.items():
            ids[key] = self._judge_id(decision.judge, decision.where)
        return [ids[id(decision.judge)] for decision in decisions]

    def _judge_id(self, judge: JudgeRecord, where: Where) -> int:
        same = self.judges_seen.setdefault((judge.name, judge.version), judge)
        if (same.kind, same.is_simulated) != (judge.kind, judge.is_simulated):
            raise UnreadableDataset(
                f"the judge {judge.name!r} is {judge.kind!r} here and {same.kind!r} elsewhere.",
                where=where,
                column="judge",
            )
        try:
            return self.judges.ids({(judge.name, judge.version): judge})[judge.name, judge.version]
        except DatasetError as error:
            raise UnreadableDataset(error.reason, where=where, column=error.column) from None

    def _identities(self, decisions: list[VerdictRecord], times: list[str]) -> list[int]:
        """What tells each row from all others of its source: 63 bits, of its id or of what it says.

        Rows that say the same are told apart by how many came before.
        """
        contents = [
            _content(decision, time if decision.cast_at else "", self.source, self.named_source)
            for decision, time in zip(decisions, times, strict=True)
        ]
        hashes = [hash63(content) for content in contents]
        plain = [n for n, decision in enumerate(decisions) if not decision.row_id]
        for n, ordinal in zip(
            plain, self.rows_seen.ordinals([hashes[n] for n in plain]), strict=True
        ):
            if ordinal:
                hashes[n] = hash63(contents[n], str(ordinal))
        return hashes

    def _without_duplicates(
        self, rows: list[VerdictRow], kept: list[VerdictRecord]
    ) -> tuple[list[VerdictRow], list[VerdictRecord]]:
        """Leaves out ids that came before, and verdicts that came before in these files."""
        with_id = [n for n, decision in enumerate(kept) if decision.row_id]
        ids = self.ids_seen.ordinals([hash(kept[n].row_id) for n in with_id])
        again = {n for n, ordinal in zip(with_id, ids, strict=True) if ordinal}
        same = self.verdicts_seen.ordinals(
            [hash((r.battle, r.judge, r.voter, r.criterion, r.repetition)) for r in rows]
        )
        bad = {n for n, ordinal in enumerate(same) if ordinal} | again
        if not bad:
            return rows, kept
        for n in sorted(bad):
            error = _duplicate_id(kept[n]) if n in again else _duplicate_verdict(kept[n])
            self._reject("verdicts", error, kept[n])
        good = [n for n in range(len(rows)) if n not in bad]
        return [rows[n] for n in good], [kept[n] for n in good]

    def _reject(
        self, noun: str, error: DatasetError, record: VerdictRecord | OutputRecord | BattleRecord
    ) -> None:
        self.rejects.add(error, record.where)
        self._bad[noun] += 1

    def _store_gold(self, record: GoldRecord) -> None:
        item, created = GoldItem.objects.get_or_create(
            arena=self.arena,
            source_id=record.source_id,
            defaults={
                "prompt": record.prompt,
                "output_a": record.outputs[0],
                "output_b": record.outputs[1],
                "expected": record.expected,
                "reason": record.reason,
            },
        )
        if not created and item.expected != record.expected:
            error = DatasetError("the gold item is in the arena already, with another answer.")
            self.gold.rejected += 1
            self.rejects.add(error, record.where)
        else:
            self.gold.added += created
            self.gold.already_there += not created

    def _describe(self, record: ArenaRecord) -> None:
        """Only what the arena doesn't say itself."""
        if record.settings and self.report.arena_created:
            settings = {
                name: value
                for name, value in record.settings.items()
                if not (name == "name" and self.keeps_name)
            }
            for name, value in settings.items():
                setattr(self.arena, name, value)
            try:
                self.arena.full_clean()
            except ValidationError as error:
                raise UnreadableDataset(
                    f"the arena's settings: {' '.join(error.messages)}", where=record.where
                ) from None
            self.arena.save(update_fields=list(settings))
        changed = [
            name
            for name in ("guidelines", "licence", "source")
            if getattr(record, name) and not getattr(self.arena, name)
        ]
        for name in changed:
            setattr(self.arena, name, getattr(record, name))
        if changed:
            self.arena.save(update_fields=changed)

    def _count(self) -> None:
        bad = sum(self._bad.values())
        self.report.nouns = {
            "systems": self.systems.counts,
            "prompts": self.prompts.counts,
            "outputs": self.outputs.counts,
            "battles": self.battles.counts,
            "judges": self.judges.counts,
            "voters": self.voters.counts,
            "verdicts": Counts(self.verdicts.added, self.verdicts.already_there),
            "gold items": self.gold,
        }
        for noun, counts in (("scores", self.beside.scores), ("rankings", self.beside.rankings)):
            if counts.added or counts.already_there:
                self.report.nouns[noun] = counts
        self.report.nouns["outputs"].rejected = self._bad["outputs"]
        self.report.nouns["battles"].rejected = self._bad["battles"]
        # What a format couldn't read is nearly always a row with a verdict.
        unread = self.rejects.count - bad - self.gold.rejected
        self.report.nouns["verdicts"].rejected = self._bad["verdicts"] + unread
        self.report.rejected = self.rejects.count


def _meet(prompts: dict[str, PromptRecord], prompt: PromptRecord) -> None:
    """A reference says nothing that a record of the prompt itself doesn't."""
    if prompt.is_reference:
        prompts.setdefault(prompt.digest, prompt)
    else:
        prompts[prompt.digest] = prompt


def size_of(record: Record) -> int:
    """Roughly how many characters it holds."""
    if isinstance(record, VerdictRecord):
        texts = record.outputs
        own = len(texts[0]) + len(texts[1]) if isinstance(texts, tuple) else 0
        return len(record.where.text) + own
    if isinstance(record, OutputRecord):
        return len(record.where.text) + len(record.text)
    if isinstance(record, PromptRecord):
        return sum(len(message["content"]) for message in record.messages)
    return 0


def hash63(*parts: str) -> int:
    """A stable hash in 0 … 2^63 - 1."""
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def _content(decision: VerdictRecord, time: str, source: str, named_source: str) -> str:
    if decision.row_id:
        # An id is the same thing in any file, unless the sources are named.
        return f"{named_source}\x1fid\x1f{decision.row_id}"
    (a, version_a), (b, version_b) = decision.systems
    return (
        f"{source}\x1f{a}\x1f{version_a}\x1f{b}\x1f{version_b}\x1f{int(decision.outcome)}\x1f"
        f"{decision.prompt.digest}\x1f{decision.judge.name}\x1f{decision.judge.version}\x1f"
        f"{decision.voter}\x1f{decision.criterion}\x1f{time.removesuffix('+00:00')}"
    )


def _no_output() -> DatasetError:
    return DatasetError("the files hold no answer of this system to this prompt.", column="system")


def _no_battle(decision: VerdictRecord | BattleRecord) -> DatasetError:
    if isinstance(decision, BattleRecord):
        is_unknown = decision.source_key is not None
    else:
        is_unknown = decision.outputs is Outputs.UNKNOWN
    if is_unknown:
        return DatasetError(
            "this source_key is that of a battle on another prompt.", column="source_key"
        )
    names = " and ".join(repr(name) for name, _ in decision.systems)
    return DatasetError(f"the files hold no answers of {names} to this prompt, or only one.")


def _duplicate_id(decision: VerdictRecord) -> DatasetError:
    return DatasetError(
        f"the id {decision.row_id!r} came before in this file. If it names the prompt or the battle and "
        "not the row, import as a table with --column question_id=id, or --column id= to ignore it.",
        column="id",
    )


def _duplicate_verdict(decision: VerdictRecord) -> DatasetError:
    who = decision.judge.name + (f", voter {decision.voter}" if decision.voter else "")
    return DatasetError(
        f"a verdict of {who} on this battle came before in this file. If it was asked twice, number its "
        "verdicts in a column repetition (0, 1, 2 …).",
    )
