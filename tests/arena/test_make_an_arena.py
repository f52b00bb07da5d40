"""Making an arena: in the browser, and by the verbs behind it."""

import gzip
import json
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from arena.making import (
    MakingError,
    add_outputs,
    add_prompts,
    change_arena,
    close_arena,
    create_arena,
    open_arena,
)
from arena.models import Arena, AuditEntry, Battle, Membership, Output, Pair, Prompt, System
from arena.sharing import Sharing
from arena.signals import outputs_added
from arena.uploads import UploadError, read_gold_items, read_outputs, read_prompts
from judges.gold import add_gold_items
from judges.models import Ballot, GoldItem
from tests import cast
from tests.accounts import client_of, make_member, make_user

pytestmark = pytest.mark.django_db

PROMPTS = "Why is the sky blue?\nWhy is grass green?\n"
SETTINGS = {
    "name": "Physics for children",
    "guidelines": "Is it **true**?",
    "is_public": "on",
    "who_votes": "anyone",
    "criteria": "accuracy\nstyle\n\naccuracy",
    "reasons": "made up",
    "votes_wanted": "0",
}


@pytest.fixture(autouse=True)
def uploads_elsewhere(settings, tmp_path):
    settings.UPLOADS_DIR = tmp_path / "uploads"


@pytest.fixture
def arena():
    return cast.make_arena()


@pytest.fixture
def maintainer(arena):
    return make_member(arena, "maintainer")


@pytest.fixture
def client(maintainer):
    return client_of(maintainer)


def outputs(*texts: str) -> list:
    lines = [
        json.dumps({"prompt": prompt, "output": text})
        for prompt, text in zip(PROMPTS.splitlines(), texts, strict=True)
    ]
    return read_outputs("\n".join(lines), kind="jsonl").rows


def acts(arena) -> list[str]:
    return [entry.act for entry in AuditEntry.objects.filter(arena=arena).order_by("pk")]


def upload(client, address: str, content: str, name: str = "file.jsonl", **fields):
    """The second look, which is to be agreed to."""
    file = SimpleUploadedFile(name, content.encode())
    return client.post(address, {"file": file, **fields})


def agree(client, address: str, look):
    return client.post(address, {"agreed": look.context["agreed"]}, follow=True)


# --- the arena itself -------------------------------------------------------------------------------------
def test_an_account_makes_an_arena_and_becomes_its_maintainer():
    user = make_user()
    response = client_of(user).post(reverse("arena:new"), SETTINGS)
    arena = Arena.objects.get()
    assert response.url == reverse("arena:manage", args=["physics-for-children"])
    assert (arena.criteria, arena.reasons, arena.is_open) == (
        ["accuracy", "style"],
        ["made up"],
        False,
    )
    assert Membership.objects.get(arena=arena, user=user).role == "maintainer"
    assert acts(arena) == ["create arena"]


def test_sent_twice_one_arena_is_made():
    client = client_of(make_user())
    for _ in range(2):
        client.post(reverse("arena:new"), SETTINGS | {"slug": "physics"})
    assert Arena.objects.count() == 1


def test_an_address_that_is_taken_says_so_and_keeps_what_was_typed(arena):
    response = client_of(make_user()).post(reverse("arena:new"), SETTINGS | {"slug": arena.slug})
    assert response.status_code == 422
    assert "is taken by another arena" in response.text
    assert "Physics for children" in response.text
    assert "accuracy\nstyle" in response.text.replace("\r", "")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Être & avoir 2.0", "etre-avoir-2.0"),
        ("日本語", "arena"),
        ("--..a..b--", "a.b"),
        ("x" * 90, "x" * 60),
    ],
)
def test_an_address_is_made_of_the_name(name, slug):
    assert create_arena(name=name, maintainer=make_user()).slug == slug


def test_the_guidelines_are_previewed_without_saving():
    response = client_of(make_user()).post(reverse("arena:new"), SETTINGS | {"preview": "1"})
    assert "<strong>true</strong>" in response.text
    assert not Arena.objects.exists()


