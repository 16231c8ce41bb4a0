"""Which file a STAC item means, and what it says of it. Pure: parses what was fetched already."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from unosat import incoming, moments
from unosat.errors import BadRequest
from unosat.scenes.errors import AssetNotNamed, BadStacItem, NoImageAsset

MAX_ITEM_BYTES = 1024**2
MAX_ASSETS = 200  # keys that are kept to choose from
MAX_KEY = 200  # letters
IMAGE_ROLES = frozenset({"data", "visual"})
# the second is what items were told to say before GeoTIFF's own type was registered
IMAGE_TYPES = ("image/tiff", "image/vnd.stac.geotiff")
ENDINGS = (".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Choice:
    """One image of an item.

    Attributes:
        key: of the asset.
        url: where it is; not checked yet.
        facts: what the item says, under the names of the API's form; only what it does say.
    """

    key: str
    url: str
    facts: dict[str, str]


def choose(document: bytes, *, url: str, key: str = "") -> Choice:
    """Read an item and choose one of its images.

    Args:
        document: the item, as it was fetched.
        url: where it came from; relative links start there.
        key: of the asset, if somebody named one; then its roles do not matter.

    Raises:
        BadStacItem: no item of STAC.
        NoImageAsset: no asset is a TIFF to look at.
        AssetNotNamed: several are, and none was named, or one that is not there.
    """
    item = _read(document)
    images = {
        name: asset
        for name, asset in list(item["assets"].items())[:MAX_ASSETS]
        if len(name) <= MAX_KEY and _is_image(asset)
    }
    if not images:
        raise NoImageAsset(f"{len(item['assets'])} assets")
    wanted = [key] if key else [name for name, asset in images.items() if _is_meant(asset)]
    if len(wanted) != 1 or wanted[0] not in images:
        raise AssetNotNamed(tuple(wanted if len(wanted) > 1 else images))
    asset = images[wanted[0]]
    try:
        address = urljoin(url, asset["href"])
    except ValueError as error:
        raise BadStacItem("href") from error
    return Choice(wanted[0], address, _facts(item, asset))


def _read(document: bytes) -> dict[str, Any]:
    try:
        item = incoming.read_json(document, any_number=True)
    except BadRequest as error:
        raise BadStacItem(f"no JSON: {error}") from error
    if not isinstance(item, dict) or item.get("type") != "Feature" or "stac_version" not in item:
        raise BadStacItem("no item")
    if not isinstance(item.get("assets"), dict):
        raise BadStacItem("no assets")
    return item


def _is_image(asset: object) -> bool:
    if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
        return False
    media = asset.get("type")
    if isinstance(media, str):
        return media.strip().lower().startswith(IMAGE_TYPES)
    return media is None and asset["href"].lower().partition("?")[0].endswith(ENDINGS)


def _is_meant(asset: Mapping[str, Any]) -> bool:
    """Whether an asset is the image itself; where an item names no roles, any TIFF may be."""
    roles = asset.get("roles")
    if not isinstance(roles, list) or not roles:
        return True
    return any(role in IMAGE_ROLES for role in roles if isinstance(role, str))


def _facts(item: Mapping[str, Any], asset: Mapping[str, Any]) -> dict[str, str]:
    """What the asset says of itself, or else the item of all."""
    of_item = item.get("properties")
    said = {**(of_item if isinstance(of_item, dict) else {}), **asset}
    facts = {
        "name": _text(item.get("id")),
        "acquired_at": _moment(said),
        "sensor": _text(said.get("platform")) or _first(said.get("instruments")),
        "licence": _text(said.get("license")),
    }
    return {name: text for name, text in facts.items() if text}


def _moment(said: Mapping[str, Any]) -> str:
    """When the image was taken; of a stretch of time, when that began.

    Raises:
        BadStacItem: something else than a moment.
    """
    text = _text(said.get("datetime")) or _text(said.get("start_datetime"))
    try:
        if text:
            moments.read(text)
    except ValueError as error:
        raise BadStacItem("datetime") from error
    return text


def _first(texts: object) -> str:
    return _text(texts[0]) if isinstance(texts, list) and texts else ""


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
