from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from arena.models import Battle, Category, Prompt
from judges import records, views
from judges.models import Judge, Outcome, Verdict, VerdictTrace
from judges.voting import retract_verdict
from judges.wording import summary
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena():
    return cast.make_arena()


@pytest.fixture
def systems(arena):
    return [cast.make_system(arena, name) for name in ("Ada", "Basil", "Cleo")]


@pytest.fixture
def battle(arena, systems):
    return cast.make_battle(systems[0], systems[1], cast.make_prompt(arena, "Write **a** poem."))


@pytest.fixture
def people(arena):
    return cast.make_judge(arena)


@pytest.fixture
def llm(arena):
    return cast.make_judge(arena, "GPT-4", Judge.Kind.LLM)


@pytest.fixture
def votes(battle, people):
    """Three people for A, one tie."""
    outcomes = [Outcome.A, Outcome.A, Outcome.A, Outcome.TIE]
    return [
        cast.make_verdict(battle, people, outcome, cast.make_voter(people, f"voter-{number}"))
        for number, outcome in enumerate(outcomes)
    ]


def page_of(client: Client, battle: Battle, **query) -> str:
    response = client.get(f"/a/{battle.arena.slug}/battles/{battle.pk}/", query)
    assert response.status_code == 200
    return response.content.decode()


def listed(client: Client, arena, **query) -> list[int]:
    response = client.get(f"/a/{arena.slug}/battles/", query)
    assert response.status_code == 200
    return [battle.pk for battle, _ in response.context["rows"]]


# --- a battle's page ------------------------------------------------------------------------------


def test_the_page_shows_prompt_outputs_and_names(client, battle):
    page = page_of(client, battle)
    assert "Write <strong>a</strong> poem." in page
    assert "Ada answers." in page
    assert "Basil answers." in page
    assert page.index("Ada answers.") < page.index("Basil answers.")


def test_a_summary_says_who_decided_what(client, battle, votes, llm):
    cast.make_verdict(battle, llm, Outcome.B)
    assert "People: 3 for A, 1 tie. GPT-4: B." in page_of(client, battle)


def test_every_verdict_is_told_with_its_circumstances(client, battle, people, llm):
    yesterday = timezone.now() - timedelta(days=1)
    verdict = cast.make_verdict(
        battle,
        llm,
        Outcome.B,
        shown_first=Verdict.Side.B,
        confidence=0.83,
        cast_at=yesterday,
    )
    VerdictTrace.objects.create(verdict=verdict, rationale="It **rhymes**. <script>x</script>")
    cast.make_verdict(battle, people, Outcome.BOTH_BAD, cast.make_voter(people, "alice"))
    response = client.get(battle.get_absolute_url())
    of_llm, of_alice = response.context["rows"]
    assert (of_llm.decision, of_llm.letter, of_llm.shown_first) == ("Basil is better", "B", "B")
    assert (of_alice.decision, of_alice.letter, of_alice.shown_first) == (
        "Both bad",
        "",
        "not known",
    )
    page = response.content.decode()
    assert "83\u202f%" in page
    assert yesterday.strftime("%H:%M:%S") in page
    assert "It <strong>rhymes</strong>. &lt;script&gt;x" in page
    assert "alice" in page


def test_a_verdict_that_was_taken_back_is_shown_and_not_counted(client, battle, votes):
    retract_verdict(verdict=votes[3], reason="A slip of the finger.")
    page = page_of(client, battle)
    assert "People: 3 for A." in page
    assert "taken back, not counted" in page
    assert "A slip of the finger." in page


def test_simulated_judges_are_labelled_in_the_summary_and_in_the_table(client, arena, battle):
    juror = cast.make_judge(arena, "Juror", Judge.Kind.JURY, is_simulated=True)
    crowd = cast.make_judge(arena, "Crowd", is_simulated=True)
    cast.make_verdict(battle, juror, Outcome.A)
    cast.make_verdict(battle, crowd, Outcome.B, cast.make_voter(crowd))
    page = page_of(client, battle)
    assert "Simulated people: B. Juror (simulated): A." in page
    assert page.count(">simulated</span>") == 2


def test_a_battle_that_nobody_decided_says_so(client, battle):
    assert "Nobody has decided this battle yet." in page_of(client, battle)


def test_raw_text_needs_no_script(client, battle):
    page = page_of(client, battle, raw="1")
    assert "Write **a** poem." in page
    assert "Show as formatted text" in page


