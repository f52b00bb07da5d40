"""Figures that a page asks the database for, kept for a while where that took long."""

import hashlib
import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from django.core.cache import cache
from django.utils import timezone

SLOW = 0.2  # seconds; what is faster is asked again each time
KEPT = 600  # seconds


class Kept(NamedTuple):
    value: Any
    counted_at: datetime


def recent(compute: Callable[[], Any], *of: str | int) -> Kept:
    """What ``compute`` gives, or gave at most KEPT seconds ago if it was slow. ``of`` says what it is of.

    Who may see it is for the caller to decide, before.
    """
    key = "figure-" + hashlib.sha256(json.dumps(of).encode()).hexdigest()
    kept = cache.get(key)
    if kept is None:
        started = time.monotonic()
        kept = Kept(compute(), timezone.now())
        if time.monotonic() - started > SLOW:
            cache.set(key, kept, KEPT)
    return kept
