from django.urls import path

from arena import (
    addresses,  # noqa: F401 (registers the converter)
    views,
)

app_name = "arena"
urlpatterns = [
    path("", views.index, name="index"),
    path("a/<dotted:arena>/", views.home, name="home"),
    path("a/<dotted:arena>/prompts/", views.prompts, name="prompts"),
    path("a/<dotted:arena>/prompts/<int:pk>/", views.prompt, name="prompt"),
]
