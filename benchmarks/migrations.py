"""How long a release's migrations keep people waiting on a full database.

    python -m benchmarks.migrations [--footprints 1000000] [--from 0001]

On a PostGIS of its own, which is gone afterwards: the review tables are made as the migration
``--from`` left them and filled; then every later migration of every application runs, one by one,
while another connection keeps reading and writing as analysts do. The longest of its waits is what
a person would have felt; the aim is under a second. On a busy machine a wait says little: so beside
it stand the longest wait while nothing runs, and the processor seconds that the server itself spent
on the migration, during which alone it can have held a lock.
"""

import argparse
import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.measures import processor_seconds

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

OURS = ("accounts", "scenes", "assessments", "review", "training", "ops")
SINCE = ("teams", "quality")  # apps that came later: not there at the start
AIM_SECONDS = 1.0
CONTROL_SECONDS = 10.0
PAUSE_SECONDS = 0.005  # between two looks


def main(arguments: list[str] | None = None) -> None:
    """Print a line per migration and the longest wait of all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.migrations")
    parser.add_argument("--footprints", type=int, default=1_000_000)
    parser.add_argument("--from", dest="start", default="0001", help="of the review application")
    args = parser.parse_args(arguments)

    import django

    from tests import private_servers

    django.setup()
    with private_servers.running():
        apps = _begin_at(args.start)
        began = time.perf_counter()
        _fill(apps, args.footprints)
        spent = time.perf_counter() - began
        print(f"{args.footprints:,} footprints and as many buildings in {spent:.0f} s")
        print(f"nothing runs: longest wait {_control():.3f} s (what this machine itself costs)")
        worst = max([_timed(step) for step in _steps()], default=0.0)
    verdict = "within" if worst < AIM_SECONDS else "OVER"
    print(f"longest wait of anybody: {worst:.3f} s, {verdict} the aim of {AIM_SECONDS:.0f} s")


def _begin_at(start: str) -> Any:  # noqa: ANN401 (Django's registry of historical models)
    """Our applications at their first migration, review at ``start``; their models of that time."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    graph = executor.loader.graph
    first = [key for app in OURS for key in graph.root_nodes(app)]
    (review,) = [key for key in graph.nodes if key[0] == "review" and key[1].startswith(start)]
    theirs = [key for key in graph.leaf_nodes() if key[0] not in (*OURS, *SINCE)]
    return executor.migrate([*theirs, *first, review]).apps


def _steps() -> list[tuple[str, str]]:
    """What ``manage.py migrate`` would do now, in its order."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [(step.app_label, step.name) for step, _ in plan]


@dataclass
class Analysts:
    """A connection that reads and writes buildings all the time, and notes how long each took."""

    longest: dict[str, float] = field(default_factory=dict)
    looks: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Until told to stop."""
        import psycopg

        from tests import private_servers
        from unosat.ops import postgres

        with psycopg.connect(
            host=str(private_servers.FOLDERS.sockets),
            user=postgres.ROLE,
            password=private_servers.CLUSTER.password,
            dbname=postgres.DATABASE,
            autocommit=True,
        ) as connection:
            while not self._over.wait(PAUSE_SECONDS):
                self.looks += 1
                for what, query in WORK.items():
                    began = time.perf_counter()
                    connection.execute(query)
                    spent = time.perf_counter() - began
                    self.longest[what] = max(spent, self.longest.get(what, 0.0))

    def stop(self) -> None:
        """After what is under way."""
        self._over.set()


# by primary key: milliseconds, unless a lock is in the way
WORK = {
    "reading a building": "SELECT ST_AsBinary(outline) FROM review_building WHERE id = 777",
    "reading a footprint": "SELECT ST_AsBinary(outline) FROM review_footprint WHERE id = 777",
    "changing a building": "UPDATE review_building SET updated_at = now() WHERE id = 777",
    "changing a footprint": "UPDATE review_footprint SET clipped = clipped WHERE id = 777",
    "claiming a shard": "UPDATE assessments_shard SET attempt = attempt WHERE index = 0",
    "claiming a job": "UPDATE ops_job SET attempt = attempt WHERE kind = 'merge'",
}


