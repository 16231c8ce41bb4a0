"""A copy of the whole installation in one folder, and an installation out of such a copy.

The database comes first, at one moment. The store follows: a file never changes under its key, so
whatever the rows name was there at that moment, and is copied unless somebody removed it since,
which is told. The manifest is written last: a folder without one is no backup.
"""

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from unosat.ops import inventory, store, tables
from unosat.ops.inventory import Entry
from unosat.ops.tables import Table
from unosat.scenes.models import Scene

FORMAT = 1
MANIFEST = "manifest.json"
STORE = "store"
SHOWN = 20  # names of files, in a message


class BackupError(Exception):
    """Base: nothing was done, or what was begun was taken back. ``str(error)`` is the detail."""

    user_message: ClassVar[str] = "That cannot be done."


class FolderInUse(BackupError):
    """The folder holds something, or lies in the store."""

    user_message = "Name a new or empty folder outside the store."


class NoBackup(BackupError):
    """There is no manifest, or one of another format."""

    user_message = "This folder holds no complete backup that this release can read."


class DamagedBackup(BackupError):
    """A stored table is not what the manifest says."""

    user_message = "The backup is damaged: take another one. Nothing was changed."


class NewerBackup(BackupError):
    """It was made by a release with migrations that this one lacks."""

    user_message = "A newer release made this backup: install that release first."


class DatabaseInUse(BackupError):
    """The database to restore into holds rows."""

    user_message = "The database is not empty, and nothing of it is overwritten: name an empty one."


class NotTheSame(BackupError):
    """What came out of the restored database differs from what went into the backup."""

    user_message = "The restored rows differ from the backup's. All of it was taken back."


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of the store, as a backup knows it: its key there, and what it holds."""

    key: str
    size: int
    changed_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Backup:
    """A manifest.

    Attributes:
        made_at: when the database was read, ISO 8601.
        migrations: which had run.
        tables: every table.
        sequences: how far each had counted.
        files: the store.
        files_copied: whether they lie in the backup; else only their hashes are known.
        gone: keys that were removed while the backup was made.
        without_file: images that rows name and the store lacked.
    """

    made_at: str
    migrations: list[tuple[str, str]]
    tables: list[Table]
    sequences: dict[str, int]
    files: list[StoredFile]
    files_copied: bool
    gone: list[str]
    without_file: list[str]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore came to.

    Attributes:
        backup: out of which.
        files: how many of the store are there and whole.
        missing: keys whose file is neither in the backup nor in the store.
        damaged: keys whose file is not what the manifest says; they were not put into the store.
        migrations_left: whether ``migrate`` has something to do.
    """

    backup: Backup
    files: int
    missing: list[str]
    damaged: list[str]
    migrations_left: bool


def make(folder: Path, *, since: Path | None = None, copy_files: bool = True) -> Backup:
    """Write a backup.

    Args:
        folder: new or empty; whoever can read it can read everything, so only we may.
        since: an earlier backup: files that did not change are linked from it, not copied.
        copy_files: False to note the store's files by hash only, where others keep them.

    Raises:
        FolderInUse: ``folder`` cannot be taken.
        NoBackup: ``since`` is none.
    """
    earlier = read_manifest(since) if since else None
    _take(folder)
    made_at = timezone.now().isoformat()
    with tables.snapshot():
        (folder / tables.FOLDER).mkdir()
        rows = [tables.write(name, folder) for name in tables.names()]
        applied, counted = tables.migrations(), tables.sequences()
        images = list(Scene.objects.exclude(cog_key="").values_list("cog_key", flat=True))
    keep = _Keeper(folder, since, earlier, copy_files=copy_files)
    files = [kept for entry in inventory.entries() if (kept := keep(entry)) is not None]
    found = Backup(
        made_at=made_at,
        migrations=applied,
        tables=rows,
        sequences=counted,
        files=files,
        files_copied=copy_files,
        gone=keep.gone,
        without_file=sorted(set(images) - {file.key for file in files}),
    )
    _write_manifest(folder, found)
    return found


def read_manifest(folder: Path) -> Backup:
    """What a backup says it holds.

    Raises:
        NoBackup: it says nothing that this release understands.
    """
    try:
        said: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NoBackup(f"{folder}: {error}") from error
    if said.pop("format", None) != FORMAT:
        raise NoBackup(f"{folder}: another format")
    lists = {
        "migrations": [(app, name) for app, name in said["migrations"]],
        "tables": [Table(**one | {"columns": tuple(one["columns"])}) for one in said["tables"]],
        "files": [StoredFile(**one) for one in said["files"]],
    }
    return Backup(**said | lists)


def check(folder: Path) -> Restored:
    """Read a whole backup and change nothing.

    Raises:
        NoBackup, DamagedBackup: it is none, or its tables are damaged.
    """
    backup = read_manifest(folder)
    _check_tables(folder, backup)
    return _told(backup, *_looked_through(folder, backup))


def restore(folder: Path) -> Restored:
    """Fill an empty database and the store out of a backup.

    The files come first, then all rows in one transaction that is only committed if the tables
    then hold what the manifest says. Files that are missing or damaged stop nothing and are told.

    Raises:
        NoBackup, DamagedBackup, NewerBackup: it cannot be used.
        DatabaseInUse: the database holds rows.
        NotTheSame: what was restored differs; no row of it stays.
    """
    backup = read_manifest(folder)
    _check_tables(folder, backup)
    if used := tables.used():
        raise DatabaseInUse(", ".join(used))
    if unknown := tables.unknown(backup.migrations):
        raise NewerBackup(", ".join(f"{app} {name}" for app, name in unknown))
    found = _told(backup, *_put_back(folder, backup))
    tables.migrate_to(backup.migrations)
    with transaction.atomic(durable=True):
        _restore_rows(folder, backup)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return found


