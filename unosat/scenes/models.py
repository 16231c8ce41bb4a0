"""Events, their images, and the uploads that images arrive by."""

import uuid
from datetime import timedelta
from functools import partial
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.contrib.gis.db import models
from django.db import transaction
from django.db.models import F, Q
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone

from unosat.accounts.models import ApiKey, Organisation
from unosat.ops import store

WGS84 = 4326
KEEP = timedelta(days=7)  # an unfinished upload since its last byte; a file nobody could check


class Event(models.Model):
    """A disaster."""

    class Kind(models.TextChoices):
        """What happened."""

        EARTHQUAKE = "earthquake"
        STORM = "storm"
        FLOOD = "flood"
        FIRE = "fire"
        CONFLICT = "conflict"
        EXPLOSION = "explosion"
        OTHER = "other"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="events")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.OTHER)
    date = models.DateField()
    code = models.CharField(max_length=40, blank=True)  # such as a GLIDE number
    area = models.PolygonField(srid=WGS84, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"], name="event_names_differ_within_an_organisation"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Upload(models.Model):
    """A file on its way in (tus 1.0). ``offset`` is what is safely on disk, in bytes."""

    class State(models.TextChoices):
        """OPEN -> COMPLETE -> CONSUMED (became a Scene), or OPEN -> EXPIRED."""

        OPEN = "open"
        COMPLETE = "complete"
        CONSUMED = "consumed"
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="uploads")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    api_key = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="+")
    filename = models.CharField(max_length=255)  # for people; never a path
    length = models.BigIntegerField()
    offset = models.BigIntegerField(default=0)
    metadata = models.JSONField(default=dict)
    said = models.TextField(blank=True)  # Upload-Metadata, as the client wrote it
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    path = models.CharField(max_length=120)  # key in the store
    sha256 = models.CharField(max_length=64, blank=True)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(offset__gte=0) & Q(offset__lte=F("length")),
                name="upload_offset_within_length",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["complete", "consumed"]) | Q(offset=F("length")),
                name="complete_uploads_have_every_byte",
            ),
        ]

    def __str__(self) -> str:
        return f"upload {self.pk}: {self.offset} of {self.length} bytes"

    @property
    def is_over(self) -> bool:
        """Whether it was given up, or nobody went on with it in time; swept by now or not."""
        late = self.state == self.State.OPEN and self.expires_at <= timezone.now()
        return late or self.state == self.State.EXPIRED


class Fetch(models.Model):
    """An image that a worker fetches from a link; its bytes are those of an ``Upload``."""

    class State(models.TextChoices):
        """WAITING -> FETCHING -> DONE or FAILED; FAILED -> WAITING again; else CANCELLED."""

        WAITING = "waiting"
        FETCHING = "fetching"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="fetches")
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="fetches")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    api_key = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="+")
    # Links may be signed: whoever has one may read. Their queries are removed once it is over.
    url = models.CharField(max_length=4096)  # as it was given: of an image or of a STAC item
    image_url = models.CharField(max_length=4096, blank=True)  # that a STAC item led to
    asset = models.CharField(max_length=200, blank=True)  # key in the STAC item
    assets = models.JSONField(default=list)  # keys to choose from, if none was named
    metadata = models.JSONField(default=dict)  # what is said of the image
    upload = models.OneToOneField(
        Upload, null=True, on_delete=models.SET_NULL, related_name="fetch"
    )
    validator = models.CharField(max_length=200, blank=True)  # of the version that is fetched
    restarts = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    failure_code = models.CharField(max_length=40, blank=True)
    failure_message = models.CharField(max_length=400, blank=True)
    begun_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=(Q(state="failed") & ~Q(failure_code=""))
                | (~Q(state="failed") & Q(failure_code="")),
                name="failed_fetches_say_why",
            ),
        ]
        indexes = [models.Index(fields=["event", "-created_at"], name="fetches_newest_first")]

    def __str__(self) -> str:
        return f"fetch {self.pk}: {self.state}"

    @property
    def host(self) -> str:
        """Where the link leads: fit to show, unlike the link itself."""
        return urlsplit(self.url).hostname or ""

    @property
    def filename(self) -> str:
        """Of the image, or of the STAC item until that is read; for people."""
        path = unquote(urlsplit(self.image_url or self.url).path)
        return path.rsplit("/", 1)[-1] or "image.tif"

    @property
    def received(self) -> int:
        """Bytes of the image that are safely on disk."""
        return self.upload.offset if self.upload else 0

    @property
    def length(self) -> int | None:
        """Bytes of the whole image; None until the server has said it."""
        return self.upload.length if self.upload else None

    @property
    def scene_id(self) -> uuid.UUID | None:
        """The image that it became."""
        scene = getattr(self.upload, "scene", None)
        return scene.pk if scene else None


