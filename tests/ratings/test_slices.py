import pytest

from ratings.slices import Slice, SliceError, judge_ids
from tests import cast


def test_equal_slices_have_equal_digests_and_seeds():
    assert Slice(category="news").digest == Slice(category="news").digest
    assert Slice(category="news").seed == Slice(category="news").seed
    assert Slice().digest != Slice(method="davidson").digest


def test_a_slice_survives_storage():
    slice = Slice(judge="llm", category="news", since="2026-01-31", method="elo", ridge=0.5)
    assert Slice.from_json(slice.as_json()) == slice


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"method": "magic"}, "method: 'magic' is not one of bt, davidson, style, elo"),
        ({"ridge": -1}, "ridge: -1"),
        ({"ridge": float("nan")}, "ridge: nan"),
        ({"since": "yesterday"}, "since: 'yesterday' is not a date"),
    ],
)
def test_a_slice_that_cannot_be_counted_says_which_part_and_why(parts, says):
    with pytest.raises(SliceError, match=says):
        Slice(**parts)


def test_a_stored_slice_with_an_unknown_part_is_refused():
    with pytest.raises(SliceError, match="mood: not a part"):
        Slice.from_json({"mood": "good"})


@pytest.mark.django_db
def test_people_are_all_crowds_of_the_arena():
    arena = cast.make_arena()
    crowds = [cast.make_judge(arena), cast.make_judge(arena, "Experts")]
    cast.make_judge(arena, "LLM", "llm")
    cast.make_judge(cast.make_arena("recipes"), "Cooks")
    assert judge_ids(arena=arena, judge="people") == [judge.pk for judge in crowds]


@pytest.mark.django_db
def test_an_unknown_judge_is_named_with_those_that_exist():
    arena = cast.make_arena()
    cast.make_judge(arena, "LLM", "llm")
    with pytest.raises(SliceError, match="poems has no judge 'gpt'; it has people, llm"):
        judge_ids(arena=arena, judge="gpt")


@pytest.mark.django_db
def test_people_are_named_once_though_a_crowd_has_that_slug():
    arena = cast.make_arena()
    cast.make_judge(arena, "People")
    with pytest.raises(SliceError, match=r"it has people\.$"):
        judge_ids(arena=arena, judge="gpt")
