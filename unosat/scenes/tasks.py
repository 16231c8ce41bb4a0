"""Background work on scenes."""

from functools import partial
from uuid import UUID

from celery import shared_task

from detection.errors import DetectionError
from unosat.errors import RefusedError
from unosat.ops import jobs
from unosat.ops.errors import DiskFull
from unosat.scenes import fetches, services, uploads
from unosat.scenes.errors import ImageRefused, StorageFull


@shared_task(name="scenes.ingest", ignore_result=True)
def ingest(scene_id: str) -> None:
    """Check the upload of one scene and make its clean COG."""
    pk = UUID(scene_id)
    refusals = (DetectionError, ImageRefused, StorageFull, DiskFull)
    jobs.run("ingest", pk, partial(services.ingest, pk), refusals=refusals)


@shared_task(name="scenes.fetch", ignore_result=True)
def fetch(fetch_id: str) -> None:
    """Fetch one image from a link; it then goes on like any upload."""
    pk = UUID(fetch_id)
    jobs.run("fetch", pk, partial(fetches.work, pk), refusals=(RefusedError,))


@shared_task(name="scenes.expire_uploads", ignore_result=True)
def expire_uploads() -> None:
    """Remove files that nobody needs, and links that came to nothing.

    Uploads themselves are swept with everything else.
    """
    uploads.remove_remains()
    fetches.forget_old()
