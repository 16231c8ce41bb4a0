"""Every address."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from unosat.api import api
from unosat.assessments.streams import assessment_events
from unosat.scenes.urls import urlpatterns as scenes
from unosat.training.streams import training_run_events

urlpatterns = [
    path("api/v1/", include(scenes)),  # uploads and tiles: plain views, no schema in or out
    path("api/v1/assessments/<uuid:assessment_id>/events", assessment_events),  # never ends
    path(
        "api/v1/training-runs/<uuid:run_id>/events", training_run_events, name="training_run_events"
    ),
    path("api/v1/", api.urls),
    path("accounts/login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("", include("unosat.pages_urls")),
]
handler400 = "unosat.middleware.bad_request"
handler404 = "unosat.middleware.not_found"
handler500 = "unosat.middleware.broken"
