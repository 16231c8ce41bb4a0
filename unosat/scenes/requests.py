"""What somebody says of an image while sending it, read from forms and from tus metadata."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from detection.errors import DetectionError
from detection.raster import BandOrder
from unosat import moments
from unosat.scenes.errors import BadSceneFacts
from unosat.scenes.models import Scene

NAME_LENGTH, SENSOR_LENGTH, LICENCE_LENGTH, EVENT_NAME_LENGTH = 255, 80, 120, 120


@dataclass(frozen=True, slots=True)
class SceneRequest:
    """Facts that come with an image.

    Attributes:
        event_id: of an event there is; None where a name is given.
        event_name: of an event that is made if there is none of that name; "" where an id is.
        phase: "before" or "after".
        name: for people.
        acquired_at: when the image was taken, if that is known.
        sensor: such as "WorldView-3".
        licence: of the image.
        band_order: such as "BGRN" or "5,3,2"; "" for as the file says.
    """

    event_id: UUID | None
    event_name: str
    phase: str
    name: str
    acquired_at: datetime | None
    sensor: str
    licence: str
    band_order: str

    @classmethod
    def read(cls, given: Mapping[str, str], *, filename: str) -> Self:
        """Read what was said; keys are the names of the API's form.

        Raises:
            BadSceneFacts: no event, no phase, or something that is not what it should be.
        """
        said = {key: str(value).strip().replace("\0", "") for key, value in given.items()}
        phase = said.get("phase", "")
        if phase not in Scene.Phase.values:
            raise BadSceneFacts(f"phase {phase!r}")
        event_id, event_name = _event(said)
        return cls(
            event_id=event_id,
            event_name=event_name,
            phase=phase,
            name=(said.get("name") or filename)[:NAME_LENGTH],
            acquired_at=_moment(said.get("acquired_at", "")),
            sensor=said.get("sensor", "")[:SENSOR_LENGTH],
            licence=said.get("licence", "")[:LICENCE_LENGTH],
            band_order=_band_order(said.get("band_order", "")),
        )


def _event(said: Mapping[str, str]) -> tuple[UUID | None, str]:
    if said.get("event"):
        try:
            return UUID(said["event"]), ""
        except ValueError as error:
            raise BadSceneFacts("event is no id") from error
    if said.get("event_name"):
        return None, said["event_name"][:EVENT_NAME_LENGTH]
    raise BadSceneFacts("no event")


def _moment(text: str) -> datetime | None:
    """A date or a moment; without a zone it is UTC."""
    if not text:
        return None
    try:
        return moments.read(text)
    except ValueError as error:
        raise BadSceneFacts("acquired_at", "Give acquired_at as in 2025-01-31T10:20Z.") from error


def _band_order(text: str) -> str:
    if text:
        try:
            BandOrder.parse(text)
        except DetectionError as error:
            raise BadSceneFacts("band_order", "Give band_order as BGRN or 5,3,2.") from error
    return text[:60]
