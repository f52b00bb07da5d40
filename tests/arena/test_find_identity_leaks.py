"""Outputs that say who wrote them are marked; answers about makers and systems aren't."""

from io import StringIO
from time import perf_counter

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.urls import reverse

from arena.leaks import BATCH, Detector, mark_not_a_leak, normalised, scan_outputs, stem
from arena.models import Arena, AuditEntry, Membership, Output
from tests import cast


@pytest.fixture
def arena(db) -> Arena:
    arena = cast.make_arena()
    for name, organisation in [
        ("Claude v1.2", "Anthropic"),
        ("GPT 3.5 Turbo (16k)", "OpenAI"),
        ("Falcon Instruct (40B)", "TII UAE"),
        ("command-light", "Cohere"),
        ("Vicuna v1.3 (13B)", "LM Sys"),
        ("Zorblax", "Zorb & Sons"),
    ]:
        slug = name.lower().split()[0].replace("-light", "")
        cast.make_system(arena, name, slug=slug, organisation=organisation)
    return arena


def leak(arena: Arena, system: str, text: str, *, prompt: str = "Who was Ada Lovelace?") -> str:
    output = Output(text=text, system=arena.systems.get(slug=system), arena=arena)
    return Detector(arena).leak(output, prompt=prompt)


LEAKS = [
    ("claude", "I am Claude, an AI assistant."),
    ("claude", "Hello! I'm Claude. How can I help?"),
    ("claude", "As Claude, I try to be helpful."),
    ("claude", "My name is Claude."),
    ("claude", "This was written by Claude."),
    ("claude", "I’m an AI assistant created by Anthropic to be helpful."),
    ("claude", "I was created by Anthropic, so I can't."),
    ("claude", "Anthropic created me to be harmless."),
    ("claude", "See ![Claude](https://example.org/logo.png)"),
    ("claude", "Read [more](https://claude.ai/about)."),
    ("gpt", "As an AI language model developed by OpenAI, I can't have opinions."),
    ("gpt", "As a large language model trained by OpenAI, I don't know."),
    ("gpt", "I am a language model from OpenAI."),
    ("gpt", "I'm ChatGPT, a large language model."),
    ("gpt", "My creators at OpenAI decided that."),
    ("falcon", "I am Falcon, a helpful assistant."),
    ("falcon", "I was trained by the Technology Innovation Institute."),
    ("falcon", "As Falcon, I answer briefly."),
    ("vicuna", "I am ChatGPT."),  # not true, and not blind any more
    ("vicuna", "I am a language model called Vicuna, and I was trained by researchers from LMSYS."),
    ("zorblax", "I was made by Zorb & Sons."),
    ("zorblax", "Zorblax thinks that this is a good poem."),
    # in disguise
    ("claude", "I am C\u200bl\u200ba\u200bu\u200bd\u200be."),
    ("claude", "I am Сlаudе."),  # Cyrillic С, а, е
    ("claude", "I am **Claude**."),
    ("claude", "I am Ｃｌａｕｄｅ."),
    ("claude", "I am &#67;laude."),
    ("gpt", "I am Chat-GPT."),
    ("gpt", "I am chat gpt, at your service"),
]
NO_LEAKS = [
    ("claude", "Ada Lovelace wrote the first program."),
    ("claude", "As an AI language model, I can't have opinions."),
    ("claude", "I am an assistant."),
    ("claude", "OpenAI was founded in 2015; Google DeepMind is in London."),
    ("claude", "ChatGPT was developed by OpenAI."),
    ("claude", "GPT-4 is a language model developed by OpenAI."),
    ("claude", "I am sure that Google made Android."),
    ("gpt", "It works with the iPhone, Samsung Galaxy and Google Pixel."),
    ("gpt", "Anthropic and OpenAI make language models."),
    ("falcon", "A falcon is a bird of prey. The falcon dives."),
    ("falcon", "As the falcon dives, I hold my breath."),
    ("command", "Run the command in a shell. This is a light command."),
    ("command", "I command you to stop."),
    ("claude", "Claudette sang; the claudication hurts."),
    ("vicuna", "I am an alpaca farmer by trade."),
    ("zorblax", "The cloud and the sea."),
]  # fmt: skip


@pytest.mark.parametrize(("system", "text"), LEAKS)
def test_a_leak_is_found(arena, system, text):
    assert leak(arena, system, text)


@pytest.mark.parametrize(("system", "text"), NO_LEAKS)
def test_what_gives_nobody_away_is_not_marked(arena, system, text):
    assert leak(arena, system, text) == ""


def test_the_own_name_is_no_leak_where_the_prompt_names_it(arena):
    text = "Claude is a French given name."
    assert leak(arena, "claude", text)
    assert leak(arena, "claude", text, prompt="Where does the name Claude come from?") == ""
    assert leak(arena, "claude", "I am Claude.", prompt="Where does the name Claude come from?")


