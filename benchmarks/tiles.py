"""How long the map waits: raster and vector tiles of a warm process, beside a bare peer each.

    python -m benchmarks.tiles [--buildings 200000] [--side 8192] [--rounds 200]

On a PostGIS of its own, which is gone afterwards. The peer of a raster tile is rasterio reading the
same ground from the same COG without stretch or WebP; the peer of a vector tile is PostGIS sending
the same outlines as they are.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import numpy as np

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"


def main(arguments: list[str] | None = None) -> None:
    """Print median and 95th percentile, and the ratio to the peer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tiles")
    parser.add_argument("--buildings", type=int, default=200_000)
    parser.add_argument("--side", type=int, default=8192, help="of the scene, in pixels")
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args(arguments)

    import django

    from tests import private_servers

    django.setup()
    with private_servers.running(), tempfile.TemporaryDirectory() as folder:
        _migrate()
        _raster(Path(folder), args.side, args.rounds)
        _vector(args.buildings, args.rounds)


def _migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _raster(folder: Path, side: int, rounds: int) -> None:
    import rasterio
    from rasterio.vrt import WarpedVRT
    from rasterio.windows import from_bounds
    from rio_tiler.constants import WEB_MERCATOR_TMS

    from detection.synthetic import SceneFile, TownScene, write_scene
    from tests.unosat.makers import make_organisation
    from unosat.ops.store import store_path
    from unosat.scenes.models import Event, Scene
    from unosat.scenes.tiles import render

    town, cog = folder / "town.tif", store_path("cogs/bench.tif")
    write_scene(town, folder / "truth.geojson", TownScene(1, 0.5), SceneFile(2048, 2048))
    repeated(town, folder / "large.tif", side)
    cog.parent.mkdir(parents=True, exist_ok=True)
    converted = [sys.executable, "-m", "unosat.scenes.convert", folder / "large.tif", cog]
    subprocess.run(list(map(str, converted)), check=True, stdout=subprocess.DEVNULL)
    owner = make_organisation()
    event = Event.objects.create(organisation=owner, name="Bench", kind="other", date="2026-01-01")
    scene = Scene(organisation=owner, event=event, cog_key="cogs/bench.tif")
    with rasterio.open(cog) as dataset, WarpedVRT(dataset, crs="EPSG:3857") as web:
        west, south, east, north = rasterio.warp.transform_bounds(
            dataset.crs, 4326, *dataset.bounds
        )
        chance = random.Random(0)  # noqa: S311
        tiles = [
            WEB_MERCATOR_TMS.tile(
                chance.uniform(west, east), chance.uniform(south, north), chance.randint(13, 18)
            )
            for _ in range(rounds)
        ]

        def bare(number: int) -> None:
            bounds = WEB_MERCATOR_TMS.xy_bounds(tiles[number])
            window = from_bounds(*bounds, transform=web.transform)
            web.read(window=window, out_shape=(3, 256, 256), boundless=False)

        _report(
            f"raster tile, {side} x {side} px",
            lambda n: render(scene, tiles[n].z, tiles[n].x, tiles[n].y),
            bare,
            rounds,
        )


def repeated(
    town: Path, large: Path, side: int, corner: tuple[float, float, float] | None = None
) -> None:
    """A large scene out of one small town, block by block.

    Args:
        town: a GeoTIFF.
        large: written.
        side: of it, in pixels.
        corner: west and north in degrees, and degrees per pixel; None: where the town is.
    """
    import rasterio
    from affine import Affine
    from rasterio.windows import Window

    with rasterio.open(town) as source:
        pixels = source.read()
        profile = source.profile | {
            "width": side,
            "height": side,
            "tiled": True,
            "blockxsize": 512,
            "blockysize": 512,
            "compress": "deflate",
        }
    if corner is not None:
        west, north, step = corner
        profile |= {"crs": "EPSG:4326", "transform": Affine(step, 0, west, 0, -step, north)}
    with rasterio.open(large, "w", **profile) as out:
        for row in range(0, side, pixels.shape[1]):
            for col in range(0, side, pixels.shape[2]):
                high, wide = min(pixels.shape[1], side - row), min(pixels.shape[2], side - col)
                out.write(pixels[:, :high, :wide], window=Window(col, row, wide, high))


def _vector(buildings: int, rounds: int) -> None:
    from django.db import connection
    from rio_tiler.constants import WEB_MERCATOR_TMS

    from tests.unosat.makers import make_actor, make_done_assessment, make_organisation
    from unosat.review.tiles import vector_tile

    owner = make_organisation()
    actor, row = make_actor(owner), make_done_assessment(owner, houses=0)
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"count": buildings, "row": row.pk, "owner": owner.pk})
        cursor.execute("ANALYZE review_building")
    chance = random.Random(0)  # noqa: S311
    spots = [(chance.uniform(36, 36.1), chance.uniform(36, 36.1)) for _ in range(rounds)]
    tiles = [WEB_MERCATOR_TMS.tile(*spot, chance.randint(14, 18)) for spot in spots]
    _report(
        f"vector tile, {buildings:,} buildings",
        lambda n: vector_tile(actor, row.pk, tiles[n].z, tiles[n].x, tiles[n].y),
        lambda n: _outlines(row.pk, *WEB_MERCATOR_TMS.bounds(tiles[n])),
        rounds,
    )


FILL = """
INSERT INTO review_building (id, created_at, assessment_id, organisation_id, uid, outline, grade,
                             score, grade_score, version, review, source, updated_at)
SELECT COALESCE((SELECT max(id) FROM review_building), 0) + n, now(), %(row)s, %(owner)s,
       gen_random_uuid(),
       ST_SetSRID(ST_Expand(ST_Point(36 + random() / 10, 36 + random() / 10), 0.00007), 4326),
       (ARRAY['no_damage', 'minor_damage', 'major_damage', 'destroyed'])[1 + n %% 4],
       NULL, NULL, 1, 'added', 'analyst', now()
FROM generate_series(1, %(count)s) n
"""


def _outlines(row: UUID, *bounds: float) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ST_AsBinary(outline) FROM review_building "
            "WHERE assessment_id = %s AND outline && ST_MakeEnvelope(%s, %s, %s, %s, 4326)",
            [row, *bounds],
        )
        return len(cursor.fetchall())


def _report(
    what: str, ours: Callable[[int], object], peer: Callable[[int], object], rounds: int
) -> None:
    """Alternate, so that a busy moment hits both; the first tenth only warms up."""
    spent: dict[str, list[float]] = {"ours": [], "peer": []}
    for number in range(rounds):
        for name, act in (("ours", ours), ("peer", peer)):
            began = time.perf_counter()
            act(number)
            spent[name].append(1000 * (time.perf_counter() - began))
    warm = {name: np.array(values[rounds // 10 :]) for name, values in spent.items()}
    middle = {name: float(np.median(values)) for name, values in warm.items()}
    late = {name: float(np.percentile(values, 95)) for name, values in warm.items()}
    print(
        f"{what}: median {middle['ours']:.0f} ms, 95th percentile {late['ours']:.0f} ms; "
        f"peer {middle['peer']:.0f} and {late['peer']:.0f} ms; "
        f"ratio of medians {middle['ours'] / middle['peer']:.2f}"
    )


if __name__ == "__main__":
    main()
