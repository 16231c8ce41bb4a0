"""Model folders: ``weights.safetensors`` beside ``card.json``. Read, check, write; no torch here.

Nothing is ever unpickled, and the card names the digest of the weights it describes.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

from detection.calibration import Calibration
from detection.detector import ModelSpec
from detection.errors import ModelUnavailable

WEIGHTS: Final = "weights.safetensors"
CARD: Final = "card.json"
SHIPPED: Final = Path(__file__).parent / "models"
DEFAULT_MODEL: Final = "unosat-after"
DEFAULT_PAIR_MODEL: Final = "unosat-pair"
MAX_WEIGHTS_BYTES: Final = 400 * 2**20


def find_model(name: str | Path) -> Path:
    """The folder of a model: a path to one, or the name of a shipped one.

    Raises:
        ModelUnavailable: neither is there.
    """
    for folder in (Path(name), SHIPPED / str(name)):
        if (folder / CARD).is_file():
            return folder
    raise ModelUnavailable(f"no model folder {name}")


def read_card(folder: Path) -> dict[str, Any]:
    """The model card as it was written.

    Raises:
        ModelUnavailable: it is missing or is no JSON object.
    """
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{folder.name}: {error}") from error
    if not isinstance(card, dict):
        raise ModelUnavailable(f"{folder.name}: the card is no JSON object")
    return card


def read_spec(folder: Path) -> ModelSpec:
    """What the card says of the model; the weights are not opened.

    Raises:
        ModelUnavailable: the card lacks something or holds a value of the wrong kind.
    """
    card = read_card(folder)
    try:
        kind = card["input_kind"]
        if kind not in {"after", "before_after"}:
            raise ModelUnavailable(f"{folder.name}: input kind {kind}")
        return ModelSpec(
            name=str(card["name"]),
            version=str(card["version"]),
            sha256=str(card["sha256"]),
            input_kind=kind,
            pixel_size_m=float(card["pixel_size_m"]),
            tile_px=int(card["tile_px"]),
            operating_score=float(card["operating_score"]),
            licence=str(card["licence"]),
            calibration=calibration_of(card),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelUnavailable(f"{folder.name}: card: {error!r}") from error


def calibration_of(card: dict[str, Any]) -> Calibration | None:
    """The calibration that a card carries; None: it has none.

    Raises:
        KeyError, TypeError, ValueError: it is not one.
    """
    data = card.get("calibration")
    return None if data is None else Calibration.from_json(data)


def read_weights(folder: Path) -> bytes:
    """The bytes of the weights, once they are known to be the ones that the card names.

    Raises:
        ModelUnavailable: they are missing, too large, or have another digest.
    """
    path = folder / WEIGHTS
    try:
        if path.stat().st_size > MAX_WEIGHTS_BYTES:
            raise ModelUnavailable(f"{folder.name}: weights are too large")
        blob = path.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"{folder.name}: {error}") from error
    if hashlib.sha256(blob).hexdigest() != read_spec(folder).sha256:
        raise ModelUnavailable(f"{folder.name}: weights have another digest than the card says")
    return blob


def verify(folder: Path) -> ModelSpec:
    """Check card and weights together.

    Raises:
        ModelUnavailable: see ``read_weights`` and ``read_spec``.
    """
    read_weights(folder)
    return read_spec(folder)


def write_model(folder: Path, weights: bytes, card: dict[str, Any]) -> None:
    """Write weights, then the card that names their digest: a half-written model has no card."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / WEIGHTS, weights)
    card = {**card, "sha256": hashlib.sha256(weights).hexdigest()}
    write_card(folder, card)


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Replace the card of a model folder."""
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    _write(folder / CARD, text.encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(draft).chmod(0o644)
    Path(draft).replace(path)
