"""Known outlines that are sent with an assessment: checked without GDAL, then kept in the store.

Only GeoJSON is taken here: it is read by Python's own parser, where a GeoPackage or Shapefile would
have to be opened by GDAL before anything of ours has looked at it. The command line takes the rest.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from detection.errors import UnreadableOutlines
from detection.outlines.geojson import read_features
from detection.planning import KnownOutlines, ScenePlan
from unosat import incoming
from unosat.assessments.errors import BadOutlines, NoPolygons, TooManyOutlines
from unosat.assessments.keys import outlines_key
from unosat.ops import store

MOST_BYTES = 16 * 1024**2
MOST_OUTLINES = 100_000


@dataclass(frozen=True, slots=True)
class SentOutlines:
    """Outlines that passed the check.

    Attributes:
        content: GeoJSON in degrees, one polygon a feature.
        sha256: of the content.
        count: how many outlines there are.
    """

    content: bytes
    sha256: str
    count: int


def check(sent: bytes) -> SentOutlines:
    """Read outlines as somebody sent them; the parts of a MultiPolygon become single ones.

    Whether each lies on the image is asked when the assessment is planned, and told one by one.

    Raises:
        BadOutlines: not GeoJSON in degrees, or too large.
        NoPolygons: no feature is a polygon.
        TooManyOutlines: more than an assessment takes.
        UnusableText: an id or a property holds what the database could not keep.
    """
    if len(sent) > MOST_BYTES:
        raise TooManyOutlines(f"{len(sent)} bytes")
    features: list[str] = []
    polygons = 0
    try:
        for feature in read_features(io.TextIOWrapper(io.BytesIO(sent), encoding="utf-8-sig")):
            if feature["type"] == "crs":
                _must_be_degrees(feature["crs"])
                continue
            for part in _single(feature):
                polygons += part["geometry"] is not None
                kept = [part.get("id"), part.get("properties")]
                incoming.check_value(kept, any_number=True)  # cells of S2 have 64 bits, unsigned
                features.append(json.dumps(part, ensure_ascii=False, allow_nan=False))
            if len(features) > MOST_OUTLINES:
                raise TooManyOutlines(f"over {MOST_OUTLINES} outlines")
    except (UnreadableOutlines, ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadOutlines(str(error)) from error
    if not polygons:
        raise NoPolygons(f"{len(features)} features")
    content = f'{{"type": "FeatureCollection", "features": [{",".join(features)}]}}'.encode()
    return SentOutlines(content, hashlib.sha256(content).hexdigest(), len(features))


def keep(assessment_id: UUID, sent: SentOutlines) -> None:
    """Put outlines into the store; nothing changes them from then on."""
    with store.writing(_source_key(assessment_id)) as path:
        path.write_bytes(sent.content)


def forget(assessment_id: UUID) -> None:
    """Remove them again: the assessment was not created after all."""
    store.remove(outlines_key(assessment_id))


@contextmanager
def to_plan(assessment_id: UUID, *, also_detect: bool) -> Iterator[KnownOutlines]:
    """What the engine needs to plan with them; its book is kept when the block ends well."""
    with (
        store.local(_source_key(assessment_id)) as source,
        store.writing(book_key(assessment_id)) as book,
    ):
        yield KnownOutlines(source, book, also_detect=also_detect)


@contextmanager
def book_of(assessment_id: UUID, plan: ScenePlan) -> Iterator[Path | None]:
    """The book that planning wrote, to read; None where no outlines are known."""
    if plan.outlines is None:
        yield None
        return
    with store.local(book_key(assessment_id)) as book:
        yield book


def book_key(assessment_id: UUID) -> str:
    """Where the engine's book of them lies, once the assessment is planned."""
    return f"{outlines_key(assessment_id)}/book.sqlite"


def omissions_key(assessment_id: UUID) -> str:
    """Where the table of those without a grade lies, once the assessment is done."""
    return f"{outlines_key(assessment_id)}/not_analysed.csv"


def _source_key(assessment_id: UUID) -> str:
    return f"{outlines_key(assessment_id)}/outlines.geojson"


def _must_be_degrees(crs: object) -> None:
    name = json.dumps(crs)
    if not ("CRS84" in name or "4326" in name):
        raise BadOutlines(f"crs {name[:80]}")


def _single(feature: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A feature for each polygon: a Building has one outline. The rest is told at planning."""
    geometry = feature.get("geometry") or {}
    kept: dict[str, Any] = {name: feature[name] for name in ("id", "properties") if name in feature}
    parts: Sequence[BaseGeometry | None] = [None]
    if geometry.get("type") in {"Polygon", "MultiPolygon"}:
        parts = _parts(geometry) or [None]
    for part in parts:
        yield {"type": "Feature", **kept, "geometry": mapping(part) if part is not None else None}


def _parts(geometry: dict[str, Any]) -> list[BaseGeometry]:
    """The valid polygons that a geometry amounts to; none where its numbers are no places."""
    try:
        drawn = shapely.force_2d(shape(geometry))
    except (ShapelyError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return []
    except (OverflowError, RecursionError):  # a number beyond any, rings in rings
        return []
    if not np.isfinite(shapely.get_coordinates(drawn)).all():
        return []
    valid = drawn if drawn.is_valid else shapely.make_valid(drawn)
    single = shapely.get_parts(shapely.get_parts(valid))
    return [part for part in single if part.geom_type == "Polygon" and part.area > 0]
