"""The export of a whole arena, and what comes of importing it."""

import io
import json
import sys
import zipfile
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.models import Arena, Battle, Category, Pair, Prompt, System
from judges.archive.scope import public, whole
from judges.archive.tables import TABLES
from judges.archive.writing import digest_of, stream_archive, stream_table, write_archive
from judges.exclusions import exclude_voter, readmit_voter
from judges.formats.errors import DatasetError
from judges.importing import import_dataset
from judges.models import (
    GoldItem,
    Judge,
    Outcome,
    RankedOutput,
    Ranking,
    Retraction,
    Score,
    Verdict,
    VerdictTrace,
    Voter,
)
from ratings.cells import count
from ratings.slices import Slice
from tests import cast
from tests.judges.datasets import added

pytestmark = pytest.mark.django_db
WHEN = datetime(2024, 2, 29, 23, 59, 59, 123457, tzinfo=UTC)


def awkward(arena: Arena) -> Arena:
    """All that a table can hold: retractions, exclusions, words, criteria, battles of every kind, scores …"""
    Category.objects.bulk_create(
        Category(arena=arena, slug=slug, name="Same name") for slug in ("one", "two")
    )
    chat = Prompt.objects.create(
        arena=arena,
        messages=[
            {"role": "system", "content": "Be short.\u2028\x7f"},
            {"role": "user", "content": 'Hi\r\n\n "there" ![a](cat.webp) é 漢 🙂 '},
        ],
        source_id="q,1",
        title="A chat",
        reference="42",
        language="en",
    )
    chat.categories.add(*arena.categories.all())
    unpublished = Prompt.objects.create(arena=arena, messages=[])
    # The later one comes first by name, so that A here isn't A there.
    new = cast.make_system(
        arena, "Aaron", version="2", slug="other.slug", price_in="0.25", family="F", size="7B"
    )
    old = cast.make_system(
        arena, "Aaron", version="1", slug="aaron", standing="deprecated", standing_since=WHEN
    )
    private = cast.make_system(arena, "Secret", standing="private")
    System.objects.filter(pk=new.pk).update(follows=old)
    zoe = arena.systems.get(name="Ada")
    people, llm = arena.judges.get(slug="people"), arena.judges.get(slug="judge-llm")
    alice, bob = people.voters.order_by("handle")
    crowd = cast.make_judge(arena, "Elsewhere", is_simulated=True, version=3)
    cast.make_voter(crowd, "alice")
    battle = cast.make_battle(new, zoe, chat)
    cast.make_battle(old, zoe, chat)  # nobody has decided it
    verdict = cast.make_verdict(
        battle, people, Outcome.A, alice, cast_at=WHEN, shown_first=1, confidence=0.1 + 0.2
    )
    cast.make_verdict(battle, people, Outcome.BOTH_BAD, bob, criterion="accuracy", repetition=2)
    Retraction.objects.create(verdict=verdict, reason="A slip of the finger")
    words = cast.make_verdict(battle, llm, Outcome.TIE, cast_at=WHEN)
    VerdictTrace.objects.create(
        verdict=words, rationale="Both rhyme. 🙂", completion="[[C]]\n", parse={"b": [1.5, None], "a": "é"},
        tokens=12, cost="0.001234", latency_ms=5,
    )  # fmt: skip
    cast.make_verdict(cast.make_battle(private, zoe, chat), llm, Outcome.A)
    pair, _ = Pair.objects.get_or_create(
        arena=arena,
        **dict(zip(("system_a", "system_b"), sorted((zoe, old), key=lambda s: s.pk), strict=True)),
    )
    for key in (5, 2**62 + 1):
        bare = Battle.objects.create(
            arena=arena, pair=pair, prompt=unpublished, system_a=pair.system_a, system_b=pair.system_b,
            source_key=key,
        )  # fmt: skip
        cast.make_verdict(bare, people, Outcome.B, repetition=key)
    exclude_voter(voter=alice, reason="Clicks")
    readmit_voter(voter=alice, reason="It was a child")
    exclude_voter(voter=bob, reason="Clicks")
    Score.objects.create(arena=arena, judge=llm, output=battle.output_a, value=0.1 + 0.7)
    ranking = Ranking.objects.create(
        arena=arena,
        prompt=chat,
        voter=alice,
        state="undone",
        is_ordered=True,
        decided_at=WHEN,
        comment="x",
    )
    for position, output in enumerate((battle.output_b, battle.output_a)):
        RankedOutput.objects.create(
            ranking=ranking, prompt=chat, system=output.system, output=output, position=position,
            is_ordered=True, rank=1,
        )  # fmt: skip
    GoldItem.objects.create(
        arena=arena,
        source_id="g",
        prompt="Which?",
        output_a="gold",
        output_b="lead",
        expected=Outcome.A,
    )
    arena.criteria, arena.licence, arena.description = ["accuracy"], "CC BY 4.0", "Poems: “---”"
    arena.save()
    return arena


