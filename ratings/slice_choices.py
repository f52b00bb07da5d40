"""From the words of a query string to a slice, and what else there is to choose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from arena.models import Arena, Category
from judges.models import Judge
from ratings.slices import METHODS, PEOPLE, Slice, SliceError, voter_ids

KEYS = ("judge", "category", "criterion", "method", "helped_by", "without")


class JudgeChoice(NamedTuple):
    value: str
    name: str
    is_simulated: bool
    slugs: tuple[str, ...]  # of the judges behind it
    is_people: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """A slice of an arena and the alternatives to each of its parts."""

    slice: Slice
    judge: JudgeChoice
    category: Category | None
    judges: list[JudgeChoice]
    categories: list[Category]
    criteria: list[str]
    helpers: list[JudgeChoice]  # the judges whose verdicts could sharpen those of people
    query: str  # the query string that chooses the same

    @property
    def helper(self) -> JudgeChoice | None:
        return next((one for one in self.helpers if one.value == self.slice.helped_by), None)

    @property
    def method(self) -> str:
        return METHODS[self.slice.method]

    @property
    def methods(self) -> list[tuple[str, str]]:
        return list(METHODS.items())


def chosen_slice(query: Mapping[str, str], *, arena: Arena) -> Chosen:
    """Reads judge, category, criterion, method, helped_by and without; SliceError says which isn't there.

    Only what the arena has is accepted: whoever invents values doesn't make us compute anything.
    """
    judges = judge_choices(arena)
    categories = list(Category.objects.filter(arena=arena))
    criteria = [str(criterion) for criterion in arena.criteria]
    wanted = {key: query.get(key, "").strip()[:200] for key in KEYS}
    judge = _judge(judges, wanted["judge"])
    category = None
    if wanted["category"]:
        category = next((c for c in categories if c.slug == wanted["category"]), None)
        if category is None:
            raise SliceError(f"This arena has no category “{wanted['category']}”.")
    if wanted["criterion"] and wanted["criterion"] not in criteria:
        raise SliceError(f"This arena has no criterion “{wanted['criterion']}”.")
    if wanted["method"] and wanted["method"] not in METHODS:
        raise SliceError(f"The method is one of {', '.join(METHODS)}, not “{wanted['method']}”.")
    helpers = [one for one in judges if judge.is_people and not one.is_people]
    if wanted["helped_by"] and wanted["helped_by"] not in {one.value for one in helpers}:
        raise SliceError(
            f"No judge “{wanted['helped_by']}” can help here: people's verdicts can be helped by a judge "
            "that isn't people."
        )
    if wanted["without"]:
        voter_ids(arena=arena, judge=judge.value, handle=wanted["without"])
    return Chosen(
        slice=Slice(
            without=wanted["without"],
            judge=judge.value,
            category=wanted["category"],
            criterion=wanted["criterion"],
            method=wanted["method"] or "bt",
            helped_by=wanted["helped_by"],
        ),
        judge=judge,
        category=category,
        judges=judges,
        categories=categories,
        criteria=criteria,
        helpers=helpers,
        query=urlencode({key: value for key, value in wanted.items() if value}),
    )


def judge_choices(arena: Arena) -> list[JudgeChoice]:
    """ "People" first, who are all crowds together, then every judge; single crowds where there are several."""
    judges = list(Judge.objects.filter(arena=arena).defer("configuration", "description"))
    crowds = [judge for judge in judges if judge.is_people]
    choices = []
    if crowds or not judges:
        simulated = any(crowd.is_simulated for crowd in crowds)
        slugs = tuple(crowd.slug for crowd in crowds)
        choices.append(JudgeChoice(PEOPLE, "People", simulated, slugs, is_people=True))
    for judge in judges:
        if judge.slug != PEOPLE and (len(crowds) != 1 or not judge.is_people):
            slugs = (judge.slug,)
            choices.append(
                JudgeChoice(
                    judge.slug, str(judge), judge.is_simulated, slugs, is_people=judge.is_people
                )
            )
    return choices


def _judge(choices: list[JudgeChoice], wanted: str) -> JudgeChoice:
    if not wanted:
        return choices[0]
    for choice in choices:
        if choice.value == wanted or choice.slugs == (wanted,):
            return choice
    raise SliceError(f"This arena has no judge “{wanted}”.")
