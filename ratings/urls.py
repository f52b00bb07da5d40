from django.urls import path

from ratings.views import judges, leaderboards, matrix, snapshots, systems

app_name = "ratings"
urlpatterns = [
    path("a/<str:arena>/leaderboard/", leaderboards.leaderboard, name="leaderboard"),
    path("a/<str:arena>/leaderboard/top/", leaderboards.top, name="top"),
    path("a/<str:arena>/systems/<str:slug>/", systems.system, name="system"),
    path("a/<str:arena>/systems/<str:slug>/opponents/", systems.opponents, name="opponents"),
    path("a/<str:arena>/matrix/", matrix.matrix, name="matrix"),
    path("a/<str:arena>/judges/", judges.judges, name="judges"),
    path("a/<str:arena>/judges/<str:slug>/", judges.judge, name="judge"),
    path("a/<str:arena>/snapshots/<int:pk>/", snapshots.snapshot, name="snapshot"),
]
