"""Figures narrowed to a category follow which prompts belong to it."""

import pytest
from django.db import transaction

from arena.models import Category
from ratings import publications
from ratings.models import Publication
from ratings.slices import Slice
from tests import cast
from tests.judges.datasets import load, write_jsonl


@pytest.fixture
def category(small_arena):
    category = small_arena.categories.create(slug="odes", name="Odes")
    category.prompts.set(small_arena.prompts.all()[:3])
    small_arena.categories.create(slug="other", name="Other")
    for slug in ("odes", "other", ""):
        publications.publication_for(arena=small_arena, slice=Slice(category=slug))
    current()
    return category


def current():
    Publication.objects.update(stale_since=None)


def stale():
    found = set(
        Publication.objects.exclude(stale_since=None).values_list("slice__category", flat=True)
    )
    current()
    return found


def test_labels_that_are_added_and_removed_make_figures_of_the_category_stale(
    small_arena, category
):
    prompt = small_arena.prompts.last()
    prompt.categories.add(category)
    assert stale() == {"odes"}
    prompt.categories.add(category)
    assert stale() == set()
    category.prompts.remove(prompt)
    assert stale() == {"odes"}
    category.prompts.set(small_arena.prompts.all())
    assert stale() == {"odes"}


def test_clearing_is_noticed_from_both_sides(small_arena, category):
    small_arena.prompts.first().categories.clear()
    assert stale() == {"odes"}
    category.prompts.clear()
    assert stale() == {"odes"}


def test_another_slug_is_noticed_and_another_name_is_nothing(category):
    category.name = "Songs"
    category.save()
    assert stale() == set()
    category.slug = "other-odes"
    category.save()
    assert stale() == {"odes"}


def test_a_category_that_goes_is_noticed(category):
    Category.objects.filter(pk=category.pk).delete()
    assert stale() == {"odes"}


def test_figures_of_other_arenas_are_left_alone(category):
    tales = cast.make_arena("tales")
    cast.make_judge(tales)
    elsewhere = tales.categories.create(slug="odes", name="Odes")
    elsewhere.prompts.add(cast.make_prompt(tales))
    assert stale() == set()


def test_what_a_label_makes_stale_is_undone_with_the_label(small_arena, category):
    with pytest.raises(RuntimeError), transaction.atomic():
        small_arena.prompts.last().categories.add(category)
        raise RuntimeError("the connection broke")
    assert stale() == set()


def test_an_import_that_only_adds_labels_is_noticed(db, tmp_path):
    row = {"model_a": "Ada", "model_b": "Basil", "winner": "model_a", "judge": "Bot",
           "prompt": "Write an ode.", "output_a": "O!", "output_b": "Oh!"}  # fmt: skip
    arena = load(write_jsonl(tmp_path / "votes.jsonl", [row]), format="table").arena
    category = arena.categories.create(slug="odes", name="Odes")
    for slug in ("odes", ""):
        publications.publication_for(arena=arena, slice=Slice(judge="bot", category=slug))
    current()
    labelled = write_jsonl(tmp_path / "labelled" / "votes.jsonl", [row | {"category": "Odes"}])
    report = load(labelled, format="table")
    assert report.nouns["verdicts"].added == 0
    assert category.prompts.count() == 1
    assert stale() == {"odes"}
