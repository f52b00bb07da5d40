from django.urls import path, re_path

from judges import views

app_name = "judges"
urlpatterns = [
    path("a/<str:arena>/battles/", views.battles, name="battles"),
    path("a/<str:arena>/battles/<int:pk>/", views.battle, name="battle"),
    re_path(
        r"^a/(?P<arena>[^/]+)/battles/(?P<pk>[0-9]+)/(?P<part>prompt|a|b)\.txt$",
        views.plain_text,
        name="plain-text",
    ),
]
