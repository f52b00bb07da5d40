from django.urls import path

from arena import (
    addresses,  # noqa: F401 (registers the converter)
    image_views,
    leak_views,
    manage_views,
    member_views,
    submission_views,
    token_views,
    views,
)

app_name = "arena"
urlpatterns = [
    path("", views.index, name="index"),
    path("arenas/new/", manage_views.new, name="new"),
    path("invitations/<str:token>/", member_views.invitation, name="invitation"),
    path("accounts/tokens/", token_views.tokens, name="tokens"),
    path("accounts/tokens/<int:pk>/revoke/", token_views.revoke, name="revoke-token"),
    path("a/<dotted:arena>/", views.home, name="home"),
    path("a/<dotted:arena>/prompts/", views.prompts, name="prompts"),
    path("a/<dotted:arena>/prompts/<int:pk>/", views.prompt, name="prompt"),
    path("a/<dotted:arena>/submit/", submission_views.new, name="submit"),
    path("a/<dotted:arena>/submissions/", submission_views.submissions, name="submissions"),
    path("a/<dotted:arena>/submissions/<int:pk>/", submission_views.submission, name="submission"),
    path(
        "a/<dotted:arena>/submissions/<int:pk>/problems/",
        submission_views.problems,
        name="submission-problems",
    ),
    path(
        "a/<dotted:arena>/submissions/<int:pk>/<slug:verb>/",
        submission_views.act,
        name="act-on-submission",
    ),
    path("a/<dotted:arena>/leaks/", leak_views.leaks, name="leaks"),
    path("a/<dotted:arena>/manage/", manage_views.manage, name="manage"),
    path("a/<dotted:arena>/manage/open/", manage_views.open_for_votes, name="manage-open"),
    path("a/<dotted:arena>/manage/close/", manage_views.close_for_votes, name="manage-close"),
    path("a/<dotted:arena>/manage/settings/", manage_views.change_settings, name="manage-settings"),
    path("a/<dotted:arena>/manage/sampling/", manage_views.change_policy, name="manage-policy"),
    path("a/<dotted:arena>/manage/sharing/", manage_views.change_sharing, name="manage-sharing"),
    path("a/<dotted:arena>/manage/prompts/", manage_views.upload_prompts, name="manage-prompts"),
    path("a/<dotted:arena>/manage/outputs/", manage_views.upload_outputs, name="manage-outputs"),
    path("a/<dotted:arena>/manage/images/", image_views.images, name="manage-images"),
    path(
        "a/<dotted:arena>/manage/images/<int:pk>/remove/", image_views.remove, name="remove-image"
    ),
    path("a/<dotted:arena>/images/<slug:digest>.webp", image_views.image, name="image"),
    path("a/<dotted:arena>/manage/log/", manage_views.log, name="manage-log"),
    path("a/<dotted:arena>/manage/members/", member_views.members, name="manage-members"),
    path(
        "a/<dotted:arena>/manage/members/<int:pk>/role/", member_views.give_role, name="give-role"
    ),
    path(
        "a/<dotted:arena>/manage/members/<int:pk>/remove/",
        member_views.remove,
        name="remove-member",
    ),
    path(
        "a/<dotted:arena>/manage/invitations/", member_views.invitations, name="manage-invitations"
    ),
    path(
        "a/<dotted:arena>/manage/invitations/<int:pk>/revoke/",
        member_views.revoke,
        name="revoke-invitation",
    ),
]
