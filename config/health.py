"""Whether this process can serve: for load balancers and whoever is on call."""

import logging

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

log = logging.getLogger(__name__)


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers, else 503. The reason is a sentence; the details are in the log."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError:
        # The error may name hosts and users, so only the log gets it.
        log.exception("The database does not answer.")
        return JsonResponse(
            {"status": "unavailable", "reason": "The database does not answer."}, status=503
        )
    return JsonResponse({"status": "ok"})
