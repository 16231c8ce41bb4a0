"""What the review workbench waits for, with a whole city in one assessment.

    python -m benchmarks.workbench [--buildings 200000] [--side 20000] [--rounds 60]
                                   [--analysts 20] [--only order,queue,decisions,tiles]

On a PostGIS of its own, which is gone afterwards; the image is made once and kept in ``var/bench``.
The aims, at the 95th percentile in a warm process: a page of the queue 50 ms, a decision stored 100
ms with 20 analysts at once, a vector tile 60 ms, a raster tile 80 ms. On a busy machine the clock
says little: the processor time of the process and of its database server stands beside it.
"""

import argparse
import contextlib
import http.cookiejar
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from benchmarks.measures import processor_seconds

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

ROOT = Path(__file__).resolve().parent.parent
PIXEL_M = 0.5
WEST, NORTH = 36.0, 36.0  # degrees
DEGREES_PER_PIXEL = 5e-6  # some half a metre
PARTS = ("order", "queue", "decisions", "tiles")
PASSWORD = "correct horse"  # noqa: S105 (of nobody outside a benchmark)
DECIDED_SHARE = 10  # per cent were looked at already


def main(arguments: list[str] | None = None) -> None:
    """Print the median and the 95th percentile of each, and the processors' time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workbench")
    parser.add_argument("--buildings", type=int, default=200_000)
    parser.add_argument("--side", type=int, default=20_000, help="of the scene, in pixels")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--analysts", type=int, default=20)
    parser.add_argument("--only", default=",".join(PARTS))
    args = parser.parse_args(arguments)

    import django

    from tests import private_servers

    django.setup()
    with private_servers.running():
        bench = Bench(args.buildings, args.side, args.rounds)
        for part in args.only.split(","):
            if part == "decisions":
                _decisions(bench, args.analysts)
            else:
                {"order": _order, "queue": _queue, "tiles": _tiles}[part](bench)


class Bench:
    """The synthetic assessment, and how each question is timed."""

    def __init__(self, buildings: int, side: int, rounds: int) -> None:
        from django.core.management import call_command
        from django.db import connection

        from tests.unosat.makers import make_organisation, make_user
        from unosat.accounts.actors import actor_for_user

        call_command("migrate", verbosity=0)
        self.rounds = rounds
        self.side = side
        self.organisation = make_organisation()
        self.user = make_user(self.organisation)
        self.actor = actor_for_user(self.user)
        began = time.perf_counter()
        self.row = seed(self.organisation, self.user, buildings, side)
        spent = time.perf_counter() - began
        print(f"{buildings:,} footprints and as many buildings on {side:,} px in {spent:.0f} s")
        self.server = connection.connection.info.backend_pid

    def report(self, name: str, question: Callable[[int], object]) -> None:
        """Ask as often as there are rounds, after one for warmth."""
        question(0)
        before = time.process_time() + processor_seconds(self.server)
        spent = []
        for number in range(self.rounds):
            began = time.perf_counter()
            question(number)
            spent.append(1000 * (time.perf_counter() - began))
        worked = 1000 * (time.process_time() + processor_seconds(self.server) - before)
        print(f"{name:44} {summary(spent)}; {worked / self.rounds:5.1f} ms of processors each")


def summary(milliseconds: list[float]) -> str:
    """Median and 95th percentile."""
    middle, high = np.percentile(milliseconds, [50, 95])
    return f"p50 {middle:6.1f} ms, p95 {high:6.1f} ms"


def seed(organisation: Any, user: Any, buildings: int, side: int) -> Any:  # noqa: ANN401 (models)
    """A done assessment with so many buildings on an image so wide; a tenth were decided on."""
    from django.contrib.gis.geos import Polygon
    from django.db import connection

    from tests.unosat.makers import make_done_assessment
    from unosat.ops.store import store_path
    from unosat.scenes.models import Scene

    row = make_done_assessment(organisation, houses=0)
    key = "cogs/workbench.tif"
    store_path(key).parent.mkdir(parents=True, exist_ok=True)
    store_path(key).symlink_to(image(side))
    end = side * DEGREES_PER_PIXEL
    Scene.objects.filter(pk=row.scene_id).update(
        cog_key=key,
        width=side,
        height=side,
        pixel_size_m=PIXEL_M,
        footprint=Polygon.from_bbox((WEST, NORTH - end, WEST + end, NORTH)),
    )
    values = {
        "row": row.pk,
        "owner": organisation.pk,
        "user": user.pk,
        "count": buildings,
        "west": WEST,
        "south": NORTH - end,
        "side": end - 4e-4,
        "decided": DECIDED_SHARE,
    }
    with connection.cursor() as cursor:
        for statement in (FOOTPRINTS, BUILDINGS, DECISIONS):
            cursor.execute(statement, values)
        cursor.execute("VACUUM ANALYZE")
    return row


# Quarters of some 400 m with a grade that most of their houses share, as damage goes; houses of 9
# to 30 m with six corners. Half are sure, half are not.
FOOTPRINTS = """
INSERT INTO review_footprint (assessment_id, uid, outline, grade, score, grade_score,
                              probabilities, area_m2, clipped, unclassified_because, outline_id,
                              created_at)
