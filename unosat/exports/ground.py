"""Ground that cannot be assessed, told in exports: nothing seen there is not "no damage"."""

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import shapely
from shapely import STRtree
from shapely.geometry import Polygon

from unosat.review import outlines
from unosat.review.models import Building, ReviewedArea

INSIDE_SHARE = 0.5  # a building lies where at least half of it lies, as for training


@dataclass(frozen=True, slots=True)
class UnseenGround:
    """The areas of one assessment that cannot be assessed.

    Attributes:
        areas: oldest first.
        shapes: their outlines, in degrees.
        tree: over these.
    """

    areas: list[ReviewedArea]
    shapes: list[Polygon]
    tree: STRtree

    def why(self, building: Building) -> str | None:
        """Why a building's ground cannot be assessed; None where it can. Its grade stands."""
        if not self.areas:
            return None
        outline = cast("Polygon", shapely.from_wkb(bytes(building.outline.wkb)))
        for number in sorted(self.tree.query(outline).tolist()):
            if outline.intersection(self.shapes[number]).area >= INSIDE_SHARE * outline.area:
                return str(self.areas[number].because)
        return None

    def layer(self) -> dict[str, Any]:
        """As a GeoJSON FeatureCollection."""
        return {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "id": str(area.pk),
                    "geometry": outlines.geojson_of(area.outline),
                    "properties": {
                        "because": area.because,
                        "marked_by": area.user.get_username(),
                        "marked_at": area.made_at.isoformat(timespec="seconds"),
                    },
                }
                for area in self.areas
            ],
        }


def unseen_ground(assessment_id: UUID) -> UnseenGround:
    """What people said of an assessment's ground."""
    areas = list(
        ReviewedArea.objects.filter(
            assessment_id=assessment_id, kind=ReviewedArea.Kind.NOT_ASSESSABLE
        )
        .select_related("user")
        .order_by("made_at")
    )
    shapes = [cast("Polygon", shapely.from_wkb(bytes(area.outline.wkb))) for area in areas]
    return UnseenGround(areas, shapes, STRtree(shapes))