def test_a_source_that_publishes_neither_prompt_nor_outputs_is_said_to(client, arena, battle):
    unpublished = Prompt.objects.create(arena=arena, source_id="7")
    bare = Battle.objects.create(
        arena=arena,
        pair=battle.pair,
        prompt=unpublished,
        system_a=battle.system_a,
        system_b=battle.system_b,
        source_key=1,
    )
    page = page_of(client, bare)
    assert "doesn’t publish its prompt" in page
    assert "doesn’t publish the outputs" in page
    assert "Ada" in page
    for part in ("prompt", "a", "b"):
        assert client.get(f"/a/poems/battles/{bare.pk}/{part}.txt").status_code == 404


def test_the_letters_belong_to_the_sides(client, battle):
    battle.output_b.text = "Only B says this."
    battle.output_b.save()
    assert client.get(f"/a/poems/battles/{battle.pk}/b.txt").content == b"Only B says this."
    assert client.get(f"/a/poems/battles/{battle.pk}/a.txt").content == b"Ada answers."
    assert [(side.letter, side.output.text) for side in _sides(client, battle)] == [
        ("A", "Ada answers."),
        ("B", "Only B says this."),
    ]


def _sides(client, battle):
    return client.get(battle.get_absolute_url()).context["sides"]


def test_plain_text_is_plain_whatever_it_says(client, battle):
    battle.output_a.text = "<script>alert(1)</script>"
    battle.output_a.save()
    response = client.get(f"/a/poems/battles/{battle.pk}/a.txt")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]


def test_an_output_of_a_million_characters_is_shown_in_part_with_a_link_to_the_whole(
    client, battle
):
    battle.output_a.text = "y" * 1_000_000
    battle.output_a.save()
    page = page_of(client, battle)
    assert len(page) < 100_000
    assert f'href="/a/poems/battles/{battle.pk}/a.txt"' in page
    assert "the first 24,000 of 1,000,000 characters" in page
    assert len(client.get(f"/a/poems/battles/{battle.pk}/a.txt").content) == 1_000_000


def test_a_blank_output_is_said_to_be_blank(client, battle):
    battle.output_b.text = " \n"
    battle.output_b.save()
    assert "The output is blank" in page_of(client, battle)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "text", "text": "in parts"}]}],
        [{"content": "no role"}],
        [{"role": "tool"}],
    ],
    ids=["content in parts", "no role", "no content"],
)
def test_an_odd_prompt_breaks_neither_page_nor_text(client, battle, messages):
    Prompt.objects.filter(pk=battle.prompt_id).update(messages=messages, title="Odd")
    page_of(client, battle)
    page_of(client, battle, raw="1")
    assert client.get(f"/a/poems/battles/{battle.pk}/prompt.txt").status_code == 200
    assert listed(client, battle.arena) == [battle.pk]


def test_a_lone_surrogate_breaks_neither_page_nor_text(client, battle, monkeypatch):
    # SQLite stores one, PostgreSQL refuses it: so it is put where the database would have given it.
    battle.prompt.messages = [{"role": "user", "content": "a\ud800b"}]
    monkeypatch.setattr(views, "_battle", lambda request, arena, pk: battle)
    assert "a\ufffdb" in page_of(client, battle)
    assert client.get(f"/a/poems/battles/{battle.pk}/prompt.txt").content == b"[user]\na?b"


def test_a_name_cannot_reorder_or_break_the_page(client, battle):
    battle.system_a.name = "\u202eadA<script>"
    battle.system_a.save()
    page = page_of(client, battle)
    assert "\u202e" not in page
    assert "<script>" not in page.replace("<script src", "").replace("<script nonce", "")


def test_neighbours_are_those_of_the_list_that_one_came_from(client, arena, systems, llm):
    battles = [
        cast.make_battle(systems[0], systems[1 + number % 2], cast.make_prompt(arena, str(number)))
        for number in range(5)
    ]
    middle = client.get(battles[2].get_absolute_url())
    assert (middle.context["older"], middle.context["newer"]) == (battles[1].pk, battles[3].pk)
    chosen = client.get(battles[2].get_absolute_url(), {"opponent": "basil", "system": "ada"})
    assert (chosen.context["older"], chosen.context["newer"]) == (battles[0].pk, battles[4].pk)
    assert f"battles/{battles[0].pk}/?system=ada&amp;opponent=basil" in chosen.content.decode()
    assert client.get(battles[4].get_absolute_url()).context["newer"] is None


def test_more_verdicts_than_fit_are_a_page_away(client, battle, people, monkeypatch):
    monkeypatch.setattr(records, "VERDICTS_SHOWN", 3)
    for number in range(5):
        cast.make_verdict(battle, people, Outcome.A, cast.make_voter(people, f"v{number}"))
    first = client.get(battle.get_absolute_url())
    assert len(first.context["rows"]) == 3
    rest = client.get(battle.get_absolute_url(), {"beyond": first.context["more_after"]})
    assert [row.verdict.voter.handle for row in rest.context["rows"]] == ["v3", "v4"]
    assert "People: 5 for A." in rest.content.decode()


