"""How long outputs are and how they are marked up, counted once."""

import pytest

from arena.models import Output, OutputStyle
from arena.style_counting import style_of
from arena.styles import count_styles
from tests import cast


@pytest.mark.parametrize(
    ("text", "headers", "lists", "bold"),
    [
        ("", 0, 0, 0),
        ("# One\n\n## Two\n### Three ###", 3, 0, 0),
        ("#hashtag\n    # code by four spaces\n####### seven", 0, 0, 0),
        ("- a\n* b\n+ c\n1. d\n22) e\n  - f", 0, 6, 0),
        ("-not\n3.14 is pi\n2024 was\n---", 0, 0, 0),
        ("**one** and **two words**, __three__ and snake__case__name", 0, 0, 3),
        ("** open\nand closed **", 0, 0, 0),
        ("```\n# no\n- no\n**no**\n```\n# yes", 1, 0, 0),
        ("~~~~ python\n```\n# no\n~~~\n~~~~\n- yes", 0, 1, 0),
        ("```\n# never closed\n- no", 0, 0, 0),
        ("``` `` `` not a fence but we take it for one\n# no", 0, 0, 0),
    ],
)
def test_marks_are_counted_outside_of_code(text, headers, lists, bold):
    assert style_of(text) == (len(text), headers, lists, bold)


@pytest.mark.parametrize("piece", ["*", "**a", "__", "# ", "- ", "`", "```\n", "1.", "\t", "**a**"])
def test_hostile_text_takes_no_longer_than_its_length(piece):
    found = style_of(piece * 200_000)
    assert found.characters == len(piece) * 200_000


@pytest.mark.django_db
def test_each_output_is_counted_once(monkeypatch):
    monkeypatch.setattr("arena.styles.AT_ONCE", 2)
    arena = cast.make_small_arena()
    Output.objects.filter(pk=arena.outputs.first().pk).update(text="# Ode\n- **O**")
    total = arena.outputs.count()
    assert count_styles(arena=arena) == total
    assert count_styles(arena=arena) == 0
    assert OutputStyle.objects.count() == total
    style = arena.outputs.first().style
    assert (style.characters, style.headers, style.lists, style.bold) == (13, 1, 1, 1)