def _timed(step: tuple[str, str]) -> float:
    """The longest wait during one migration, in seconds."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    analysts = Analysts()
    thread = threading.Thread(target=analysts.work)
    thread.start()
    while analysts.looks < 20:
        time.sleep(PAUSE_SECONDS)
    analysts.longest.clear()  # of a warm connection
    connection.ensure_connection()
    server = connection.connection.info.backend_pid
    before = processor_seconds(server)
    MigrationExecutor(connection).migrate([step])
    spent = processor_seconds(server) - before
    time.sleep(20 * PAUSE_SECONDS)
    analysts.stop()
    thread.join()
    what, longest = max(analysts.longest.items(), key=lambda pair: pair[1])
    print(
        f"{step[0]} {step[1]}: server {spent:.2f} processor s; longest wait {longest:.3f} s, {what}"
    )
    return longest


def _control() -> float:
    """The longest wait of analysts whom nobody disturbs, in seconds."""
    analysts = Analysts()
    thread = threading.Thread(target=analysts.work)
    thread.start()
    time.sleep(CONTROL_SECONDS)
    analysts.stop()
    thread.join()
    return max(analysts.longest.values())


def _fill(apps: Any, count: int) -> None:  # noqa: ANN401
    """Rows of one large assessment, with every column that the tables of that time have."""
    from django.db import connection

    owner = apps.get_model("accounts", "Organisation").objects.create(name="Bench", slug="bench")
    event = apps.get_model("scenes", "Event").objects.create(
        organisation=owner, name="Bench", date="2026-01-01"
    )
    scene = apps.get_model("scenes", "Scene").objects.create(
        organisation=owner, event=event, name="bench", phase="after"
    )
    version = apps.get_model("training", "ModelVersion").objects.create(
        name="bench", version="1", sha256="0" * 64, input_kind="after", folder="none"
    )
    row = apps.get_model("assessments", "Assessment").objects.create(
        organisation=owner, scene=scene, model_version=version
    )
    apps.get_model("assessments", "Shard").objects.create(assessment=row, index=0)
    apps.get_model("ops", "Job").objects.create(kind="merge", subject_id=row.pk)
    with connection.cursor() as cursor:
        cursor.execute(FOOTPRINTS, {"row": row.pk, "count": count})
        cursor.execute(BUILDINGS, {"owner": owner.pk})
        cursor.execute("ANALYZE")


# a town of 0.1 degrees of longitude and latitude; houses of 15 m with six corners
FOOTPRINTS = """
INSERT INTO review_footprint (assessment_id, uid, outline, grade, score, grade_score,
                              probabilities, area_m2, clipped, created_at)
SELECT %(row)s, gen_random_uuid(),
       ST_SetSRID(ST_MakePolygon(ST_MakeLine(ARRAY[
         ST_Point(x, y), ST_Point(x + 1.5e-4, y), ST_Point(x + 1.5e-4, y + 1e-4),
         ST_Point(x + 1e-4, y + 1e-4), ST_Point(x + 1e-4, y + 1.5e-4), ST_Point(x, y + 1.5e-4),
         ST_Point(x, y)])), 4326),
       (ARRAY['no_damage', 'minor_damage', 'major_damage', 'destroyed'])[1 + n %% 4], 0.9, 0.7,
       '{"no_damage": 0.1, "minor_damage": 0.1, "major_damage": 0.1, "destroyed": 0.7}', 200,
       false, now()
FROM (SELECT n, 36 + random() / 10 x, 36 + random() / 10 y FROM generate_series(1, %(count)s) n) p
"""
BUILDINGS = """
INSERT INTO review_building (assessment_id, organisation_id, uid, footprint_id, outline, grade,
                             score, grade_score, version, review, source, updated_at, created_at)
SELECT assessment_id, %(owner)s, uid, id, outline, grade, score, grade_score, 0, 'unreviewed',
       'model', now(), now()
FROM review_footprint
"""


if __name__ == "__main__":
    main()
