"""Where pixels lie on the ground: the two value types every other module passes around."""

from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window
from rasterio.windows import transform as window_transform


@dataclass(frozen=True, slots=True)
class SceneGrid:
    """The pixel grid of one image.

    Attributes:
        width: columns, in pixels.
        height: rows, in pixels.
        transform: maps (column, row) to (x, y) in ``crs``; (0, 0) is the top-left corner.
        crs: the units of x and y are this CRS's own (metres or degrees).
    """

    width: int
    height: int
    transform: Affine
    crs: CRS

    def to_ground(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert (column, row) pairs, shape (N, 2), to (x, y) in the CRS. Rotation is honoured."""
        t = self.transform
        column, row = pixels.T
        # Not a product of matrices: its last bit may depend on how many points there are.
        return np.column_stack(
            [column * t.a + row * t.b + t.c, column * t.d + row * t.e + t.f],
        )


@dataclass(frozen=True, slots=True)
class GeoTile:
    """One rectangle of a scene, able to say where on the ground its pixels are.

    Attributes:
        col_off: left edge, in scene pixels.
        row_off: top edge, in scene pixels.
        width: columns, in pixels.
        height: rows, in pixels.
        grid: the scene the tile was cut from.
    """

    col_off: int
    row_off: int
    width: int
    height: int
    grid: SceneGrid

    def __post_init__(self) -> None:
        inside = (
            self.col_off >= 0
            and self.row_off >= 0
            and self.width > 0
            and self.height > 0
            and self.col_off + self.width <= self.grid.width
            and self.row_off + self.height <= self.grid.height
        )
        if not inside:
            raise ValueError(f"tile {self} is not inside its scene")

    @property
    def window(self) -> Window:
        """The same rectangle as rasterio names it."""
        return Window(self.col_off, self.row_off, self.width, self.height)

    @property
    def transform(self) -> Affine:
        """Maps this tile's own (column, row) to (x, y) in the scene's CRS."""
        return Affine(*window_transform(self.window, self.grid.transform)[:6])
