"""What a training run would learn from: reviewed areas, cut from their scenes. Reads only."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import cast
from uuid import UUID

import numpy as np
import shapely
from django.contrib.gis.geos import GEOSGeometry
from django.db.models import Exists, OuterRef, QuerySet
from numpy.typing import NDArray
from pyproj.enums import TransformDirection
from shapely import Polygon
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from detection.detector import ModelSpec
from detection.georef import GeoTile, SceneGrid
from detection.pipeline import DetectionOptions, ScenePlan, plan_scene
from detection.raster import to_lonlat
from unosat.assessments.models import Assessment
from unosat.ops import store
from unosat.review.models import Building, ReviewedArea
from unosat.training.clusters import Cluster, Place, split
from unosat.training.models import Dataset

CHIP_PX = 1024  # longest side of a chip
CONTEXT_PX = 32  # of what lies around an area; seen, never judged
LEAST_AREA_PX = 100.0  # smaller shreds of an area hold no building


@dataclass(frozen=True, slots=True)
class Plot:
    """One spatial cluster's reviewed areas in one assessment.

    Attributes:
        assessment: with its scene, event and model version.
        cluster: what the areas belong to.
        region: in EPSG:4326; what can be assessed, and what nobody has reviewed anew in a later
            assessment of the scene.
    """

    assessment: Assessment
    cluster: Cluster
    region: BaseGeometry


def reviewed_areas(organisation_id: UUID) -> QuerySet[ReviewedArea]:
    """All areas of an organisation in which everything was looked at, newest first."""
    return (
        ReviewedArea.objects.filter(
            assessment__organisation_id=organisation_id,
            assessment__state=Assessment.State.DONE,
            kind=ReviewedArea.Kind.REVIEWED,
        )
        .select_related("assessment__scene__event", "assessment__model_version")
        .order_by("-made_at", "pk")
    )


def clusters_of(organisation_id: UUID, areas: Iterable[ReviewedArea]) -> list[Cluster]:
    """Spatial clusters of areas and of all that earlier Datasets saw, deleted areas included.

    What once taught or examined is remembered for ever: drawing an area again changes nothing.
    """
    places = {place.id: place for place in _seen_before(organisation_id)}
    places |= {a.pk: Place(a.pk, flat(a.outline), a.kept_aside) for a in areas}
    return split(places.values())


def plots_of(areas: list[ReviewedArea], clusters: list[Cluster]) -> list[Plot]:
    """Each piece of reviewed ground once per scene: the newest assessment of it counts.

    Ground that cannot be assessed, in whichever assessment somebody said so, teaches nothing.
    """
    cluster_of = {place.id: cluster for cluster in clusters for place in cluster.places}
    found = []
    for mine in _by_scene(areas):
        taken: BaseGeometry = _not_assessable(mine[0].assessment.scene_id)
        for assessment, group in _by_assessment(mine):
            for key in sorted({cluster_of[a.pk].key for a in group}):
                members = [a for a in group if cluster_of[a.pk].key == key]
                region = shapely.union_all([flat(a.outline) for a in members]).difference(taken)
                if not region.is_empty:
                    found.append(Plot(assessment, cluster_of[members[0].pk], region))
            taken = shapely.union_all([taken, *(flat(a.outline) for a in group)])
    return found


def plan_of(assessment: Assessment, spec: ModelSpec) -> ScenePlan:
    """How a model sees an assessment's scene: as when it was assessed, if pixels are as large."""
    plan = ScenePlan.from_json(assessment.plan)  # type: ignore[arg-type]
    if math.isclose(plan.model.pixel_size_m, spec.pixel_size_m, rel_tol=1e-6):
        return plan
    options = DetectionOptions(bands=plan.options.bands)
    path = store.raster(assessment.scene.cog_key)
    with store.reading():
        return plan_scene(path, spec, options, scene_sha256=assessment.scene.sha256)


