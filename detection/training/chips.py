"""Training images with what is known about them. numpy and rasterio only; no torch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.features import rasterize
from shapely import Polygon, box

from detection.errors import BadLabels
from detection.grades import MODEL_GRADES, Grade

UNKNOWN_GRADE = -1  # certainly a building; nobody said how damaged
IGNORED_GRADE = -2  # neither background nor an example
IGNORE_MARGIN_PX = 2.0
THIN_PX = 2.0
ALIKE = 0.05


@dataclass(frozen=True, slots=True)
class Chip:
    """One training image with what is known about it.

    Attributes:
        image: shape (C, H, W), uint8; C is 3 (red, green, blue) or 6 (before, then after).
        instances: shape (H, W), int32; 0 is no building, 1..N is the number of a building. Each
            number has at least one pixel; where outlines overlap, the smaller one is on top.
        grades: shape (N,), int8; building ``n`` has ``grades[n - 1]``: an index into
            ``MODEL_GRADES``, ``UNKNOWN_GRADE`` or ``IGNORED_GRADE``.
        ignore: shape (H, W), bool; True where nothing is known: no data, not reviewed,
            un-classified buildings with a margin. Neither background nor building there.
        name: of the image, unique within its source.
        event: the disaster, or the data set where there is none.
        cluster: chips of one cluster touch on the ground; no split may cut one.
        pixel_size_m: ground size of a pixel, in metres.
        semantic: True where touching buildings are one instance (labels were a plain mask).
    """

    image: NDArray[np.uint8]
    instances: NDArray[np.int32]
    grades: NDArray[np.int8]
    ignore: NDArray[np.bool_]
    name: str
    event: str
    cluster: str
    pixel_size_m: float
    semantic: bool = False

    def __post_init__(self) -> None:
        size = self.image.shape[1:]
        if self.instances.shape != size or self.ignore.shape != size:
            raise ValueError(f"chip {self.name}: image, instances and ignore differ in size")
        if int(self.instances.max(initial=0)) != len(self.grades):
            raise ValueError(f"chip {self.name}: need one grade per building")

    def save(self, path: Path) -> None:
        """Write to one compressed ``.npz`` file."""
        with path.open("wb") as file:
            np.savez_compressed(
                file,
                image=self.image,
                instances=self.instances,
                grades=self.grades,
                ignore=np.packbits(self.ignore),
                words=np.array([self.name, self.event, self.cluster]),
                numbers=np.array([self.pixel_size_m, float(self.semantic)]),
            )

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read what ``save`` wrote. Nothing is unpickled.

        Raises:
            BadLabels: the file is not a chip.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                image, instances = stored["image"], stored["instances"]
                name, event, cluster = (str(word) for word in stored["words"])
                pixel_size_m, semantic = stored["numbers"]
                flat = np.unpackbits(stored["ignore"], count=instances.size)
                return cls(
                    image=image,
                    instances=instances,
                    grades=stored["grades"],
                    ignore=flat.reshape(instances.shape).astype(bool),
                    name=name,
                    event=event,
                    cluster=cluster,
                    pixel_size_m=float(pixel_size_m),
                    semantic=bool(semantic),
                )
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise BadLabels(f"{path.name}: {error}") from error


class ChipSource(Protocol):
    """A chip that is read only when asked for."""

    @property
    def name(self) -> str:
        """The chip's own name."""
        ...

    @property
    def event(self) -> str:
        """The chip's event."""
        ...

    @property
    def cluster(self) -> str:
        """The chip's spatial cluster."""
        ...

    def load(self) -> Chip:
        """Read the chip."""
        ...


@dataclass(frozen=True, slots=True)
class LazyChip:
    """A chip and the way to read it; the usual ``ChipSource``."""

    name: str
    event: str
    cluster: str
    reader: Callable[[], Chip]

    def load(self) -> Chip:
        """Read the chip."""
        return self.reader()


@dataclass(frozen=True, slots=True)
class StoredChip:
    """A chip in an ``.npz`` file, such as one made from analysts' decisions."""

    path: Path
    event: str = ""
    cluster: str = ""

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    def load(self) -> Chip:
        """Read the chip."""
        return Chip.open(self.path)


def stored_chips(folder: Path) -> list[StoredChip]:
    """All ``.npz`` chips of a folder, by name. Opens each once to learn its event and cluster."""
    found = []
    for path in sorted(folder.glob("*.npz")):
        chip = Chip.open(path)
        found.append(StoredChip(path, chip.event, chip.cluster))
    return found


