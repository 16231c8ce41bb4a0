"""What may be drawn, and what is refused before any geometry engine sees it."""

import math

import pytest
from django.contrib.gis.geos import Polygon as StoredPolygon
from shapely.geometry import MultiPolygon, Polygon, box

from tests.unosat.makers import NORTH, STEP, WEST, house_outline, ring
from unosat.errors import RefusedError
from unosat.review import outlines
from unosat.review.errors import AreaSize, BadOutline, OutlineOutside, OutlineSize
from unosat.scenes.models import Scene

SIDE = 1024 * STEP


@pytest.fixture
def scene() -> Scene:
    return Scene(footprint=StoredPolygon.from_bbox((WEST, NORTH - SIDE, WEST + SIDE, NORTH)))


def test_a_house_is_taken_as_drawn_and_turned_anticlockwise(scene: Scene) -> None:
    drawn = house_outline()
    drawn["coordinates"] = [list(reversed(drawn["coordinates"][0]))]  # type: ignore[index]

    polygon = outlines.building_outline(drawn, scene)

    assert polygon.exterior.is_ccw
    assert 300 < outlines.area_m2(polygon) < 500


BOW_TIE = [
    [WEST + 1e-4, NORTH - 1e-4],
    [WEST + 3e-4, NORTH - 3e-4],
    [WEST + 3e-4, NORTH - 1e-4],
    [WEST + 1e-4, NORTH - 3e-4],
    [WEST + 1e-4, NORTH - 1e-4],
]


@pytest.mark.parametrize(
    ("geojson", "error"),
    [
        (None, BadOutline),
        ("SRID=4326;POLYGON((0 0,1 1,1 0,0 0))", BadOutline),
        ({"type": "Point", "coordinates": [WEST, NORTH]}, BadOutline),
        ({"type": "Polygon", "coordinates": []}, BadOutline),
        ({"type": "Polygon", "coordinates": [BOW_TIE]}, BadOutline),
        ({"type": "Polygon", "coordinates": [BOW_TIE[:3]]}, BadOutline),
        ({"type": "Polygon", "coordinates": [BOW_TIE, BOW_TIE]}, BadOutline),
        ({"type": "Polygon", "coordinates": [[[math.nan, 1.0]] * 5]}, BadOutline),
        ({"type": "Polygon", "coordinates": [[["33.3", 35.2]] * 5]}, BadOutline),
        ({"type": "Polygon", "coordinates": [[[True, False]] * 5]}, BadOutline),
        ({"type": "Polygon", "coordinates": [[[33.3, 35.2]] * 5000]}, BadOutline),
        ({"type": "Polygon", "coordinates": [[[33.3, 135.2]] * 5]}, BadOutline),
        (ring(WEST, NORTH - 1e-6, WEST + 1e-6, NORTH), OutlineSize),
        (ring(10.0, 10.0, 10.001, 10.001), OutlineOutside),
        (ring(WEST - 1, NORTH - 1, WEST + 1, NORTH + 1), OutlineSize),
    ],
)
def test_what_is_no_outline_of_a_building_is_refused_with_advice(
    scene: Scene, geojson: object, error: type[RefusedError]
) -> None:
    with pytest.raises(error) as caught:
        outlines.building_outline(geojson, scene)

    assert caught.value.user_message.endswith(".")


def test_a_reviewed_area_is_cut_to_the_image(scene: Scene) -> None:
    area = outlines.reviewed_outline(ring(WEST - 1, NORTH - SIDE / 2, WEST + 1, NORTH + 1), scene)

    assert area.bounds == pytest.approx((WEST, NORTH - SIDE / 2, WEST + SIDE, NORTH))


def test_a_reviewed_area_must_hold_more_than_a_shed(scene: Scene) -> None:
    with pytest.raises(AreaSize):
        outlines.reviewed_outline(ring(WEST, NORTH - 2e-5, WEST + 2e-5, NORTH), scene)


def test_an_outline_across_the_180th_meridian_comes_back_in_two_parts() -> None:
    across = MultiPolygon([box(179.999, -17, 180, -16.999), box(-180, -17, -179.999, -16.999)])

    stored = outlines.stored(across)
    back = outlines.loaded(stored)

    assert stored.extent == pytest.approx((179.999, -17, 180.001, -16.999))
    assert isinstance(back, MultiPolygon)
    assert back.equals(across)


def test_what_is_stored_comes_back_to_the_last_digit() -> None:
    polygon = Polygon([(33.1234567, 35.7654321), (33.2, 35.1), (33.3, 35.9)])

    assert list(outlines.loaded(outlines.stored(polygon)).exterior.coords) == list(  # type: ignore[union-attr]
        polygon.exterior.coords
    )
