"""What a town looks like from above: ground, shadows, roofs, what damage does to them, trees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely import Polygon, union_all

from detection.synthesis.dice import MIDDLE, Dice, smooth_noise
from detection.synthesis.layout import Building, Colour, Patch, Point, Slab, Town, Tree

FINER = 2  # drawn at twice the resolution, then averaged
TARP: Colour = (52, 104, 178)
RUBBLE: tuple[Colour, ...] = (
    (150, 142, 132),
    (176, 168, 158),
    (118, 108, 98),
    (140, 116, 96),
    (92, 84, 76),
    (206, 202, 196),
)
WOOD: tuple[Colour, ...] = ((150, 124, 98), (120, 98, 78), (172, 150, 124), (96, 84, 72))
ASH: tuple[Colour, ...] = (
    (168, 164, 160),
    (124, 120, 118),
    (72, 68, 66),
    (196, 194, 190),
    (50, 46, 44),
)


@dataclass(frozen=True, slots=True)
class Light:
    """Sun and viewing direction of one image.

    Attributes:
        sun: unit vector on the ground, from which the light comes.
        shadow_per_m: length of the shadow of one metre of height, in metres.
        lean_per_m: how far one metre of height is displaced in the image, in metres (x, y).
        depth: how dark shadows are, in [0, 1].
    """

    sun: Point
    shadow_per_m: float
    lean_per_m: Point
    depth: float

    @classmethod
    def of(cls, seed: int) -> "Light":
        """The light of the image with this seed."""
        dice = Dice(seed, 4)
        azimuth, view = dice.between(0, 2 * math.pi), dice.between(0, 2 * math.pi)
        lean = dice.between(0, 0.35) if dice.chance(0.7) else 0.0
        return cls(
            sun=(math.cos(azimuth), math.sin(azimuth)),
            shadow_per_m=dice.between(0.35, 1.5),
            lean_per_m=(lean * math.cos(view), lean * math.sin(view)),
            depth=dice.between(0.35, 0.72),
        )


class Canvas:
    """A picture of a rectangle of the ground, drawn in metres."""

    def __init__(self, base: Image.Image, left: float, top: float, dots_per_m: float) -> None:
        self.image, self.draw = base, ImageDraw.Draw(base)
        self.left, self.top, self.scale = left, top, dots_per_m

    def dots(self, points: Sequence[Point]) -> list[Point]:
        """Ground positions as dots of the picture."""
        k, x0, y0 = self.scale, self.left, self.top
        return [((x - x0) * k, (y - y0) * k) for x, y in points]

    def fill(self, points: Sequence[Point], colour: Colour | int) -> None:
        """Fill a polygon."""
        self.draw.polygon(self.dots(points), fill=colour)

    def stroke(self, points: Sequence[Point], colour: Colour, width_m: float) -> None:
        """Draw a line."""
        width = max(1, round(width_m * self.scale))
        self.draw.line(self.dots(points), fill=colour, width=width)

    def disc(self, centre: Point, radius: float, colour: Colour | int) -> None:
        """Fill a circle."""
        ((x, y),) = self.dots([centre])
        r = radius * self.scale
        self.draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def sees(self, x: float, y: float, reach: float) -> bool:
        """Whether something of this reach can touch the picture."""
        ((col, row),) = self.dots([(x, y)])
        r, (width, height) = reach * self.scale, self.image.size
        return -r < col < width + r and -r < row < height + r


def paint_town(
    town: Town, light: Light, corner: Point, size: tuple[int, int], pixel_size_m: float
) -> tuple[Image.Image, list[tuple[Polygon, int]]]:
    """Paint a window of a town.

    Args:
        town: the town.
        light: sun and view.
        corner: ground position of the window's top-left corner, in metres (y grows downwards).
        size: columns and rows of the picture.
        pixel_size_m: ground size of a pixel.

    Returns:
        The picture, and the outlines of all buildings near the window as seen, in metres of the
        ground, each with its grade.
    """
    left, top = corner
    width_m, height_m = size[0] * pixel_size_m, size[1] * pixel_size_m
    scenery = town.scenery(left, top, left + width_m, top + height_m)
    base = _ground(town, corner, size, pixel_size_m)
    canvas = Canvas(base, left, top, FINER / pixel_size_m)
    buildings = [b for b in scenery.buildings if canvas.sees(*_middle(b), _reach(b, light))]
    trees = [t for t in scenery.trees if canvas.sees(t.x, t.y, 20)]
    for patch in scenery.ground:
        _patch(canvas, patch)
    for patch in (*scenery.roads, *scenery.things):
        canvas.fill(patch.ring, patch.colour)
    for place, reach, grade in scenery.debris:
        if canvas.sees(*place, 2 * reach):
            _litter(canvas, town, place, reach, grade)
    _shadows(canvas, light, buildings, trees)
    found = []
    for building in sorted(buildings, key=lambda b: (b.height, b.seed)):
        _Roofer(canvas, town, light, building).paint()
        found.append((_seen_outline(building, light), building.grade))
    for tree in trees:
        _crown(canvas, light, tree, burnt=town.disaster == "fire")
    return canvas.image.reduce(FINER), found


def _middle(building: Building) -> Point:
    return building.parts[0].x, building.parts[0].y


def _reach(building: Building, light: Light) -> float:
    """How far from its middle a building, its rubble and its shadow can be seen, in metres."""
    long = max(max(part.length, part.width) for part in building.parts)
    return 1.3 * long + building.height * max(1.0, light.shadow_per_m)


def _ground(town: Town, corner: Point, size: tuple[int, int], pixel_size_m: float) -> Image.Image:
    """Bare ground: three colours of earth and grass that run into each other."""
    x = _centres(round(corner[0] / pixel_size_m), size[0], pixel_size_m)
    y = _centres(round(corner[1] / pixel_size_m), size[1], pixel_size_m)
    broad = smooth_noise(town.seed, x, y, 55.0) + 0.5 * smooth_noise(town.seed + 1, x, y, 14.0)
    soil = np.clip(smooth_noise(town.seed + 2, x, y, 30.0) * 2 - 0.7, 0, 1)[..., None]
    mix = np.clip(broad * 1.2 + 0.5, 0, 1)[..., None]
    first, second, bare = (np.array(colour, np.float32) for colour in town.grass)
    colour = (first * mix + second * (1 - mix)) * (1 - soil) + bare * soil
    grain = 5 * smooth_noise(town.seed + 3, x, y, 3.0) + 7 * smooth_noise(town.seed + 4, x, y, 1.2)
    pixels = np.clip(colour + grain[..., None], 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize(
        (size[0] * FINER, size[1] * FINER), Image.Resampling.BILINEAR
    )


def _patch(canvas: Canvas, patch: Patch) -> None:
    canvas.fill(patch.ring, patch.colour)
    if not patch.stripes:
        return
    xs, ys = zip(*patch.ring, strict=True)
    around = Polygon(patch.ring).buffer(-0.5)
    c, s = math.cos(patch.angle), math.sin(patch.angle)
    middle, reach = (sum(xs) / len(xs), sum(ys) / len(ys)), max(max(xs) - min(xs), 60.0)
    darker = tuple(int(v * 0.88) for v in patch.colour)
    corners = list(around.exterior.coords) if isinstance(around, Polygon) else []
    across = [(y - middle[1]) * c - (x - middle[0]) * s for x, y in corners]
    along = [(x - middle[0]) * c + (y - middle[1]) * s for x, y in corners]
    if not across or reach <= 0:
        return
    offset = min(across)
    while offset < max(across):
        ends = [
            (middle[0] + a * c - offset * s, middle[1] + a * s + offset * c)
            for a in (min(along) * 0.97, max(along) * 0.97)
        ]
        canvas.stroke(ends, (darker[0], darker[1], darker[2]), patch.stripes * 0.4)
        offset += patch.stripes


def _litter(canvas: Canvas, town: Town, place: Point, reach: float, grade: int) -> None:
    """Loose pieces around a building, more the worse it was hit; ash where it burned."""
    dice = Dice(town.seed, 5, round(place[0] * 8), round(place[1] * 8))
    if town.disaster == "fire":
        if grade == 3:
            for _ in range(10):
                spot = _around(dice, place, reach * 0.7)
                canvas.disc(spot, dice.between(1, 4), _shade(dice.pick(ASH[1:3]), 0.8))
        return
    count, spread = (5, 12, 40, 70)[grade], reach * (0.42 + 0.07 * grade)
    generator = dice.generator
    places = np.asarray(place) + spread * generator.standard_normal((count, 2))
    _scatter(canvas, generator, places, (*RUBBLE, *WOOD), 1.3)


def _around(dice: Dice, place: Point, reach: float) -> Point:
    return place[0] + 0.6 * reach * dice.normal(), place[1] + 0.6 * reach * dice.normal()


def _scatter(
    canvas: Canvas,
    generator: np.random.Generator,
    places: NDArray[np.float64],
    colours: Sequence[Colour],
    largest: float,
) -> None:
    """Splinters, boards and lumps: one at each place, shape (N, 2); all computed at once."""
    count = len(places)
    length = generator.uniform(0.15, 0.5 * largest, count)
    width = generator.uniform(0.1, 0.25 * largest, count)
    turn = generator.uniform(0, math.pi, count)
    along = np.stack([np.cos(turn), np.sin(turn)], axis=-1) * length[:, None]
    across = np.stack([-np.sin(turn), np.cos(turn)], axis=-1) * width[:, None]
    corners = np.stack([-along - across, along - across, along + across, across - along], axis=1)
    ground = places[:, None] + corners - (canvas.left, canvas.top)
    dots = (ground * canvas.scale).reshape(count, 8).tolist()
    chosen = np.asarray(colours)[generator.integers(0, len(colours), count)]
    shades = np.clip(chosen * generator.uniform(0.7, 1.15, (count, 1)), 0, 255).astype(int).tolist()
    for ring, shade in zip(dots, shades, strict=True):
        canvas.draw.polygon(ring, fill=tuple(shade))


def _shadows(
    canvas: Canvas, light: Light, buildings: Sequence[Building], trees: Sequence[Tree]
) -> None:
    """Darken the ground where the sun does not reach."""
    mask = Image.new("L", canvas.image.size, 0)
    veil = Canvas(mask, canvas.left, canvas.top, canvas.scale)
    for building in buildings:
        height = building.height * (1.0, 0.95, 0.7, 0.15)[building.grade]
        shift = _shift(light, height)
        for part in building.parts:
            _sweep(veil, part.corners(), shift)
    for tree in trees:
        dx, dy = _shift(light, tree.radius * 1.6)
        for k in (0.5, 1.0):
            veil.disc((tree.x + k * dx, tree.y + k * dy), tree.radius * 0.95, 255)
    strength = mask.point([round(light.depth * v) for v in range(256)])
    canvas.image.paste((20, 24, 32), mask=strength)


def _shift(light: Light, height: float) -> Point:
    reach = -height * light.shadow_per_m
    return light.sun[0] * reach, light.sun[1] * reach


def _sweep(canvas: Canvas, ring: Sequence[Point], shift: Point) -> None:
    """Fill what a convex ring covers while it moves."""
    moved = [(x + shift[0], y + shift[1]) for x, y in ring]
    canvas.fill(moved, 255)
    for k in range(len(ring)):
        canvas.fill([ring[k - 1], ring[k], moved[k], moved[k - 1]], 255)


def _crown(canvas: Canvas, light: Light, tree: Tree, *, burnt: bool) -> None:
    """A tree: clumps of leaves, brighter towards the sun."""
    dice = Dice(tree.seed)
    colour = (92, 78, 62) if burnt and dice.chance(0.35) else tree.colour
    canvas.disc((tree.x, tree.y), tree.radius * 0.85, _shade(colour, 0.62))
    for _ in range(5 + int(1.6 * tree.radius)):
        turn, far = dice.between(0, 2 * math.pi), tree.radius * dice.random() ** 0.5 * 0.75
        dx, dy = far * math.cos(turn), far * math.sin(turn)
        lit = (dx * light.sun[0] + dy * light.sun[1]) / tree.radius
        shade = 0.86 + 0.42 * lit + dice.between(-0.3, 0.3)
        size = tree.radius * dice.between(0.16, 0.42)
        canvas.disc((tree.x + dx, tree.y + dy), size, _shade(colour, shade))


def _seen_outline(building: Building, light: Light) -> Polygon:
    """The roof as it appears: the foundation, displaced by its height. Rubble has no height."""
    lean = _lean(light, building)
    parts = [Polygon(_moved(part.corners(), lean)) for part in building.parts]
    joined = union_all(parts)
    if not isinstance(joined, Polygon):
        joined = joined.convex_hull
    return Polygon(joined.exterior) if isinstance(joined, Polygon) else parts[0]


def _lean(light: Light, building: Building) -> Point:
    height = 0.0 if building.grade == 3 else building.height
    return light.lean_per_m[0] * height, light.lean_per_m[1] * height


def _moved(ring: Sequence[Point], by: Point) -> list[Point]:
    return [(x + by[0], y + by[1]) for x, y in ring]


def _shade(colour: Colour, factor: float) -> Colour:
    r, g, b = int(colour[0] * factor), int(colour[1] * factor), int(colour[2] * factor)
    return min(255, max(0, r)), min(255, max(0, g)), min(255, max(0, b))


def _mean(a: Colour, b: Colour) -> Colour:
    return (a[0] + b[0]) // 2, (a[1] + b[1]) // 2, (a[2] + b[2]) // 2


class _Roofer:
    """Paints one building."""

    def __init__(self, canvas: Canvas, town: Town, light: Light, building: Building) -> None:
        self.canvas, self.town, self.light, self.building = canvas, town, light, building
        self.dice = Dice(building.seed)
        self.lean = _lean(light, building)
        self.parts = tuple(
            Slab(p.x + self.lean[0], p.y + self.lean[1], p.length, p.width, p.angle)
            for p in building.parts
        )

    def paint(self) -> None:
        """Paint walls, roof and damage."""
        grade = self.building.grade
        if grade == 3:
            self._ruin()
            return
        self._walls()
        for part in self.parts:
            self._roof(part)
        if grade == 1:
            self._minor()
        elif grade == 2:
            self._major()

    def _walls(self) -> None:
        colour = _shade((150, 144, 136), self.dice.between(0.5, 1.0))
        for base in self.building.parts:
            ring = base.corners()
            for k in range(4):
                edge = [ring[k - 1], ring[k]]
                self.canvas.fill([*edge, *reversed(_moved(edge, self.lean))], colour)

    def _roof(self, part: Slab) -> None:
        style = self.building.roof
        if style == "flat":
            self._flat(part)
        elif style == "hip":
            self._hip(part)
        else:
            self._gable(part, pitch=0.22 if style == "sheet" else 0.4)
            if style == "sheet":
                self._ribs(part)
        self._stains(part)

    def _lit(self, part: Slab, turn: float, pitch: float) -> Colour:
        """The roof's colour on a face that falls away in direction ``turn`` of the slab."""
        angle = part.angle + turn
        towards = math.cos(angle) * self.light.sun[0] + math.sin(angle) * self.light.sun[1]
        return _shade(self.building.colour, 0.94 + pitch * towards)

    def _flat(self, part: Slab) -> None:
        colour, dice = self.building.colour, self.dice
        self.canvas.fill(part.corners(), _shade(colour, dice.between(1.0, 1.18)))
        rim = min(0.5, 0.1 * part.width)
        inner = Slab(part.x, part.y, part.length - 2 * rim, part.width - 2 * rim, part.angle)
        self.canvas.fill(inner.corners(), colour)
        for _ in range(int(dice.random() * part.length * part.width / 45)):
            x, y = part.at(dice.between(-0.75, 0.75), dice.between(-0.75, 0.75))
            box = Slab(x, y, dice.between(0.8, 2.6), dice.between(0.8, 2.0), part.angle)
            shadow = _moved(box.corners(), _shift(self.light, 0.9))
            self.canvas.fill(shadow, _shade(colour, 0.6))
            self.canvas.fill(box.corners(), _shade(colour, dice.between(0.8, 1.35)))

    def _gable(self, part: Slab, pitch: float) -> None:
        ridge = self.dice.between(-0.12, 0.12)
        a, b, c, d = part.corners()
        left, right = part.at(-1, ridge), part.at(1, ridge)
        self.canvas.fill([a, b, right, left], self._lit(part, -math.pi / 2, pitch))
        self.canvas.fill([left, right, c, d], self._lit(part, math.pi / 2, pitch))
        self.canvas.stroke([left, right], _shade(self.building.colour, 1.12), 0.25)

    def _hip(self, part: Slab) -> None:
        a, b, c, d = part.corners()
        inset = min(1.0, part.width / part.length)
        left, right = part.at(-1 + inset, 0), part.at(1 - inset, 0)
        if part.length < part.width:
            left = right = part.at(0, 0)
        pitch = 0.36
        self.canvas.fill([a, b, right, left], self._lit(part, -math.pi / 2, pitch))
        self.canvas.fill([left, right, c, d], self._lit(part, math.pi / 2, pitch))
        self.canvas.fill([b, c, right], self._lit(part, 0.0, pitch))
        self.canvas.fill([d, a, left], self._lit(part, math.pi, pitch))

    def _ribs(self, part: Slab) -> None:
        """The lines of corrugated sheet, some sheets another colour than the rest."""
        dice, count = self.dice, max(2, int(part.length / 1.2))
        for k in range(count):
            if dice.chance(0.45):
                at, end = -1 + 2 * k / count, -1 + 2 * (k + 1) / count
                low, high = dice.pick(((-1, 1), (-1, 0), (0, 1)))
                ring = [part.at(at, low), part.at(end, low), part.at(end, high), part.at(at, high)]
                self.canvas.fill(ring, _shade(self.building.colour, dice.between(0.82, 1.1)))

    def _stains(self, part: Slab) -> None:
        for _ in range(int(self.dice.random() * 4)):
            self._hole(part, 0.06, _shade(self.building.colour, self.dice.between(0.85, 1.1)))

    def _hole(self, part: Slab, share: float, colour: Colour) -> tuple[float, float]:
        """Paint an irregular spot on a roof, never beyond it.

        Returns:
            Where its centre is, in half lengths and half widths.
        """
        dice = self.dice
        reach = math.sqrt(share) * dice.between(0.8, 1.3)
        u, v = dice.between(-0.9, 0.9), dice.between(-0.9, 0.9)
        ring = []
        for k in range(7):
            turn, far = 2 * math.pi * k / 7, reach * dice.between(0.6, 1.2)
            at = max(-1.0, min(1.0, u + far * math.cos(turn)))
            off = max(-1.0, min(1.0, v + far * math.sin(turn)))
            ring.append(part.at(at, off))
        self.canvas.fill(ring, colour)
        return u, v

    def _minor(self) -> None:
        """Roof elements missing: bare boards or felt, a tarpaulin, a burnt corner."""
        dice = self.dice
        for part in self.parts[: dice.whole(1, len(self.parts))]:
            if self.town.disaster == "wind" and dice.chance(0.35):
                at, off = dice.between(-0.6, 0.6), dice.between(-0.5, 0.5)
                x, y = part.at(at, off)
                share = dice.between(0.25, 0.6)
                sheet = Slab(x, y, part.length * share * 0.7, part.width * share, part.angle)
                ring = [_inside(part, corner) for corner in sheet.corners()]
                self.canvas.fill(ring, _shade(TARP, dice.between(0.8, 1.3)))
            for _ in range(dice.whole(1, 4)):
                bare = (40, 36, 34) if self.town.disaster == "fire" else dice.pick(WOOD)
                self._hole(part, dice.between(0.02, 0.09), _shade(bare, dice.between(0.6, 1.1)))

    def _major(self) -> None:
        """Part of the roof is down: holes to the inside, and one end is rubble."""
        dice = self.dice
        for part in self.parts:
            for _ in range(dice.whole(1, 3)):
                dark = _shade((58, 52, 48), dice.between(0.6, 1.2))
                spot = self._hole(part, dice.between(0.1, 0.22), dark)
                inside = np.clip(spot + 0.25 * dice.generator.standard_normal((12, 2)), -0.95, 0.95)
                self._heap(part, inside, 1.4)
        part = self.parts[0]
        cut = 1 - 2 * dice.between(0.25, 0.5)
        side = dice.pick((-1, 1))
        end = [part.at(side * cut, -1), part.at(side, -1), part.at(side, 1), part.at(side * cut, 1)]
        self.canvas.fill(end, _shade(dice.pick(self._materials()), 0.6))
        count = min(140, int(part.length * part.width * 0.6))
        low, high = (side * cut, side * 1.15) if side > 0 else (side * 1.15, side * cut)
        where = dice.generator.uniform((low, -1.15), (high, 1.15), (count, 2))
        self._heap(part, where, 1.8)

    def _ruin(self) -> None:
        """Nothing stands: rubble, a burnt-out floor, or a swept slab."""
        dice, fire = self.dice, self.town.disaster == "fire"
        kind = 1 if fire and dice.chance(0.92) else (2 if dice.chance(0.25) else 0)
        floor = ((104, 96, 88), (112, 108, 106), (176, 172, 166))[kind]
        floor = _shade(_mean(floor, self.town.grass[2]) if kind == 0 else floor, 1.0)
        for part in self.parts:
            self.canvas.fill(part.corners(), _shade(floor, dice.between(0.75, 1.15)))
            density, beyond, largest = ((1.3, 1.3, 2.4), (1.0, 0.98, 1.8), (0.2, 1.2, 1.6))[kind]
            count = min(260, int(part.length * part.width * density))
            where = dice.generator.uniform(-beyond, beyond, (count, 2))
            self._heap(part, where, largest)
            if kind == 1:
                self._stumps(part)

    def _stumps(self, part: Slab) -> None:
        """What fire leaves of walls, and the chimney with its shadow."""
        dice, ring = self.dice, part.corners()
        for k in range(4):
            if dice.chance(0.6):
                self.canvas.stroke([ring[k - 1], ring[k]], dice.pick(ASH), 0.5)
        at = dice.between(-0.8, 0.8)
        self.canvas.stroke([part.at(at, -1), part.at(at, 1)], dice.pick(ASH), 0.4)

    def _heap(self, part: Slab, where: NDArray[np.float64], largest: float) -> None:
        """Scatter pieces at places given in half lengths and half widths of a slab."""
        c, s = math.cos(part.angle), math.sin(part.angle)
        local = where * (part.length / 2, part.width / 2)
        places = local @ np.array([[c, s], [-s, c]]) + (part.x, part.y)
        _scatter(self.canvas, self.dice.generator, places, self._materials(), largest)

    def _materials(self) -> tuple[Colour, ...]:
        """What lies about where this building came down; its own roof among it."""
        if self.town.disaster == "fire":
            return ASH
        kinds = (*RUBBLE, *WOOD) if self.town.disaster == "wind" else RUBBLE
        return (*kinds, self.building.colour, _shade(self.building.colour, 0.8))


