"""A private PostgreSQL with PostGIS: no TCP port, a password, a role that is no superuser."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from unosat.ops import processes
from unosat.ops.errors import MissingProgram, ServerDidNotStart
from unosat.ops.folders import Folders, server_account

ROLE = "unosat"
DATABASE = "unosat"
SUPERUSER = "postgres"
START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05
THROWAWAY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, slots=True)
class Cluster:
    """One private cluster.

    Attributes:
        folders: where its data, socket and log lie.
        password: of the application's role and of the superuser; kept by the caller.
        throwaway: made for tests: not durable, and the application's role may create databases.
    """

    folders: Folders
    password: str
    throwaway: bool = False

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folders.postgres / "data"

    @property
    def url(self) -> str:
        """The application's database as ``UNOSAT_DATABASE_URL`` names it."""
        place = quote(f"{self.folders.sockets}/{DATABASE}")
        return f"postgis://{ROLE}:{quote(self.password, safe='')}@/{place}"


def program_folder() -> Path:
    """The folder of PostgreSQL's server programs.

    Raises:
        MissingProgram: PostgreSQL's server is not installed.
    """
    answer = ""
    if shutil.which("pg_config"):
        command = ["pg_config", "--bindir"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    candidates = [Path(answer.strip()), *sorted(Path("/usr/lib/postgresql").glob("*/bin"))[::-1]]
    for folder in candidates:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise MissingProgram("PostgreSQL's server programs")


def start(cluster: Cluster) -> subprocess.Popen[bytes]:
    """Start the cluster, creating it first where there is none, and wait until it answers.

    Whoever calls this holds the lock of the folder: a server still running on it is a
    remainder of a killed start, and is ended first.

    Raises:
        MissingProgram: PostgreSQL is not installed.
        ServerDidNotStart: it ended or stayed silent; its log says why.
    """
    programs = program_folder()
    if not (cluster.data / "PG_VERSION").exists():
        _initialise(cluster, programs)
    end_remainder(cluster.data)
    options = [
        "listen_addresses=",
        f"unix_socket_directories={cluster.folders.sockets}",
        "timezone=UTC",
        "log_timezone=UTC",
        *(THROWAWAY if cluster.throwaway else ()),
    ]
    command = [str(programs / "postgres"), "-D", str(cluster.data)]
    for option in options:
        command += ["-c", option]
    process = processes.start(
        processes.guarded(command, account=server_account(), death_signal="INT"),
        log=_log(cluster),
    )
    try:
        _await(cluster, process)
        _prepare(cluster)
    except BaseException:
        stop(process)
        raise
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the cluster: connections are closed, everything committed is on the disk."""
    processes.stop(process, signal.SIGINT, seconds=STOP_SECONDS)


def end_remainder(data: Path) -> None:
    """End a server that still runs on ``data``, and remove a lock file that names no such server.

    The lock file may name a process that is something else by now, or, in a copied folder, the
    server of the original: only a process whose working folder is ``data`` is ours. Those that a
    killed server leaves behind notice it by themselves, though not at once; while one of them
    lives, no server starts.
    """
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    for sig in (signal.SIGINT, signal.SIGQUIT):
        if not _serves(pid, data):
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)
        _await_end(lambda: _serves(pid, data))
    _await_end(lambda: any(_serves(int(one.name), data) for one in Path("/proc").glob("[0-9]*")))
    lock.unlink(missing_ok=True)


def _await_end(lives: Callable[[], bool]) -> None:
    """Until it lives no longer, or ``STOP_SECONDS`` have passed."""
    deadline = time.monotonic() + STOP_SECONDS
    while lives() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _serves(pid: int, data: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data.resolve()
    except OSError:
        return False


def _initialise(cluster: Cluster, programs: Path) -> None:
    """Create the cluster beside its final place and move it there once it is whole."""
    half_made = cluster.folders.postgres / "half-made"
    password_file = cluster.folders.postgres / "password"
    account = server_account()
    if half_made.exists():
        shutil.rmtree(half_made)
    password_file.unlink(missing_ok=True)
    password_file.touch(mode=0o600)
    password_file.write_text(cluster.password)
    if account is not None:
        shutil.chown(password_file, account, account)
    command = [str(programs / "initdb"), "-D", str(half_made), "-U", SUPERUSER]
    command += [f"--pwfile={password_file}", "--auth=scram-sha-256", "--encoding=UTF8"]
    command += ["--locale=C.UTF-8", *(["--no-sync"] if cluster.throwaway else [])]
    process = processes.start(processes.guarded(command, account=account), log=_log(cluster))
    failed = process.wait()
    password_file.unlink()
    if failed:
        raise ServerDidNotStart(f"initdb: see {_log(cluster)}")
    half_made.rename(cluster.data)


def _await(cluster: Cluster, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            _connect(cluster, "postgres").close()
        except psycopg.OperationalError:
            time.sleep(POLL_SECONDS)
        else:
            return
    raise ServerDidNotStart(f"PostgreSQL: see {_log(cluster)}")


def _prepare(cluster: Cluster) -> None:
    """Make role, PostGIS and database where they are missing; true again after a broken start."""
    with _connect(cluster, "template1") as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")
    with _connect(cluster, "postgres") as connection:
        role = sql.Identifier(ROLE)
        verb = "ALTER" if _exists(connection, "pg_roles", "rolname", ROLE) else "CREATE"
        rights = "CREATEDB" if cluster.throwaway else "NOCREATEDB"
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN NOSUPERUSER {} PASSWORD {}").format(
                sql.SQL(verb), role, sql.SQL(rights), sql.Literal(cluster.password)
            )
        )
        if not _exists(connection, "pg_database", "datname", DATABASE):
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), role)
            )


def _exists(connection: psycopg.Connection, table: str, column: str, name: str) -> bool:
    query = sql.SQL("SELECT 1 FROM {} WHERE {} = %s").format(
        sql.Identifier(table), sql.Identifier(column)
    )
    return connection.execute(query, [name]).fetchone() is not None


def _connect(cluster: Cluster, database: str) -> psycopg.Connection:
    return psycopg.connect(
        host=str(cluster.folders.sockets),
        user=SUPERUSER,
        password=cluster.password,
        dbname=database,
        autocommit=True,
    )


def _log(cluster: Cluster) -> Path:
    return cluster.folders.logs / "postgres.log"


def new_password() -> str:
    """A password for a new cluster."""
    return secrets.token_urlsafe(24)
