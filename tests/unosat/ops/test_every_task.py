"""Every Celery task of ours, delivered twice in a row and twice at once: the same rows.

The list of tasks is Celery's own. A task that has no recipe here fails, so none can be added
without being run twice.
"""

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from django.apps import apps
from django.contrib.gis.geos import GEOSGeometry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db.models.functions import Now
from django.utils import timezone

from tests.at_once import at_once
from tests.conftest import MakeGeotiff
from tests.unosat import makers
from tests.unosat.makers import (
    bright,
    finish,
    make_actor,
    make_model,
    make_organisation,
    make_scene,
    town,
)
from tests.unosat.scenes.https import File, serving
from tests.unosat.training.world import build_world, draw_scene, write_random_model
from unosat.assessments import detectors, services
from unosat.assessments import tasks as assessment_tasks
from unosat.assessments.models import Assessment, Shard
from unosat.assessments.services import AssessmentRequest
from unosat.celery import app
from unosat.ops import jobs
from unosat.ops.models import Job, Outbox
from unosat.review import explanations
from unosat.scenes import fetches, uploads
from unosat.scenes.models import Fetch, Upload
from unosat.training import registry
from unosat.training import services as training
from unosat.training import tasks as training_tasks
from unosat.training.models import TrainingRun
from unosat.training.recipe import Recipe

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

RUN_ID = UUID(int=7)
QUICK = Recipe(steps=2, batch=2, crop_px=96, replay_scenes=1, benchmark_scenes=1, benchmark_px=128)


@dataclass(frozen=True)
class Kitchen:
    """What a recipe may use."""

    folder: Path
    make_geotiff: MakeGeotiff
    patch: pytest.MonkeyPatch
    open: ExitStack  # closed when the test ends


def to_ingest(kitchen: Kitchen) -> list[str]:
    """An image that was sent and not yet looked at."""
    path = kitchen.make_geotiff(np.full((3, 300, 300), 90, np.uint8))
    facts = {"event_name": "Storm", "phase": "after"}
    file = SimpleUploadedFile(path.name, path.read_bytes())
    scene = uploads.receive_file(make_actor(make_organisation()), file, facts)
    return [str(scene.pk)]


def to_fetch(kitchen: Kitchen) -> list[str]:
    """A link that was just sent."""
    server = kitchen.open.enter_context(serving(kitchen.folder))
    server.files["/a.tif"] = File(b"II*\0" + bytes(range(256)) * 40)
    kitchen.patch.setattr("unosat.scenes.fetching.from_settings", server.fetcher)
    facts = {"event_name": "Storm", "phase": "after"}
    actor = make_actor(make_organisation())
    return [str(fetches.begin(actor, url=server.url("/a.tif"), metadata=facts).pk)]


def to_expire(_: Kitchen) -> list[str]:
    """A link that failed and that nobody tried again, beside a fresh one."""
    actor = make_actor(make_organisation())
    facts = {"event_name": "Storm", "phase": "after"}
    old, _fresh = (
        fetches.begin(actor, url="https://images.example.org/a.tif?key=1", metadata=facts)
        for _ in range(2)
    )
    Fetch.objects.filter(pk=old.pk).update(
        state="failed", failure_code="x", created_at=timezone.now() - timedelta(days=30)
    )
    return []


def to_plan(kitchen: Kitchen) -> list[str]:
    """An assessment that was just asked for."""
    kitchen.patch.setattr(detectors, "detector_of", bright)
    make_model()
    organisation = make_organisation()
    wanted = AssessmentRequest(scene=make_scene(organisation).pk)
    return [str(services.create_assessment(make_actor(organisation), wanted).pk)]


def to_detect(kitchen: Kitchen) -> list[str]:
    """An assessment of which one shard waits."""
    (pk,) = to_plan(kitchen)
    assessment_tasks.plan(pk)
    for _ in range(Shard.objects.count() - 1):
        assessment_tasks.detect()
    return []


