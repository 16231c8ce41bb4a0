"""What ingest finds out about an image; how the converter tells the process that started it."""

import json
from dataclasses import asdict, dataclass
from typing import Self

NEAR_INFRARED = "nir"  # in a band order; the other names are red, green and blue


@dataclass(frozen=True, slots=True)
class SceneFacts:
    """Of the clean COG, not of the file that was sent.

    Attributes:
        width: columns, in pixels.
        height: rows, in pixels.
        bands: without alpha, which became the mask.
        band_order: what each band is, separated by commas; "" where nobody knows.
        dtype: "uint8" or "uint16".
        epsg: of the CRS; None where it has no number.
        pixel_size_m: ground size of a pixel at the centre, in metres.
        outline: the scene's edge as (longitude, latitude) pairs, closed.
        shown_bands: which bands are red, green and blue, from 1.
        shown_low: value of each that is shown as 0.
        shown_high: value of each that is shown as 255.
        warnings: sentences for the person.
    """

    width: int
    height: int
    bands: int
    band_order: str
    dtype: str
    epsg: int | None
    pixel_size_m: float
    outline: list[list[float]]
    shown_bands: list[int]
    shown_low: list[float]
    shown_high: list[float]
    warnings: list[str]

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The facts that ``to_json`` wrote."""
        return cls(**json.loads(text))
