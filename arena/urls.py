from django.urls import path

from arena import views

app_name = "arena"
urlpatterns = [
    path("", views.index, name="index"),
    path("a/<str:arena>/", views.home, name="home"),
    path("a/<str:arena>/prompts/", views.prompts, name="prompts"),
    path("a/<str:arena>/prompts/<int:pk>/", views.prompt, name="prompt"),
]
