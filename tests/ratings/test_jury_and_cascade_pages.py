"""The page of a jury says who sits on it and who dissents; that of a cascade what it claims."""

import numpy as np
import pytest
from django.utils import timezone

from judges.cascades.making import Terms, Tier, make_cascade
from judges.derivations import derive
from judges.derived_figures import derived_figures
from judges.juries.making import make_jury
from judges.models import Derivation, Judge, Outcome
from tests import cast
from tests.judges.judged_arena import make_judged_arena, make_sure_judge

pytestmark = pytest.mark.django_db
A, B, TIE, BAD = Outcome


def text_of(client, judge):
    response = client.get(f"/a/{judge.arena.slug}/judges/{judge.slug}/")
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


@pytest.fixture
def jury():
    """Three programs on 36 battles; the third says B where the others say A, always."""
    arena = cast.make_small_arena()
    members = [cast.make_judge(arena, name, Judge.Kind.PROGRAM) for name in ("One", "Two", "Three")]
    for battle in arena.battles.all():
        for member, outcome in zip(members, (A, A, B), strict=True):
            cast.make_verdict(battle, member, outcome)
    return make_jury(arena=arena, name="Jury", members=members, rule="weighted")


def test_a_jury_that_was_not_derived_yet_says_so(client, jury):
    assert "being derived for the first time" in text_of(client, jury)


def test_a_jurys_page_counts_votes_and_dissent_and_shows_the_exam(client, jury):
    derive(judge=jury)
    text = text_of(client, jury)
    assert "3 judges as one: a vote weighted by how often each member agrees with people" in text
    [one, three, _] = derived_figures(jury).members
    assert (one["slug"], one["voted"], one["dissented"]) == ("one", 36, 0)
    assert (three["slug"], three["dissented"], three["share"]) == ("three", 36, 1.0)
    assert f"{one['exam']['n']}" in text
    assert "100.0" in text


@pytest.fixture
def arena():
    return make_judged_arena(200)


def cascade_of(arena, accuracy, target):
    judge = make_sure_judge(arena, "Cheap", accuracy=lambda c: np.full_like(c, accuracy), seed=1)
    terms = Terms(target=target, delta=0.1, seed=1, votes=1, share=0.6)
    cascade = make_cascade(arena=arena, name="Cascade", tiers=[Tier(judge, "none")], terms=terms)
    derive(judge=cascade)
    return cascade


def test_a_cascades_page_states_its_claim_and_what_was_held_out(client, arena):
    cascade = cascade_of(arena, 0.97, 0.8)
    text = text_of(client, cascade)
    shown = derived_figures(cascade)
    assert not shown.abstains
    assert "on at least 80.0" in text
    assert "the chance that this is wrong is at most 10.0" in text
    held = cascade.configuration["calibration"]["held_out"]
    assert f"{held['right']} of {held['accepted']}" in text
    assert shown.tiers[0]["at_least"] >= 0.8
    assert shown.tiers[0]["accepted"] == shown.figures["decided"] > 0


def test_a_cascade_that_nobody_can_be_trusted_with_says_that_it_decides_nothing(client, arena):
    cascade = cascade_of(arena, 0.5, 0.9)
    text = text_of(client, cascade)
    assert "It decides nothing" in text
    assert "abstains" in text
    assert derived_figures(cascade).figures["abstained"] == 200


def test_a_withdrawn_claim_stands_first(client, arena):
    cascade = cascade_of(arena, 0.97, 0.8)
    Derivation.objects.filter(judge=cascade).update(withdrawn_at=timezone.now())
    text = text_of(client, cascade)
    assert text.index("This claim was withdrawn") < text.index("Of the battles that it decides")


def test_other_judges_have_no_such_section(client, arena):
    judge = make_sure_judge(arena, "Cheap", accuracy=lambda c: np.full_like(c, 0.9), seed=1)
    assert derived_figures(judge) is None
    text = text_of(client, judge)
    assert "What it claims" not in text
    assert "judge-comparison" in text