def to_merge(kitchen: Kitchen) -> list[str]:
    """An assessment whose shards are all done."""
    to_detect(kitchen)
    assessment_tasks.detect()
    return [str(Assessment.objects.get().pk)]


def to_explain(_: Kitchen) -> list[str]:
    """A building that the shipped model found."""
    registry.sync_shipped_models()
    organisation = make_organisation()
    actor = make_actor(organisation)
    wanted = AssessmentRequest(scene=make_scene(organisation, town()).pk)
    row = finish(services.create_assessment(actor, wanted))
    building = row.buildings.order_by("-score").first()
    assert building is not None
    return [str(explanations.ask(actor, row.pk, building.uid).pk)]


def to_order(kitchen: Kitchen) -> list[str]:
    """An assessment that was just merged."""
    (pk,) = to_merge(kitchen)
    assessment_tasks.merge(pk)
    return [pk]


def to_train(kitchen: Kitchen) -> list[str]:
    """A training run on decisions in two places."""
    kitchen.patch.setattr(training_tasks, "recipe", lambda: QUICK)
    model = write_random_model(kitchen.folder / "random")
    world = build_world(model, draw_scene(kitchen.folder, seed=11, size_px=800))
    for corner in (5, 290):  # metres
        area = world.area(corner, corner, corner + 72, corner + 72)
        world.decide(world.inside(area)[0], "destroyed")
    run = training.start(world.admin)
    TrainingRun.objects.filter(pk=run.pk).update(id=RUN_ID)  # its seed
    Job.objects.filter(subject_id=run.pk).update(subject_id=RUN_ID)
    return [str(RUN_ID)]


def to_relay(_: Kitchen) -> list[str]:
    """Messages that wait."""
    Outbox.objects.bulk_create(Outbox(task="some.task", queue="elsewhere") for _ in range(5))
    return []


def to_measure(_: Kitchen) -> list[str]:
    """Whatever the store holds; the figure goes to Redis."""
    return []


def to_sweep(kitchen: Kitchen) -> list[str]:
    """A shard and a job whose workers are gone, an upload as old, and a message of last week."""
    forgotten = uploads.begin(
        make_actor(make_organisation()),
        length=10,
        filename="a.tif",
        metadata={"event_name": "Storm", "phase": "after"},
    )
    Upload.objects.filter(pk=forgotten.pk).update(expires_at=timezone.now() - timedelta(days=1))
    (pk,) = to_plan(kitchen)
    assessment_tasks.plan(pk)
    jobs.enqueue("merge", UUID(pk))
    gone = {"state": "running", "attempt": 1, "lease_until": Now() - timedelta(seconds=1)}
    Job.objects.filter(kind="merge").update(**gone)
    Shard.objects.filter(index=2).update(**gone)
    old = Outbox.objects.first()
    assert old is not None
    Outbox.objects.filter(pk=old.pk).update(sent_at=timezone.now() - timedelta(days=7))
    return []


RECIPES: dict[str, Callable[[Kitchen], list[str]]] = {
    "scenes.fetch": to_fetch,
    "scenes.ingest": to_ingest,
    "scenes.expire_uploads": to_expire,
    "assessments.plan": to_plan,
    "assessments.detect": to_detect,
    "assessments.merge": to_merge,
    "review.explain": to_explain,
    "review.order": to_order,
    "training.run": to_train,
    "ops.measure_store": to_measure,
    "ops.relay": to_relay,
    "ops.sweep": to_sweep,
}
WRITE_NO_ROWS = {"ops.measure_store"}


def our_tasks() -> list[str]:
    """What Celery has registered, without its own."""
    app.loader.import_default_modules()
    return sorted(name for name in app.tasks if not name.startswith("celery."))