def test_a_family_that_is_only_the_maker_is_no_name_of_the_system(arena):
    arena.systems.filter(slug="claude").update(family="Anthropic")
    arena.systems.filter(slug="zorblax").update(family="Zorb & Sons")
    assert leak(arena, "claude", "Anthropic and OpenAI make language models.") == ""
    assert leak(arena, "zorblax", "Zorb & Sons were founded in 1901.") == ""
    arena.systems.filter(slug="zorblax").update(family="Quuxian")
    assert leak(arena, "zorblax", "The Quuxian family has three members.") == "quuxian"


def test_stems_have_no_version_and_no_size():
    assert stem("Claude v1.2") == "claude"
    assert stem("LLaMA-2-Chat (70B)") == "llama chat"
    assert stem("GPT 3.5 Turbo (16k)") == "gpt turbo"


def test_what_is_said_is_compared_as_it_looks():
    assert normalised("Ｉ ａｍ\u00a0С\u200blaude") == "i am claude"
    assert len(normalised("\ufdfa" * 1_000)) <= 1_000  # a sentence each, where it is written out


@pytest.mark.parametrize("text", ["i am " * 200_000, "a" * 1_000_000, "as an ai, " * 100_000])
def test_a_megabyte_of_one_line_takes_linear_time(arena, text):
    began = perf_counter()
    leak(arena, "claude", text)
    assert perf_counter() - began < 10


def make_outputs(arena: Arena, n: int) -> None:
    claude = arena.systems.get(slug="claude")
    for number in range(n):
        text = "I am Claude." if number % 10 == 0 else "A poem."
        cast.make_output(claude, cast.make_prompt(arena, f"Poem {number}"), text)


def test_all_outputs_that_were_not_looked_at_are_scanned(arena, monkeypatch):
    monkeypatch.setattr("arena.leaks.BATCH", 8)
    make_outputs(arena, 30)
    assert scan_outputs(arena=arena) == (30, 3)
    assert set(Output.objects.values_list("leak", flat=True)) == {"", "i am claude; claude"}
    assert scan_outputs(arena=arena) == (0, 0)
    assert scan_outputs(arena=arena, again=True) == (30, 3)
    assert BATCH > 8


def test_only_the_outputs_asked_for_are_scanned(arena):
    make_outputs(arena, 11)
    first = Output.objects.order_by("pk").first()
    assert scan_outputs(arena=arena, outputs=[first.pk]) == (1, 1)
    assert Output.objects.filter(leak=None).count() == 10


def test_what_a_maintainer_calls_no_leak_stays_so(arena):
    make_outputs(arena, 1)
    scan_outputs(arena=arena)
    output = Output.objects.get()
    maya = get_user_model().objects.create_user("maya")
    mark_not_a_leak(output=output, by=maya)
    mark_not_a_leak(output=output, by=maya)
    assert AuditEntry.objects.get().details == {"words": "i am claude; claude"}
    scan_outputs(arena=arena, again=True)
    output.refresh_from_db()
    assert output.leak == ""


def test_the_command_scans_and_says_what_it_found(arena):
    make_outputs(arena, 11)
    out = StringIO()
    call_command("find_leaks", arena="poems", stdout=out)
    assert "11 outputs looked at, 2 marked" in out.getvalue()
    with pytest.raises(CommandError, match="no arena 'prose'"):
        call_command("find_leaks", arena="prose")


def test_a_maintainer_sees_the_marked_outputs_and_clears_one(arena, client):
    make_outputs(arena, 11)
    scan_outputs(arena=arena)
    address = reverse("arena:leaks", args=["poems"])
    assert client.get(address).status_code == 404
    maya = get_user_model().objects.create_user("maya")
    Membership.objects.create(arena=arena, user=maya, role="maintainer")
    client.force_login(maya)
    page = client.get(address).content.decode()
    assert page.count("<mark>i am claude</mark>") == 2
    output = Output.objects.exclude(leak="").first()
    assert client.post(address, {"output": output.pk}).status_code == 302
    assert client.get(address).content.decode().count("<mark>") == 1
    assert client.post(address, {"output": "x"}).status_code == 404


def test_the_page_takes_the_same_number_of_queries_for_any_number_of_outputs(
    arena, client, django_assert_max_num_queries
):
    make_outputs(arena, 40)
    scan_outputs(arena=arena)
    client.force_login(get_user_model().objects.create_user("sam", is_staff=True))
    with django_assert_max_num_queries(12):
        client.get(reverse("arena:leaks", args=["poems"]))


def test_outputs_that_no_message_told_of_are_found_by_the_sweeper(arena):
    from arena.tasks import sweep_leaks

    make_outputs(arena, 11)
    assert sweep_leaks() == 11
    assert sweep_leaks() == 0
