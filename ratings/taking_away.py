"""What others put on their own pages: a badge of a rank, a citation, a feed of changes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from xml.sax.saxutils import escape, quoteattr

from arena.markdown import printable
from arena.models import Arena, System
from ratings.models import Publication, Rating, Snapshot
from ratings.slices import Slice

CHANGES = 20  # of a feed, the newest
LOOKED_AT = 60  # snapshots; most change nobody's rank
NAMED = 20  # systems of one change
# Of Verdana 11 px, about: wide enough that no text is cut, and textLength makes it fit.
CHARACTER = 6.6
_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#",
    "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def people_snapshot(arena: Arena) -> Snapshot | None:
    """The arena's own leaderboard, by people, as it was published last; it is not asked for here."""
    found = Publication.objects.filter(
        arena=arena, kind=Publication.Kind.LEADERBOARD, slice_digest=Slice().digest
    ).select_related("snapshot")
    publication = found.first()
    return publication.snapshot if publication else None


# --- badge --------------------------------------------------------------------------------------------


def rank_in_words(rating: Rating | None, *, n_ranked: int) -> str:
    """The interval of the rank, never one place that the data don't support: "rank 2–4 of 12"."""
    if rating is None or rating.rank_lower is None or rating.rank_upper is None:
        return "not ranked yet"
    low, high = rating.rank_lower, rating.rank_upper
    place = f"{low}" if low == high else f"{low}–{high}"
    return f"rank {place} of {n_ranked}"


def badge(system: System) -> str:
    """An SVG of the arena's name and the system's rank by people, with its 95 % interval."""
    snapshot = people_snapshot(system.arena)
    rating = None
    if snapshot is not None:
        rating = Rating.objects.filter(snapshot=snapshot, system=system).first()
    words = rank_in_words(rating, n_ranked=snapshot.n_ranked if snapshot else 0)
    name = printable(system.arena.name)
    label = name if len(name) <= 40 else f"{name[:39]}…"
    left, right = (round(len(text) * CHARACTER + 12) for text in (label, words))
    title = f"{printable(str(system))} in {name}: {words} (95 % interval, by people)"

    def text(at: int, width: int, said: str) -> str:
        return (
            f'<text x="{at + 6}" y="14" textLength="{width - 12}" lengthAdjust="spacingAndGlyphs">'
            f"{escape(said)}</text>"
        )

    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f"aria-label={quoteattr(title)}><title>{escape(title)}</title>"
        f'<rect width="{left}" height="20" fill="#33373b"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="#0a655d"/>'
        '<g fill="#fff" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">'
        f"{text(0, left, label)}{text(left, right, words)}</g></svg>\n"
    )


# --- citation -----------------------------------------------------------------------------------------


def bibtex(arena: Arena, *, address: str, snapshot: Snapshot | None, seen: datetime) -> str:
    """An entry that names the very figures: the snapshot, its data's digest and the version of the engine."""
    fields = {
        "title": f"{{{_tex(arena.name)}: a leaderboard with intervals}}",
        "howpublished": f"{{\\url{{{address}}}}}",
        "year": f"{{{(snapshot.created_at if snapshot else seen):%Y}}}",
        "urldate": f"{{{seen:%Y-%m-%d}}}",
    }
    if snapshot is not None:
        fields["note"] = (
            f"{{Snapshot {snapshot.pk} of {snapshot.created_at:%Y-%m-%d}: {snapshot.n_ranked} systems ranked "
            f"by {snapshot.n_verdicts} verdicts of {snapshot.n_voters} voters; "
            f"data {snapshot.data_digest[:12]}, engine {_tex(snapshot.code_version)}}}"
        )
    if arena.licence:
        fields["copyright"] = f"{{{_tex(arena.licence)}}}"
    key = "".join(letter for letter in arena.slug if letter.isalnum()) or "arena"
    body = ",\n".join(f"  {name} = {value}" for name, value in fields.items())
    return f"@misc{{jurybox-{key},\n{body}\n}}\n"


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in " ".join(printable(text).split()))


# --- changes ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """A snapshot in which somebody's interval of ranks is another than in the one before."""

    snapshot: Snapshot
    moved: Sequence[tuple[System, str, str]]  # (system, before, now), the best first
    n_moved: int


def changes(arena: Arena) -> list[Change]:
    """The newest first. Two queries, whatever the number of snapshots."""
    snapshots = list(
        Snapshot.objects.filter(arena=arena, slice_digest=Slice().digest)
        .select_related("arena")
        .order_by("-pk")[: LOOKED_AT + 1]
    )
    ratings: dict[int, dict[int, Rating]] = {snapshot.pk: {} for snapshot in snapshots}
    rows = Rating.objects.filter(snapshot__in=snapshots).select_related("system").order_by("rank")
    for rating in rows:
        ratings[rating.snapshot_id][rating.system_id] = rating
    found = []
    for now, before in zip_longest(snapshots, snapshots[1:]):
        if before is None:
            # The one before the oldest that was looked at isn't known, unless there is none at all.
            if len(snapshots) <= LOOKED_AT:
                found.append(_change(now, ratings[now.pk], {}))
            continue
        change = _change(now, ratings[now.pk], ratings[before.pk], before)
        if change.n_moved:
            found.append(change)
    return [change for change in found if change.n_moved][:CHANGES]


def _change(
    now: Snapshot,
    rows: dict[int, Rating],
    old: dict[int, Rating],
    before: Snapshot | None = None,
) -> Change:
    moved = list(_moved(now, rows, old, before))
    return Change(now, moved[:NAMED], len(moved))


def _moved(
    now: Snapshot, rows: dict[int, Rating], old: dict[int, Rating], before: Snapshot | None
) -> Iterator[tuple[System, str, str]]:
    """Whose interval of ranks is another; another number of ranked systems alone moves nobody."""
    for key, rating in rows.items():
        earlier = old.get(key)
        places = [
            (row.rank_lower, row.rank_upper) if row is not None else (None, None)
            for row in (earlier, rating)
        ]
        if places[0] != places[1]:
            yield (
                rating.system,
                rank_in_words(earlier, n_ranked=before.n_ranked if before else 0),
                rank_in_words(rating, n_ranked=now.n_ranked),
            )
