"""A cascade that was asked for is calibrated by a worker, once, and says why where it can't be."""

import uuid

import numpy as np
import pytest

from judges.cascades.making import CascadeError, Terms, Tier
from judges.cascades.requests import request_cascade, sweep_requests, work_on_request
from judges.models import CascadeRequest, Judge
from tests.judges.judged_arena import make_judged_arena, make_sure_judge

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena():
    return make_judged_arena(80)


@pytest.fixture
def judge(arena):
    return make_sure_judge(arena, "Cheap", accuracy=lambda c: np.full_like(c, 0.95), seed=1)


def asked(arena, *judges, key=None, name="Cascade", **terms):
    return request_cascade(
        arena=arena,
        key=key or uuid.uuid4(),
        name=name,
        tiers=[Tier(judge, "none") for judge in judges],
        terms=Terms(**{"target": 0.7, **terms}),
    )


def test_a_request_makes_the_cascade_once(arena, judge):
    key = uuid.uuid4()
    request = asked(arena, judge, key=key)
    assert asked(arena, judge, key=key) == request
    done = work_on_request(request.pk)
    work_on_request(request.pk)

    assert (done.state, done.error) == ("done", "")
    assert done.judge.kind == Judge.Kind.CASCADE
    assert done.judge.configuration["calibration"]["tiers"][0]["n"] > 0
    assert Judge.objects.filter(kind=Judge.Kind.CASCADE).count() == 1


def test_what_can_be_told_at_once_is_refused_at_once(arena, judge):
    with pytest.raises(CascadeError, match="target"):
        asked(arena, judge, target=1.5)
    with pytest.raises(CascadeError, match="tier"):
        asked(arena)
    assert not CascadeRequest.objects.exists()


def test_a_name_that_was_taken_meanwhile_fails_in_words(arena, judge):
    request = asked(arena, judge, name="Taken")
    Judge.objects.filter(pk=judge.pk).update(name="Taken")
    failed = work_on_request(request.pk)
    assert failed.state == "failed"
    assert "choose another" in failed.error


def test_a_lost_message_is_sent_again(arena, judge, monkeypatch):
    queued = []
    monkeypatch.setattr("judges.cascades.requests._queue", queued.append)
    request = asked(arena, judge)
    CascadeRequest.objects.filter(pk=asked(arena, judge).pk).update(attempts=3)
    assert sweep_requests() == 1
    assert queued == [request.pk]
    assert CascadeRequest.objects.filter(state="failed", error__contains="never").count() == 1
