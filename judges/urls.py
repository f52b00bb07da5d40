from django.urls import path, re_path

from arena.addresses import SLUG
from judges import (
    account_views,
    compare_views,
    data_views,
    gold_views,
    judge_views,
    my_votes_views,
    preview_views,
    probe_views,
    ranking_views,
    run_views,
    submission_policy_views,
    system_views,
    views,
    vote_views,
)
from judges.archive.writing import PARQUET

app_name = "judges"
urlpatterns = [
    path("accounts/", account_views.account, name="account"),
    path("accounts/delete/", account_views.delete, name="account-delete"),
    path("a/<dotted:arena>/manage/preview/", preview_views.preview, name="manage-preview"),
    path(
        "a/<dotted:arena>/manage/submissions/",
        submission_policy_views.change,
        name="manage-submissions",
    ),
    path("a/<dotted:arena>/manage/gold/", gold_views.gold, name="manage-gold"),
    path("a/<dotted:arena>/manage/systems/", system_views.systems, name="manage-systems"),
    path("a/<dotted:arena>/manage/new-system/", system_views.new, name="new-system"),
    path(
        "a/<dotted:arena>/manage/systems/<dotted:slug>/", system_views.system, name="manage-system"
    ),
    path("a/<dotted:arena>/runs/", run_views.runs, name="runs"),
    path("a/<dotted:arena>/runs/new/", run_views.new, name="run-new"),
    path("a/<dotted:arena>/runs/<int:pk>/", run_views.run, name="run"),
    path("a/<dotted:arena>/runs/<int:pk>/calls/", run_views.calls, name="run-calls"),
    path("a/<dotted:arena>/calls/<int:pk>/", run_views.call, name="call"),
    path("a/<dotted:arena>/judge-comparison/", compare_views.compare, name="compare"),
    path("a/<dotted:arena>/manage/judges/", judge_views.judges, name="manage-judges"),
    path("a/<dotted:arena>/manage/judges/new/", judge_views.new, name="new-judge"),
    path("a/<dotted:arena>/manage/juries/new/", judge_views.new_jury, name="new-jury"),
    path("a/<dotted:arena>/manage/cascades/new/", judge_views.new_cascade, name="new-cascade"),
    path(
        "a/<dotted:arena>/manage/cascades/<uuid:key>/",
        judge_views.cascade_request,
        name="cascade-request",
    ),
    path(
        "a/<dotted:arena>/manage/judges/<dotted:slug>/version/",
        judge_views.version,
        name="judge-version",
    ),
    path(
        "a/<dotted:arena>/manage/judges/<dotted:slug>/try/", judge_views.try_judge, name="try-judge"
    ),
    path(
        "a/<dotted:arena>/manage/judges/<dotted:slug>/probe/", probe_views.new, name="probe-judge"
    ),
    path("a/<dotted:arena>/manage/trials/<uuid:key>/", judge_views.trial, name="trial"),
    path("a/<dotted:arena>/vote/", vote_views.vote, name="vote"),
    path("a/<dotted:arena>/vote/cast/", vote_views.cast, name="vote-cast"),
    path("a/<dotted:arena>/vote/undo/", vote_views.undo, name="vote-undo"),
    path("a/<dotted:arena>/vote/<uuid:key>/", vote_views.reveal, name="vote-reveal"),
    path(
        "a/<dotted:arena>/vote/<uuid:key>/following/",
        vote_views.following,
        name="vote-following",
    ),
    path("a/<dotted:arena>/rank/", ranking_views.rank, name="rank"),
    path("a/<dotted:arena>/rank/cast/", ranking_views.cast, name="rank-cast"),
    path("a/<dotted:arena>/rank/undo/", ranking_views.undo, name="rank-undo"),
    path("a/<dotted:arena>/rank/<uuid:key>/", ranking_views.reveal, name="rank-reveal"),
    path("a/<dotted:arena>/my-votes/", my_votes_views.mine, name="my-votes"),
    path(
        "a/<dotted:arena>/my-votes/<uuid:key>/retract/",
        my_votes_views.retract,
        name="my-votes-retract",
    ),
    path("a/<dotted:arena>/data/", data_views.data, name="data"),
    path("a/<dotted:arena>/data/archive.zip", data_views.archive, name="data-archive"),
    path(
        "a/<dotted:arena>/data/archive.parquet.zip",
        data_views.archive,
        {"form": PARQUET},
        name="data-archive-parquet",
    ),
    path("a/<dotted:arena>/data/everything.zip", data_views.everything, name="data-everything"),
    path("a/<dotted:arena>/data/<slug:table>.<slug:form>", data_views.table, name="data-table"),
    path("a/<dotted:arena>/battles/", views.battles, name="battles"),
    path("a/<dotted:arena>/battles/<int:pk>/", views.battle, name="battle"),
    path("a/<dotted:arena>/verdicts/<int:pk>/", views.verdict, name="verdict"),
    re_path(
        rf"^a/(?P<arena>{SLUG})/battles/(?P<pk>[0-9]+)/(?P<part>prompt|a|b)\.txt$",
        views.plain_text,
        name="plain-text",
    ),
]