SELECT %(row)s, gen_random_uuid(),
       ST_SetSRID(ST_MakePolygon(ST_MakeLine(ARRAY[
         ST_Point(x, y), ST_Point(x + w, y), ST_Point(x + w, y + w * 0.7),
         ST_Point(x + w * 0.6, y + w * 0.7), ST_Point(x + w * 0.6, y + w), ST_Point(x, y + w),
         ST_Point(x, y)])), 4326),
       names[1 + grade], 0.5 + random() * 0.5, sure,
       jsonb_build_object(names[1 + grade], sure, names[1 + (grade + 1) %% 4], (1 - sure) * 0.6,
                          names[1 + (grade + 2) %% 4], (1 - sure) * 0.3,
                          names[1 + (grade + 3) %% 4], (1 - sure) * 0.1),
       (w * 1e5) ^ 2, false, '', '', now()
FROM (SELECT x, y, w, sure, ARRAY['no_damage', 'minor_damage', 'major_damage', 'destroyed'] names,
             CASE WHEN chance < 0.2 THEN floor(random() * 4)::int
                  ELSE (floor(x / 0.004)::int * 7 + floor(y / 0.004)::int * 5) %% 4 END AS grade
      FROM (SELECT %(west)s + random() * %(side)s x, %(south)s + random() * %(side)s y,
                   8e-5 + random() ^ 3 * 2e-4 w, random() chance,
                   0.4 + 0.6 * sqrt(random()) sure
            FROM generate_series(1, %(count)s) n) places) houses
"""
BUILDINGS = """
INSERT INTO review_building (assessment_id, organisation_id, uid, footprint_id, outline, grade,
                             score, grade_score, version, review, source, updated_by_id, updated_at,
                             created_at, flagged, unsure_because)
SELECT assessment_id, %(owner)s, uid, id, outline, grade, score, grade_score,
       (id %% 100 < %(decided)s)::int,
       CASE WHEN id %% 100 < %(decided)s THEN 'accepted' ELSE 'unreviewed' END, 'model',
       CASE WHEN id %% 100 < %(decided)s THEN %(user)s END,
       now() - id * interval '1 second', now(), false, ''
FROM review_footprint WHERE assessment_id = %(row)s ORDER BY id
"""
DECISIONS = """
INSERT INTO review_decision (id, assessment_id, building_id, number, on_version, kind, grade,
                             reason, because, flagged, others, user_id, made_at)
SELECT gen_random_uuid(), assessment_id, id, 1, 0, 'accept', grade, '', '', false, '[]', %(user)s,
       updated_at
