"""Nobody reads forty battles a minute; an address is never kept."""

from datetime import timedelta

import pytest
from django.test import RequestFactory
from django.utils import timezone

from judges.limits import TooManyVotes, check_limits, network_of
from judges.models import Ballot, Verdict
from judges.voters import crowd_of
from tests.cast import make_voter

pytestmark = pytest.mark.django_db


@pytest.fixture
def carol(small_arena):
    return make_voter(crowd_of(small_arena), "carol")


def decide(voter, battles, *, seconds_ago=0, network=""):
    for battle in battles:
        Ballot.objects.create(
            arena=battle.arena,
            voter=voter,
            battle=battle,
            state=Ballot.State.SKIPPED,
            shown_first=Verdict.Side.A,
            decided_at=timezone.now() - timedelta(seconds=seconds_ago),
            network=network,
        )


def test_a_voter_has_to_wait_until_there_is_room(small_arena, carol, settings):
    settings.VOTES_PER_MINUTE = 5
    battles = list(small_arena.battles.all())
    decide(carol, battles[:4], seconds_ago=40)
    check_limits(voter=carol, network="")
    decide(carol, battles[4:5])
    with pytest.raises(TooManyVotes) as caught:
        check_limits(voter=carol, network="")
    assert 18 <= caught.value.seconds <= 20


def test_what_was_a_minute_ago_does_not_count(small_arena, carol, settings):
    settings.VOTES_PER_MINUTE = 5
    decide(carol, small_arena.battles.all()[:5], seconds_ago=61)
    check_limits(voter=carol, network="")


def test_a_network_has_a_limit_of_its_own(small_arena, carol, settings):
    settings.NETWORK_VOTES_PER_MINUTE = 3
    other = make_voter(carol.judge, "dave")
    decide(other, small_arena.battles.all()[:3], network="school")
    check_limits(voter=carol, network="home")
    with pytest.raises(TooManyVotes):
        check_limits(voter=carol, network="school")


def network(**meta):
    return network_of(RequestFactory().get("/", **meta))


def test_an_address_is_hashed():
    hashed = network(REMOTE_ADDR="203.0.113.7")
    assert len(hashed) == 32
    assert hashed == network(REMOTE_ADDR="203.0.113.7")
    assert hashed != network(REMOTE_ADDR="203.0.113.8")


def test_the_hash_is_another_one_the_next_day(monkeypatch):
    today = network(REMOTE_ADDR="203.0.113.7")
    tomorrow = timezone.now() + timedelta(days=1)
    monkeypatch.setattr("judges.limits.timezone.now", lambda: tomorrow)
    assert network(REMOTE_ADDR="203.0.113.7") != today


def test_addresses_of_one_customer_are_one_network():
    assert network(REMOTE_ADDR="2001:db8::1") == network(REMOTE_ADDR="2001:db8::2")
    assert network(REMOTE_ADDR="2001:db8::1") != network(REMOTE_ADDR="2001:db8:0:1::1")


def test_a_client_cannot_choose_its_network(settings):
    settings.BEHIND_TLS = False
    claimed = network(REMOTE_ADDR="203.0.113.7", HTTP_X_FORWARDED_FOR="198.51.100.1")
    assert claimed == network(REMOTE_ADDR="203.0.113.7")
    settings.BEHIND_TLS = True
    through_proxy = network(
        REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="198.51.100.1, 203.0.113.7"
    )
    assert through_proxy == claimed


def test_no_address_is_no_network():
    assert network(REMOTE_ADDR="") == ""


def test_an_old_address_in_new_clothes_is_the_old_address():
    old, other = (
        network_of(RequestFactory().get("/", REMOTE_ADDR=address))
        for address in ("192.0.2.7", "192.0.2.8")
    )
    mapped = network_of(RequestFactory().get("/", REMOTE_ADDR="::ffff:192.0.2.7"))
    assert mapped == old != other
