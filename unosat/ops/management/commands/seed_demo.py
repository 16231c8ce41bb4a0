"""``manage.py seed_demo``: people, a scene and an assessment to try the application with.

``make run`` calls it when only this machine can reach the page. Everything is done once: a second
call finds it all there. The scene goes the way of every upload; the workers do the rest.
"""

import ipaddress
import secrets
import tempfile
from datetime import date
from pathlib import Path
from typing import Any, get_args

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand
from django.db import IntegrityError, transaction

from detection.synthetic import SceneFile, TownScene, write_scene
from unosat.accounts.actors import Actor, RoleName, actor_for_user
from unosat.accounts.models import Membership, Organisation
from unosat.accounts.services import create_key
from unosat.assessments.models import Assessment
from unosat.assessments.services import AssessmentRequest, create_assessment
from unosat.scenes import services as scenes
from unosat.scenes import tasks, uploads
from unosat.scenes.errors import EventNameTaken
from unosat.scenes.models import Event, Scene
from unosat.training.models import ModelVersion
from unosat.training.registry import sync_shipped_models

NAME = "Synthetic demonstration"
SCENE = "synthetic-town.tif"
SEED, SIDE_PX, PIXEL_M = 3, 2048, 0.5
PASSWORD_BYTES = 12


class Command(BaseCommand):
    """Models first; then, on this machine only, the demonstration."""

    help = "Create the demonstration, unless it is there or others could reach it."

    def handle(self, *args: Any, **options: Any) -> None:
        sync_shipped_models()
        if not only_this_machine():
            self.stderr.write("Others can reach this installation: no demonstration users.")
            return
        organisation, _ = Organisation.objects.get_or_create(
            name="Demonstration", defaults={"slug": "demonstration"}
        )
        made = [line for role in get_args(RoleName) if (line := make_user(organisation, role))]
        user = User.objects.filter(membership__organisation=organisation, username="admin").first()
        if user is None:
            self.stderr.write("Another organisation has a user named admin: no demonstration.")
            return
        admin = actor_for_user(user)
        if made:
            _, key = create_key(admin, name="Demonstration partner")
            self.say("Demonstration users; these words are shown only now:", *made)
            self.say("API key of the partner, also shown only now:", f"  {key}")
        self.show_scene(admin)

    def show_scene(self, admin: Actor) -> None:
        """A scene that was checked, and an Assessment of it that waits for the workers."""
        scene = demo_scene(admin)
        if scene.state in {Scene.State.UPLOADED, Scene.State.CHECKING}:
            tasks.ingest(str(scene.pk))  # as a worker would; none runs yet
            scene.refresh_from_db()
        if scene.state != Scene.State.READY:
            self.stderr.write(f"The demonstration scene is {scene.state}. {scene.refusal_message}")
        elif not ModelVersion.objects.filter(active=True, input_kind="after").exists():
            self.stderr.write("No model is active: the demonstration scene was not analysed.")
        elif not Assessment.objects.filter(scene=scene).exists():
            wanted = AssessmentRequest(scene.pk, name=NAME, idempotency_key="demonstration")
            create_assessment(admin, wanted)

    def say(self, *lines: str) -> None:
        """On the terminal of whoever started it."""
        self.stdout.write("\n".join(lines))


def only_this_machine() -> bool:
    """Whether every name that this installation answers to is this machine's own."""
    return all(_is_loopback(host) for host in settings.ALLOWED_HOSTS)


def make_user(organisation: Organisation, role: RoleName) -> str:
    """A user named like the role; returns the line to print, or "" if there is one already."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    try:
        with transaction.atomic():
            user = User.objects.create_user(role, password=password)
            user.is_staff = user.is_superuser = role == "admin"
            user.save()
            Membership.objects.create(user=user, organisation=organisation, role=role)
    except IntegrityError:
        return ""
    return f"  {role:8} {password}"


def demo_scene(admin: Actor) -> Scene:
    """The scene, sent like any other if it is not there yet."""
    event = _event(admin)
    scene = Scene.objects.filter(event=event, synthetic=True).first()
    if scene is not None:
        return scene
    with tempfile.TemporaryDirectory(prefix="unosat-demo-") as folder:
        image = Path(folder) / SCENE
        town, place = TownScene(SEED, PIXEL_M), SceneFile(SIDE_PX, SIDE_PX)
        write_scene(image, Path(folder) / "truth.geojson", town, place)
        return _send(admin, event, image)


def _event(admin: Actor) -> Event:
    try:
        return scenes.create_event(admin, name=NAME, kind="other", date=date(2026, 1, 1))
    except EventNameTaken:
        return Event.objects.get(organisation_id=admin.organisation_id, name=NAME)


@transaction.atomic
def _send(admin: Actor, event: Event, image: Path) -> Scene:
    facts = {"event": str(event.pk), "phase": "after", "sensor": "synthetic", "licence": "CC0-1.0"}
    length = image.stat().st_size
    upload = uploads.begin(admin, length=length, filename=SCENE, metadata=facts)
    with image.open("rb") as file:
        uploads.append(admin, upload.pk, offset=0, read=file.read)
    scene = scenes.become_scene(upload.pk)
    Scene.objects.filter(pk=scene.pk).update(synthetic=True)
    scene.synthetic = True
    return scene


def _is_loopback(host: str) -> bool:
    name = host.strip("[]")
    if name in {"localhost", "testserver"}:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
