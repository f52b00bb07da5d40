"""Parts of a page, answered to htmx at the address of the page itself."""

from django.http import HttpRequest
from django.views.decorators.vary import vary_on_headers

# For every view that chooses its template by request.htmx: without it a cache, or the browser's own when
# somebody goes back, shows the part where the page should be.
answers_in_parts = vary_on_headers("HX-Request", "HX-History-Restore-Request")


def wants_part(request: HttpRequest) -> bool:
    """Whether htmx asks for a part; when it restores its history it wants the page."""
    return bool(request.htmx and not request.htmx.history_restore_request)