@pytest.fixture
def kitchen(
    tmp_path: Path, make_geotiff: MakeGeotiff, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> Iterator[Kitchen]:
    assert redis_url  # the outbox has somewhere to send to
    with ExitStack() as opened:
        yield Kitchen(tmp_path, make_geotiff, monkeypatch, opened)


@pytest.mark.parametrize("name", our_tasks())
def test_a_task_delivered_twice_leaves_the_rows_of_one(name: str, kitchen: Kitchen) -> None:
    assert name in RECIPES, f"{name} has no recipe: add to RECIPES what makes the rows it works on"
    task = app.tasks[name]

    arguments = prepared(name, kitchen)
    before = everything()
    task(*arguments)
    once = everything()
    task(*arguments)

    assert (before == once) == (name in WRITE_NO_ROWS), (
        f"the recipe of {name} leaves it nothing to do"
    )
    assert differences(once, everything()) == {}

    call_command("flush", interactive=False, verbosity=0)
    arguments = prepared(name, kitchen)
    at_once(lambda: task(*arguments), 2)
    together = everything()
    task(*arguments)

    assert differences(alike(once), alike(together)) == {}
    assert differences(together, everything()) == {}


def test_no_recipe_is_for_a_task_that_is_gone() -> None:
    assert RECIPES.keys() <= set(our_tasks())


def prepared(name: str, kitchen: Kitchen) -> list[str]:
    """The rows of a recipe, called the same each time."""
    kitchen.patch.setattr(makers, "_numbers", itertools.count(1))
    return RECIPES[name](kitchen)


Rows = list[dict[str, Any]]


def everything() -> dict[str, Rows]:
    """Every row of every table."""
    return {
        model._meta.label: [
            {name: comparable(value) for name, value in row.items()}
            for row in model._default_manager.order_by("pk").values()
        ]
        for model in apps.get_models()
    }


def comparable(value: object) -> object:
    """A value whose text says all of it."""
    if isinstance(value, GEOSGeometry):
        return value.ewkt
    return bytes(value) if isinstance(value, memoryview) else value


def differences(one: dict[str, Rows], other: dict[str, Rows]) -> dict[str, object]:
    """By table, the rows that only one of the two has."""
    told: dict[str, object] = {}
    for table in one:
        first, second = (Counter(map(repr, rows[table])) for rows in (one, other))
        if first != second:
            told[table] = (first - second, second - first)
    return told


def alike(rows: dict[str, Rows]) -> dict[str, Rows]:
    """The same rows without what differs between two worlds made by one recipe."""
    return {
        table: [
            {
                name: plain(value)
                for name, value in row.items()
                if not name.startswith(OF_THE_CLOCK)
                and not (isinstance(value, int) and name.endswith("id"))
            }
            for row in found
        ]
        for table, found in rows.items()
    }


OF_THE_CLOCK = ("seconds", "heartbeat", "lease", "log", "password")  # or of chance; columns
CHANGING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32,}|\d{4}-\d\d-\d\d[T ][\d:.+]+")
FRACTION = re.compile(r"-?\d+\.\d+(?:e-?\d+)?|\b\d+e-\d+")
LABEL = re.compile(r"\d{4}\.\d\d\.\d\d-[0-9a-f]{6}")


def plain(value: object) -> object:
    """An id, a time or a fraction by its kind; all else as it is."""
    if isinstance(value, UUID | datetime):
        return type(value).__name__
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, str) and value.startswith("SRID="):
        return value
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    for pattern in (LABEL, CHANGING, FRACTION):
        text = pattern.sub("*", text)
    return text


def test_a_difference_between_two_worlds_is_noticed() -> None:
    organisation = make_organisation()
    one = everything()
    job = Job.objects.create(kind="merge", subject_id=organisation.pk, attempt=1)
    two = everything()
    Job.objects.filter(pk=job.pk).update(attempt=2)

    assert set(differences(alike(one), alike(two))) == {"ops.Job"}
    assert set(differences(alike(two), alike(everything()))) == {"ops.Job"}
