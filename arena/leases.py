"""Work that a row in the database stands for: claimed by one worker, asked for again when that one dies."""

from datetime import timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone


class LeaseQuerySet(models.QuerySet):
    def unclaimed(self) -> Self:
        """Rows that nobody works on: never claimed, released, or claimed by a worker whose lease ran out."""
        return self.filter(
            models.Q(claimed_until=None) | models.Q(claimed_until__lt=timezone.now())
        )

    def claim(self, pk: int) -> bool:
        """Take the row for ``JOB_LEASE_SECONDS``; False when somebody else has it.

        One conditional UPDATE, so that of two workers with the same message one wins.
        """
        until = timezone.now() + timedelta(seconds=settings.JOB_LEASE_SECONDS)
        return bool(
            self.unclaimed()
            .filter(pk=pk)
            .update(claimed_until=until, attempts=models.F("attempts") + 1)
        )


class Lease(models.Model):
    """Fields of a job row. ``attempts`` counts claims since the last success."""

    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    attempts = models.PositiveIntegerField(default=0, editable=False)
    error = models.TextField(
        blank=True, help_text="Why the last attempt failed; empty when it didn't."
    )

    class Meta:
        abstract = True