def windows_of(plot: Plot, plan: ScenePlan) -> list[tuple[GeoTile, BaseGeometry]]:
    """Rectangles that cover a plot, each with the plot's region in its own pixels."""
    region = to_pixels(plot.region, plan.grid)
    if region.area < LEAST_AREA_PX:
        return []
    left, top, right, bottom = region.bounds
    rows = _spans(top - CONTEXT_PX, bottom + CONTEXT_PX, plan.grid.height)
    cols = list(_spans(left - CONTEXT_PX, right + CONTEXT_PX, plan.grid.width))
    found = []
    for row, row_end in rows:
        for col, col_end in cols:
            tile = GeoTile(col, row, col_end - col, row_end - row, plan.grid)
            inside = region.intersection(shapely.box(col, row, col_end, row_end))
            if inside.area >= LEAST_AREA_PX:
                found.append((tile, affine_transform(inside, [1, 0, 0, 1, -col, -row])))
    return found


def to_pixels(outline: BaseGeometry, grid: SceneGrid) -> BaseGeometry:
    """From longitude and latitude to (column, row) of a grid."""
    transformer, inverse = to_lonlat(grid.crs), ~grid.transform

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = transformer.transform(
            points[:, 0], points[:, 1], direction=TransformDirection.INVERSE
        )
        return np.column_stack(inverse * (np.asarray(x), np.asarray(y)))

    return shapely.make_valid(shapely.transform(outline, move))


def decided_in(organisation_id: UUID, area_ids: Iterable[UUID]) -> QuerySet[Building]:
    """Buildings that a person could judge and that touch a reviewed area of their assessment."""
    touching = ReviewedArea.objects.filter(
        pk__in=list(area_ids),
        assessment=OuterRef("assessment"),
        outline__intersects=OuterRef("outline"),
    )
    reviews = Building.Review
    decided = Building.objects.filter(organisation_id=organisation_id).exclude(
        review__in=[reviews.UNREVIEWED, reviews.UNSURE, reviews.REPLACED]
    )
    return decided.filter(Exists(touching))


def flat(outline: GEOSGeometry) -> Polygon:
    """A polygon of the database as shapely's."""
    return cast("Polygon", shapely.from_wkb(bytes(outline.wkb)))


def _not_assessable(scene_id: UUID) -> BaseGeometry:
    """Ground of a scene that cannot be assessed: a cloud lies over every assessment of it."""
    areas = ReviewedArea.objects.filter(
        assessment__scene_id=scene_id, kind=ReviewedArea.Kind.NOT_ASSESSABLE
    )
    return shapely.union_all([flat(outline) for outline in areas.values_list("outline", flat=True)])


def _seen_before(organisation_id: UUID) -> list[Place]:
    newest = Dataset.objects.filter(organisation_id=organisation_id).order_by("-frozen_at").first()
    if newest is None:
        return []
    return [
        Place(UUID(place["id"]), shapely.from_wkt(place["outline"]), place["kept_aside"])
        for place in newest.manifest["places"]
    ]


def _by_scene(areas: list[ReviewedArea]) -> Iterator[list[ReviewedArea]]:
    for scene_id in sorted({a.assessment.scene_id for a in areas}):
        yield [a for a in areas if a.assessment.scene_id == scene_id]


def _by_assessment(areas: list[ReviewedArea]) -> Iterator[tuple[Assessment, list[ReviewedArea]]]:
    """Assessments of one scene, the newest first, each with its areas."""
    assessments = {a.assessment_id: a.assessment for a in areas}
    newest_first = sorted(assessments.values(), key=lambda a: (a.created_at, a.pk), reverse=True)
    for assessment in newest_first:
        yield assessment, [a for a in areas if a.assessment_id == assessment.pk]


def _spans(start: float, end: float, length_px: int) -> list[tuple[int, int]]:
    """Cut a stretch of an axis into equal parts no longer than ``CHIP_PX``."""
    first, last = max(0, math.floor(start)), min(length_px, math.ceil(end))
    if last <= first:
        return []
    parts = -(-(last - first) // CHIP_PX)
    edges = [first + (last - first) * part // parts for part in range(parts + 1)]
    return list(pairwise(edges))
