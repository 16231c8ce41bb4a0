"""Every question asked of events, scenes and uploads. Reads only."""

from uuid import UUID

from django.db.models import Count, QuerySet

from unosat.accounts.actors import Actor
from unosat.errors import NotFound
from unosat.scenes.errors import SceneNotReady
from unosat.scenes.models import Event, Fetch, Scene, Upload


def events(actor: Actor) -> QuerySet[Event]:
    """The organisation's events, newest disaster first, each with ``scene_count``."""
    return (
        Event.objects.filter(organisation_id=actor.organisation_id)
        .annotate(scene_count=Count("scenes"))
        .order_by("-date", "name")
    )


def event(actor: Actor, event_id: UUID) -> Event:
    """One event.

    Raises:
        NotFound: there is none, or not in this organisation.
    """
    found = events(actor).filter(pk=event_id).first()
    if found is None:
        raise NotFound(f"event {event_id}")
    return found


def scenes(actor: Actor, *, event_id: UUID | None = None) -> QuerySet[Scene]:
    """The organisation's scenes, newest first, each with its event; of one event if given."""
    found = Scene.objects.filter(organisation_id=actor.organisation_id).select_related("event")
    if event_id is not None:
        found = found.filter(event_id=event_id)
    return found.order_by("-created_at")


def scene(actor: Actor, scene_id: UUID) -> Scene:
    """One scene with its event.

    Raises:
        NotFound: there is none, or not in this organisation.
    """
    found = scenes(actor).filter(pk=scene_id).first()
    if found is None:
        raise NotFound(f"scene {scene_id}")
    return found


def ready_scene(actor: Actor, scene_id: UUID) -> Scene:
    """One scene that has a clean COG.

    Raises:
        NotFound: there is none, or not in this organisation.
        SceneNotReady: it is still being checked, or was refused.
    """
    found = scene(actor, scene_id)
    if found.state != Scene.State.READY:
        raise SceneNotReady(f"scene {scene_id} is {found.state}")
    return found


def upload(actor: Actor, upload_id: UUID) -> Upload:
    """One upload.

    Raises:
        NotFound: there is none, or not in this organisation.
    """
    found = Upload.objects.filter(pk=upload_id, organisation_id=actor.organisation_id).first()
    if found is None:
        raise NotFound(f"upload {upload_id}")
    return found


def scene_id_of(upload_id: UUID) -> UUID | None:
    """The scene that an upload became; None while it has not."""
    return Scene.objects.filter(upload_id=upload_id).values_list("pk", flat=True).first()


def fetches(actor: Actor, *, event_id: UUID | None = None) -> QuerySet[Fetch]:
    """The organisation's imports from links, newest first; of one event if given."""
    found = Fetch.objects.filter(organisation_id=actor.organisation_id)
    if event_id is not None:
        found = found.filter(event_id=event_id)
    return found.select_related("upload__scene").order_by("-created_at")


def fetch(actor: Actor, fetch_id: UUID) -> Fetch:
    """One import from a link.

    Raises:
        NotFound: there is none, or not in this organisation.
    """
    found = fetches(actor).filter(pk=fetch_id).first()
    if found is None:
        raise NotFound(f"fetch {fetch_id}")
    return found
