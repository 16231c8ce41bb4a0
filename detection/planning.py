"""Decide, once per scene, how it is looked at: pixels, tiles, contrast, model, options."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window
from shapely.geometry import MultiPolygon, Polygon, mapping
from shapely.geometry.base import BaseGeometry

from detection.before import BeforePlan, BeforeScene, Pixels, plan_before
from detection.calibration import Calibration
from detection.detector import ModelSpec
from detection.errors import EmptyImage, UnreadableRaster, WrongModel
from detection.footprints import cut_at_antimeridian
from detection.georef import GeoTile, SceneGrid
from detection.outlines.book import Contents, Placing, open_book, write_book
from detection.radiometry import Stretch
from detection.raster import BandOrder, Scene, hash_file, open_scene, to_lonlat
from detection.tiling import Shard, TileLayout, runs_of, split_batches

# A model bears a change of scale this small (it was trained with larger ones); resampling would
# only blur the image and cost time.
NATIVE_SCALE = 1.15
FAST_COARSER = 1.4  # the largest change of scale that models are trained with
OVERLAP_PX = 128
GRADE_MARGIN = 0.02
SAMPLE_PX = 256  # side of the windows that a stretch is fitted to
SAMPLES = 48  # windows with valid pixels are enough
SAMPLE_TRIES = 512  # windows looked at in a scene that is nearly all nodata
Profile = Literal["normal", "fast"]
PROFILES: Final[tuple[Profile, ...]] = get_args(Profile)


@dataclass(frozen=True, slots=True)
class DetectionOptions:
    """Choices recorded with each run, so that it can be repeated.

    Attributes:
        tile_px: side of a tile, in pixels; None: the model's.
        overlap_px: least overlap of neighbouring tiles, in pixels; None: 128 (some 60 m on the
            ground: nearly every building is whole in a tile), or a quarter of a small tile.
        min_score: detections below it are left out, in [0, 1]; None: the model's operating score.
        batch_size: tiles given to the model at once; None: one, or what the detector asks for
            where there is one.
        bands: which bands are red, green and blue; None: as the file says, else guessed.
        profile: "fast" looks at fewer, larger pixels (``FAST_COARSER``): less work for each square
            kilometre, and small buildings are missed. Said by how much in README.md.
        grade_margin: a building is "unclassified" where its two best grades lie nearer than this,
            as shares of all four (weighed, if the model is calibrated); in [0, 1], 0: never.
    """

    tile_px: int | None = None
    overlap_px: int | None = None
    min_score: float | None = None
    batch_size: int | None = None
    bands: BandOrder | None = None
    profile: Profile = "normal"
    grade_margin: float = GRADE_MARGIN


@dataclass(frozen=True, slots=True)
class KnownOutlines:
    """Building outlines that somebody has already, to be judged instead of found.

    Attributes:
        source: the file they come in, see ``detection.outlines.files``.
        book: the file to write them down in; shards and the merge read it.
        also_detect: look for buildings that are not among them as well.
        move: report them where the roofs were seen, rather than as they were drawn.
    """

    source: Path
    book: Path
    also_detect: bool = False
    move: bool = False


@dataclass(frozen=True, slots=True)
class OutlinePlan:
    """What a plan remembers of known outlines.

    Attributes:
        contents: of the file they came in.
        also_detect: as in ``KnownOutlines``.
        move: as in ``KnownOutlines``.
    """

    contents: Contents
    also_detect: bool
    move: bool


@dataclass(frozen=True)
class ScenePlan:
    """Everything that decides what is found in a scene; the same for each of its shards.

    Attributes:
        scene_name: for people.
        scene_sha256: of the file.
        scene: the file's own pixels.
        grid: the pixels that the model sees: the same ground, resampled.
        pixel_size_m: ground length of one of the scene's own pixels, across and down.
        model: what is to look at it.
        options: with every None decided.
        stretch: from the scene's numbers to 8 bits.
        area: what was asked for, in longitude and latitude, as WKT; None: all of it.
        work: runs (first, after last) of the tiles that may hold pixels inside the area.
        empty_tiles: how many tiles inside the area were seen to be empty without reading them.
        warnings: sentences for the person.
        outlines: the known outlines that are to be judged; None: buildings are found.
        before: how the image before is read; None: there is none.
    """

    scene_name: str
    scene_sha256: str
    scene: SceneGrid
    grid: SceneGrid
    pixel_size_m: tuple[float, float]
    model: ModelSpec
    options: DetectionOptions
    stretch: Stretch
    area: str | None
    work: tuple[tuple[int, int], ...]
    empty_tiles: int
    warnings: tuple[str, ...]
    outlines: OutlinePlan | None = None
    before: BeforePlan | None = None

    @property
    def model_pixel_m(self) -> float:
        """Ground length of a pixel that the model sees, the shorter of across and down."""
        across = self.pixel_size_m[0] * self.scene.width / self.grid.width
        return min(across, self.pixel_size_m[1] * self.scene.height / self.grid.height)

    @cached_property
    def layout(self) -> TileLayout:
        """The tiles."""
        return _layout(self.grid, self.options)

    @cached_property
    def work_indexes(self) -> frozenset[int]:
        """Numbers of the tiles to look at."""
        return frozenset(index for run in self.work for index in range(*run))

    @property
    def work_tiles(self) -> int:
        """How many tiles are to be looked at."""
        return sum(last - first for first, last in self.work)

    @property
    def tile_count(self) -> int:
        """How many tiles the area has, empty ones included."""
        return self.work_tiles + self.empty_tiles

    @cached_property
    def run_sha256(self) -> str:
        """What the scene, the model and the options are together."""
        options = self.describe_options()
        del options["batch_size"]  # how the work was done, not what was asked for
        parts: list[Any] = [self.scene_sha256, self.model.sha256, options]
        if self.model.calibration:
            parts.append(self.model.calibration.to_json())
        if self.before:
            parts.append(asdict(self.before) | {"name": ""})
        if self.outlines:  # how they are reported is not what is found
            parts += [self.outlines.contents.sha256, self.outlines.also_detect]
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def describe_options(self) -> dict[str, Any]:
        """The options as outputs carry them."""
        bands = self.options.bands
        area = mapping(shapely.from_wkt(self.area)) if self.area else None
        return asdict(self.options) | {"bands": bands.indexes if bands else None, "area": area}

    def native_window(self, tile: GeoTile) -> Window:
        """The scene's own pixels under a tile; ends may lie between two of them."""
        across = self.scene.width / self.grid.width
        down = self.scene.height / self.grid.height
        return Window(
            tile.col_off * across, tile.row_off * down, tile.width * across, tile.height * down
        )

    def to_json(self) -> str:
        """As text that ``from_json`` reads."""
        data = {item: getattr(self, item) for item in self.__dataclass_fields__}
        data |= {
            "scene": _grid_to_json(self.scene),
            "grid": _grid_to_json(self.grid),
            "model": asdict(self.model),
            "options": asdict(self.options),
            "stretch": asdict(self.stretch),
            "outlines": asdict(self.outlines) if self.outlines else None,
            "before": asdict(self.before) if self.before else None,
        }
        return json.dumps(data, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The plan that ``to_json`` wrote."""
        data = json.loads(text)
        bands = data["options"].pop("bands")
        data |= {
            "scene": _grid_from_json(data["scene"]),
            "grid": _grid_from_json(data["grid"]),
            "pixel_size_m": tuple(data["pixel_size_m"]),
            "model": _model_from_json(data["model"]),
            "options": DetectionOptions(
                **data["options"], bands=BandOrder(**bands) if bands else None
            ),
            "stretch": _stretch_from_json(data["stretch"]),
            "work": tuple((first, last) for first, last in data["work"]),
            "warnings": tuple(data["warnings"]),
            "outlines": _outlines_from_json(data.get("outlines")),
            "before": _before_from_json(data.get("before")),
        }
        return cls(**data)


def plan_scene(  # noqa: PLR0913 (each is asked for on its own, by name)
    path: Path | str,
    spec: ModelSpec,
    options: DetectionOptions = DetectionOptions(),
    *,
    area: BaseGeometry | None = None,
    outlines: KnownOutlines | None = None,
    before: BeforeScene | None = None,
    scene_sha256: str | None = None,
    scene_name: str | None = None,
) -> ScenePlan:
    """Decide, once, how a scene is looked at. Reads a bounded number of pixels.

    Args:
        path: a local GeoTIFF, or as text GDAL's name of a clean one in the operator's own store.
        spec: the model that will look.
        options: what is None in them is decided here.
        area: look only inside it; polygons in longitude and latitude.
        outlines: judge these instead of looking for buildings.
        before: the image to compare with; a model for pairs needs it, another takes none.
        scene_sha256: of the file, where it is known; needed where ``path`` is text.
        scene_name: for people; None: the file's name.

    Raises:
        DetectionError: an image cannot be used.
        WrongModel: the model is for pairs and there is none, or the other way round.
    """
    if (spec.input_kind == "before_after") != (before is not None):
        raise WrongModel(f"{spec.label} takes {spec.input_kind}")
    tile_px = options.tile_px or spec.tile_px
    overlap_px = min(OVERLAP_PX, tile_px // 4) if options.overlap_px is None else options.overlap_px
    options = replace(
        options,
        tile_px=tile_px,
        overlap_px=overlap_px,
        min_score=spec.operating_score if options.min_score is None else options.min_score,
        batch_size=options.batch_size or 1,
    )
    with open_scene(path, options.bands) as scene:
        options = replace(options, bands=scene.bands)
        coarser = FAST_COARSER if options.profile == "fast" else 1.0
        grid = _model_grid(scene, spec.pixel_size_m * coarser)
        layout = _layout(grid, options)
        work, empty, known = _find_work(scene, layout, area, outlines)
        plan = ScenePlan(
            scene_name=scene_name or Path(path).name,
            scene_sha256=scene_sha256 or hash_file(Path(path)),
            scene=scene.grid,
            grid=grid,
            pixel_size_m=scene.pixel_size_m,
            model=spec,
            options=options,
            stretch=_fit_stretch(scene, layout, work),
            area=area.wkt if area is not None else None,
            work=runs_of(work),
            empty_tiles=empty,
            warnings=scene.warnings,
            outlines=known,
        )
        return _with_before(plan, scene, before) if before else plan


def read_after(scene: Scene, plan: ScenePlan, window: GeoTile, width: int, height: int) -> Pixels:
    """Part of the model's grid as the model sees it, 8 bits, resampled; and what is valid."""
    pixels, valid = scene.read(plan.native_window(window), width=width, height=height)
    return plan.stretch.apply(pixels, valid), valid


def _with_before(plan: ScenePlan, scene: Scene, wanted: BeforeScene) -> ScenePlan:
    tiles = [plan.layout.tile(index) for index in _spread(sorted(plan.work_indexes))]

    def look(tile: GeoTile) -> Pixels:
        return read_after(scene, plan, tile, tile.width, tile.height)

    before, said = plan_before(wanted, plan.grid, tiles, look, pixel_m=plan.model_pixel_m)
    return replace(plan, before=before, warnings=plan.warnings + said)


def plan_shards(
    plan: ScenePlan, *, shards: int | None = None, tiles_per_shard: int | None = None
) -> list[Shard]:
    """Share a scene's work out: into so many shards, or so many tiles each. Never empty."""
    if shards is None:
        shards = -(-plan.work_tiles // (tiles_per_shard or plan.work_tiles or 1))
    return split_batches(plan.layout, sorted(plan.work_indexes), shards=max(1, shards))


def lonlat_outlines(layout: TileLayout, indexes: Iterable[int]) -> list[Polygon | MultiPolygon]:
    """Where tiles lie, in longitude and latitude."""
    tiles = [layout.tile(index) for index in indexes]
    corners = np.array([_corners(tile) for tile in tiles], np.float64).reshape(-1, 2)
    lon, lat = to_lonlat(layout.grid.crs).transform(*layout.grid.to_ground(corners).T)
    rings = np.column_stack([lon, lat]).reshape(-1, 4, 2)
    return [cut_at_antimeridian(Polygon(ring)) for ring in rings]


def _corners(tile: GeoTile) -> list[tuple[int, int]]:
    left, top = tile.col_off, tile.row_off
    right, bottom = left + tile.width, top + tile.height
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _layout(grid: SceneGrid, options: DetectionOptions) -> TileLayout:
    return TileLayout(grid, options.tile_px or 0, options.overlap_px or 0, options.batch_size or 1)


def _model_grid(scene: Scene, pixel_size_m: float) -> SceneGrid:
    """The same ground in pixels of the model's size, or as it is where that is near enough."""
    grid = scene.grid
    scales = [length / pixel_size_m for length in scene.pixel_size_m]
    if all(1 / NATIVE_SCALE <= scale <= NATIVE_SCALE for scale in scales):
        return grid
    width = max(1, round(grid.width * scales[0]))
    height = max(1, round(grid.height * scales[1]))
    zoom = Affine.scale(grid.width / width, grid.height / height)
    return SceneGrid(width, height, grid.transform @ zoom, grid.crs)


def _find_work(
    scene: Scene, layout: TileLayout, area: BaseGeometry | None, outlines: KnownOutlines | None
) -> tuple[list[int], int, OutlinePlan | None]:
    """Tiles to look at, the number of those known to be empty, and the outlines to judge."""
    wanted = tiles_inside(layout, area)
    blocks = scene.blocks_present()
    complete, size = bool(blocks.all()), scene.block_shape

    def may_hold_pixels(index: int) -> bool:
        return complete or _has_block(scene.grid, layout, index, blocks, size)

    known = None
    if outlines:
        has_pixels = np.array([may_hold_pixels(index) for index in range(layout.tile_count)])
        known = _write_outlines(outlines, Placing(layout, has_pixels, area))
        with open_book(outlines.book, known.contents) as book:
            homes = book.tiles()
        wanted = sorted({*homes, *wanted}) if known.also_detect else homes
    work = [index for index in wanted if may_hold_pixels(index)]
    if not work:
        raise EmptyImage("no tile holds pixels")
    return work, len(wanted) - len(work), known


def _write_outlines(outlines: KnownOutlines, placing: Placing) -> OutlinePlan:
    contents = write_book(outlines.book, outlines.source, placing)
    return OutlinePlan(contents, outlines.also_detect, outlines.move)


def _model_from_json(data: dict[str, Any]) -> ModelSpec:
    said = data.get("calibration")
    return ModelSpec(**data | {"calibration": Calibration.from_json(said) if said else None})


def _outlines_from_json(data: dict[str, Any] | None) -> OutlinePlan | None:
    return OutlinePlan(**data | {"contents": Contents(**data["contents"])}) if data else None


def _before_from_json(data: dict[str, Any] | None) -> BeforePlan | None:
    if not data:
        return None
    return BeforePlan(
        **data
        | {
            "bands": BandOrder(**data["bands"]),
            "pixel_size_m": tuple(data["pixel_size_m"]),
            "stretch": _stretch_from_json(data["stretch"]),
        }
    )


def _stretch_from_json(data: dict[str, Any]) -> Stretch:
    return Stretch(tuple(data["low"]), tuple(data["high"]))


def tiles_inside(layout: TileLayout, area: BaseGeometry | None) -> list[int]:
    """Numbers of the tiles that meet the area."""
    indexes = range(layout.tile_count)
    if area is None:
        return list(indexes)
    outlines = lonlat_outlines(layout, indexes)
    meets = shapely.intersects(np.array(outlines, dtype=object), area)
    return [int(index) for index in np.flatnonzero(meets)]


def _has_block(
    scene: SceneGrid,
    layout: TileLayout,
    index: int,
    blocks: NDArray[np.bool_],
    block_shape: tuple[int, int],
) -> bool:
    tile = layout.tile(index)
    down = scene.height / layout.grid.height / block_shape[0]
    across = scene.width / layout.grid.width / block_shape[1]
    rows = slice(int(tile.row_off * down), int(-(-(tile.row_off + tile.height) * down // 1)))
    columns = slice(int(tile.col_off * across), int(-(-(tile.col_off + tile.width) * across // 1)))
    return bool(blocks[rows, columns].any())


def _fit_stretch(scene: Scene, layout: TileLayout, work: list[int]) -> Stretch:
    """Fit the contrast to windows spread evenly over the tiles that may hold pixels.

    Colour in 8 bits stays as it is: that is what the models were trained on.
    """
    if scene.dtype == "uint8" and not scene.bands.is_panchromatic:
        return Stretch.none()
    samples: list[NDArray[np.generic]] = []
    for index in _spread(work):
        pixels, valid = _sample(scene, layout.tile(index))
        if valid.any():
            samples.append(pixels[:, valid])
        if len(samples) >= SAMPLES:
            break
    if not samples:
        raise EmptyImage("no valid pixel to fit the contrast to")
    return Stretch.fit(np.concatenate(samples, axis=1))


def _spread(work: list[int]) -> list[int]:
    """At most ``SAMPLE_TRIES`` of the tiles, in an order in which any first part is spread out."""
    tries = min(len(work), SAMPLE_TRIES)
    even = [work[len(work) * number // tries] for number in range(tries)]
    stride = max(1, -(-tries // SAMPLES))
    return [index for start in range(stride) for index in even[start::stride]]


def _sample(scene: Scene, tile: GeoTile) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """The middle of a tile, in the scene's own pixels; a damaged one counts as invalid."""
    across = scene.grid.width / tile.grid.width
    down = scene.grid.height / tile.grid.height
    middle_x = (tile.col_off + tile.width / 2) * across
    middle_y = (tile.row_off + tile.height / 2) * down
    width, height = min(SAMPLE_PX, scene.grid.width), min(SAMPLE_PX, scene.grid.height)
    left = min(max(0, int(middle_x - width / 2)), scene.grid.width - width)
    top = min(max(0, int(middle_y - height / 2)), scene.grid.height - height)
    try:
        return scene.read(Window(left, top, width, height), width=width, height=height)
    except UnreadableRaster:  # counted and shown when its tile is read
        return np.zeros((3, height, width), scene.dtype), np.zeros((height, width), np.bool_)


def _grid_to_json(grid: SceneGrid) -> dict[str, Any]:
    transform = list(grid.transform[:6])
    crs = grid.crs.to_wkt()
    return {"width": grid.width, "height": grid.height, "transform": transform, "crs": crs}


def _grid_from_json(data: dict[str, Any]) -> SceneGrid:
    transform, crs = Affine(*data["transform"]), CRS.from_wkt(data["crs"])
    return SceneGrid(data["width"], data["height"], transform, crs)
