"""Options that name an arena and a slice, shared by the commands of this room."""

from django.core.management.base import CommandError, CommandParser

from arena.models import Arena
from ratings.slices import METHODS, PEOPLE, Slice, SliceError


def add_slice_options(parser: CommandParser) -> None:
    parser.add_argument("--arena", required=True, help="the arena's slug")
    parser.add_argument("--judge", default=PEOPLE, help="a judge's slug or name (default: people)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def add_rating_options(parser: CommandParser) -> None:
    add_slice_options(parser)
    parser.add_argument("--category", default="", help="only prompts of this category")
    parser.add_argument("--criterion", default="", help="verdicts on this criterion")
    parser.add_argument("--since", default="", help="only verdicts cast on or after this date")
    parser.add_argument("--until", default="", help="only verdicts cast before this date")
    parser.add_argument("--method", default="bt", choices=METHODS, help="how ratings are fitted")
    parser.add_argument("--without", default="", help="leave out the voter of this handle")
    parser.add_argument(
        "--helped-by",
        default="",
        help="sharpen people's verdicts by this judge's (prediction-powered)",
    )
    parser.add_argument("--ridge", type=float, default=0.0, help="penalty on log-strengths")


def arena_of(options: dict) -> Arena:
    try:
        return Arena.objects.get(slug=options["arena"])
    except Arena.DoesNotExist:
        known = ", ".join(Arena.objects.order_by("slug").values_list("slug", flat=True)[:20])
        raise CommandError(
            f"There is no arena {options['arena']!r}; there is {known or 'none yet'}."
        ) from None


def judge_slug(arena: Arena, named: str) -> str:
    """A judge may be given by slug or by name."""
    judge = arena.judges.filter(slug=named).first() or arena.judges.filter(name=named).first()
    return judge.slug if judge and named != PEOPLE else named


def slice_of(arena: Arena, options: dict) -> Slice:
    parts = ("category", "criterion", "since", "until", "method", "ridge", "without", "helped_by")
    try:
        wanted = {part: options[part] for part in parts if part in options}
        return Slice(judge=judge_slug(arena, options["judge"]), **wanted)
    except SliceError as error:
        raise CommandError(str(error)) from error
