"""Every page, for all who may see it: it renders, says what comes next, has no inline code."""

import re
from datetime import date

import pytest
from django.test import Client
from django.urls import reverse

from tests.unosat.makers import make_done_assessment, make_model, make_organisation, make_user
from unosat.accounts.actors import RoleName
from unosat.assessments.models import Assessment
from unosat.scenes.models import Event, Scene
from unosat.training.models import ModelVersion, TrainingRun

pytestmark = pytest.mark.django_db

INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*(src=|application/json))", re.I)


@pytest.fixture
def assessment() -> Assessment:
    return make_done_assessment(make_organisation())


def signed_in(assessment: Assessment, role: RoleName = "analyst") -> Client:
    client = Client()
    client.force_login(make_user(assessment.organisation, role))
    return client


def text_of(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    text = response.content.decode()
    assert not INLINE.search(text)
    assert "unsafe-inline" not in response.headers["Content-Security-Policy"]
    return text


@pytest.mark.parametrize("role", ["analyst", "partner", "admin"])
def test_pages_of_the_main_way_render_for_every_role(
    assessment: Assessment, role: RoleName
) -> None:
    client = signed_in(assessment, role)
    scene = assessment.scene

    for path in (
        reverse("dashboard"),
        reverse("event", args=[scene.event_id]),
        reverse("scene", args=[scene.pk]),
        reverse("assessment", args=[assessment.pk]),
    ):
        assert "Sign out" in text_of(client, path)


def test_a_visitor_is_sent_to_the_sign_in_page_and_back(assessment: Assessment) -> None:
    path = reverse("assessment", args=[assessment.pk])

    response = Client().get(path)

    assert response.status_code == 302
    assert response.headers["Location"] == f"{reverse('login')}?next={path}"
    assert "Sign in" in text_of(Client(), reverse("login"))


def test_the_first_page_of_a_new_organisation_says_what_to_do() -> None:
    client = Client()
    client.force_login(make_user(make_organisation()))

    text = text_of(client, reverse("dashboard"))

    assert "Create the first event" in text


def test_synthetic_scenes_are_labelled_wherever_they_are_named(assessment: Assessment) -> None:
    Scene.objects.update(synthetic=True)
    client = signed_in(assessment)

    for path in (
        reverse("dashboard"),
        reverse("event", args=[assessment.scene.event_id]),
        reverse("scene", args=[assessment.scene_id]),
        reverse("assessment", args=[assessment.pk]),
    ):
        assert "Synthetic demonstration" in text_of(client, path)


def test_an_event_is_created_once_and_its_page_is_next(assessment: Assessment) -> None:
    client = signed_in(assessment)
    fields = {"name": "Flood", "kind": "flood", "date": "2025-05-04", "code": ""}

    created = client.post(reverse("new_event"), fields)
    again = client.post(reverse("new_event"), fields)

    event = Event.objects.get(name="Flood")
    assert created.headers["Location"] == reverse("event", args=[event.pk])
    assert event.date == date(2025, 5, 4)
    assert again.status_code == 200  # the form, with the reason


def test_a_refused_image_shows_why_and_offers_no_analysis(assessment: Assessment) -> None:
    scene = Scene.objects.create(
        organisation=assessment.organisation,
        event=assessment.scene.event,
        name="broken.tif",
        phase="after",
        state="refused",
        refusal_code="no_georeference",
        refusal_message="The file does not say where it lies.",
    )

    text = text_of(signed_in(assessment), reverse("scene", args=[scene.pk]))

    assert "The file does not say where it lies." in text
    assert reverse("analyse", args=[scene.pk]) not in text


def test_training_and_keys_are_for_admins(assessment: Assessment) -> None:
    analyst, admin = signed_in(assessment), signed_in(assessment, "admin")

    assert "An admin of your organisation can retrain" in text_of(analyst, reverse("training"))
    assert "Your role does not allow that" in text_of(analyst, reverse("keys"), 403)
    assert analyst.post(reverse("retrain")).status_code == 403
    assert "No keys yet" in text_of(admin, reverse("keys"))


def test_a_new_key_is_shown_in_one_answer_and_never_again(assessment: Assessment) -> None:
    admin = signed_in(assessment, "admin")

    made = admin.post(reverse("keys"), {"name": "QGIS", "role": "partner"}).content.decode()
    after = text_of(admin, reverse("keys"))

    key = re.search(r"unosat_[0-9a-f]{8}_[\w-]{20,}", made)
    assert key
    assert key[0] not in after
    assert "QGIS" in after


def test_a_finished_run_shows_old_and_new_scores_and_the_way_to_the_new_version(
    assessment: Assessment,
) -> None:
    old = assessment.model_version
    run = TrainingRun.objects.create(
        organisation=assessment.organisation,
        base_version=old,
        state="done",
        scores={
            "old": {"kept_aside": None, "synthetic": {"damaged_f1": 0.40}},
            "new": {"kept_aside": None, "synthetic": {"damaged_f1": 0.55}},
        },
    )
    new = make_model(active=False, organisation=assessment.organisation, training_run=run)
    TrainingRun.objects.filter(pk=run.pk).update(new_version=new)

    text = text_of(signed_in(assessment, "admin"), reverse("training_run", args=[run.pk]))

    assert "+0.150" in text
    assert f"Activate {new}" in text
    assert "none could be kept aside" in text


def test_activating_from_a_stale_page_is_refused_and_says_so(assessment: Assessment) -> None:
    stale = make_model(active=False)
    admin = signed_in(assessment, "admin")
    path = reverse("activate", args=[stale.pk])

    response = admin.post(path, {"replaces": str(stale.pk)}, follow=True)

    assert "notice bad" in response.content.decode()
    assert ModelVersion.objects.get(active=True) == assessment.model_version


def test_each_kind_of_model_is_activated_from_its_own_part_of_the_page(
    assessment: Assessment,
) -> None:
    old = make_model(input_kind="before_after")
    new = make_model(input_kind="before_after", active=False)
    admin = signed_in(assessment, "admin")

    text = text_of(admin, reverse("models"))
    form = text[text.index(reverse("activate", args=[new.pk])) :]
    shown = re.search(r'name="replaces" value="([^"]*)"', form)
    assert shown
    done = admin.post(reverse("activate", args=[new.pk]), {"replaces": shown[1]}, follow=True)

    assert text.index("One image") < text.index(str(assessment.model_version))
    assert text.index("Pairs of images") < text.index(str(new))
    assert shown[1] == str(old.pk)
    assert "notice good" in done.content.decode()
    active = set(ModelVersion.objects.filter(active=True))
    assert active == {assessment.model_version, new}


def test_every_assessment_is_on_some_page_and_the_first_ones_lead_there(
    assessment: Assessment,
) -> None:
    client = signed_in(assessment)
    version = assessment.model_version
    Assessment.objects.bulk_create(
        Assessment(
            organisation=assessment.organisation, scene=assessment.scene, model_version=version
        )
        for _ in range(60)
    )
    whole, of_scene = (
        reverse("assessments"),
        f"{reverse('assessments')}?scene={assessment.scene_id}",
    )

    assert f'href="{whole}"' in text_of(client, reverse("dashboard"))
    assert f'href="{of_scene}"' in text_of(client, reverse("scene", args=[assessment.scene_id]))
    for first, page in ((whole, f"{whole}?page=2"), (of_scene, f"{of_scene}&page=2")):
        texts = [text_of(client, first), text_of(client, page)]
        assert "1 to 50 of 61" in texts[0]
        for row in Assessment.objects.all():
            address = reverse("assessment", args=[row.pk])
            assert sum(address in text for text in texts) == 1
    theirs = signed_in(make_done_assessment(make_organisation()))
    assert theirs.get(of_scene).status_code == 404
    assert reverse("assessment", args=[assessment.pk]) not in text_of(theirs, whole)


def test_a_list_that_refreshes_itself_gets_only_the_rows(assessment: Assessment) -> None:
    client = signed_in(assessment)

    answer = client.get(reverse("assessments"), headers={"HX-Request": "true"})

    assert answer.content.strip().startswith(b'<div id="assessments"')
    assert "HX-Request" in answer.headers["Vary"]