def test_settings_change_and_the_log_says_from_what_to_what(arena, client):
    address = reverse("arena:manage-settings", args=[arena.slug])
    assert client.post(address, SETTINGS).status_code == 302
    arena.refresh_from_db()
    assert (arena.name, arena.criteria) == ("Physics for children", ["accuracy", "style"])
    entry = AuditEntry.objects.get()
    assert entry.details["name"] == {"before": "Poems", "after": "Physics for children"}
    client.post(address, SETTINGS)
    assert AuditEntry.objects.count() == 1
    log = client.get(reverse("arena:manage-log", args=[arena.slug]))
    assert "Poems → Physics for children" in log.text


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "", "This field is required."),
        ("criteria", "x" * 41, "more than 40"),
        ("criteria", "\n".join("abcdefg"), "more than 6"),
        ("votes_wanted", "-1", "greater than or equal to 0"),
        ("who_votes", "nobody", "Select a valid choice"),
    ],
)
def test_a_setting_that_is_wrong_says_so_beside_it(arena, client, field, value, says):
    response = client.post(
        reverse("arena:manage-settings", args=[arena.slug]), SETTINGS | {field: value}
    )
    assert response.status_code == 422
    assert says in response.text
    assert f'id="id_{field}_error"' in response.text
    arena.refresh_from_db()
    assert arena.name == "Poems"


def test_the_sampling_is_set_and_checked(arena, client):
    address = reverse("arena:manage-policy", args=[arena.slug])
    values = {
        "uniform": 1, "least_judged": 0, "active": 0, "overlap_share": 0.5, "overlap_voters": 2,
        "repeat_share": 0.1, "gold_share": 0.1,
    }  # fmt: skip
    sent = {f"policy-{name}": value for name, value in values.items()}
    wrong = client.post(address, sent | {"policy-repeat_share": 0.9})
    assert (wrong.status_code, "more than 1 together" in wrong.text) == (422, True)
    assert client.post(address, sent).status_code == 302
    arena.refresh_from_db()
    assert arena.policy == values


def test_what_is_shared_is_set_and_checked(arena, client):
    address = reverse("arena:manage-sharing", args=[arena.slug])
    assert 'name="sharing-rationales" ' in client.get(address).text
    sent = {"sharing-verdicts": "on", "sharing-newest_verdicts": 10, "sharing-newest_prompts": 0}
    wrong = client.post(address, sent | {"sharing-newest_verdicts": 101})
    assert (wrong.status_code, "less than or equal to 100" in wrong.text) == (422, True)
    assert client.post(address, sent).status_code == 302
    arena.refresh_from_db()
    assert Sharing.of(arena) == Sharing(outputs=False, rationales=False, newest_verdicts=10.0)


# --- prompts ----------------------------------------------------------------------------------------------
def test_prompts_are_looked_at_before_they_are_added(arena, client):
    address = reverse("arena:manage-prompts", args=[arena.slug])
    look = client.post(address, {"pasted": PROMPTS, "kind": "text"})
    assert "2 new prompts" in look.text
    assert not Prompt.objects.exists()
    done = agree(client, address, look)
    assert "2 prompts were added." in done.text
    assert [p.text for p in Prompt.objects.all()] == PROMPTS.splitlines()
    again = agree(client, address, look)
    assert "isn’t here any more" in again.text
    assert Prompt.objects.count() == 2


def test_a_file_with_chats_and_categories_is_read_and_a_second_time_changes_nothing(arena, client):
    address = reverse("arena:manage-prompts", args=[arena.slug])
    content = "\n".join(
        [
            json.dumps({"id": 7, "prompt": "Why?", "categories": ["Long ones", "Maths"], "x": 1}),
            json.dumps({"messages": [{"role": "system", "content": "Brief."},
                                     {"role": "user", "content": "How?"}]}),
        ]
    )  # fmt: skip
    look = upload(client, address, content)
    assert "New categories: Long ones, Maths" in look.text
    assert "Not used: x" in look.text
    agree(client, address, look)
    prompt = Prompt.objects.get(source_id="7")
    assert sorted(c.slug for c in prompt.categories.all()) == ["long-ones", "maths"]
    assert "Nothing: all of it is there already" in upload(client, address, content).text
    rows = read_prompts(content, kind="jsonl").rows
    assert add_prompts(arena=arena, rows=rows, actor=None).known == 2
    assert acts(arena) == ["add prompts"]


