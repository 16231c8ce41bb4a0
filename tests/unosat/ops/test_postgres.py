"""A cluster of our own: what its role may do, and how it survives broken starts."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import environ
import psycopg
import pytest

from tests.live import gone
from unosat.ops import postgres
from unosat.ops.folders import prepare_folders


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Cluster]:
    """A cluster as make run makes it, except for the wait for the disk."""
    var = Path("/tmp") / f"unosat-cluster-{os.getpid()}"  # noqa: S108
    var.mkdir(mode=0o711)
    yield postgres.Cluster(prepare_folders(var), password="p@ss/w:rd")  # noqa: S106
    shutil.rmtree(var)


@pytest.fixture
def running(cluster: postgres.Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """The cluster's server."""
    process = postgres.start(cluster)
    yield process
    postgres.stop(process)


def connect(cluster: postgres.Cluster) -> psycopg.Connection:
    """As the settings would: through the URL, read by the same library."""
    parts = environ.Env.db_url_config(cluster.url)
    return psycopg.connect(
        host=parts["HOST"],
        user=parts["USER"],
        password=parts["PASSWORD"],
        dbname=parts["NAME"],
        autocommit=True,
    )


@pytest.mark.usefixtures("running")
def test_the_application_finds_postgis_but_is_no_superuser(cluster: postgres.Cluster) -> None:
    with connect(cluster) as connection:
        version = connection.execute("SELECT postgis_lib_version()").fetchone()
        rights = connection.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()

    assert version is not None
    assert rights == (False, False, False)


@pytest.mark.usefixtures("running")
def test_no_port_is_open_and_a_password_is_needed(cluster: postgres.Cluster) -> None:
    with connect(cluster) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(
            host=str(cluster.folders.sockets),
            user="postgres",
            dbname="postgres",
            password="guess",  # noqa: S106
        )


def test_what_was_committed_survives_a_kill_and_a_stale_lock_file(
    cluster: postgres.Cluster,
) -> None:
    process = postgres.start(cluster)
    with connect(cluster) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    lock = cluster.data / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:], ""]))  # somebody else's by now

    again = postgres.start(cluster)

    try:
        with connect(cluster) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    finally:
        postgres.stop(again)


def test_what_a_killed_server_leaves_behind_is_waited_for(cluster: postgres.Cluster) -> None:
    """On a busy machine its children notice late, and no server starts beside them."""
    killed = postgres.start(cluster)
    children = Path(f"/proc/{killed.pid}/task/{killed.pid}/children").read_text().split()
    late = int(children[0])
    os.kill(late, signal.SIGSTOP)
    noticing = threading.Timer(1.5, os.kill, (late, signal.SIGCONT))
    noticing.start()
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()

    fresh = postgres.start(cluster)

    noticing.join()
    with connect(cluster) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    postgres.stop(fresh)


def test_a_server_left_by_a_killed_start_is_ended_before_the_next(
    cluster: postgres.Cluster,
) -> None:
    left = postgres.start(cluster)

    fresh = postgres.start(cluster)

    try:
        assert gone(left.pid)
        with connect(cluster) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        postgres.stop(fresh)
        left.wait()


def test_a_half_made_cluster_is_made_again() -> None:
    var = Path("/tmp") / f"unosat-half-{os.getpid()}"  # noqa: S108
    var.mkdir(mode=0o711)
    half = postgres.Cluster(prepare_folders(var), password="x", throwaway=True)  # noqa: S106
    (half.folders.postgres / "half-made" / "base").mkdir(parents=True)

    process = postgres.start(half)

    postgres.stop(process)
    assert (half.data / "PG_VERSION").exists()
    shutil.rmtree(var)
