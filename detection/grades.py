"""The damage grades of the Joint Damage Scale (xBD), from least to most severe."""

from enum import StrEnum
from typing import Literal


class Grade(StrEnum):
    """Values are what the API, the database and GeoJSON carry."""

    NO_DAMAGE = "no_damage"
    MINOR_DAMAGE = "minor_damage"
    MAJOR_DAMAGE = "major_damage"
    DESTROYED = "destroyed"
    UNCLASSIFIED = "unclassified"


# What a model gives one probability each for; the order is the order of its outputs.
MODEL_GRADES: tuple[Grade, ...] = (
    Grade.NO_DAMAGE,
    Grade.MINOR_DAMAGE,
    Grade.MAJOR_DAMAGE,
    Grade.DESTROYED,
)
DAMAGED: frozenset[Grade] = frozenset(MODEL_GRADES[1:])

# What hides a building from whoever would judge it; and, with those, why it has no grade.
Hidden = Literal["edge", "nodata", "cloud"]
Doubt = Literal["near_tie", "edge", "nodata", "cloud"]