FROM review_building WHERE assessment_id = %(row)s AND version = 1
"""


def image(side: int) -> Path:
    """A clean COG of so many pixels square: a small town again and again. Made once."""
    kept = ROOT / "var" / "bench" / f"workbench-{side}.tif"
    if kept.exists():
        return kept
    from benchmarks.tiles import repeated
    from detection.synthetic import SceneFile, TownScene, write_scene

    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        town, large, cog = (Path(folder) / name for name in ("town.tif", "large.tif", "cog.tif"))
        write_scene(
            town, Path(folder) / "truth.geojson", TownScene(1, PIXEL_M), SceneFile(2048, 2048)
        )
        corner = (WEST, NORTH, DEGREES_PER_PIXEL)
        repeated(town, large, side, corner=corner)
        command = [sys.executable, "-m", "unosat.scenes.convert", str(large), str(cog)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        cog.rename(kept)
    return kept


def _order(bench: Bench) -> None:
    """The order is worked out, as after a merge."""
    from django.db import connection

    from unosat.ops import jobs
    from unosat.review import order, queue, tasks

    _, looks = queue._looks(bench.row.pk)
    began = time.process_time()
    order.turns(looks)
    order.cells(looks.lonlat)
    alone = time.process_time() - began
    jobs.enqueue("order", bench.row.pk, bench.organisation.pk)
    began, worked = time.perf_counter(), time.process_time() + processor_seconds(bench.server)
    tasks.order(str(bench.row.pk))
    spent = time.perf_counter() - began
    worked = time.process_time() + processor_seconds(bench.server) - worked
    print(
        f"order of {len(looks):,}: {alone:.1f} processor s to think, {worked:.1f} with reading and "
        f"writing all, {spent:.1f} s by the clock"
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE review_building")  # as autovacuum does within a minute
        cursor.execute("SELECT pg_size_pretty(pg_indexes_size('review_building'))")
        print(f"all indexes of buildings: {cursor.fetchone()[0]}")


def _queue(bench: Bench) -> None:
    from django.test import Client

    client = Client()
    client.force_login(bench.user)
    end = DEGREES_PER_PIXEL * bench.side
    chance = random.Random(1)  # noqa: S311
    address = f"/api/v1/assessments/{bench.row.pk}"

    def place() -> tuple[float, float]:
        return WEST + chance.random() * end * 0.9, NORTH - chance.random() * end * 0.9

    def square(share: float) -> str:
        (west, north), wide = place(), end * share
        corners = [(0, 0), (0, -wide), (wide, -wide), (wide, 0), (0, 0)]
        return ";".join(f"{west + x:.6f},{north + y:.6f}" for x, y in corners)

    def asked(path: str, query: dict[str, object]) -> dict[str, Any]:
        text = {name: str(value) for name, value in query.items()}
        answer = client.get(f"{address}/{path}", text)
        if answer.status_code != 200:
            raise RuntimeError(answer.content.decode())
        told: dict[str, Any] = answer.json()
        return told

    queries: dict[str, Callable[[], dict[str, object]]] = {
        "by value": dict,
        "by value, 100 a page": lambda: {"limit": 100},
        "grade": lambda: {"grade": chance.choice(["no_damage", "destroyed"])},
        "grade that none has": lambda: {"grade": "unclassified"},
        "score 0.70 to 0.71": lambda: {"min_score": 0.7, "max_score": 0.71},
        "state accepted": lambda: {"state": "accepted"},
        "state that none has": lambda: {"state": "redrawn"},
        "decided by": lambda: {"state": "any", "who": bench.user.username},
        "decided by somebody who did nothing": lambda: {"state": "any", "who": "nobody"},
        "area, 1 % of the image": lambda: {"area": square(0.1)},
        "area, 25 % of the image": lambda: {"area": square(0.5)},
        "area and grade and score": lambda: {
            "area": square(0.3),
            "grade": "destroyed",
            "min_score": 0.9,
        },
        "nearest": lambda: {"order": "nearest", "near": "{},{}".format(*place())},
        "nearest, grade that none has": lambda: {
            "order": "nearest",
            "near": "{},{}".format(*place()),
            "grade": "unclassified",
        },
        "oldest decision": lambda: {"order": "oldest", "state": "any"},
        "lowest score": lambda: {"order": "score"},
    }
    for name, query in queries.items():
        bench.report(f"queue: {name}", partial(_asked_anew, asked, query))
    cursors = [""]
    for _ in range(bench.rounds):
        cursors.append(asked("queue", {"cursor": cursors[-1], "limit": 200})["next"])
    bench.report("queue: some page further on", lambda n: asked("queue", {"cursor": cursors[n]}))
    bench.report("queue/count: all", lambda _: asked("queue/count", {}))
    bench.report("queue/count: a grade", lambda _: asked("queue/count", {"grade": "destroyed"}))
    bench.report("queue/count: 25 % area", lambda _: asked("queue/count", {"area": square(0.5)}))
    bench.report("queue/people", lambda _: asked("queue/people", {}))
    bench.report("counts of the legend", lambda _: asked("counts", {}))


def _asked_anew(
    asked: Callable[[str, dict[str, object]], object],
    query: Callable[[], dict[str, object]],
    _: int,
) -> object:
    return asked("queue", query())


def _nth(tiles: list[Any], made: Callable[[int, int, int], object], number: int) -> object:
    return made(tiles[number].z, tiles[number].x, tiles[number].y)


def _tiles(bench: Bench) -> None:
    from rio_tiler.constants import WEB_MERCATOR_TMS

    from unosat.review.tiles import vector_tile
    from unosat.scenes.models import Scene
    from unosat.scenes.tiles import render

    end = DEGREES_PER_PIXEL * bench.side
    chance = random.Random(0)  # noqa: S311
    scene = Scene.objects.get(pk=bench.row.scene_id)

    def tiles(*zooms: int) -> list[Any]:
        return [
            WEB_MERCATOR_TMS.tile(
                WEST + chance.random() * end, NORTH - chance.random() * end, chance.choice(zooms)
            )
            for _ in range(bench.rounds)
        ]

    for zoom in range(10, 19):
        some = tiles(zoom)
        sizes = [len(vector_tile(bench.actor, bench.row.pk, t.z, t.x, t.y)) for t in some[:5]]
        bench.report(
            f"vector tile, zoom {zoom}, up to {max(sizes) / 1000:,.0f} kB",
            partial(_nth, some, partial(vector_tile, bench.actor, bench.row.pk)),
        )
    for zoom in (12, 14, 16, 18):
        some = tiles(zoom)
        bench.report(
            f"raster tile, zoom {zoom}",
            partial(_nth, some, partial(render, scene)),
        )


def _decisions(bench: Bench, analysts: int) -> None:
    """So many people decide at once, each on the next of their own, against a real web process."""
    from tests.unosat.makers import make_user
    from unosat.review.models import Building

    users = [make_user(bench.organisation) for _ in range(analysts)]
    open_ = Building.objects.filter(assessment=bench.row, review="unreviewed").order_by("turn")
    each = max(5, bench.rounds // 3)
    uids = list(open_.values_list("uid", flat=True)[: analysts * each])
    with _web() as (url, pid):
        people = [_signed_in(url, user) for user in users]
        spent: list[float] = []
        failed: list[str] = []

        def work(number: int) -> None:
            for uid in uids[number::analysts]:
                body = {"id": str(uuid4()), "kind": "accept", "building": str(uid), "on_version": 0}
                began = time.perf_counter()
                try:
                    people[number](f"assessments/{bench.row.pk}/decisions", body)
                except OSError as error:
                    failed.append(str(error))
                spent.append(1000 * (time.perf_counter() - began))
                time.sleep(max(0.0, 1 - (time.perf_counter() - began)))  # a second to look

        before = processor_seconds(pid)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(analysts)]
        for thread in threads:
            thread.start()
            time.sleep(1 / analysts)
        for thread in threads:
            thread.join()
        worked = 1000 * (processor_seconds(pid) - before) / max(len(spent), 1)
    print(
        f"decision stored, {analysts} analysts, one each second  {summary(spent)}; "
        f"{worked:5.1f} ms of the web process each; {len(spent)} sent, {len(failed)} failed"
    )


@contextlib.contextmanager
def _web() -> Iterator[tuple[str, int]]:
    from tests import private_servers
    from tests.live import free_port, processes_of

    with (
        tempfile.TemporaryDirectory() as folder,
        processes_of(private_servers.REDIS_URL, Path(folder)) as stack,
    ):
        process = stack.start_web(free_port())
        yield stack.url, process.pid


def _signed_in(url: str, user: Any) -> Callable[[str, dict[str, Any]], Any]:  # noqa: ANN401
    """A function that posts as a user, after one request for warmth."""
    from django.contrib.auth.hashers import make_password

    user.password = make_password(PASSWORD, hasher="pbkdf2_sha256")
    user.save()
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def token() -> str:
        return next(str(cookie.value) for cookie in jar if cookie.name.endswith("csrftoken"))

    opener.open(f"{url}accounts/login/").read()
    form = f"username={user.username}&password={PASSWORD.replace(' ', '+')}"
    form += f"&csrfmiddlewaretoken={token()}"
    opener.open(urllib.request.Request(f"{url}accounts/login/", form.encode())).read()  # noqa: S310

    def post(path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401
        headers = {"Content-Type": "application/json", "X-CSRFToken": token(), "Referer": url}
        request = urllib.request.Request(  # noqa: S310
            f"{url}api/v1/{path}", json.dumps(body).encode(), headers
        )
        with opener.open(request) as answer:
            return json.load(answer)

    return post


if __name__ == "__main__":
    main()