def _inside(part: Slab, place: Point) -> Point:
    """The nearest place inside a slab."""
    c, s = math.cos(part.angle), math.sin(part.angle)
    dx, dy = place[0] - part.x, place[1] - part.y
    at = max(-1.0, min(1.0, (dx * c + dy * s) * 2 / part.length))
    off = max(-1.0, min(1.0, (dy * c - dx * s) * 2 / part.width))
    return part.at(at, off)


def develop(
    picture: Image.Image, seed: int, tile: tuple[int, int], pixel_size_m: float
) -> NDArray[np.uint8]:
    """Turn a clean picture into what a sensor delivers: haze, blur, tint, contrast, grain.

    Args:
        picture: RGB.
        seed: settles the sensor and the air; the same for all tiles of a scene.
        tile: column and row of the picture's first pixel, for noise that has no seams.
        pixel_size_m: ground size of a pixel.

    Returns:
        Shape (3, H, W).
    """
    dice, grain = Dice(seed, 6), np.random.default_rng([seed, tile[0] + MIDDLE, tile[1] + MIDDLE])
    width, height = picture.size
    x, y = _centres(tile[0], width, pixel_size_m), _centres(tile[1], height, pixel_size_m)
    pixels = np.asarray(picture, np.float32)
    speckle = grain.standard_normal((height, width), np.float32)
    texture = 1 + dice.between(0.03, 0.09) * speckle
    texture *= 1 + 0.06 * smooth_noise(seed + 7, x, y, 4.0)
    pixels = _blur(pixels * texture[..., None], dice.between(0.35, 0.85))
    haze = dice.between(0, 0.28) * (1 + 0.3 * smooth_noise(seed + 8, x, y, 160.0))[..., None]
    pixels = pixels * (1 - haze) + np.array([176, 184, 194], np.float32) * haze
    tint = np.array([dice.between(0.93, 1.07) for _ in range(3)], np.float32)
    contrast, light = dice.between(0.75, 1.3), dice.between(-28, 16)
    pixels = ((pixels - 110) * contrast + 110 + light) * tint
    pixels += dice.between(0.5, 3.5) * grain.standard_normal(pixels.shape, np.float32)
    return np.ascontiguousarray(np.clip(pixels, 1, 255).astype(np.uint8).transpose(2, 0, 1))


def _blur(pixels: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Blur by a five-point kernel along rows and columns."""
    weights = np.exp(-0.5 * (np.arange(-2, 3) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        margin = [(2, 2) if k == axis else (0, 0) for k in range(3)]
        wide = np.pad(pixels, margin, mode="edge")
        length = pixels.shape[axis]
        pieces = [
            weights[k] * (wide[k : k + length] if axis == 0 else wide[:, k : k + length])
            for k in range(5)
        ]
        pixels = np.add.reduce(pieces)
    return pixels


def _centres(first: int, count: int, pixel_size_m: float) -> NDArray[np.float64]:
    """Positions of pixel centres along one axis, in metres."""
    centres: NDArray[np.float64] = (first + np.arange(count, dtype=np.float64) + 0.5) * pixel_size_m
    return centres
