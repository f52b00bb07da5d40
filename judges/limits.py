"""How fast one person, and one network, may vote. Addresses are never kept."""

import ipaddress
import math
from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from judges.models import Ballot, Ranking, Voter

SECONDS = 60


class TooManyVotes(Exception):
    """``seconds``: how long to wait."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(f"That was faster than anybody can read: wait {seconds} s, then go on.")


def check_limits(*, voter: Voter, network: str, of: type[Ballot] | type[Ranking] = Ballot) -> None:
    """Raises TooManyVotes when the voter or the network decided too many of them in the last minute."""
    now = timezone.now()
    since = now - timedelta(seconds=SECONDS)
    recent = of.objects.filter(decided_at__gt=since).order_by("-decided_at")
    decided = [state for state in of.State if state != of.State.OPEN]
    limits = [
        (recent.filter(voter=voter, state__in=decided), settings.VOTES_PER_MINUTE),
    ]
    if network:
        limits.append((recent.filter(network=network), settings.NETWORK_VOTES_PER_MINUTE))
    for ballots, most in limits:
        # The time of the vote that must leave the last minute before there is room for another.
        oldest = ballots.values_list("decided_at", flat=True)[most - 1 : most].first()
        if oldest is not None:
            wait = (oldest - since).total_seconds()
            raise TooManyVotes(max(1, math.ceil(wait)))


def network_of(request: HttpRequest) -> str:
    """A keyed hash of the network that a request comes from, another one every day; empty when unknown.

    IPv6 addresses count by their /64, which is what one customer has.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_TLS:
        # The proxy in front writes the last entry; those before it are the client's own words.
        address = request.META.get("HTTP_X_FORWARDED_FOR", address).rsplit(",", 1)[-1].strip()
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    network = str(parsed)
    if parsed.version == 6:
        network = str(ipaddress.ip_network((parsed, 64), strict=False))
    day = timezone.now().date().isoformat()
    return salted_hmac("judges.limits", f"{day} {network}").hexdigest()[:32]
