"""Every address. This package is the only one that knows all three rooms."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from config.health import healthz
from config.robots import robots

urlpatterns = [
    path("", include("arena.urls")),
    path("", include("judges.urls")),
    path("", include("ratings.urls")),
    # Without OAuth nothing of allauth but the accounts themselves is loaded.
    path("accounts/", include("allauth.urls" if settings.OAUTH else "allauth.account.urls")),
    path("api/v1/", include("config.api_urls")),
    path("admin/", admin.site.urls),
    path("healthz", healthz, name="healthz"),
    path("robots.txt", robots, name="robots"),
]
