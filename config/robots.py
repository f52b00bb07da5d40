"""What crawlers are asked to leave alone."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

# Every choice of judge, category and method is a leaderboard of its own, which is computed when it is asked
# for: crawlers see each page as it is without a choice. Lists that page by query string stay open to them.
RULES = """\
User-agent: *
Disallow: /api/
Disallow: /admin/
Disallow: /accounts/
Disallow: /invitations/
Disallow: /a/*/manage/
Disallow: /a/*/runs/
Disallow: /a/*/calls/
Disallow: /a/*/verdicts/
Disallow: /a/*/leaderboard/*?
Disallow: /a/*/matrix/*?
Disallow: /a/*/fragility/*?
Disallow: /a/*/what-if/*?
Disallow: /a/*/systems/*?
Disallow: /a/*/systems/*/opponents/
Disallow: /a/*/judges/*?
Disallow: /a/*/snapshots/*?
Disallow: /a/*/data/*.
Disallow: /a/*/leaderboard.
Disallow: /a/*/history.csv
Disallow: /a/*/history/*?
Disallow: /a/*/embed/
"""


@require_safe
@cache_control(public=True, max_age=86_400)
def robots(request: HttpRequest) -> HttpResponse:
    return HttpResponse(RULES, content_type="text/plain; charset=utf-8")