class Scene(models.Model):
    """One image of an Event. Once ready, everything reads its clean COG, never the upload."""

    class Phase(models.TextChoices):
        """Taken before or after the disaster."""

        BEFORE = "before"
        AFTER = "after"

    class State(models.TextChoices):
        """UPLOADED -> CHECKING -> READY or REFUSED; services.py holds the only transitions."""

        UPLOADED = "uploaded"
        CHECKING = "checking"
        READY = "ready"
        REFUSED = "refused"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="scenes")
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="scenes")
    upload = models.OneToOneField(
        Upload, null=True, on_delete=models.SET_NULL, related_name="scene"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    api_key = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="+")
    name = models.CharField(max_length=255)
    phase = models.CharField(max_length=6, choices=Phase)
    acquired_at = models.DateTimeField(null=True, blank=True)
    sensor = models.CharField(max_length=80, blank=True)
    licence = models.CharField(max_length=120, blank=True)
    synthetic = models.BooleanField(default=False)

    state = models.CharField(max_length=10, choices=State, default=State.UPLOADED)
    refusal_code = models.CharField(max_length=40, blank=True)
    refusal_message = models.CharField(max_length=400, blank=True)

    # facts found by ingest; of the clean COG, not of the upload
    sha256 = models.CharField(max_length=64, blank=True)  # of the file as it was sent
    size_bytes = models.BigIntegerField(default=0)  # of the file as it was sent
    decoded_bytes = models.BigIntegerField(default=0)  # of all its pixels, uncompressed
    cog_key = models.CharField(max_length=120, blank=True)  # key in the store
    footprint = models.PolygonField(srid=WGS84, null=True, blank=True)
    epsg = models.IntegerField(null=True, blank=True)
    width = models.PositiveIntegerField(default=0)  # pixels
    height = models.PositiveIntegerField(default=0)  # pixels
    pixel_size_m = models.FloatField(null=True, blank=True)
    bands = models.PositiveSmallIntegerField(default=0)
    band_order = models.CharField(max_length=60, blank=True)  # such as "red,green,blue,nir"
    dtype = models.CharField(max_length=10, blank=True)
    # {"bands": [1,2,3], "low": [], "high": [], "others": {"4": [low, high]}}; see bands.py
    stretch = models.JSONField(null=True, blank=True)
    warnings = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="ready") | (~Q(cog_key="") & Q(footprint__isnull=False)),
                name="ready_scenes_have_a_clean_cog",
            ),
            models.CheckConstraint(
                condition=(Q(state="refused") & ~Q(refusal_code=""))
                | (~Q(state="refused") & Q(refusal_code="")),
                name="refused_scenes_say_why",
            ),
        ]
        indexes = [models.Index(fields=["organisation", "-created_at"], name="scenes_newest_first")]

    def __str__(self) -> str:
        return f"{self.name} ({self.phase})"


# Scenes whose check was interrupted, or found a fault in the machine: their files are kept.
NOT_THE_FILES_FAULT = Q(
    state=Scene.State.REFUSED,
    refusal_code__in=["storage_full", "unexpected", "interrupted_too_often"],
)


@receiver(post_delete, sender=Scene)
def _remove_image(instance: Scene, **_: object) -> None:
    """However a scene was deleted, its clean COG goes with it, once that is committed."""
    if instance.cog_key:
        transaction.on_commit(partial(store.remove, instance.cog_key), robust=True)
