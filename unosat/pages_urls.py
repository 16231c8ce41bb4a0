"""Addresses of the pages."""

from django.urls import URLPattern, URLResolver, path

from unosat.accounts import pages as accounts
from unosat.assessments import pages as assessments
from unosat.ops import pages as ops
from unosat.quality import pages as quality
from unosat.scenes import pages as scenes
from unosat.teams import pages as teams
from unosat.training import pages as training

urlpatterns: list[URLPattern | URLResolver] = [
    path("", assessments.dashboard, name="dashboard"),
    path("latest/", assessments.latest, name="latest_assessments"),
    path("events/new", scenes.new_event, name="new_event"),
    path("events/<uuid:event_id>/", scenes.event, name="event"),
    path("events/<uuid:event_id>/scenes/", scenes.event_scenes, name="event_scenes"),
    path("events/<uuid:event_id>/fetches/", scenes.fetch_link, name="fetch_link"),
    path("fetches/<uuid:fetch_id>/again/", scenes.fetch_again, name="fetch_again"),
    path("fetches/<uuid:fetch_id>/cancel/", scenes.fetch_cancel, name="fetch_cancel"),
    path("scenes/<uuid:scene_id>/", assessments.scene, name="scene"),
    path("scenes/<uuid:scene_id>/state/", scenes.scene_state, name="scene_state"),
    path("scenes/<uuid:scene_id>/assessments/", assessments.of_scene, name="scene_assessments"),
    path("scenes/<uuid:scene_id>/analyse/", assessments.analyse, name="analyse"),
    path("assessments/", assessments.all_assessments, name="assessments"),
    path("assessments/<uuid:assessment_id>/", assessments.assessment, name="assessment"),
    path("assessments/<uuid:assessment_id>/team/", teams.team, name="team"),
    path("assessments/<uuid:assessment_id>/team/now/", teams.team_now, name="team_now"),
    path("assessments/<uuid:assessment_id>/team/plan/", teams.set_plan, name="team_plan"),
    path(
        "assessments/<uuid:assessment_id>/team/controls/", teams.add_control, name="team_controls"
    ),
    path("assessments/<uuid:assessment_id>/second-looks/", teams.looks, name="second_looks"),
    path("assessments/<uuid:assessment_id>/disagreements/", teams.settling, name="disagreements"),
    path("controls/<uuid:control_id>/remove/", teams.remove_control, name="remove_control"),
    path("assessments/<uuid:assessment_id>/quality/", quality.quality, name="quality"),
    path("assessments/<uuid:assessment_id>/quality/expected/", quality.expected, name="expected"),
    path(
        "assessments/<uuid:assessment_id>/quality/progress/",
        quality.progress,
        name="quality_progress",
    ),
    path("assessments/<uuid:assessment_id>/quality/draw/", quality.draw, name="draw_sample"),
    path("assessments/<uuid:assessment_id>/quality/withdraw/", quality.withdraw, name="withdraw"),
    path("assessments/<uuid:assessment_id>/quality/judge/", quality.judge, name="judge"),
    path("events/<uuid:event_id>/overview/", quality.event_overview, name="event_overview"),
    path("training/", training.training, name="training"),
    path("training/retrain/", training.retrain, name="retrain"),
    path("training/runs/<uuid:run_id>/", training.training_run, name="training_run"),
    path(
        "training/runs/<uuid:run_id>/state/", training.training_run_state, name="training_run_state"
    ),
    path("training/runs/<uuid:run_id>/cancel/", training.cancel, name="cancel_training"),
    path("models/", training.models, name="models"),
    path("models/<uuid:version_id>/activate/", training.activate, name="activate"),
    path("keys/", accounts.keys, name="keys"),
    path("keys/<uuid:key_id>/revoke/", accounts.revoke, name="revoke_key"),
    path("health", ops.report, name="health"),
    path("status/", ops.status, name="status"),
    path("status/now/", ops.status_now, name="status_now"),
    path("metrics", ops.figures, name="metrics"),
]