def test_every_problem_is_listed_with_its_line_and_nothing_is_stored(arena, client):
    content = (
        '{"prompt": "Fine"}\n{"prompt": 3}\nnonsense\n[1]\n{"id": "a"}\n{"prompt": "a\\u0000b"}'
    )
    response = upload(client, reverse("arena:manage-prompts", args=[arena.slug]), content)
    assert response.status_code == 422
    for line in (2, 3, 4, 5, 6):
        assert f"Line {line}: " in response.text
    assert "Line 1: " not in response.text
    assert not Prompt.objects.exists()


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"\xff\xfe\x00", "text", "isn't UTF-8"),
        (b"", "text", "nothing in it"),
        (b"x" * (2**20 + 1), "text", "longer than"),
        (b'{"prompt": "\\ud800"}', "jsonl", "half of a character"),
        (b"[" * 100_000, "jsonl", "nested too deeply"),
        (b"prompt,prompt\na,b\n", "csv", "same name"),
        (b"prompt\na,b\n", "csv", "2 values"),
        (b'prompt\n"a\n', "csv", "can't be read as CSV"),
        (b'{"messages": [{"role": "assistant", "content": "a"}]}', "jsonl", '"user"'),
    ],
)
def test_hostile_files_are_refused_with_a_sentence(content, kind, says):
    with pytest.raises(UploadError) as error:
        read_prompts(content, kind=kind)
    assert says in str(error.value.problems[0])


def test_csv_records_over_several_lines_are_named_by_their_first():
    rows = read_prompts('prompt,title\n"a\nb",first\nc,second\n', kind="csv").rows
    assert [(row.line, row.messages[0]["content"]) for row in rows] == [(2, "a\nb"), (4, "c")]


def test_a_prompt_under_an_id_that_is_taken_is_refused(arena):
    rows = read_prompts('{"id": "p", "prompt": "a"}', kind="jsonl").rows
    add_prompts(arena=arena, rows=rows, actor=None)
    with pytest.raises(UploadError, match="another prompt with the id"):
        add_prompts(
            arena=arena,
            rows=read_prompts('{"id": "p", "prompt": "b"}', kind="jsonl").rows,
            actor=None,
        )


def test_a_file_that_is_too_large_is_dropped_while_it_comes_in(arena, client, settings):
    settings.LARGEST_UPLOAD = 1_000
    response = upload(
        client, reverse("arena:manage-prompts", args=[arena.slug]), "a\n" * 1_000, name="file.txt"
    )
    assert response.status_code == 422
    assert "wasn’t taken" in response.text
    assert not Prompt.objects.exists()


def test_an_upload_is_kept_for_whoever_sent_it_only(arena, client):
    address = reverse("arena:manage-prompts", args=[arena.slug])
    look = client.post(address, {"pasted": PROMPTS, "kind": "text"})
    other = client_of(make_member(arena, "maintainer", "other"))
    assert "isn’t here any more" in agree(other, address, look).text
    elsewhere = cast.make_arena("elsewhere")
    Membership.objects.create(
        arena=elsewhere, user=Membership.objects.get(user__username="account-maintainer").user,
        role="maintainer",
    )  # fmt: skip
    there = reverse("arena:manage-prompts", args=["elsewhere"])
    assert "isn’t here any more" in agree(client, there, look).text
    assert not Prompt.objects.exists()


# --- outputs ----------------------------------------------------------------------------------------------
@pytest.fixture
def prompted(arena):
    add_prompts(arena=arena, rows=read_prompts(PROMPTS, kind="text").rows, actor=None)
    return arena