def _take(folder: Path) -> None:
    inside = Path(settings.UNOSAT_STORE).resolve()
    if folder.resolve().is_relative_to(inside):
        raise FolderInUse(f"{folder} lies in the store")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FolderInUse(f"{folder} is not empty")
        folder.chmod(0o700)
    except OSError as error:
        raise FolderInUse(f"{folder}: {error}") from error


class _Keeper:
    """Puts one file of the store after another into a backup."""

    def __init__(
        self, folder: Path, since: Path | None, earlier: Backup | None, *, copy_files: bool
    ) -> None:
        self.gone: list[str] = []
        self._target = folder / STORE
        self._copy = copy_files
        linked = earlier is not None and earlier.files_copied
        self._since = since / STORE if since and linked else None
        self._known = {file.key: file for file in earlier.files} if earlier else {}

    def __call__(self, entry: Entry) -> StoredFile | None:
        """The file as the backup knows it; None if it was removed meanwhile."""
        known = self._known.get(entry.key)
        same = known and (known.size, known.changed_ns) == (entry.size, entry.changed_ns)
        if known and same and (not self._copy or self._link(entry.key)):
            return known
        try:
            size, sha256 = self._take(entry.key)
        except FileNotFoundError:
            self.gone.append(entry.key)
            return None
        return StoredFile(entry.key, size, entry.changed_ns, sha256)

    def _take(self, key: str) -> tuple[int, str]:
        with inventory.opened(key) as source:
            if not self._copy:
                return inventory.copy(source)
            with self._path(key).open("wb") as target:
                return inventory.copy(source, target)

    def _link(self, key: str) -> bool:
        """Share an earlier backup's file; False where it is not there or lies on another disk."""
        if self._since is None:
            return False
        try:
            self._path(key).hardlink_to(self._since / key)
        except OSError:
            return False
        return True

    def _path(self, key: str) -> Path:
        path = self._target / key
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _write_manifest(folder: Path, backup: Backup) -> None:
    os.sync()  # what the manifest vouches for is on the disk before it
    half = folder / f".{MANIFEST}"
    half.write_text(json.dumps({"format": FORMAT} | asdict(backup), indent=1), encoding="utf-8")
    half.rename(folder / MANIFEST)
    os.sync()


def _check_tables(folder: Path, backup: Backup) -> None:
    for table in backup.tables:
        path = folder / table.file
        if not path.is_file() or tables.digest(path) != table.sha256:
            raise DamagedBackup(table.file)


def _looked_through(folder: Path, backup: Backup) -> tuple[list[str], list[str]]:
    """Keys that are missing and that are damaged: in the backup, or else in the store."""
    missing: list[str] = []
    damaged: list[str] = []
    for file in backup.files:
        source = folder / STORE / file.key
        if not backup.files_copied:
            missing += [] if inventory.digest(file.key) == file.sha256 else [file.key]
        elif not source.is_file():
            missing.append(file.key)
        elif tables.digest(source) != file.sha256:
            damaged.append(file.key)
    return missing, damaged


def _put_back(folder: Path, backup: Backup) -> tuple[list[str], list[str]]:
    """Copy what the store lacks; the keys of which nothing is there, and of what is damaged."""
    missing: list[str] = []
    damaged: list[str] = []
    for file in backup.files:
        source = folder / STORE / file.key
        if inventory.digest(file.key) == file.sha256:
            continue
        if not (backup.files_copied and source.is_file()):
            missing.append(file.key)
        elif not _put(source, file):
            damaged.append(file.key)
    return missing, damaged


def _put(source: Path, file: StoredFile) -> bool:
    """Copy one file into the store, unless it is not what it should be."""
    with contextlib.suppress(_DamagedError), store.writing(file.key) as target:
        with source.open("rb") as stored, target.open("wb") as put:
            if inventory.copy(stored, put)[1] != file.sha256:
                raise _DamagedError
        return True
    return False


def _told(backup: Backup, missing: list[str], damaged: list[str]) -> Restored:
    left = bool(tables.known() - set(backup.migrations))
    whole = len(backup.files) - len(missing) - len(damaged)
    return Restored(backup, whole, missing, damaged, left)


class _DamagedError(Exception):
    """Within ``store.writing``: what was written must vanish."""


def _restore_rows(folder: Path, backup: Backup) -> None:
    names = {table.name for table in backup.tables}
    if others := names ^ set(tables.names()):
        raise NotTheSame(f"tables: {', '.join(sorted(others))}")
    tables.empty(sorted(names))
    for table in backup.tables:
        tables.read(table, folder)
        seen = tables.look_at(table.name)
        if (seen.rows, seen.geometries) != (table.rows, table.geometries):
            raise NotTheSame(f"{table.name}: {seen.rows} rows, {table.rows} in the backup")
    tables.set_sequences(backup.sequences)


def listed(keys: Iterable[str]) -> str:
    """The first names of many, for a message."""
    all_keys = list(keys)
    more = f" and {len(all_keys) - SHOWN} more" if len(all_keys) > SHOWN else ""
    return ", ".join(all_keys[:SHOWN]) + more
