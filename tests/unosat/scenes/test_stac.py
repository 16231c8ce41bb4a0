"""Which image a STAC item means."""

import json
from typing import Any

import pytest

from unosat.scenes import stac
from unosat.scenes.errors import AssetNotNamed, BadStacItem, NoImageAsset

URL = "https://images.example/items/one.json"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
THUMBNAIL = {"href": "small.png", "type": "image/png", "roles": ["thumbnail"]}


def item(assets: dict[str, Any], **properties: object) -> bytes:
    document = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "one",
        "properties": {"datetime": "2025-10-02T10:11:12Z"} | properties,
        "assets": assets,
    }
    return json.dumps(document).encode()


def image(href: str = "a.tif", *roles: str, **more: object) -> dict[str, Any]:
    return {"href": href, "type": COG, "roles": list(roles or ["data"])} | more


def test_the_only_image_is_the_one() -> None:
    document = item(
        {"thumb": THUMBNAIL, "image": image("../files/a.tif?sig=1")},
        platform="worldview-3",
        license="CC-BY-NC-4.0",
        gsd=0.31,
    )

    choice = stac.choose(document, url=URL)

    assert (choice.key, choice.url) == ("image", "https://images.example/files/a.tif?sig=1")
    assert choice.facts == {
        "name": "one",
        "acquired_at": "2025-10-02T10:11:12Z",
        "sensor": "worldview-3",
        "licence": "CC-BY-NC-4.0",
    }


def test_what_an_asset_says_of_itself_goes_before_its_item() -> None:
    document = item({"image": image(datetime="2025-10-03T00:00:00Z")}, datetime=None)

    assert stac.choose(document, url=URL).facts["acquired_at"] == "2025-10-03T00:00:00Z"


def test_of_a_stretch_of_time_its_beginning_counts() -> None:
    document = item({"a": image()}, datetime=None, start_datetime="2025-10-01T00:00:00Z")

    assert stac.choose(document, url=URL).facts["acquired_at"] == "2025-10-01T00:00:00Z"


def test_of_several_images_one_must_be_named() -> None:
    document = item({"visual": image("v.tif", "visual"), "ms": image("m.tif"), "thumb": THUMBNAIL})

    with pytest.raises(AssetNotNamed) as refused:
        stac.choose(document, url=URL)

    assert refused.value.keys == ("visual", "ms")
    assert refused.value.user_message.endswith("choose one of them: visual, ms")
    assert stac.choose(document, url=URL, key="ms").url == "https://images.example/items/m.tif"
    with pytest.raises(AssetNotNamed):
        stac.choose(document, url=URL, key="thumb")
    with pytest.raises(AssetNotNamed):
        stac.choose(document, url=URL, key="no such")


def test_a_sentence_stays_a_sentence_however_many_and_long_the_keys_are() -> None:
    document = item({f"{'k' * 190}{number}": image() for number in range(100)})

    with pytest.raises(AssetNotNamed) as refused:
        stac.choose(document, url=URL)

    assert len(refused.value.keys) == 100
    assert len(refused.value.user_message) < 400


def test_a_mask_is_taken_only_when_it_is_named() -> None:
    document = item({"image": image(), "cloud": image("c.tif", "cloud")})

    assert stac.choose(document, url=URL).key == "image"
    assert stac.choose(document, url=URL, key="cloud").key == "cloud"


def test_items_that_name_no_roles_or_types_are_read_by_what_they_have() -> None:
    document = item(
        {"image": {"href": "https://other.example/A.TIF?x=1"}, "meta": {"href": "m.xml"}}
    )

    assert stac.choose(document, url=URL).url == "https://other.example/A.TIF?x=1"


@pytest.mark.parametrize(
    "assets",
    [
        {},
        {"thumb": THUMBNAIL},
        {"a": {"type": COG, "roles": ["data"]}},
        {"a": "a.tif"},
        {"a": {"href": 5, "type": COG}},
        {"a": {"href": "a.jp2", "type": "image/jp2", "roles": ["data"]}},
    ],
)
def test_an_item_without_an_image_is_refused(assets: dict[str, Any]) -> None:
    with pytest.raises(NoImageAsset):
        stac.choose(item(assets), url=URL)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe{}",
        b"{" + b'"a":[' * 100_000,
        b'{"type": "Feature"}',
        b'{"type": "FeatureCollection", "stac_version": "1.0.0", "assets": {}}',
        b'{"type": "Feature", "stac_version": "1.0.0", "assets": []}',
        item({"a": image()}, datetime="yesterday"),
        item({"a": image()}, datetime="2025-13-40T00:00:00Z"),
        item({"a": image("https://[::1/a.tif")}),
    ],
)
def test_what_is_no_item_is_refused(document: bytes) -> None:
    with pytest.raises(BadStacItem):
        stac.choose(document, url=URL)