@pytest.fixture
def arena(small_arena):
    return awkward(small_arena)


@pytest.fixture
def away(arena, tmp_path):
    path = tmp_path / "poems.zip"
    write_archive(whole(arena), path)
    return path


def tables_in(path_or_bytes) -> dict[str, list[dict]]:
    file = io.BytesIO(path_or_bytes) if isinstance(path_or_bytes, bytes) else path_or_bytes
    with zipfile.ZipFile(file) as bundle:
        assert bundle.testzip() is None
        return {
            name.removesuffix(".jsonl"): [
                json.loads(line) for line in bundle.read(name).splitlines()
            ]
            for name in bundle.namelist()
            if name.endswith(".jsonl")
        } | {
            "about": json.loads(bundle.read("arena.json")),
            "card": bundle.read("README.md").decode(),
        }


def figures(arena: Arena) -> dict[str, str]:
    """The digest of what is counted of each judge, overall and by criterion."""
    return {
        f"{slug} {criterion}": count(
            arena=arena, slice=Slice(judge=slug, criterion=criterion)
        ).digest()
        for slug in ("people", *arena.judges.values_list("slug", flat=True))
        for criterion in ("", "accuracy")
    }


def test_an_import_of_the_export_is_the_same_arena(arena, away):
    report = import_dataset(format="jurybox", path=away, arena="copy")
    copy = Arena.objects.get(slug="copy")
    assert figures(copy) == figures(arena)
    stated = tables_in(away)["about"]["dataset_digest"]
    assert digest_of(whole(copy)) == digest_of(whole(arena)) == stated
    assert {noun: counts.rejected for noun, counts in report.nouns.items() if counts.rejected} == {}
    # What tables don't say is the arena's own.
    assert (copy.name, copy.licence, copy.criteria) == (arena.name, "CC BY 4.0", ["accuracy"])
    assert copy.systems.get(slug="other.slug").follows.slug == "aaron"
    assert copy.gold_items.get().expected == Outcome.A
    assert copy.is_open is False
    # The second time there is nothing to add, in either arena.
    for slug in ("copy", arena.slug):
        again = import_dataset(format="jurybox", path=away, arena=slug)
        assert added(again) == {}
    assert digest_of(whole(copy)) == stated
    assert Verdict.objects.filter(arena=copy).count() == Verdict.objects.filter(arena=arena).count()


def test_an_unpacked_archive_is_imported_too_and_a_name_can_be_given(arena, away, tmp_path):
    with zipfile.ZipFile(away) as bundle:
        bundle.extractall(tmp_path / "folder")
    import_dataset(format="jurybox", path=tmp_path / "folder", arena="copy", name="Another name")
    copy = Arena.objects.get(slug="copy")
    assert copy.name == "Another name"
    assert digest_of(whole(copy)) == digest_of(whole(arena))


