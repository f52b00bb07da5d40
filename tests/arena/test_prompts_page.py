import html
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arena.models import Prompt
from tests import cast

URL = "/a/poems/prompts/"


def shown(response) -> list[str]:
    return [str(prompt) for prompt in response.context["page"].prompts]


def test_prompts_are_found_by_their_words(small_arena, client):
    cast.make_prompt(small_arena, "Schreibe ein Gedicht über Köln.")
    assert shown(client.get(URL, {"q": "Köln"})) == ["Schreibe ein Gedicht über Köln."]
    assert shown(client.get(URL, {"q": "number 4"})) == ["Write poem number 4."]


def test_a_question_after_a_system_message_is_found(small_arena, client):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is a sonnet?"},
    ]
    prompt = Prompt.objects.create(arena=small_arena, messages=messages)
    assert shown(client.get(URL, {"q": "SONNET"})) == [str(prompt)]


def test_titles_and_source_names_are_searched(small_arena, client):
    cast.make_prompt(small_arena, "One.", title="Haiku", source_id="row-77")
    assert shown(client.get(URL, {"q": "haiku"})) == ["Haiku"]
    assert shown(client.get(URL, {"q": "row-77"})) == ["Haiku"]


def test_a_search_without_result_leads_back(small_arena, client):
    response = client.get(URL, {"q": "zebra"})
    assert "No prompt fits" in response.content.decode()
    assert f'href="{URL}"' in response.content.decode()


def test_a_category_filters(small_arena, client):
    category = small_arena.categories.create(slug="short", name="Short")
    category.prompts.set(small_arena.prompts.all()[:2])
    assert len(shown(client.get(URL, {"category": "short"}))) == 2


def test_an_unknown_category_is_said(small_arena, client):
    response = client.get(URL, {"category": "none"})
    assert response.status_code == 404
    assert "This arena has no category “none”." in response.content.decode()


def test_prompts_come_in_pages_with_constant_queries(small_arena, client):
    category = small_arena.categories.create(slug="short", name="Short")
    counts = []
    for number in (4, 60):
        for n in range(number):
            cast.make_prompt(small_arena, f"More {number} {n}").categories.add(category)
        with CaptureQueriesContext(connection) as queries:
            response = client.get(URL)
        counts.append(len(queries))
    assert len(shown(response)) == 50
    assert counts[0] == counts[1]
    assert not any("COUNT(" in query["sql"] for query in queries)


def links(response) -> dict[str, str]:
    """rel → address of the links between pages."""
    found = re.findall(r'<a rel="(prev|next)" href="([^"]+)"', response.content.decode())
    return {rel: html.unescape(address) for rel, address in found}


def test_pages_lead_on_and_back_by_the_last_prompt_that_was_seen(small_arena, client):
    for n in range(120):
        cast.make_prompt(small_arena, f"More {n:03}")
    everything = [str(prompt) for prompt in small_arena.prompts.order_by("pk")]
    first = client.get(URL)
    assert set(links(first)) == {"next"}
    second = client.get(URL + links(first)["next"])
    third = client.get(URL + links(second)["next"])
    assert set(links(third)) == {"prev"}
    assert shown(first) + shown(second) + shown(third) == everything
    back = client.get(URL + links(third)["prev"])
    assert shown(back) == shown(second)
    assert shown(client.get(URL + links(back)["prev"])) == shown(first)


def test_filters_are_kept_from_page_to_page(small_arena, client):
    for n in range(60):
        cast.make_prompt(small_arena, f"Poem {n:03}")
    response = client.get(URL, {"q": "poem"})
    assert "q=poem" in links(response)["next"]
    assert len(shown(client.get(URL + links(response)["next"]))) == 16


def test_a_search_looks_at_so_many_and_says_how_far_it_came(small_arena, client, monkeypatch):
    monkeypatch.setattr("arena.prompts.SEARCHED", 4)
    response = client.get(URL, {"q": "number 5"})
    assert shown(response) == []
    assert "None of the 4 prompts that were looked at fits" in response.content.decode()
    assert "Look further" in response.content.decode()
    assert shown(client.get(URL + links(response)["next"])) == ["Write poem number 5."]


@pytest.mark.parametrize("cursor", ["after=x", "before=-1", "after=" + "9" * 30])
def test_what_is_no_number_of_a_prompt_is_said(small_arena, client, cursor):
    response = client.get(f"{URL}?{cursor}")
    assert response.status_code == 404
    assert "is the number of a prompt" in response.content.decode()


def test_an_unpublished_prompt_says_so(db, client):
    arena = cast.make_arena()
    prompt = Prompt.objects.create(arena=arena, messages=[])
    assert "not published" in client.get(URL).content.decode()
    assert "doesn’t publish this prompt" in client.get(f"{URL}{prompt.pk}/").content.decode()


def test_a_prompts_page_shows_every_answer_in_pages(small_arena, client):
    prompt = small_arena.prompts.first()
    for n in range(20):
        cast.make_output(cast.make_system(small_arena, f"More {n:02}"), prompt, f"Answer **{n}**")
    first = client.get(f"{URL}{prompt.pk}/")
    assert first.context["page"].paginator.count == 24
    assert "Ada answers." in first.content.decode()
    second = client.get(f"{URL}{prompt.pk}/", {"page": 2}).content.decode()
    assert "Answer <strong>19</strong>" in second
    raw = client.get(f"{URL}{prompt.pk}/", {"page": 2, "raw": 1}).content.decode()
    assert "Answer **19**" in raw


@pytest.mark.parametrize("outputs", [1, 12])
def test_queries_of_a_prompts_page_do_not_grow_with_answers(db, client, outputs):
    arena = cast.make_arena()
    prompt = cast.make_prompt(arena)
    for n in range(outputs):
        cast.make_output(cast.make_system(arena, f"System {n}"), prompt)
    with CaptureQueriesContext(connection) as queries:
        client.get(f"{URL}{prompt.pk}/")
    assert len(queries) == 5, [query["sql"][:120] for query in queries]


def test_a_reference_answer_is_shown(small_arena, client):
    prompt = cast.make_prompt(small_arena, "Which?", reference="The *second* one.")
    page = client.get(f"{URL}{prompt.pk}/").content.decode()
    assert "Reference answer" in page
    assert "<em>second</em>" in page


def test_a_prompt_of_another_arena_is_not_found(small_arena, client):
    cast.make_arena("tales")
    assert client.get(f"/a/tales/prompts/{small_arena.prompts.first().pk}/").status_code == 404


def test_a_nul_in_a_search_finds_what_is_without_it(small_arena, client):
    cast.make_prompt(small_arena, "Draw the sea.")
    assert shown(client.get(URL, {"q": "s\x00ea"})) == ["Draw the sea."]
