"""The database as rows on a disk: every table out and in again by PostgreSQL's own COPY.

The tables themselves are not stored: migrations make them, and which had run is noted. So no
client program of the server's version is needed, and any container of ours can do it.
"""

import gzip
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from psycopg import sql

QUICK = 1  # gzip's level: outlines and results shrink to a third, at the pace of a disk
FOLDER = "database"
MADE_BY_MIGRATE = {"django_migrations", "django_content_type", "auth_permission"}

TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND NOT EXISTS (
  SELECT 1 FROM pg_depend d
  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relname
"""
COLUMNS = """
SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
"""
SEQUENCES = """
SELECT sequencename, last_value FROM pg_sequences
WHERE schemaname = current_schema() AND last_value IS NOT NULL
"""
# independent of the order of rows, and needs no memory; 60 bits of each row's hash
GEOMETRIES = """
SELECT coalesce(sum(('x' || left(md5(
  convert_to(id::text, 'UTF8') || ST_AsBinary({column})), 15))::bit(60)::bigint), 0)::text
FROM {table} WHERE {column} IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Table:
    """What a backup knows of one table.

    Attributes:
        name: of the table.
        columns: in the order in which they are stored.
        rows: how many.
        geometries: for each column of outlines, a sum over the hashes of id and WKB.
        sha256: of the stored file, hex; "" of a table that was only looked at.
    """

    name: str
    columns: tuple[str, ...]
    rows: int
    geometries: dict[str, str]
    sha256: str = ""

    @property
    def file(self) -> str:
        """Where its rows lie, below the backup's folder."""
        return f"{FOLDER}/{self.name}.copy.gz"


@contextmanager
def snapshot() -> Iterator[None]:
    """Everything read inside is of one moment, whatever others write meanwhile."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def names() -> list[str]:
    """Every table of ours; those of PostGIS are not."""
    return [name for (name,) in _rows(TABLES)]


def used() -> list[str]:
    """Tables that hold anything but what migrating puts into them."""
    others = [name for name in names() if name not in MADE_BY_MIGRATE]
    query = sql.SQL("SELECT EXISTS (SELECT 1 FROM {})")
    return [name for name in others if _rows(query.format(sql.Identifier(name)))[0][0]]


def look_at(name: str) -> Table:
    """Count a table's rows and hash its outlines."""
    table = sql.Identifier(name)
    columns = _rows(COLUMNS, [f'"{name}"'])
    ((rows,),) = _rows(sql.SQL("SELECT count(*) FROM {}").format(table))
    geometries = {
        column: _rows(sql.SQL(GEOMETRIES).format(column=sql.Identifier(column), table=table))[0][0]
        for column, kind in columns
        if kind == "geometry"
    }
    return Table(name, tuple(column for column, _ in columns), rows, geometries)


def write(name: str, folder: Path) -> Table:
    """Store a table's rows below ``folder``; inside a ``snapshot``."""
    seen = look_at(name)
    path = folder / seen.file
    with (
        path.open("xb") as file,
        gzip.GzipFile("", "wb", QUICK, file, mtime=0) as packed,
        connection.cursor() as cursor,
        cursor.cursor.copy(_copy("COPY {} ({}) TO STDOUT", seen)) as rows,
    ):
        for data in rows:
            packed.write(data)
    return Table(seen.name, seen.columns, seen.rows, seen.geometries, digest(path))


def read(stored: Table, folder: Path) -> None:
    """Put a table's stored rows into the empty table."""
    with (
        gzip.open(folder / stored.file, "rb") as packed,
        connection.cursor() as cursor,
        cursor.cursor.copy(_copy("COPY {} ({}) FROM STDIN", stored)) as rows,
    ):
        while data := packed.read(1024 * 1024):
            rows.write(data)


def empty(tables: list[str]) -> None:
    """Remove what migrating put into the tables; the caller knows that nothing else is there."""
    listed = sql.SQL(", ").join(map(sql.Identifier, tables))
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("TRUNCATE {}").format(listed))


def sequences() -> dict[str, int]:
    """How far each has counted."""
    return dict(_rows(SEQUENCES))


def set_sequences(counted: dict[str, int]) -> None:
    """Let each go on counting where it was."""
    with connection.cursor() as cursor:
        for name, value in counted.items():
            cursor.execute("SELECT setval(%s::regclass, %s)", [f'"{name}"', value])


def migrations() -> list[tuple[str, str]]:
    """Which have run, by application and name."""
    rows = MigrationRecorder.Migration.objects.order_by("app", "name")
    return [(app, name) for app, name in rows.values_list("app", "name")]


def known() -> set[tuple[str, str]]:
    """Every migration of this release."""
    return set(_graph().nodes)


def unknown(applied: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that this release has never heard of."""
    ours = known()
    apps = {app for app, _ in ours}
    return [key for key in applied if key[0] in apps and key not in ours]


def migrate_to(applied: list[tuple[str, str]]) -> None:
    """Make the tables as they were when exactly these migrations had run."""
    executor, wanted = MigrationExecutor(connection), set(applied)
    graph = executor.loader.graph
    leaves = [key for key in wanted & graph.nodes.keys() if not _later(graph, key) & wanted]
    absent = {app for app, _ in graph.nodes} - {app for app, _ in wanted}
    executor.migrate([*sorted(leaves), *((app, None) for app in sorted(absent))])


def digest(path: Path) -> str:
    """The sha256 of a file on a disk, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _graph() -> Any:  # noqa: ANN401 (Django's MigrationGraph, untyped)
    return MigrationExecutor(connection).loader.graph


def _later(graph: Any, key: tuple[str, str]) -> set[tuple[str, str]]:  # noqa: ANN401 (likewise)
    """Migrations of the same application that come right after one."""
    return {child.key for child in graph.node_map[key].children if child.key[0] == key[0]}


def _copy(text: str, table: Table) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    return sql.SQL(text).format(sql.Identifier(table.name), columns)


def _rows(query: str | sql.Composed, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
