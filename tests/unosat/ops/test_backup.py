"""A backup is worth what comes out of it: an empty cluster is filled, and compared."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import sql
from pytest_django import Settings

from tests import private_servers
from tests.live import PROJECT, environment
from tests.unosat.makers import make_done_assessment, make_organisation, make_user
from unosat.assessments.models import Shard
from unosat.ops import backup, postgres, tables
from unosat.ops.backup import DamagedBackup, FolderInUse, NewerBackup, NoBackup
from unosat.ops.folders import prepare_folders
from unosat.ops.models import Outbox
from unosat.ops.store import store_path
from unosat.review.models import ReviewedArea

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "p@ss/w:rd"  # noqa: S105 (of nobody outside a test)


@dataclass(frozen=True)
class Elsewhere:
    """Another machine: an empty cluster and an empty store."""

    cluster: postgres.Cluster
    store: Path

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command there."""
        there = {"UNOSAT_DATABASE_URL": self.cluster.url, "UNOSAT_STORE": str(self.store)}
        return manage(*arguments, **there)

    def connect(self) -> "psycopg.Connection[Any]":
        """To its database."""
        return psycopg.connect(
            host=str(self.cluster.folders.sockets),
            user=postgres.ROLE,
            password=PASSWORD,
            dbname=postgres.DATABASE,
        )


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    """A second cluster, as make run would make it."""
    var = Path("/tmp") / f"unosat-restored-{os.getpid()}"  # noqa: S108
    var.mkdir(mode=0o711)
    try:
        cluster = postgres.Cluster(prepare_folders(var), PASSWORD, throwaway=True)
        process = postgres.start(cluster)
        try:
            (tmp_path / "elsewhere").mkdir()
            yield Elsewhere(cluster, tmp_path / "elsewhere")
        finally:
            postgres.stop(process)
    finally:
        shutil.rmtree(var)


@pytest.fixture
def installation(settings: Settings, tmp_path: Path) -> Path:
    """Some of everything, and a store of its own, whose folder is returned."""
    settings.UNOSAT_STORE = tmp_path / "store"
    settings.UNOSAT_STORE.mkdir()
    organisation = make_organisation()
    row = make_done_assessment(organisation, houses=20)
    outline = row.buildings.all()[0].outline
    ReviewedArea.objects.create(assessment=row, outline=outline, user=make_user(organisation))
    odd = bytes(range(256)) * 40
    Shard.objects.create(
        assessment=row, index=0, state="done", result=odd, result_sha256="0", seconds=1 / 3
    )
    Outbox.objects.create(task="x", queue="light", args=["tab\t, newline\n, \\N and \u00e9"])
    return tmp_path / "store"