def test_the_battle_page_asks_no_more_queries_of_more_verdicts(
    client, battle, people, django_assert_max_num_queries
):
    for number in range(30):
        voter = cast.make_voter(people, f"v{number}")
        verdict = cast.make_verdict(battle, people, Outcome.A, voter)
        VerdictTrace.objects.create(verdict=verdict, rationale="Because.")
    with django_assert_max_num_queries(8):
        page_of(client, battle)


def test_battles_of_another_arena_and_of_a_hidden_one_are_not_found(client, battle):
    cast.make_arena("prose")
    assert client.get(f"/a/prose/battles/{battle.pk}/").status_code == 404
    battle.arena.is_public = False
    battle.arena.save()
    for address in ("", f"{battle.pk}/", f"{battle.pk}/a.txt"):
        assert client.get(f"/a/poems/battles/{address}").status_code == 404


def test_staff_see_a_hidden_arena(admin_client, battle):
    battle.arena.is_public = False
    battle.arena.save()
    assert admin_client.get(battle.get_absolute_url()).status_code == 200


@pytest.mark.parametrize("number", ["0", "9" * 18, "9" * 19, "9" * 40])
def test_a_number_that_no_battle_has_is_not_found(client, battle, number):
    assert client.get(f"/a/poems/battles/{number}/").status_code == 404
    assert client.get(f"/a/poems/battles/{number}/a.txt").status_code == 404


def test_the_page_only_reads(client, battle):
    assert client.post(battle.get_absolute_url()).status_code == 405


# --- the list -------------------------------------------------------------------------------------


@pytest.fixture
def tournament(arena, systems, people, llm):
    """Six battles: three pairs on two prompts. People favour A; the LLM favours B on the second prompt.

    On the first prompt Basil against Cleo has votes for both sides.
    """
    voters = [cast.make_voter(people, handle) for handle in ("alice", "bob", "carol")]
    poems = Category.objects.create(arena=arena, slug="poems", name="Poems")
    battles = []
    for number, text in enumerate(["First.", "Second."]):
        prompt = cast.make_prompt(arena, text)
        if number:
            prompt.categories.add(poems)
        for one, other in ((0, 1), (0, 2), (1, 2)):
            battle = cast.make_battle(systems[one], systems[other], prompt)
            split = number == 0 and one == 1
            for voter in voters:
                outcome = Outcome.B if split and voter is voters[0] else Outcome.A
                cast.make_verdict(battle, people, outcome, voter)
            if number or one == 0:
                cast.make_verdict(battle, llm, Outcome.B if number else Outcome.A)
            battles.append(battle.pk)
    return battles


def test_the_newest_battles_come_first(client, arena, tournament):
    assert listed(client, arena) == tournament[::-1]


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({"system": "ada"}, [4, 3, 1, 0]),
        ({"system": "Ada"}, [4, 3, 1, 0]),
        ({"system": "ada", "opponent": "cleo"}, [4, 1]),
        ({"opponent": "cleo", "system": "ada"}, [4, 1]),
        ({"category": "poems"}, [5, 4, 3]),
        ({"judge": "gpt-4"}, [5, 4, 3, 1, 0]),
        ({"judge": "people"}, [5, 4, 3, 2, 1, 0]),
        ({"agreement": "opposite"}, [5, 4, 3]),
        ({"agreement": "opposite", "judge": "gpt-4", "system": "cleo"}, [5, 4]),
        ({"agreement": "same"}, [1, 0]),
        ({"agreement": "split"}, [5, 4, 3, 2]),
        ({"agreement": "split", "category": "poems", "judge": "gpt-4"}, [5, 4, 3]),
    ],
)
def test_battles_can_be_chosen(client, arena, tournament, query, places):
    assert listed(client, arena, **query) == [tournament[place] for place in places]


def test_battles_of_a_prompt(client, arena, tournament):
    prompt = Prompt.objects.get(arena=arena, messages__0__content="First.")
    assert listed(client, arena, prompt=prompt.pk) == tournament[2::-1]


