"""The page of a measurement and the dashboard of an event say what is known, to all who may see."""

import re

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.unosat.makers import (
    make_actor,
    make_building,
    make_done_assessment,
    make_organisation,
    make_scene,
    make_user,
)
from unosat.accounts.actors import RoleName
from unosat.assessments.models import Assessment
from unosat.quality import overview, services
from unosat.quality.models import Sample
from unosat.quality.services import SampleRequest
from unosat.review.models import Building, Footprint

pytestmark = pytest.mark.django_db

INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*(src=|application/json))", re.I)


@pytest.fixture
def row(redis_url: str) -> Assessment:  # noqa: ARG001 (counts are kept there)
    made = make_done_assessment(make_organisation(), houses=60)
    first = made.buildings.order_by("pk").values_list("pk", flat=True)[:40]
    Footprint.objects.filter(building__in=list(first)).update(grade="no_damage")
    Building.objects.filter(pk__in=list(first)).update(grade="no_damage")
    return made


def text_of(row: Assessment, path: str, role: RoleName = "analyst", status: int = 200) -> str:
    client = Client()
    client.force_login(make_user(row.organisation, role))
    response = client.get(path)
    assert response.status_code == status
    text = response.content.decode()
    assert not INLINE.search(text)
    return " ".join(text.split())


def test_before_a_sample_the_page_says_that_nothing_is_known(row: Assessment) -> None:
    path = reverse("quality", args=[row.pk])

    assert "Nothing has been measured" in text_of(row, path)
    assert "Draw and begin" in text_of(row, path)
    assert "Draw and begin" not in text_of(row, path, "partner")
    assert text_of(row, reverse("judge", args=[row.pk]), "partner", 403)


def test_a_sample_without_squares_says_what_recall_is_of(row: Assessment) -> None:
    actor = make_actor(row.organisation)
    sample = services.draw(actor, row.pk, SampleRequest(60))
    for item in sample.items.all():
        services.answer_item(actor, item.pk, "no_damage")

    text = text_of(row, reverse("quality", args=[row.pk]), "partner")

    assert "recall is of the buildings found" in text
    assert "0 % (0 to 0 %) are damaged" in text
    assert "too small for a number of damaged ones: it holds 0" in text


def test_what_cannot_be_judged_is_named(row: Assessment) -> None:
    actor = make_actor(row.organisation)
    sample = services.draw(actor, row.pk, SampleRequest(60))
    for number, item in enumerate(sample.items.all()):
        services.answer_item(actor, item.pk, "cannot_judge" if number < 4 else "destroyed")

    text = text_of(row, reverse("quality", args=[row.pk]))

    assert "4 of 60 buildings could not be judged" in text
    assert "the estimate would be 56; if all were, 60" in text


def test_the_dashboard_counts_the_newest_run_of_each_image_once(row: Assessment) -> None:
    older = Assessment.objects.create(
        organisation=row.organisation, scene=row.scene, model_version=row.model_version,
        state="done", name="older",
    )  # fmt: skip
    Assessment.objects.filter(pk=older.pk).update(created_at="2020-01-01T00:00Z")
    make_building(older)
    first = row.buildings.order_by("pk")[0]
    Building.objects.filter(pk=first.pk).update(review="rejected", version=1)
    make_scene(row.organisation, event=row.scene.event, phase="before")

    actor = make_actor(row.organisation)
    found = overview.overview(actor, row.scene.event_id)
    text = text_of(row, reverse("event_overview", args=[row.scene.event_id]))

    assert found.scenes == {"after": 1, "before": 1}
    assert found.runs == {"done": 2}
    assert (found.total.model["no_damage"], found.total.now["no_damage"]) == (40, 39)
    assert (found.total.reviewed, found.total.all) == (1, 60)
    assert 'role="img"' in text
    assert "<title" in text
    assert "1 %" in text  # of sixty, rounded down


def test_the_dashboard_says_of_each_run_whether_it_is_measured(row: Assessment) -> None:
    actor = make_actor(row.organisation)
    path = reverse("event_overview", args=[row.scene.event_id])

    def told() -> str:
        found = re.search(rf'id="measure-{row.pk}" href="([^"]+)">([^<]+)<', text_of(row, path))
        assert found is not None
        assert found[1] == reverse("quality", args=[row.pk])
        return found[2]

    at_first = told()
    services.withdraw(actor, services.draw(actor, row.pk, SampleRequest(50)).pk)
    withdrawn = told()
    sample = services.draw(actor, row.pk, SampleRequest(50))
    being_judged = told()
    Sample.objects.filter(pk=sample.pk).update(state="done", finished_at=timezone.now())
    done = told()
    services.draw(actor, row.pk, SampleRequest(50))

    assert (at_first, withdrawn, being_judged) == ("Measure", "Measure", "Being measured")
    assert (done, told()) == ("Measured", "Measured")


def test_counts_are_at_most_some_seconds_old(row: Assessment) -> None:
    first = overview.counts_of(row.pk)
    Building.objects.update(review="accepted", version=1)

    assert overview.counts_of(row.pk) == first
    cache.delete(f"quality:now:{row.pk}")
    assert overview.counts_of(row.pk).reviewed == 60


def test_an_event_without_anything_says_what_to_do(row: Assessment) -> None:
    Assessment.objects.update(state="running")

    text = text_of(row, reverse("event_overview", args=[row.scene.event_id]))

    assert "No analysis is finished yet (1 running)" in text