def test_what_the_public_gets_has_no_gold_no_hidden_system_and_nothing_that_is_held_back(arena):
    everything = tables_in(b"".join(stream_archive(whole(arena))))
    assert "Secret" in str(everything["systems"])
    assert everything["gold_items"]
    arena.sharing = {"rationales": False, "newest_verdicts": 25, "newest_prompts": 20}
    scope = public(arena)
    archive = b"".join(stream_archive(scope))
    shared = tables_in(archive)
    for secret in ("Secret", "'secret'", "gold", "Both rhyme", "[[C]]"):
        assert secret not in str(shared), secret
    assert "gold_items" not in shared
    n, kept = len(everything["verdicts"]), shared["verdicts"]
    prompts = {row["prompt"] for row in shared["prompts"]}
    newest = {row["prompt"] for row in everything["prompts"]} - prompts
    assert len(newest) == 2  # of eight, rounded up
    assert {row["prompt"] for row in (*kept, *shared["battles"], *shared["outputs"])} <= prompts
    # The oldest three quarters, without those of a hidden system and of prompts that are held back.
    older = everything["verdicts"][: n - (n + 3) // 4]
    expected = [v for v in older if v["prompt"] in prompts and "secret" not in v.values()]
    assert [row["cast_at"] for row in kept] == [row["cast_at"] for row in expected]
    left = shared["about"]["left_out"]
    told = [v for v in everything["verdicts"] if "secret" not in v.values()]
    assert left["verdicts"] == len(told) - len(kept)
    assert left["prompts"] == 2
    assert f"{left['verdicts']:,} verdicts" in shared["card"]
    assert "the words behind verdicts" in shared["card"]
    assert "rationale" not in kept[0]
    assert "policy" not in shared["about"]["arena"]

    arena.sharing = {"outputs": False, "verdicts": False}
    closed = tables_in(b"".join(stream_archive(public(arena))))
    assert not {"outputs", "verdicts", "voters", "scores", "rankings"} & set(closed)


def test_a_public_archive_without_outputs_is_imported_with_the_same_counts(arena, tmp_path):
    System.objects.filter(standing="private").delete()
    arena.sharing = {"outputs": False}
    path = tmp_path / "public.zip"
    write_archive(public(arena), path)
    import_dataset(format="jurybox", path=path, arena="copy")
    assert figures(Arena.objects.get(slug="copy")) == figures(arena)


def test_the_card_is_yaml_with_a_schema_of_every_table(arena):
    yaml = pytest.importorskip("yaml")
    arena.name = 'Poems: "---\n- x'
    shared = tables_in(b"".join(stream_archive(public(arena))))
    _, front, text = shared["card"].split("---\n", 2)
    told = yaml.safe_load(front)
    assert told["pretty_name"] == arena.name.replace("\n", told["pretty_name"][len('Poems: "---')])
    assert (told["license"], told["language"]) == ("cc-by-4.0", ["en"])
    assert told["size_categories"] == ["n<1K"]
    for config, described in zip(told["configs"], told["dataset_info"], strict=True):
        name = config["config_name"]
        assert config["data_files"] == [{"split": "train", "path": f"{name}.jsonl"}]
        rows = shared[name]
        assert [feature["name"] for feature in described["features"]] == list(rows[0])
        assert described["config_name"] == name
    assert "**Simulated**, so decided by nobody: elsewhere" in text
    assert shared["about"]["dataset_digest"] in text


def test_a_configuration_is_taken_away_without_its_secrets(arena, tmp_path):
    Judge.objects.filter(slug="judge-llm").update(
        configuration={"endpoint": {"url": "http://10.0.0.1/v1", "api_key": "hunter2"}, "n": 1}
    )
    path = tmp_path / "poems.zip"
    write_archive(whole(arena), path)
    shared = tables_in(path)
    assert "hunter2" not in str(shared)
    assert "10.0.0.1" not in str(shared)
    import_dataset(format="jurybox", path=path, arena="copy")
    assert digest_of(whole(Arena.objects.get(slug="copy"))) == shared["about"]["dataset_digest"]


def test_queries_are_as_many_as_blocks_and_no_row_is_held(
    arena, monkeypatch, django_assert_max_num_queries, django_assert_num_queries
):
    verdicts = next(table for table in TABLES if table.name == "verdicts")
    with django_assert_max_num_queries(40):
        b"".join(stream_archive(whole(arena)))
    monkeypatch.setattr("judges.archive.tables.WIDE", 10)
    scope = whole(arena)
    n = Verdict.objects.filter(arena=arena).count()
    with django_assert_num_queries(n // 10 + 1):
        pieces = [len(piece.splitlines()) for piece in stream_table(scope, verdicts)]
    assert max(pieces) == 10
    assert sum(pieces) == n


def test_votes_that_come_in_meanwhile_are_not_in_it(arena):
    scope = whole(arena)
    before = digest_of(scope)
    battle = Battle.objects.filter(arena=arena, source_key=None).first()
    verdict = cast.make_verdict(battle, arena.judges.get(slug="judge-llm"), Outcome.A, repetition=9)
    Retraction.objects.create(verdict=Verdict.objects.filter(arena=arena).first())
    exclude_voter(voter=Voter.objects.get(judge__slug="elsewhere"), reason="Late")
    system = cast.make_system(arena, "Later")
    cast.make_verdict(cast.make_battle(system, battle.system_a, battle.prompt), verdict.judge, 0)
    tables = tables_in(b"".join(stream_archive(scope)))
    assert all("later" not in row.values() for row in (*tables["battles"], *tables["outputs"]))
    assert len(tables["verdicts"]) == Verdict.objects.filter(arena=arena).count() - 2
    assert digest_of(scope) == before


def changed(away, tmp_path, table: str, change) -> object:
    """The archive, unpacked, with one file otherwise."""
    folder = tmp_path / "changed"
    with zipfile.ZipFile(away) as bundle:
        bundle.extractall(folder)
    path = folder / table
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(change(lines)))
    return folder


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("verdicts.jsonl", {"winner": "left"}, r"verdicts.jsonl, line 2, column winner: 'left' is not"),
        ("verdicts.jsonl", {"judge": "nobody"}, "line 2, column judge: 'nobody' is not in judges.jsonl"),
        ("verdicts.jsonl", {"prompt": "0" * 64}, "line 2, column prompt: '000.*is not in prompts.jsonl"),
        ("verdicts.jsonl", {"cast_at": "yesterday"}, "line 2, column cast_at: 'yesterday' is not a time"),
        ("verdicts.jsonl", {"confidence": 2}, "line 2, column confidence: 2.0 is not between"),
        ("verdicts.jsonl", {"repetition": -1}, "line 2, column repetition: '-1' is not a whole number"),
        ("outputs.jsonl", {"system": "gone"}, "outputs.jsonl, line 2, column system: 'gone' is not in"),
        ("outputs.jsonl", {"text": 5}, "outputs.jsonl, line 2, column text: text was expected, not int"),
        ("prompts.jsonl", {"source_id": "x"}, "prompts.jsonl, line 2, column prompt: .* was changed"),
        ("battles.jsonl", {"system_a": "basil", "system_b": "basil"}, "line 2, column system_b: the system b"),
        ("systems.jsonl", {"standing": "grand"}, "systems.jsonl, line 2, column standing: 'grand'"),
        ("systems.jsonl", {"link": "javascript:alert(1)"}, "column link: 'javascript.*begin with https"),
        ("systems.jsonl", {"system": "a/../b"}, "line 2, column system: 'a/../b' is no address"),
        ("judges.jsonl", {"configuration": '{"a": ["\\u0000"]}'}, "column configuration: text that no data"),
        ("judges.jsonl", {"configuration": "[]"}, "column configuration: an object as JSON was expected"),
        ("voters.jsonl", {"exclusions": "[1]"}, "voters.jsonl, line 2, column exclusions: is_excluded"),
        ("judges.jsonl", {"kind": "oracle"}, "judges.jsonl, line 2, column kind: 'oracle' is not one of"),
        ("verdicts.jsonl", None, "verdicts.jsonl: its SHA-256 is .* the file was changed or is not whole"),
        ("arena.json", '"format": "other"', "arena.json: it doesn't say"),
        ("arena.json", '"format_version": 2', "it is of version 2, and this release reads 1"),
    ],
)  # fmt: skip
def test_what_was_changed_is_told_with_its_place_and_nothing_is_imported(
    away, tmp_path, table, change, said
):
    def edit(lines):
        if isinstance(change, str):
            key = change.split(":")[0]
            return [
                f" {change},\n" if line.lstrip().startswith(f"{key}:") else line for line in lines
            ]
        if change is None:
            return lines[:-1]
        row = json.loads(lines[1]) | change
        return [lines[0], json.dumps(row) + "\n", *lines[2:]]

    with pytest.raises(DatasetError, match=said):
        import_dataset(format="jurybox", path=changed(away, tmp_path, table, edit), arena="copy")
    assert not Arena.objects.filter(slug="copy").exists()


