from django.urls import path

from arena import addresses  # noqa: F401 (registers the converter)
from ratings.views import (
    fragility,
    history,
    judges,
    leaderboards,
    matrix,
    own_systems,
    probes,
    rankings,
    snapshots,
    system_reports,
    systems,
    taking_away,
    voters,
    what_if,
)

app_name = "ratings"
urlpatterns = [
    path("a/<dotted:arena>/leaderboard/", leaderboards.leaderboard, name="leaderboard"),
    path(
        "a/<dotted:arena>/leaderboard.csv",
        leaderboards.file,
        {"form": "csv"},
        name="leaderboard-csv",
    ),
    path(
        "a/<dotted:arena>/leaderboard.json",
        leaderboards.file,
        {"form": "json"},
        name="leaderboard-json",
    ),
    path("a/<dotted:arena>/history/", history.history, name="history"),
    path("a/<dotted:arena>/history.csv", history.history_csv, name="history-csv"),
    path("a/<dotted:arena>/embed/", history.embed, name="embed"),
    path("a/<dotted:arena>/leaderboard/top/", leaderboards.top, name="top"),
    path("a/<dotted:arena>/leaderboard/standing/", leaderboards.standing, name="standing"),
    path("a/<dotted:arena>/rankings/", rankings.rankings, name="rankings"),
    path("a/<dotted:arena>/fragility/", fragility.fragility, name="fragility"),
    path("a/<dotted:arena>/what-if/", what_if.what_if, name="what-if"),
    path("a/<dotted:arena>/systems/<dotted:slug>/", systems.system, name="system"),
    path("a/<dotted:arena>/systems/<dotted:slug>/opponents/", systems.opponents, name="opponents"),
    path(
        "a/<dotted:arena>/systems/<dotted:slug>/wins-and-losses/",
        system_reports.report,
        name="system-report",
    ),
    path(
        "a/<dotted:arena>/systems/<dotted:slug>/clearest-battles/",
        system_reports.battles,
        name="system-battles",
    ),
    path(
        "a/<dotted:arena>/systems/<dotted:slug>/disagreements/",
        system_reports.disagreements,
        name="system-disagreements",
    ),
    path(
        "a/<dotted:arena>/systems/<dotted:slug>/versions/",
        system_reports.versions,
        name="system-versions",
    ),
    path("a/<dotted:arena>/my-systems/", own_systems.own, name="own-systems"),
    path("accounts/systems/", own_systems.own, name="all-own-systems"),
    path("a/<dotted:arena>/systems/<dotted:slug>/badge.svg", taking_away.badge, name="badge"),
    path("a/<dotted:arena>/citation.bib", taking_away.citation, name="citation"),
    path("a/<dotted:arena>/changes.atom", taking_away.feed, name="feed"),
    path("a/<dotted:arena>/matrix/", matrix.matrix, name="matrix"),
    path("a/<dotted:arena>/judges/", judges.judges, name="judges"),
    path("a/<dotted:arena>/judges/<dotted:slug>/", judges.judge, name="judge"),
    path("a/<dotted:arena>/judges/<dotted:slug>/probes/", probes.probes, name="probes"),
    path("a/<dotted:arena>/voters/", voters.voters, name="voters"),
    path("a/<dotted:arena>/voters/<int:pk>/", voters.voter, name="voter"),
    path("a/<dotted:arena>/snapshots/<int:pk>/", snapshots.snapshot, name="snapshot"),
]