def manage(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as an operator does, on the test database unless ``env`` names another."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=environment() | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_empty_cluster_filled_from_a_backup_holds_the_same(
    installation: Path, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"

    made = manage("backup", str(folder), UNOSAT_STORE=str(installation))
    restored = elsewhere.manage("restore", str(folder))

    assert made.returncode == 0, made.stderr
    assert restored.returncode == 0, restored.stderr
    with elsewhere.connect() as there, here() as us:
        assert counts(there) == counts(us)
        assert sum(counts(us).values()) > 100
        assert outlines(there) == outlines(us)
        assert {"review_building.outline", "scenes_scene.footprint"} <= outlines(us).keys()
        assert everything(there, "assessments_shard") == everything(us, "assessments_shard")
        assert everything(there, "ops_outbox") == everything(us, "ops_outbox")
        there.execute(  # ids go on where they were
            "INSERT INTO ops_outbox (task, queue, args, created_at) VALUES ('y', 'q', '[]', now())"
        )
    assert files(elsewhere.store) == files(installation)
    assert elsewhere.manage("migrate", "--check").returncode == 0

    again = elsewhere.manage("restore", str(folder))
    assert again.returncode != 0
    assert "not empty" in again.stderr
    assert folder.stat().st_mode & 0o077 == 0


def test_a_second_backup_shares_what_did_not_change(installation: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    cog = next((installation / "cogs").iterdir())
    changing = store_path("uploads/one")
    changing.parent.mkdir()
    changing.write_bytes(b"begun")
    backup.make(first)
    changing.write_bytes(b"begun and gone on")
    made = backup.make(second, since=first)

    shared = second / "store" / "cogs" / cog.name
    assert shared.samefile(first / "store" / "cogs" / cog.name)
    assert (second / "store" / "uploads" / "one").read_bytes() == b"begun and gone on"
    assert (first / "store" / "uploads" / "one").read_bytes() == b"begun"
    assert backup.check(second).files == len(made.files)
    assert not backup.check(second).damaged


def test_a_manifest_alone_tells_what_the_store_has_lost(installation: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    backup.make(folder, copy_files=False)
    cog = next((installation / "cogs").iterdir())

    whole = backup.check(folder)
    cog.unlink()

    assert not (folder / "store").exists()
    assert (whole.missing, whole.damaged) == ([], [])
    with pytest.raises(CommandError, match=f"Missing: cogs/{cog.name}"):
        call_command("restore", folder, check=True)


def test_a_damaged_image_is_named_and_not_put_into_the_store(
    installation: Path, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    backup.make(folder)
    cog = next((installation / "cogs").iterdir()).name
    (folder / "store" / "cogs" / cog).write_bytes(b"something else")

    restored = elsewhere.manage("restore", str(folder))

    assert restored.returncode != 0
    assert f"Damaged: cogs/{cog}" in restored.stderr
    assert f"cogs/{cog}" not in files(elsewhere.store)
    with elsewhere.connect() as there:  # people still get their decisions back
        assert counts(there)["review_building"] == 20


def test_damaged_rows_are_refused_before_anything_is_changed(
    installation: Path,  # noqa: ARG001 (there is something to back up)
    tmp_path: Path,
) -> None:
    folder = tmp_path / "backup"
    backup.make(folder)
    rows = folder / "database" / "review_building.copy.gz"
    rows.write_bytes(gzip.compress(b""))

    with pytest.raises(DamagedBackup, match="review_building"):
        backup.restore(folder)


def test_a_backup_that_was_broken_off_or_is_newer_is_refused(
    installation: Path,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "backup"
    backup.make(folder)
    manifest = folder / "manifest.json"
    whole = manifest.read_text()
    said = json.loads(whole)
    said["migrations"].append(["review", "9999_of_tomorrow"])
    manifest.write_text(json.dumps(said))
    monkeypatch.setattr(tables, "used", list)  # as if the database were empty

    with pytest.raises(NewerBackup, match="9999_of_tomorrow"):
        backup.restore(folder)
    manifest.unlink()
    with pytest.raises(NoBackup):
        backup.restore(folder)


def test_a_backup_takes_no_folder_that_holds_anything(installation: Path, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "letter").touch()

    for folder in (tmp_path / "used", installation / "backup"):
        with pytest.raises(FolderInUse):
            backup.make(folder)


def test_images_without_a_file_are_told(
    installation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cog = next((installation / "cogs").iterdir())
    cog.unlink()

    call_command("backup", tmp_path / str(uuid4()))

    assert f"cogs/{cog.name}" in capsys.readouterr().err


def here() -> "psycopg.Connection[Any]":
    return psycopg.connect(
        host=str(private_servers.FOLDERS.sockets),
        user=postgres.ROLE,
        password=private_servers.CLUSTER.password,
        dbname=connection.settings_dict["NAME"],
    )


def counts(database: "psycopg.Connection[Any]") -> dict[str, int]:
    names = database.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> %s",
        ["spatial_ref_sys"],
    ).fetchall()
    found = {}
    for (name,) in names:
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
        ((found[name],),) = database.execute(query).fetchall()
    return found


def outlines(database: "psycopg.Connection[Any]") -> dict[str, str]:
    """The md5 of all outlines of each column, in order of their ids."""
    columns = database.execute(
        "SELECT f_table_name, f_geometry_column FROM geometry_columns"
    ).fetchall()
    query = sql.SQL(
        "SELECT md5(string_agg(md5(ST_AsBinary({column})), '' ORDER BY id)) FROM {table}"
    )
    found = {}
    for table, column in columns:
        names = {"table": sql.Identifier(table), "column": sql.Identifier(column)}
        ((found[f"{table}.{column}"],),) = database.execute(query.format(**names)).fetchall()
    return found


def everything(database: "psycopg.Connection[Any]", table: str) -> list[tuple[Any, ...]]:
    query = sql.SQL("SELECT * FROM {} ORDER BY id").format(sql.Identifier(table))
    return database.execute(query).fetchall()


def files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
