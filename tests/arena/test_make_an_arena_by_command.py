"""The same verbs from the shell."""

import gzip
import json

import pytest
from django.core.management import CommandError, call_command

from arena.models import Arena, AuditEntry, Membership, Output, Prompt
from judges.models import GoldItem
from tests import cast
from tests.accounts import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def file(tmp_path):
    def write(name: str, *records: dict):
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(record) for record in records))
        return path

    return write


def test_an_arena_with_prompts_and_outputs_is_made_and_opened(file, capsys):
    make_user("alice")
    make = ["create_arena", "physics", "--name", "Physics", "--maintainer", "Alice@example.org"]
    call_command(*make, "--criteria", "accuracy", "style", "--who-votes", "accounts")
    prompts = file("prompts.jsonl", {"id": "p1", "prompt": "Why?"})
    for _ in range(2):
        call_command("add_prompts", "physics", str(prompts))
    for name in ("Ada", "Basil"):
        outputs = file(f"{name}.jsonl", {"prompt_id": "p1", "output": name})
        if name == "Basil":
            outputs.write_bytes(gzip.compress(outputs.read_bytes()))
        call_command(
            "add_outputs", "physics", str(outputs), "--system", name, "--system-version", "1"
        )
    gold = file(
        "gold.jsonl", {"id": "g", "prompt": "p", "output_a": "a", "output_b": "b", "expected": "a"}
    )
    call_command("add_gold_items", "physics", str(gold))
    call_command(*make, "--open")
    arena = Arena.objects.get()
    assert (arena.is_open, arena.criteria, arena.who_votes) == (
        True,
        ["accuracy", "style"],
        "accounts",
    )
    assert (Prompt.objects.count(), Output.objects.count(), GoldItem.objects.count()) == (1, 2, 1)
    assert Membership.objects.get().role == "maintainer"
    assert {entry.actor for entry in AuditEntry.objects.all()} == {None}
    assert "open for votes" in capsys.readouterr().out


def test_what_is_wrong_is_said_whole_and_nothing_is_kept(file):
    cast.make_arena("physics")
    bad = file("bad.jsonl", {"prompt": 1}, {"prompt": "fine"}, {})
    with pytest.raises(CommandError) as error:
        call_command("add_prompts", "physics", str(bad))
    lines = str(error.value).splitlines()
    assert [line[:7] for line in lines] == ["Line 1:", "Line 3:", "Nothing"]
    assert not Prompt.objects.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["add_prompts", "none", "x.txt"], "There is no arena 'none'"),
        (["add_prompts", "physics", "/nowhere/x.txt"], "can't be read"),
        (["create_arena", "new", "--name", "N", "--maintainer", "x@y.z"], "There is no account"),
        (["create_arena", "Bad Slug", "--name", "N", "--maintainer", "a@example.org"], "Lower-case"),
        (["create_arena", "new", "--name", "N", "--maintainer", "a@example.org", "--open"],
         "nothing to vote on yet"),
        (["create_arena", "physics", "--name", "N", "--maintainer", "a@example.org"], "is taken"),
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_followed_says_why(words, says):
    make_user("a")
    cast.make_arena("physics")
    with pytest.raises(CommandError, match=says):
        call_command(*words)
    assert Arena.objects.count() == 1


def test_a_file_that_is_too_large_is_refused(file, settings):
    settings.LARGEST_UPLOAD = 10
    cast.make_arena("physics")
    with pytest.raises(CommandError, match="import_dataset"):
        call_command("add_prompts", "physics", str(file("p.jsonl", {"prompt": "long enough"})))
