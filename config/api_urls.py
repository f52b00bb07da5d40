"""Every address of the API, below /api/v1/."""

from django.urls import include, path, re_path
from rest_framework.routers import SimpleRouter

from arena.api import BattleViewSet, SystemViewSet
from arena.api_images import Images
from arena.api_members import Invitations, Log, Members
from arena.api_settings import Arenas
from arena.api_submissions import Submissions
from arena.api_write import Outputs, Prompts
from config.api import ID, SLUG, NothingHere
from config.api_docs import Root, Schema, docs
from judges.api import VerdictViewSet
from judges.api_judges import (
    CascadeRequests,
    Checklists,
    Derivations,
    Judges,
    Protocols,
    Trials,
)
from judges.api_runs import Calls, Runs
from judges.api_submission_policy import SubmissionPolicies
from judges.api_systems import AnswerRuns, SystemEndpoints
from judges.api_write import Exclusions, GoldItems
from ratings.api import JudgeReportViewSet, LeaderboardViewSet, SnapshotViewSet
from ratings.api_fragility import Fragilities
from ratings.api_probes import ProbeReports, ProbeResults

arenas = SimpleRouter()
arenas.register("arenas", Arenas, basename="api-arenas")

below = SimpleRouter()
for view_set in (
    SystemViewSet,
    Prompts,
    Outputs,
    BattleViewSet,
    Judges,
    VerdictViewSet,
    LeaderboardViewSet,
    SnapshotViewSet,
    JudgeReportViewSet,
    Fragilities,
    ProbeReports,
    ProbeResults,
    SystemEndpoints,
    AnswerRuns,
    Submissions,
    Images,
    GoldItems,
    Exclusions,
    Members,
    Invitations,
    Log,
    Runs,
    Trials,
    Checklists,
    CascadeRequests,
    Derivations,
):
    below.register(view_set.noun, view_set, basename=f"api-{view_set.noun}")
below.register(rf"runs/(?P<run>{ID})/calls", Calls, basename="api-calls")

urlpatterns = [
    path("", Root.as_view(), name="api-root"),
    path("schema/", Schema.as_view(), name="api-schema"),
    path("docs/", docs, name="api-docs"),
    path("", include(arenas.urls)),
    re_path(rf"^arenas/(?P<arena>{SLUG})/", include(below.urls)),
    re_path(
        rf"^arenas/(?P<arena>{SLUG})/judge-protocols/$",
        Protocols.as_view({"get": "retrieve"}),
        name="api-judge-protocols",
    ),
    re_path(
        rf"^arenas/(?P<arena>{SLUG})/submission-policy/$",
        SubmissionPolicies.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="api-submission-policy",
    ),
    # Ends in a slash, so that Django can send whoever forgot one to the address with it. [\s\S] and not a
    # dot, which stops at a line break.
    re_path(r"^(?:[\s\S]*/)?$", NothingHere.as_view()),
]