def test_a_retracted_verdict_does_not_count_as_a_decision(client, arena, tournament, llm):
    for verdict in Verdict.objects.filter(judge=llm, battle_id=tournament[0]):
        retract_verdict(verdict=verdict)
    assert tournament[0] not in listed(client, arena, judge="gpt-4")
    assert tournament[0] not in listed(client, arena, agreement="same")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"system": "nobody"}, "No system of this arena is called “nobody”."),
        ({"system": "ada", "opponent": "Ada"}, "Ada doesn’t meet itself"),
        ({"judge": "nobody"}, "This arena has no judge “nobody”."),
        ({"category": "nothing"}, "This arena has no category “nothing”."),
        ({"prompt": "x"}, "This arena has no prompt x."),
        ({"prompt": "9" * 30}, "This arena has no prompt 9999"),
        ({"agreement": "perhaps"}, "Agreement is one of: opposite, same, split."),
        ({"agreement": "same", "judge": "people"}, "Choose a judge that isn’t people"),
        ({"system": "<script>"}, "called “&lt;script&gt;”"),
        ({"system": "\x00"}, "No system of this arena"),
    ],
)
def test_what_cannot_be_chosen_is_said_in_a_sentence(client, arena, tournament, query, problem):
    response = client.get("/a/poems/battles/", query)
    assert response.status_code == 200
    assert problem in response.content.decode()
    assert response.context["rows"] == []


def test_pages_follow_each_other_without_gap_or_overlap(client, arena, tournament, monkeypatch):
    monkeypatch.setattr(records, "PAGE", 2)
    seen, query = [], {}
    for _ in range(3):
        response = client.get("/a/poems/battles/", query)
        seen += [battle.pk for battle, _ in response.context["rows"]]
        query = {"before": response.context["page"].older}
    assert seen == tournament[::-1]
    assert response.context["page"].older is None
    back = client.get("/a/poems/battles/", {"after": response.context["page"].newer})
    assert [battle.pk for battle, _ in back.context["rows"]] == seen[2:4]


def test_a_search_looks_at_so_many_battles_and_says_how_to_go_on(
    client, arena, tournament, monkeypatch
):
    monkeypatch.setattr(records, "SEARCHED", 2)
    first = client.get("/a/poems/battles/", {"agreement": "same"})
    assert first.context["rows"] == []
    assert "None of the 2 battles" in first.content.decode()
    seen, older = [], first.context["page"].older
    while older is not None:
        response = client.get("/a/poems/battles/", {"agreement": "same", "before": older})
        seen += [battle.pk for battle, _ in response.context["rows"]]
        older = response.context["page"].older
    assert seen == [tournament[1], tournament[0]]


def test_the_list_asks_as_many_queries_for_fifty_battles_as_for_one(
    client, arena, systems, people, django_assert_max_num_queries
):
    counts = []
    for size in (1, 49):
        for number in range(size):
            prompt = cast.make_prompt(arena, f"{size} {number}")
            battle = cast.make_battle(systems[0], systems[1], prompt)
            voter = cast.make_voter(people, f"{size}-{number}")
            cast.make_verdict(battle, people, Outcome.A, voter)
        with django_assert_max_num_queries(10) as queries:
            listed(client, arena)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_list_neither_counts_nor_skips(
    client, arena, tournament, django_assert_max_num_queries
):
    with django_assert_max_num_queries(12) as queries:
        listed(client, arena, before=str(tournament[-1]))
    of_battles = [q["sql"] for q in queries if 'FROM "arena_battle"' in q["sql"]]
    assert of_battles
    for sql in of_battles:
        assert "COUNT(" not in sql
        assert "OFFSET" not in sql


def test_an_arena_without_battles_says_where_they_come_from(client, arena):
    assert "There are no battles yet." in client.get("/a/poems/battles/").content.decode()


def test_a_cursor_that_is_no_number_is_not_found(client, arena):
    assert client.get("/a/poems/battles/?before=x").status_code == 404


def test_htmx_gets_the_table_alone(client, arena, tournament):
    response = client.get("/a/poems/battles/?system=ada", headers={"HX-Request": "true"})
    page = response.content.decode()
    assert page.lstrip().startswith('<div id="battles"')
    assert "<html" not in page


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([("People", {0: 3, 2: 1}), ("GPT-4", {1: 1})], "People: 3 for A, 1 tie. GPT-4: B."),
        ([("People", {2: 2, 3: 1})], "People: 2 ties, 1 both bad."),
        ([("People", {1: 1200})], "People: 1,200 for B."),
        ([("GPT-4", {3: 1})], "GPT-4: both bad."),
        ([], "Nobody has decided this battle yet."),
    ],
)
def test_a_summary_in_words(groups, sentence):
    assert summary(groups) == sentence


def test_many_judges_are_counted_together(client, arena, battle):
    for number in range(records.NAMED_JUDGES + 3):
        judge = cast.make_judge(arena, f"Judge {number}", Judge.Kind.LLM)
        cast.make_verdict(battle, judge, Outcome.A)
    page = page_of(client, battle)
    assert "Judge 5: A. 3 more judges: 3 for A." in page
