"""How long a monitor waits for ``/metrics``, and the status page's figures with it.

    python -m benchmarks.scrape [--shards 100000] [--rounds 20]

On a PostGIS of its own, which is gone afterwards. The aim is under 200 ms with 100,000 shards; on a
busy machine the processor time of this process and of its server's says more than the clock.
"""

import argparse
import os
import time

import numpy as np

from benchmarks.measures import processor_seconds

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"


def main(arguments: list[str] | None = None) -> None:
    """Print the median and the slowest scrape, and what processors did for one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scrape")
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args(arguments)

    import django

    from tests import private_servers

    django.setup()
    with private_servers.running():
        _fill(args.shards)
        _report(args.shards, args.rounds)


def _fill(shards: int) -> None:
    from django.core.management import call_command
    from django.db import connection

    from tests.unosat.makers import make_done_assessment, make_organisation
    from unosat.assessments.models import Assessment

    call_command("migrate", verbosity=0)
    row = make_done_assessment(make_organisation(), houses=0)
    Assessment.objects.filter(pk=row.pk).update(state="running")
    with connection.cursor() as cursor:
        cursor.execute(SHARDS, {"row": row.pk, "count": shards})
        cursor.execute(JOBS, {"count": shards // 10})
        cursor.execute("VACUUM ANALYZE")


# nine in ten are done, a tenth of those within the hour; results of 1,000 bytes
SHARDS = """
INSERT INTO assessments_shard (id, assessment_id, index, spec, state, attempt, lease_until,
                               heartbeat_at, worker, tiles_total, tiles_done, found, result,
                               result_sha256, seconds, created_at)
SELECT gen_random_uuid(), %(row)s, n, '{"first_batch": 0, "last_batch": 30}',
       CASE WHEN n %% 10 > 0 THEN 'done' WHEN n %% 1000 = 0 THEN 'running' ELSE 'waiting' END,
       1 + (n %% 100 = 1)::int, now() + interval '30 seconds',
       now() - n * interval '10 hours' / %(count)s, 'host:' || n %% 40, 30, 30, 100,
       decode(repeat(md5(n::text), 31), 'hex') || '\\x0000', repeat('0', 64), 40 + random() * 40,
       now() - interval '1 day'
FROM generate_series(1, %(count)s) n
"""
JOBS = """
INSERT INTO ops_job (id, kind, subject_id, state, attempt, worker, failure_code, failure_message,
                     created_at)
SELECT gen_random_uuid(), 'plan', gen_random_uuid(), 'done', 1, 'host:1', '', '', now()
FROM generate_series(1, %(count)s)
"""


def _report(shards: int, rounds: int) -> None:
    from django.db import connection

    from unosat.ops import metrics

    text = metrics.text()
    server = connection.connection.info.backend_pid
    before = time.process_time() + processor_seconds(server)
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        metrics.text()
        spent.append(1000 * (time.perf_counter() - began))
    worked = 1000 * (time.process_time() + processor_seconds(server) - before) / rounds
    print(
        f"scrape with {shards:,} shards, {len(text.splitlines())} lines: "
        f"median {np.median(spent):.0f} ms, slowest {max(spent):.0f} ms; "
        f"{worked:.0f} ms of processors, the server's included"
    )


if __name__ == "__main__":
    main()
