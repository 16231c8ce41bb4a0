"""How much each organisation keeps here, and whether there is room for more.

What counts, in bytes: an upload under way at the length that was announced; an image at the size
of all its pixels, uncompressed, because a small sparse or compressed file may become a large one
(while it is being checked: the larger of that and the file as sent); a file that is kept for
another check at its own size. Refused images and ended uploads keep nothing and count nothing.
Overviews, and how well the kept image happens to be compressed, are left out.
"""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Greatest

from unosat.accounts.models import Organisation
from unosat.ops.templatetags.frontend import file_size
from unosat.scenes.errors import QuotaExceeded, SceneBeyondQuota
from unosat.scenes.models import NOT_THE_FILES_FAULT, Scene, Upload

State = Scene.State
ASK = "Give up unfinished uploads, or ask the administrator of this server for more room."


@dataclass(frozen=True, slots=True)
class Quota:
    """What an organisation may keep, and does.

    Attributes:
        used_bytes: as the module says.
        limit_bytes: None where there is no limit.
    """

    used_bytes: int
    limit_bytes: int | None

    def has_room_for(self, more_bytes: int) -> bool:
        """Whether so many bytes more stay within the limit."""
        return self.limit_bytes is None or self.used_bytes + more_bytes <= self.limit_bytes

    @property
    def left_bytes(self) -> int:
        """What is left of the limit; 0 if there is no limit to speak of."""
        return max(0, (self.limit_bytes or 0) - self.used_bytes)

    def __str__(self) -> str:
        """For people; "" where there is no limit."""
        if self.limit_bytes is None:
            return ""
        left, limit = file_size(self.left_bytes), file_size(self.limit_bytes)
        return f"{left} of your organisation's {limit} are left."


def quota_of(organisation_id: UUID) -> Quota:
    """An organisation's quota as it is now."""
    return _quota(Organisation.objects.get(pk=organisation_id))


def reserve_upload(upload: Upload) -> None:
    """Save a new upload, if there is room for its whole length.

    Raises:
        QuotaExceeded: there is not; nothing is saved.
    """
    with transaction.atomic():
        quota = _quota(_locked(upload.organisation_id))
        if not quota.has_room_for(upload.length):
            needed = file_size(upload.length)
            raise QuotaExceeded(f"{quota} This file has {needed}. {ASK}", f"{upload.length} bytes")
        upload.save(force_insert=True)


def reserve_scene(scene: Scene, decoded_bytes: int) -> None:
    """Note what an image will take once it is kept, if there is room for it.

    Asked of the file's header, before anything is decoded.

    Raises:
        SceneBeyondQuota: there is not.
    """
    with transaction.atomic():
        quota = _quota(_locked(scene.organisation_id), apart_from=scene.pk)
        if not quota.has_room_for(decoded_bytes):
            needed = file_size(decoded_bytes)
            raise SceneBeyondQuota(
                f"Uncompressed, the image has {needed}. {quota} {ASK}", f"{decoded_bytes} bytes"
            )
        Scene.objects.filter(pk=scene.pk).update(decoded_bytes=decoded_bytes)


def _locked(organisation_id: UUID) -> Organisation:
    """The organisation, held until the transaction ends: nobody else reserves meanwhile."""
    return Organisation.objects.select_for_update(no_key=True).get(pk=organisation_id)


def _quota(organisation: Organisation, apart_from: UUID | None = None) -> Quota:
    limit = organisation.quota_bytes
    uploads = Upload.objects.filter(
        organisation=organisation, state__in=[Upload.State.OPEN, Upload.State.COMPLETE]
    )
    scenes = Scene.objects.filter(organisation=organisation)
    if apart_from is not None:
        scenes = scenes.exclude(pk=apart_from)
    checking = scenes.filter(state__in=[State.UPLOADED, State.CHECKING])
    kept = scenes.filter(NOT_THE_FILES_FAULT, upload__isnull=False)
    used = [
        uploads.aggregate(sum=Sum("length")),
        checking.aggregate(sum=Sum(Greatest("size_bytes", "decoded_bytes"))),
        scenes.filter(state=State.READY).aggregate(sum=Sum("decoded_bytes")),
        kept.aggregate(sum=Sum("size_bytes")),
    ]
    return Quota(
        used_bytes=sum(one["sum"] or 0 for one in used),
        limit_bytes=settings.UNOSAT_QUOTA_BYTES if limit is None else limit,
    )