def test_with_skip_bad_the_rest_is_imported(away, tmp_path):
    folder = changed(away, tmp_path, "verdicts.jsonl", lambda lines: ["{nonsense\n", *lines[1:]])
    report = import_dataset(
        format="jurybox", path=folder, arena="copy", skip_bad=tmp_path / "bad.jsonl"
    )
    assert report.rejected == 1
    assert json.loads((tmp_path / "bad.jsonl").read_text())["line"] == 1


def test_what_is_no_archive_or_a_bomb_is_refused(tmp_path, away):
    path = tmp_path / "not.zip"
    path.write_bytes(away.read_bytes()[:-100])
    with pytest.raises(DatasetError, match="not a ZIP archive, or one that was cut off"):
        import_dataset(format="jurybox", path=path, arena="copy")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("arena.json", " " * 70_000_000)
    with pytest.raises(DatasetError, match="expands more than 200-fold"):
        import_dataset(format="jurybox", path=tmp_path / "bomb.zip", arena="copy")
    with pytest.raises(DatasetError, match="there is no such file or folder"):
        import_dataset(format="jurybox", path=tmp_path / "none.zip", arena="copy")


def test_parquet_has_the_same_rows_and_the_same_digest(arena, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("judges.archive.tables.WIDE", 10)
    monkeypatch.setattr("judges.archive.writing.GROUP_ROWS", 25)
    lines = tables_in(b"".join(stream_archive(whole(arena))))
    packed = io.BytesIO(b"".join(stream_archive(whole(arena), form=".parquet")))
    with zipfile.ZipFile(packed) as bundle:
        for table in TABLES:
            rows = parquet.read_table(io.BytesIO(bundle.read(f"{table.name}.parquet"))).to_pylist()
            assert rows == lines[table.name], table.name
        about = json.loads(bundle.read("arena.json"))
        verdicts = parquet.ParquetFile(io.BytesIO(bundle.read("verdicts.parquet")))
    assert verdicts.num_row_groups == -(-verdicts.metadata.num_rows // 30)
    assert about["dataset_digest"] == lines["about"]["dataset_digest"]
    path = tmp_path / "poems.zip"
    path.write_bytes(packed.getvalue())
    with pytest.raises(DatasetError, match="Export without --parquet"):
        import_dataset(format="jurybox", path=path, arena="copy")


def test_without_pyarrow_parquet_is_refused_before_the_first_byte(arena, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DatasetError, match="Parquet needs the package pyarrow"):
        next(stream_archive(whole(arena), form=".parquet"))


def test_the_command_writes_a_new_file_and_tells_the_digest(arena, tmp_path, capsys):
    path = tmp_path / "poems.zip"
    call_command("export_arena", "--arena=poems", str(path), "--public")
    assert f"bytes written to {path}" in capsys.readouterr().out
    assert tables_in(path)["about"]["is_whole"] is False
    call_command("export_arena", "--arena=poems", "--digest")
    assert capsys.readouterr().out.strip() == digest_of(whole(arena))
    with pytest.raises(CommandError, match="is there already"):
        call_command("export_arena", "--arena=poems", str(path))
    with pytest.raises(CommandError, match="no arena 'prose': there are poems"):
        call_command("export_arena", "--arena=prose", str(path))
    with pytest.raises(CommandError, match="Name a new file"):
        call_command("export_arena", "--arena=poems")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
DECISIONS = st.tuples(
    st.integers(0, 2),  # which pair
    st.integers(0, 2),  # which prompt
    st.integers(0, 2),  # which judge
    st.integers(0, 1),  # which voter
    st.sampled_from(Outcome.values),
    st.sampled_from(["", "style"]),
    st.sampled_from([None, 0, 1]),
    st.none() | st.floats(0, 1),
    st.booleans(),  # taken back
    st.none() | TEXTS,  # the words behind it
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(TEXTS, min_size=3, max_size=3),
    decided=st.lists(DECISIONS, max_size=8),
    bare=st.booleans(),
)
def test_an_import_of_any_export_is_the_same_arena(texts, decided, bare, tmp_path):
    with transaction.atomic():
        arena = cast.make_arena("random")
        systems = [cast.make_system(arena, name) for name in ("Zoe", "Ada", "Mia")]
        prompts = [cast.make_prompt(arena, text, source_id=str(n)) for n, text in enumerate(texts)]
        kinds = (Judge.Kind.CROWD, Judge.Kind.CROWD, Judge.Kind.LLM)
        judges = [cast.make_judge(arena, f"J{n}", kind) for n, kind in enumerate(kinds)]
        voters = [[cast.make_voter(judge, handle) for handle in "ab"] for judge in judges[:2]]
        battles, met = {}, set()
        for (
            pair,
            prompt,
            judge,
            voter,
            outcome,
            criterion,
            first,
            confidence,
            back,
            words,
        ) in decided:
            one, other = systems[pair], systems[(pair + 1) % 3]
            key = pair, prompt
            if key not in battles:
                battles[key] = cast.make_battle(one, other, prompts[prompt])
                if bare and prompt == 0:
                    Battle.objects.filter(pk=battles[key].pk).update(
                        output_a=None, output_b=None, source_key=pair
                    )
            who = None if judge == 2 else voters[judge][voter]
            repetition = len(met)
            verdict = cast.make_verdict(
                battles[key], judges[judge], outcome, who, criterion=criterion, shown_first=first,
                confidence=confidence, repetition=repetition,
            )  # fmt: skip
            met.add(verdict.pk)
            if back:
                Retraction.objects.create(verdict=verdict, reason="x")
            if words is not None:
                VerdictTrace.objects.create(verdict=verdict, rationale=words, parse={"said": words})
        path = tmp_path / "random.zip"
        path.unlink(missing_ok=True)
        write_archive(whole(arena), path)
        import_dataset(format="jurybox", path=path, arena="copy")
        copy = Arena.objects.get(slug="copy")
        assert digest_of(whole(copy)) == digest_of(whole(arena))
        assert added(import_dataset(format="jurybox", path=path, arena="copy")) == {}
        transaction.set_rollback(True)


def test_pages_of_judges_that_came_by_an_import_are_whole(arena, tmp_path, client):
    cast.make_judge(
        arena, "Jury", "jury", configuration={"rule": "majority", "members": ["a", "b"]}
    )
    cast.make_judge(arena, "Cascade", "cascade", configuration={"target": 0.9})
    Judge.objects.filter(slug="judge-llm").update(
        configuration={
            "protocol": "pairwise",
            "endpoint": {"url": "http://10.0.0.1/v1", "key": "x"},
        }
    )
    path = tmp_path / "poems.zip"
    write_archive(whole(arena), path)
    import_dataset(format="jurybox", path=path, arena="copy")
    copy = Arena.objects.get(slug="copy")
    pages = [judge.get_absolute_url() for judge in copy.judges.all()]
    verdict = Verdict.objects.filter(arena=copy, trace__isnull=False).get()
    pages += [
        reverse("judges:verdict", args=["copy", verdict.pk]),
        verdict.battle.get_absolute_url(),
    ]
    pages += [reverse("ratings:judges", args=["copy"]), reverse("judges:data", args=["copy"])]
    assert {client.get(page).status_code for page in pages} == {200}