def test_outputs_make_a_system_and_its_pairs_and_tell_others(prompted):
    told = []

    def listen(sender, **sent):
        told.append(sent)

    outputs_added.connect(listen)
    try:
        add_outputs(arena=prompted, system="Ada", rows=outputs("a", "b"), actor=None)
        assert not Pair.objects.exists()
        add_outputs(arena=prompted, system="Basil", rows=outputs("c", "d"), actor=None)
    finally:
        outputs_added.disconnect(listen)
    assert Pair.objects.count() == 1
    second = Output.objects.filter(pk__gt=told[1]["after"])
    assert {output.text for output in second} == {"c", "d"}
    assert len(told) == 2
    assert acts(prompted)[1:] == ["add outputs", "add outputs"]


def test_the_same_outputs_again_change_nothing(prompted):
    for known in (0, 2):
        plan = add_outputs(arena=prompted, system="Ada", rows=outputs("a", "b"), actor=None)
        assert plan.known == known
    assert (System.objects.count(), Output.objects.count()) == (1, 2)
    assert acts(prompted).count("add outputs") == 1


def test_another_output_for_the_same_prompt_is_refused(prompted):
    add_outputs(arena=prompted, system="Ada", rows=outputs("a", "b"), actor=None)
    with pytest.raises(UploadError, match="another output for this prompt"):
        add_outputs(arena=prompted, system="Ada", rows=outputs("a", "other"), actor=None)
    assert Output.objects.count() == 2
    add_outputs(arena=prompted, system="Ada", version="2", rows=outputs("a", "other"), actor=None)
    assert System.objects.get(version="2").slug == "ada-2"


def test_outputs_are_uploaded_in_two_steps(prompted, client):
    address = reverse("arena:manage-outputs", args=[prompted.slug])
    content = 'prompt,response\nWhy is the sky blue?,"Air, mostly."\n'
    look = upload(client, address, content, name="o.csv", system="Ada", link="example.org")
    assert "1 new output of the new system" in look.text
    assert "1 prompt of the arena would still be without" in look.text
    assert "1 output was added." in agree(client, address, look).text
    ada = System.objects.get()
    assert (ada.link, ada.owner.username) == ("https://example.org", "account-maintainer")


def test_packed_outputs_as_others_write_them_are_uploaded_with_what_they_cost(prompted, client):
    address = reverse("arena:manage-outputs", args=[prompted.slug])
    record = {"prompt": "Why is the sky blue?", "output": "Air.", "cost": "0.00125"}
    item = {"instruction": "Why is the sky blue?", "output": "Dust.", "generator": "basil"}
    for system, sent in (("Ada", json.dumps(record)), ("Basil", json.dumps([item], indent=1))):
        file = SimpleUploadedFile("of-a-name.gz", gzip.compress(sent.encode()))
        look = client.post(address, {"file": file, "system": system})
        assert "1 output was added." in agree(client, address, look).text
    costs = dict(Output.objects.values_list("text", "cost"))
    assert costs == {"Air.": Decimal("0.001250"), "Dust.": None}
    file = SimpleUploadedFile("more.jsonl.gz", gzip.compress(b"more")[:-1])
    refused = client.post(address, {"file": file, "system": "Cleo"})
    assert (refused.status_code, "It was cut off" in refused.text) == (422, True)


def test_an_output_to_no_prompt_of_the_arena_says_what_to_do(prompted, client):
    address = reverse("arena:manage-outputs", args=[prompted.slug])
    content = (
        '{"prompt_id": "x", "output": "a"}\n{"output": "b"}\n{"prompt": "Who?", "output": "c"}'
    )
    response = upload(client, address, content, system="Ada")
    assert response.status_code == 422
    assert "Line 2: It doesn&#x27;t say which prompt it answers" in response.text
    content = '{"prompt_id": "x", "output": "a"}\n{"prompt": "Who?", "output": "c"}'
    response = upload(client, address, content, system="Ada")
    assert "Line 1: The arena has no prompt with the id “x”" in response.text
    assert "Line 2: The arena has no prompt with the text “Who?”" in response.text
    assert not System.objects.exists()


