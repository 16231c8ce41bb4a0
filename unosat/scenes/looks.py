"""How a person wants to see a scene: which bands, how bright, with how much contrast.

All of it is one linear stretch of the scene's own numbers. It is applied once, to 16 bits where the
scene has 16: stretching the 8 bits that were shown before would leave bands of one grey.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from detection.radiometry import Stretch
from unosat.scenes.errors import BadLook

MOST_PERCENT = 100  # of brightness and contrast, either way
# At 100 % an eighth of the scene's own range fills the screen; at -100 % it fills an eighth of it.
STRONGEST_CONTRAST = 8.0
NUMBER = re.compile(r"-?[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Look:
    """A way of seeing a scene.

    Attributes:
        bands: those shown as red, green and blue, from 1; one three times is a grey picture. None:
            as the scene is always shown.
        brightness: percent of the scene's range that everything is lifted by, -100 to 100.
        contrast: percent of the strongest, -100 to 100; 0 leaves it.
    """

    bands: tuple[int, int, int] | None = None
    brightness: int = 0
    contrast: int = 0

    @classmethod
    def read(cls, query: Mapping[str, str], *, bands: int) -> Self:
        """The look that an address asks for: ``bands=4,3,2&brightness=10&contrast=-20``.

        Args:
            query: parameters; those of other names are left alone.
            bands: how many the scene has.

        Raises:
            BadLook: a parameter cannot be used; the message says which and what would do.
        """
        return cls(
            bands=_bands(query["bands"], bands) if query.get("bands") else None,
            brightness=_percent(query, "brightness"),
            contrast=_percent(query, "contrast"),
        )

    def of(self, stretch: Stretch) -> Stretch:
        """The stretch that shows it so; ``stretch`` is the scene's own, of the wanted bands.

        Brightness is added first, then contrast widens or narrows what is seen about the middle:
        first one chooses which part of the range matters, then how closely to look at it.
        """
        if not self.brightness and not self.contrast:
            return stretch
        middle = 0.5 - self.brightness / 100
        half = 0.5 / STRONGEST_CONTRAST ** (self.contrast / 100)
        pairs = list(zip(stretch.low, stretch.high, strict=True))
        return Stretch(
            tuple(low + (high - low) * (middle - half) for low, high in pairs),
            tuple(low + (high - low) * (middle + half) for low, high in pairs),
        )


def _bands(text: str, most: int) -> tuple[int, int, int]:
    numbers = text.split(",")
    if len(numbers) not in {1, 3} or not all(NUMBER.fullmatch(one) for one in numbers):
        raise BadLook("Name one band, or three for red, green and blue, such as bands=4,3,2.", text)
    chosen = [int(one) for one in numbers]
    if not all(1 <= one <= most for one in chosen):
        has = "1 band" if most == 1 else f"{most} bands, numbered from 1"
        raise BadLook(f"This image has {has}: choose among those.", text)
    red, green, blue = chosen if len(chosen) == 3 else chosen * 3
    return red, green, blue


def _percent(query: Mapping[str, str], name: str) -> int:
    text = query.get(name) or "0"
    if NUMBER.fullmatch(text) and abs(int(text)) <= MOST_PERCENT:
        return int(text)
    raise BadLook(f"Give {name} as a whole number from -{MOST_PERCENT} to {MOST_PERCENT}.", text)
