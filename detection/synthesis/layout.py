"""Where things stand in a town: streets, lots, buildings, trees. Metres, x right, y down.

The town is a grid of blocks, bent a little. A block depends on the town's seed and its own place
in the grid, on nothing else; so any window of an endless town can be made alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from detection.grades import MODEL_GRADES
from detection.synthesis.dice import Dice

Point = tuple[float, float]
Colour = tuple[int, int, int]
Roof = Literal["flat", "gable", "hip", "sheet"]
Disaster = Literal["wind", "fire", "quake"]
Use = Literal["homes", "dense", "works", "farm", "wood", "water", "empty"]

SMALLEST_M = 2.6
MARGIN_M = 45.0  # nothing reaches farther from the block it belongs to

USES: tuple[Use, ...] = ("homes", "dense", "works", "farm", "wood", "water", "empty")
CHARACTERS = {  # how often a block is used for what
    "suburb": (0.72, 0.02, 0.06, 0.03, 0.08, 0.02, 0.07),
    "city": (0.25, 0.25, 0.38, 0.0, 0.04, 0.02, 0.06),
    "crowded": (0.12, 0.70, 0.06, 0.02, 0.03, 0.01, 0.06),
    "village": (0.34, 0.06, 0.03, 0.33, 0.14, 0.02, 0.08),
    "mixed": (0.40, 0.15, 0.17, 0.10, 0.08, 0.03, 0.07),
}
OFTEN = ("suburb", "suburb", "suburb", "village", "village", "mixed", "mixed", "city", "crowded")
GRASS: tuple[Colour, ...] = ((74, 84, 58), (88, 94, 62), (62, 76, 56), (98, 96, 68), (104, 98, 78))
SOIL: tuple[Colour, ...] = ((138, 120, 96), (156, 140, 114), (120, 102, 84), (164, 142, 120))
FIELDS: tuple[Colour, ...] = (
    (96, 108, 66),
    (132, 122, 84),
    (150, 132, 98),
    (84, 100, 58),
    (116, 98, 76),
)
PAVING: tuple[Colour, ...] = ((118, 118, 116), (136, 134, 130), (100, 100, 102), (152, 148, 140))
WATERS: tuple[Colour, ...] = ((26, 36, 38), (40, 56, 58), (62, 70, 60), (30, 48, 62))
ROOFS: dict[str, tuple[Colour, ...]] = {
    "shingle": (
        (92, 90, 90),
        (112, 108, 104),
        (124, 112, 100),
        (80, 76, 74),
        (104, 88, 76),
        (136, 130, 124),
    ),
    "tile": ((150, 92, 72), (164, 108, 84), (136, 80, 66), (172, 124, 98)),
    "metal": ((196, 198, 200), (172, 176, 180), (220, 222, 220), (150, 158, 166), (120, 128, 138)),
    "rust": ((140, 96, 76), (158, 120, 98), (124, 100, 88), (168, 146, 126)),
    "concrete": ((158, 154, 146), (178, 174, 166), (138, 134, 128), (200, 196, 188)),
    "paint": ((70, 104, 150), (88, 132, 112), (160, 70, 62), (108, 150, 170)),
    "white": ((232, 232, 228), (214, 214, 210)),
}
CARS: tuple[Colour, ...] = (
    (226, 226, 226),
    (200, 200, 204),
    (60, 60, 64),
    (36, 36, 40),
    (130, 40, 38),
    (54, 72, 110),
)


@dataclass(frozen=True, slots=True)
class Slab:
    """A rectangle that may be turned: centre, full length and width, direction of its length.

    Attributes:
        x: centre, metres.
        y: centre, metres.
        length: metres.
        width: metres.
        angle: radians, from the x axis towards the y axis.
    """

    x: float
    y: float
    length: float
    width: float
    angle: float

    def at(self, along: float, across: float) -> Point:
        """Ground position of a point given in half lengths and half widths from the centre."""
        a, b = along * self.length / 2, across * self.width / 2
        c, s = math.cos(self.angle), math.sin(self.angle)
        return self.x + a * c - b * s, self.y + a * s + b * c

    def corners(self) -> list[Point]:
        """The four corners, in order."""
        return [self.at(-1, -1), self.at(1, -1), self.at(1, 1), self.at(-1, 1)]


@dataclass(frozen=True, slots=True)
class Building:
    """One building with its damage; ``seed`` settles every detail of how it is painted."""

    parts: tuple[Slab, ...]
    height: float
    roof: Roof
    colour: Colour
    grade: int
    seed: int


@dataclass(frozen=True, slots=True)
class Tree:
    """One crown."""

    x: float
    y: float
    radius: float
    colour: Colour
    seed: int


@dataclass(frozen=True, slots=True)
class Patch:
    """A piece of ground of one colour; ``stripes`` is the distance of its furrows or 0."""

    ring: tuple[Point, ...]
    colour: Colour
    stripes: float = 0.0
    angle: float = 0.0


@dataclass(slots=True)
class Scenery:
    """Everything that may be seen in a window, in no particular order."""

    ground: list[Patch] = field(default_factory=list)
    roads: list[Patch] = field(default_factory=list)
    things: list[Patch] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    debris: list[tuple[Point, float, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Town:
    """An endless town. Made from a seed by ``found``."""

    seed: int
    weights: tuple[float, ...]
    disaster: Disaster
    p_damage: tuple[float, ...]
    turn: float
    block_m: tuple[float, float]
    bend_m: float
    wave_m: float
    phase: float
    road_m: float
    road: Colour
    greenness: float
    grass: tuple[Colour, ...]
    roofs: tuple[str, ...]
    tree_tint: Colour

    @classmethod
    def found(cls, seed: int, p_damage: Sequence[float]) -> "Town":
        """Choose what sets one town apart from others.

        Args:
            seed: any integer from 0.
            p_damage: how often each of ``MODEL_GRADES`` occurs; need not add up to 1.
        """
        if len(p_damage) != len(MODEL_GRADES) or min(p_damage) < 0 or sum(p_damage) <= 0:
            raise ValueError("need one probability per grade, not all zero")
        dice = Dice(seed, 1)
        disasters: tuple[Disaster, ...] = ("wind", "wind", "fire", "quake", "quake")
        dirt = dice.chance(0.3)
        families = [name for name in ROOFS if dice.chance(0.45)] or ["metal"]
        families += ["shingle"] * dice.whole(0, 5)
        tint = dice.pick(((52, 66, 42), (64, 76, 48), (44, 58, 44), (82, 80, 56), (70, 64, 52)))
        return cls(
            seed=seed,
            weights=CHARACTERS[dice.pick(OFTEN)],
            disaster=dice.pick(disasters),
            p_damage=tuple(p_damage),
            turn=dice.between(0, math.pi),
            block_m=(dice.between(70, 150), dice.between(46, 84)),
            bend_m=dice.between(0, 14),
            wave_m=dice.between(260, 600),
            phase=dice.between(0, 6.28),
            road_m=dice.between(4.5, 11),
            road=dice.pick(SOIL) if dirt else dice.pick(PAVING),
            greenness=dice.between(0.05, 1.0) * dice.pick((1.0, 1.0, 2.5)),
            grass=(dice.pick(GRASS), dice.pick(GRASS), dice.pick(SOIL)),
            roofs=tuple(families),
            tree_tint=tint,
        )

    def scenery(self, left: float, top: float, right: float, bottom: float) -> Scenery:
        """Everything that can be seen in a window of the ground, in metres, and a little more."""
        found = Scenery()
        for i, j in self._blocks(left, top, right, bottom):
            _Block(self, i, j, found).build()
        return found

    def bent(self, u: float, v: float) -> Point:
        """Where a point of the regular street grid lies on the ground."""
        k = 2 * math.pi / self.wave_m
        u, v = (
            u + self.bend_m * math.sin(k * v + self.phase),
            v + self.bend_m * math.sin(k * u * 0.8 + 2 * self.phase),
        )
        c, s = math.cos(self.turn), math.sin(self.turn)
        return u * c - v * s, u * s + v * c

    def heading(self, u: float, v: float) -> float:
        """Direction, in radians on the ground, of the street that passes a point of the grid."""
        (x0, y0), (x1, y1) = self.bent(u - 2, v), self.bent(u + 2, v)
        return math.atan2(y1 - y0, x1 - x0)

    def line(self, axis: int, index: int) -> float:
        """Position of a street on its axis of the grid: evenly spaced, with some play."""
        play = Dice(self.seed, 2, axis, index).between(-0.18, 0.18)
        return (index + play) * self.block_m[axis]

    def _blocks(
        self, left: float, top: float, right: float, bottom: float
    ) -> Iterator[tuple[int, int]]:
        c, s = math.cos(self.turn), math.sin(self.turn)
        corners = [(x, y) for x in (left, right) for y in (top, bottom)]
        us = [x * c + y * s for x, y in corners]
        vs = [-x * s + y * c for x, y in corners]
        margin = self.bend_m + MARGIN_M
        bu, bv = self.block_m
        for i in range(math.floor((min(us) - margin) / bu) - 1, math.ceil((max(us) + margin) / bu)):
            for j in range(
                math.floor((min(vs) - margin) / bv) - 1, math.ceil((max(vs) + margin) / bv)
            ):
                yield i, j


class _Block:
    """One block under construction; writes into a ``Scenery``."""

    def __init__(self, town: Town, i: int, j: int, out: Scenery) -> None:
        self.town, self.out = town, out
        self.dice = Dice(town.seed, 3, i, j)
        self.edges = (town.line(0, i), town.line(1, j), town.line(0, i + 1), town.line(1, j + 1))
        tilt = math.exp(0.7 * self.dice.normal())  # damage comes in neighbourhoods
        self.first_building, self.first_tree = len(out.buildings), len(out.trees)
        self.odds = [p * tilt**rank for rank, p in enumerate(town.p_damage)]

    def build(self) -> None:
        """Lay out streets and whatever the block is used for."""
        self._streets()
        half = self.town.road_m / 2 + self.dice.between(0.5, 3)
        u0, v0, u1, v1 = self.edges
        inner = (u0 + half, v0 + half, u1 - half, v1 - half)
        use = USES[self.dice.weighted(self.town.weights)]
        {
            "homes": self._homes,
            "dense": self._dense,
            "works": self._works,
            "farm": self._farm,
            "wood": self._wood,
            "water": self._water,
            "empty": self._empty,
        }[use](*inner)
        self._clear_roofs()

    def _clear_roofs(self) -> None:
        """Fell the trees that would stand on a roof."""
        slabs = [p for b in self.out.buildings[self.first_building :] for p in b.parts]
        new = self.out.trees[self.first_tree :]
        self.out.trees[self.first_tree :] = [t for t in new if not any(_on(t, s) for s in slabs)]

    def _streets(self) -> None:
        u0, v0, u1, v1 = self.edges
        half = self.town.road_m / 2
        steps = 6
        if not self.dice.chance(0.06):
            points = [u0 + (u1 - u0) * k / steps for k in range(steps + 1)]
            ring = [self.town.bent(u, v0 - half) for u in points]
            ring += [self.town.bent(u, v0 + half) for u in reversed(points)]
            self.out.roads.append(Patch(tuple(ring), self.town.road))
        if not self.dice.chance(0.1):
            points = [v0 + (v1 - v0) * k / steps for k in range(steps + 1)]
            ring = [self.town.bent(u0 - half, v) for v in points]
            ring += [self.town.bent(u0 + half, v) for v in reversed(points)]
            self.out.roads.append(Patch(tuple(ring), self.town.road))
        for _ in range(self.dice.whole(0, 5)):
            side = self.dice.pick((-0.6, 0.6))
            self._car(self.dice.between(u0, u1), v0 + half * side, 0.0)

    def _homes(self, u0: float, v0: float, u1: float, v1: float) -> None:
        dice, depth = self.dice, (v1 - v0) / 2
        width = dice.between(13, 27)
        count = max(1, int((u1 - u0) / width))
        width, lived_in = (u1 - u0) / count, dice.between(0.6, 1.0)
        for row in (0, 1):
            front, inward = (v0, 1.0) if row == 0 else (v1, -1.0)
            for k in range(count):
                lot = (u0 + k * width, front, width, depth, inward)
                if dice.chance(0.5):
                    colour = _near(dice, dice.pick(self.town.grass), 10)
                    end = front + inward * depth
                    self._ground(lot[0], min(front, end), lot[0] + width, max(front, end), colour)
                if dice.chance(lived_in):
                    self._home(*lot)
                else:
                    self._trees(lot[0], front, lot[0] + width, front + inward * depth, 3.0)

    def _home(self, u: float, front: float, lot: float, depth: float, inward: float) -> None:
        dice = self.dice
        length = min(lot - 2.5, dice.between(8, 21))
        width = min(depth * 0.6, dice.between(6.5, 13))
        set_back = min(dice.between(2, 9), max(1.0, depth - width - 2))
        cu, cv = u + lot / 2 + dice.between(-1, 1), front + inward * (set_back + width / 2)
        parts = [self._slab(cu, cv, length, width)]
        if dice.chance(0.4) and length > 9:
            wing_w, wing_l = length * dice.between(0.3, 0.5), width * dice.between(0.5, 0.9)
            side = dice.pick((-1, 1))
            toward = inward if dice.chance(0.7) else -inward
            wing_u = cu + side * (length - wing_w) / 2
            parts.append(self._slab(wing_u, cv + toward * (width + wing_l) / 2.4, wing_w, wing_l))
        self._building(tuple(_aligned(parts)), dice.between(2.5, 6.5))
        drive = u + lot * dice.between(0.1, 0.25)
        if dice.chance(0.6):
            end = front + inward * (set_back + 1)
            colour = _near(dice, dice.pick(PAVING), 8)
            self._ground(drive, min(front, end), drive + 3, max(front, end), colour)
            if dice.chance(0.5):
                self._car(drive + 1.5, front + inward * 3.5, math.pi / 2)
        back = front + inward * (set_back + width + 3)
        if dice.chance(0.35) and depth > set_back + width + 7:
            shed = dice.between(3.5, 7)
            spot = u + dice.between(shed, max(shed + 0.1, lot - shed))
            self._building((self._slab(spot, back + inward * shed / 2, shed, shed * 0.8),), 2.5)
        elif dice.chance(0.08):
            pool = self._slab(u + lot / 2, back + inward * 2, 7, 3.6)
            self.out.things.append(Patch(tuple(pool.corners()), (96, 178, 190)))
        self._trees(u, front, u + lot, front + inward * depth, 4.0)

    def _dense(self, u0: float, v0: float, u1: float, v1: float) -> None:
        dice = self.dice
        self._ground(u0, v0, u1, v1, _near(dice, dice.pick(SOIL), 12))
        size_u, size_v = dice.between(6.5, 15), dice.between(6.5, 13)
        cols, rows = max(1, int((u1 - u0) / size_u)), max(1, int((v1 - v0) / size_v))
        step_u, step_v = (u1 - u0) / cols, (v1 - v0) / rows
        gap, full = dice.between(0.3, 2.2), dice.between(0.75, 0.97)
        for row in range(rows):
            for col in range(cols):
                if not dice.chance(full):
                    continue
                slab = self._slab(
                    u0 + (col + 0.5) * step_u + dice.between(-0.3, 0.3),
                    v0 + (row + 0.5) * step_v + dice.between(-0.3, 0.3),
                    max(3.5, step_u - gap - dice.between(0, 2.5)),
                    max(3.5, step_v - gap - dice.between(0, 2.5)),
                )
                self._building((slab,), dice.between(2.5, 9))
        self._trees(u0, v0, u1, v1, 6.0)

    def _works(self, u0: float, v0: float, u1: float, v1: float) -> None:
        dice = self.dice
        self._ground(u0, v0, u1, v1, _near(dice, dice.pick((*PAVING, *SOIL)), 8))
        cols = dice.whole(1, 3)
        step = (u1 - u0) / cols
        for k in range(cols):
            length = min(step - 5, dice.between(16, 60))
            width = min(v1 - v0 - 4, dice.between(12, 42))
            cu = u0 + (k + 0.5) * step
            cv = v0 + width / 2 + 2 + dice.random() * max(0.0, v1 - v0 - width - 4)
            self._building((self._slab(cu, cv, length, width),), dice.between(4, 18))
        row = v0 + 3 if dice.chance(0.5) else v1 - 3
        for k in range(int((u1 - u0) / 2.8)):
            if dice.chance(0.4):
                self._car(u0 + 1.4 + k * 2.8, row, math.pi / 2)
        for _ in range(dice.whole(0, 4)):
            box = self._slab(dice.between(u0, u1), dice.between(v0, v1), 10, 2.5)
            self.out.things.append(Patch(tuple(box.corners()), _near(dice, dice.pick(CARS), 20)))

    def _farm(self, u0: float, v0: float, u1: float, v1: float) -> None:
        dice, count = self.dice, self.dice.whole(1, 3)
        for k in range(count):
            left, right = (u0 + (u1 - u0) * part / count for part in (k, k + 1))
            stripes = dice.between(1.5, 5) if dice.chance(0.6) else 0.0
            colour = _near(dice, dice.pick(FIELDS), 14)
            self._ground(left, v0, right - 1, v1, colour, stripes)
        if dice.chance(0.5):
            self._home(dice.between(u0, u1 - 24), v0, 24, (v1 - v0) / 2, 1.0)

    def _wood(self, u0: float, v0: float, u1: float, v1: float) -> None:
        count = int((u1 - u0) * (v1 - v0) / 60 * self.dice.between(0.3, 1))
        for _ in range(count):
            self._tree(self.dice.between(u0, u1), self.dice.between(v0, v1), 2.0, 5.5)

    def _water(self, u0: float, v0: float, u1: float, v1: float) -> None:
        dice = self.dice
        cu, cv, around = (u0 + u1) / 2, (v0 + v1) / 2, 14
        ring = []
        for k in range(around):
            reach = dice.between(0.75, 1.1)
            turn = 2 * math.pi * k / around
            ring.append(
                self.town.bent(
                    cu + reach * math.cos(turn) * (u1 - u0) / 2,
                    cv + reach * math.sin(turn) * (v1 - v0) / 2,
                )
            )
        self.out.ground.append(Patch(tuple(ring), dice.pick(WATERS)))
        for _ in range(dice.whole(0, 5)):
            self._car(dice.between(u0 + 20, u1 - 20), dice.between(v0 + 15, v1 - 15), dice.random())

    def _empty(self, u0: float, v0: float, u1: float, v1: float) -> None:
        dice = self.dice
        self._ground(u0, v0, u1, v1, _near(dice, dice.pick((*SOIL, *GRASS, *PAVING)), 12))
        self._trees(u0, v0, u1, v1, 4.0)

    def _building(self, parts: tuple[Slab, ...], height: float) -> None:
        dice, town = self.dice, self.town
        family = dice.pick(town.roofs)
        long = max(part.length for part in parts)
        if min(min(part.length, part.width) for part in parts) < SMALLEST_M:
            return
        if family in {"shingle", "tile"} and long < 34:
            roof: Roof = "hip" if dice.chance(0.5) else "gable"
        elif family in {"metal", "rust", "paint"}:
            roof = "sheet" if dice.chance(0.75) else "gable"
        else:
            roof = "flat"
        grade = dice.weighted(self.odds)
        seed = dice.whole(0, 1 << 30)
        colour = _near(dice, dice.pick(ROOFS[family]), 12)
        self.out.buildings.append(Building(parts, height, roof, colour, grade, seed))
        if grade >= 1 or (town.disaster != "fire" and dice.chance(0.1)):
            self.out.debris.append(((parts[0].x, parts[0].y), long, grade))

    def _slab(self, u: float, v: float, length: float, width: float) -> Slab:
        x, y = self.town.bent(u, v)
        angle = self.town.heading(u, v) + 0.03 * self.dice.normal()
        return Slab(x, y, length, width, angle)

    def _ground(
        self, u0: float, v0: float, u1: float, v1: float, colour: Colour, stripes: float = 0.0
    ) -> None:
        middle = (u0 + u1) / 2, (v0 + v1) / 2
        ring = [(u0, v0), (middle[0], v0), (u1, v0), (u1, middle[1])]
        ring += [(u1, v1), (middle[0], v1), (u0, v1), (u0, middle[1])]
        bent = tuple(self.town.bent(u, v) for u, v in ring)
        self.out.ground.append(Patch(bent, colour, stripes, self.town.heading(*middle)))

    def _trees(self, u0: float, v0: float, u1: float, v1: float, at_most: float) -> None:
        for _ in range(int(self.dice.random() * (at_most * self.town.greenness + 1))):
            self._tree(self.dice.between(u0, u1), self.dice.between(v0, v1), 1.2, 4.6)

    def _tree(self, u: float, v: float, low: float, high: float) -> None:
        dice = self.dice
        x, y = self.town.bent(u, v)
        colour = _near(dice, self.town.tree_tint, 14)
        tree = Tree(x, y, dice.between(low, high), colour, dice.whole(0, 1 << 30))
        self.out.trees.append(tree)

    def _car(self, u: float, v: float, turn: float) -> None:
        dice = self.dice
        slab = self._slab(u, v, dice.between(3.8, 5), 1.9)
        slab = Slab(slab.x, slab.y, slab.length, slab.width, slab.angle + turn)
        self.out.things.append(Patch(tuple(slab.corners()), dice.pick(CARS)))


def _on(tree: Tree, slab: Slab) -> bool:
    """Whether a tree's trunk is inside a slab."""
    dx, dy = tree.x - slab.x, tree.y - slab.y
    c, s = math.cos(slab.angle), math.sin(slab.angle)
    return abs(dx * c + dy * s) < slab.length / 2 and abs(dy * c - dx * s) < slab.width / 2


def _aligned(parts: list[Slab]) -> list[Slab]:
    """Give the wings of one building the direction of its main part."""
    return [Slab(p.x, p.y, p.length, p.width, parts[0].angle) for p in parts]


def _near(dice: Dice, colour: Colour, spread: float) -> Colour:
    """A colour somewhat lighter or darker, and a touch warmer or colder."""
    light, warm = spread * dice.normal(), 0.25 * spread * dice.normal()
    r, g, b = (colour[0] + light + warm, colour[1] + light, colour[2] + light - warm)
    return _byte(r), _byte(g), _byte(b)


def _byte(value: float) -> int:
    return max(0, min(255, round(value)))
