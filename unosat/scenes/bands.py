"""What is known of a scene's bands, and the range of values that each is shown with."""

import re
from collections.abc import Sequence

import numpy as np
import rasterio
from django.db import transaction

from detection.radiometry import Stretch
from unosat.ops import store
from unosat.scenes.facts import NEAR_INFRARED
from unosat.scenes.models import Scene

OVERVIEW_PX = 512  # longest side of what a band's range is measured on: 260,000 pixels at most
# Sensors whose products have one order only: name, number of bands, which are red, green and blue;
# and which is near infrared then. Products of four bands come in two orders, so none is here.
KNOWN_SENSORS = ((re.compile(r"(world ?view|wv)[- ]?0?[23]\b", re.IGNORECASE), 8, [5, 3, 2], 7),)


def names(scene: Scene) -> list[str]:
    """One name per band, such as "red" or "nir"; "" where nobody knows what it is."""
    said = scene.band_order.split(",") if scene.band_order else []
    return [*said, *[""] * scene.bands][: scene.bands]


def near_infrared(scene: Scene) -> int | None:
    """The number of the near infrared band, from 1; None where that is not known."""
    said = names(scene)
    if NEAR_INFRARED in said:
        return said.index(NEAR_INFRARED) + 1
    for sensor, bands, visible, infrared in KNOWN_SENSORS:
        if sensor.search(scene.sensor) and (scene.bands, shown(scene)) == (bands, visible):
            return infrared
    return None


def shown(scene: Scene) -> list[int]:
    """The bands that are red, green and blue, from 1."""
    return list((scene.stretch or {}).get("bands", [1, 2, 3]))


def stretch_of(scene: Scene, wanted: Sequence[int]) -> Stretch:
    """The range of values of some bands of a ready scene, fitted once and stored with it.

    Args:
        scene: ready; its stored ranges may be added to.
        wanted: numbers of bands, from 1, in the order of the result.
    """
    ranges = _stored(scene)
    if scene.dtype != "uint16":  # 8 bits are shown as they are
        ranges = dict.fromkeys(wanted, (0.0, 255.0)) | ranges
    elif not set(wanted) <= set(ranges):
        ranges |= _fit_others(scene, sorted(set(range(1, scene.bands + 1)) - set(ranges)))
    return Stretch(
        tuple(ranges[number][0] for number in wanted), tuple(ranges[number][1] for number in wanted)
    )


def _stored(scene: Scene) -> dict[int, tuple[float, float]]:
    stretch = scene.stretch or {"bands": [1, 2, 3], "low": [0.0] * 3, "high": [255.0] * 3}
    others = {int(number): (low, high) for number, (low, high) in stretch.get("others", {}).items()}
    own = zip(stretch["low"], stretch["high"], strict=True)
    return others | dict(zip(stretch["bands"], own, strict=True))


def _fit_others(scene: Scene, numbers: list[int]) -> dict[int, tuple[float, float]]:
    """Measure these bands on an overview, and keep it: asked for twice at once, it is the same."""
    fitted = _measured(scene, numbers)
    found = dict(zip(numbers, zip(fitted.low, fitted.high, strict=True), strict=True))
    with transaction.atomic():
        row = Scene.objects.select_for_update().get(pk=scene.pk)
        if row.stretch is not None:
            row.stretch["others"] = {str(number): list(pair) for number, pair in found.items()}
            row.save(update_fields=["stretch"])
            scene.stretch = row.stretch
    return found


def _measured(scene: Scene, numbers: list[int]) -> Stretch:
    with (
        store.reading(quick=True),
        rasterio.open(store.raster(scene.cog_key), driver="GTiff") as dataset,
    ):
        shrink = max(1.0, max(dataset.width, dataset.height) / OVERVIEW_PX)
        shape = (max(1, int(dataset.height / shrink)), max(1, int(dataset.width / shrink)))
        pixels = dataset.read(numbers, out_shape=(len(numbers), *shape))
        valid = dataset.read_masks(numbers[0], out_shape=shape) > 0
    if not valid.any():  # what there is falls between the overview's pixels
        valid = np.ones(shape, np.bool_)
    return Stretch.fit(pixels[:, valid])