def cached(sources: Iterable[ChipSource], folder: Path) -> list[StoredChip]:
    """Copy chips into ``folder`` once, as files that load some ten times faster."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for source in sources:
        path = folder / f"{source.event}__{source.name}.npz".replace("/", "_")
        if not path.exists():
            draft = path.with_suffix(".draft")
            source.load().save(draft)
            draft.replace(path)
        found.append(StoredChip(path, source.event, source.cluster))
    return found


def at_pixel_size(sources: Iterable[ChipSource], pixel_size_m: float) -> list[ChipSource]:
    """The same chips, resampled as they are read where their pixels are of another size."""
    return [
        LazyChip(s.name, s.event, s.cluster, partial(_load_at, s, pixel_size_m)) for s in sources
    ]


def resampled(chip: Chip, pixel_size_m: float) -> Chip:
    """A chip with pixels of another ground size; sizes within 5 % are left as they are.

    Buildings that vanish at the new size are left out.
    """
    scale = chip.pixel_size_m / pixel_size_m
    if abs(scale - 1) < ALIKE:
        return chip
    _, height, width = chip.image.shape
    size = max(1, round(width * scale)), max(1, round(height * scale))
    bands = [_resized(band, size, Image.Resampling.BICUBIC) for band in chip.image]
    numbers = _resized(chip.instances, size, Image.Resampling.NEAREST)
    present = np.unique(numbers[numbers > 0])
    renumber = np.zeros(len(chip.grades) + 1, np.int32)
    renumber[present] = np.arange(1, len(present) + 1)
    ignore = _resized(chip.ignore.astype(np.uint8), size, Image.Resampling.NEAREST) > 0
    return replace(
        chip,
        image=np.stack(bands),
        instances=renumber[numbers],
        grades=chip.grades[present - 1],
        ignore=ignore,
        pixel_size_m=pixel_size_m,
    )


def _load_at(source: ChipSource, pixel_size_m: float) -> Chip:
    return resampled(source.load(), pixel_size_m)


def _resized(band: NDArray[Any], size: tuple[int, int], method: Image.Resampling) -> NDArray[Any]:
    return np.asarray(Image.fromarray(band).resize(size, method))


def clusters_of(sources: Sequence[ChipSource]) -> Iterator[tuple[str, list[ChipSource]]]:
    """Group chips by event and spatial cluster, in a fixed order."""
    keys = sorted({(source.event, source.cluster) for source in sources})
    for event, cluster in keys:
        members = [s for s in sources if (s.event, s.cluster) == (event, cluster)]
        yield f"{event}/{cluster}", members


def grade_code(grade: Grade) -> int:
    """What ``Chip.grades`` holds for a grade."""
    return IGNORED_GRADE if grade is Grade.UNCLASSIFIED else MODEL_GRADES.index(grade)


def burn(
    outlines: Sequence[tuple[Polygon, int]], *, height: int, width: int
) -> tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.bool_]]:
    """Draw outlines into the three arrays of a chip.

    Larger outlines are drawn first, so that small ones stay visible. An outline too thin to hold
    a pixel centre is drawn with every pixel it touches; one that is outside or wholly hidden
    is left out.

    Args:
        outlines: polygons in pixels (column, row), each with a value for ``Chip.grades``.
        height: rows, in pixels.
        width: columns, in pixels.

    Returns:
        ``instances``, ``grades`` and ``ignore`` as in ``Chip``.
    """
    window = box(0, 0, width, height)
    ordered = sorted(
        (item for item in outlines if item[0].intersects(window)), key=lambda item: -item[0].area
    )
    canvas = _draw([o for o, _ in ordered], height, width)
    present = np.unique(canvas)
    present = present[present > 0]
    renumber = np.zeros(len(ordered) + 1, np.int32)
    renumber[present] = np.arange(1, len(present) + 1)
    instances = renumber[canvas]
    grades = np.array([ordered[number - 1][1] for number in present], np.int8)
    ignored = [o.buffer(IGNORE_MARGIN_PX) for o, grade in ordered if grade == IGNORED_GRADE]
    return instances, grades, _ignore_mask(ignored, instances, grades)


def _draw(outlines: Sequence[Polygon], height: int, width: int) -> NDArray[np.int32]:
    """Number the pixels of each outline from 1; later ones are on top."""
    if not outlines:
        return np.zeros((height, width), np.int32)
    numbered = list(zip(outlines, range(1, len(outlines) + 1), strict=True))
    canvas: NDArray[np.int32] = rasterize(numbered, out_shape=(height, width), dtype="int32")
    seen = set(np.unique(canvas).tolist())
    for outline, number in numbered:
        if number not in seen and min(_sides(outline)) < THIN_PX:
            rasterize([(outline, number)], out=canvas, all_touched=True)
    return canvas


def _sides(outline: Polygon) -> tuple[float, float]:
    left, top, right, bottom = outline.bounds
    return right - left, bottom - top


def _ignore_mask(
    margins: Sequence[Polygon], instances: NDArray[np.int32], grades: NDArray[np.int8]
) -> NDArray[np.bool_]:
    """Pixels of ignored outlines and their margin, but never of a building that counts."""
    if not margins:
        return np.zeros(instances.shape, bool)
    near = rasterize([(m, 1) for m in margins], out_shape=instances.shape, dtype="uint8") > 0
    counts = np.concatenate([[False], grades != IGNORED_GRADE])
    mask: NDArray[np.bool_] = near & ~counts[instances]
    return mask
