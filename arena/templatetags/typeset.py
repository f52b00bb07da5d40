"""``{% load typeset %}``: how numbers and times are set on every page, and headers that sort."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from arena.counts import MOST_COUNTED

register = template.Library()

MINUS = "−"
DASH = "–"
# A percent sign belongs to its number: narrow, and never broken from it.
THIN = "\u202f"
_STEPS = ((60, "second", 1), (3600, "minute", 60), (86_400, "hour", 3600))
_LASTING = ((90, "second", 1), (5400, "minute", 60), (86_400 * 2, "hour", 3600))
_LASTING += ((float("inf"), "day", 86_400),)
_STEPS += ((86_400 * 60, "day", 86_400), (86_400 * 730, "month", 86_400 * 30.44))


@register.filter
def whole(value: float | None) -> str:
    """1234.4 reads "1,234"; a dash for nothing."""
    if value is None or value == "":
        return DASH
    return f"{round(value):,}".replace("-", MINUS)


@register.filter
def signed(value: float | None) -> str:
    """ "+12", "−3", "0"."""
    if value is None:
        return DASH
    rounded = round(value)
    return f"{rounded:+,}".replace("-", MINUS) if rounded else "0"


@register.filter
def signed_points(share: float | str | None) -> str:
    """A share as percentage points with its sign: .091 reads "+9.1"."""
    if share is None or isinstance(share, str):
        return DASH
    rounded = round(share * 100, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", MINUS)


@register.filter
def percent(share: float | None, digits: int = 0) -> str:
    """.543 reads "54 %"."""
    return DASH if share is None else f"{share * 100:.{digits}f}{THIN}%".replace("-", MINUS)


@register.filter
def percent_number(share: float) -> str:
    """.543 reads "54", for tables that say "per cent" once."""
    return f"{share * 100:.0f}"


@register.filter
def span(lower: float | None, upper: float | None) -> str:
    """Two whole numbers as an interval: "3–7"; "3" when they are the same."""
    if lower is None or upper is None:
        return DASH
    first, last = whole(lower), whole(upper)
    if first == last:
        return first
    # After a minus sign an en dash is misread.
    return f"{first} to {last}" if MINUS in first + last else f"{first}{DASH}{last}"


@register.filter
def ago(when: datetime | None) -> SafeString | str:
    """How long ago, as <time>, with the exact time on hover."""
    if when is None:
        return "never"
    exact = when.astimezone(timezone.get_current_timezone())
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        exact.isoformat(timespec="seconds"),
        exact.strftime("%-d %B %Y, %H:%M:%S UTC"),
        in_words((timezone.now() - when).total_seconds()),
    )


def in_words(seconds: float) -> str:
    """ "just now", "2 minutes ago", "3 years ago"; a clock that is a little ahead doesn't show."""
    if seconds < 5:
        return "just now"
    unit, size = next(
        ((unit, size) for limit, unit, size in _STEPS if seconds < limit), ("year", 86_400 * 365.25)
    )
    n = int(seconds // size)
    return f"{n} {unit}{'' if n == 1 else 's'} ago"


@register.filter
def lasting(seconds: float | None) -> str:
    """How long something takes: "40 seconds", "12 minutes", "3 hours"; a dash for what isn't known."""
    if seconds is None:
        return DASH
    unit, size = next((unit, size) for limit, unit, size in _LASTING if seconds < limit)
    return count_of(max(1, round(seconds / size)), unit)


@register.filter
def usd(amount: float | Decimal | None) -> str:
    """ "$12.30"; below a dollar with as many digits as tell something: "$0.0042"."""
    if amount is None:
        return DASH
    if 0 < amount < 0.0001:
        return f"<{THIN}$0.0001"
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.4f}"


@register.filter
def count_of(n: int, noun: str) -> str:
    """``{{ 3|count_of:"battle" }}`` reads "3 battles"; "category,categories" gives the plural."""
    singular, _, plural = noun.partition(",")
    return f"{whole(n)} {singular if n == 1 else plural or singular + 's'}"


@register.filter
def capped_count_of(n: int, noun: str) -> str:
    """The same of a count that stopped: "10,000+ battles"."""
    if n <= MOST_COUNTED:
        return count_of(n, noun)
    return count_of(MOST_COUNTED, noun).replace(" ", "+ ", 1)


@register.inclusion_tag("components/sort_header.html", takes_context=True)
def sort_header(
    context: template.Context, key: str, label: str, *, first: str = "", **options: str
) -> dict[str, Any]:
    """A <th> whose link sorts by ``key``: ascending at the first press, or first="-" descending.

    The page's context holds ``sort``, the key it is sorted by now, with "-" before it when descending.
    Options: ``class`` and ``title`` of the cell.
    """
    sort = context.get("sort", "")
    direction = {key: "ascending", f"-{key}": "descending"}.get(sort, "")
    other = key if sort.startswith("-") else f"-{key}"
    query = context["request"].GET.copy()
    query["sort"] = other if direction else first + key
    query.pop("page", None)
    return {
        "key": key,
        "label": label,
        "url": f"?{query.urlencode()}",
        "direction": direction,
        **options,
    }