def test_prompts_are_named_by_id_by_number_or_by_text(prompted):
    first, second = Prompt.objects.all()
    rows = read_outputs(
        f'{{"prompt_id": {first.pk}, "output": "a"}}\n'
        + json.dumps({"prompt": second.text, "output": "b"}),
        kind="jsonl",
    ).rows
    plan = add_outputs(arena=prompted, system="Ada", rows=rows, actor=None)
    assert [prompt for _, prompt in plan.new] == [first.pk, second.pk]


# --- open and close ---------------------------------------------------------------------------------------
def test_an_arena_with_nothing_to_compare_stays_closed(prompted, client):
    add_outputs(arena=prompted, system="Ada", rows=outputs("a", "b"), actor=None)
    response = client.post(reverse("arena:manage-open", args=[prompted.slug]), follow=True)
    assert "nothing to vote on yet" in response.text
    with pytest.raises(MakingError):
        open_arena(arena=prompted, actor=None)
    prompted.refresh_from_db()
    assert not prompted.is_open


def test_an_arena_opens_and_closes_once(prompted):
    for name in ("Ada", "Basil"):
        add_outputs(arena=prompted, system=name, rows=outputs(name, "b"), actor=None)
    assert [open_arena(arena=prompted, actor=None) for _ in range(2)] == [True, False]
    assert [close_arena(arena=prompted, actor=None) for _ in range(2)] == [True, False]
    assert acts(prompted)[-2:] == ["open arena", "close arena"]


def test_a_setting_that_an_arena_has_not_is_a_mistake_of_the_program(arena):
    with pytest.raises(TypeError, match="is_open"):
        change_arena(arena=arena, actor=None, is_open=True)


# --- gold items -------------------------------------------------------------------------------------------
def test_gold_items_are_added_by_form_and_by_file(arena, client):
    address = reverse("judges:manage-gold", args=[arena.slug])
    item = {
        "item-source_id": "g1", "item-prompt": "2 + 2?", "item-output_a": "4",
        "item-output_b": "Fish", "item-expected": "a", "one": "1",
    }  # fmt: skip
    for _ in range(2):
        assert client.post(address, item).status_code == 302
    assert GoldItem.objects.get().expected == 0
    clash = client.post(address, item | {"item-expected": "b"})
    assert (clash.status_code, "another item with the id" in clash.text) == (422, True)
    content = '{"id":"g2","prompt":"p","output_a":"a","output_b":"b","expected":"Both bad"}\n'
    look = upload(client, address, content)
    assert "1 new gold item" in look.text
    agree(client, address, look)
    assert GoldItem.objects.get(source_id="g2").expected == 3
    assert acts(arena) == ["add gold items", "add gold items"]


def test_gold_items_with_problems_are_refused_whole(arena):
    with pytest.raises(UploadError) as error:
        rows = read_gold_items(
            '{"id":"g","prompt":"p","output_a":"a","output_b":"b","expected":"c"}\n{"id":"h"}',
            kind="jsonl",
        ).rows
        add_gold_items(arena=arena, rows=rows, actor=None)
    assert [problem.line for problem in error.value.problems] == [1, 2]


def test_the_vote_is_previewed_before_the_arena_opens_and_nothing_is_made(prompted, client):
    address = reverse("judges:manage-preview", args=[prompted.slug])
    assert "There is nothing to show yet" in client.get(address).text
    for name in ("Ada", "Basil"):
        add_outputs(arena=prompted, system=name, rows=outputs(f"It is {name}1.", "b"), actor=None)
    page = client.get(address)
    assert "Why is the sky blue?" in page.text
    assert "<fieldset disabled>" in page.text
    assert (Battle.objects.count(), Ballot.objects.count()) == (0, 0)
