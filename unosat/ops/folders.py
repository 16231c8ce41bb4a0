"""Where the private servers keep their data and sockets, whatever the project's own path."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from unosat.ops.errors import UnsafeFolder
from unosat.ops.processes import as_account

SOCKET_PATH_BYTES = 100  # the kernel's limit is 107; the rest is room for a lock file's ending
LONGEST_SOCKET = ".s.PGSQL.5432"
PLAIN = re.compile(r"[A-Za-z0-9._/-]+")  # no character that a URL would have to escape
POSTGRES_ACCOUNT = "postgres"  # made by Debian's package


@dataclass(frozen=True, slots=True)
class Folders:
    """Folders of one private PostgreSQL and Redis.

    Attributes:
        postgres: holds the cluster; belongs to the account that PostgreSQL runs as.
        redis: holds Redis's snapshot.
        sockets: both servers' sockets; its path is short and plain.
        logs: one file per process.
    """

    postgres: Path
    redis: Path
    sockets: Path
    logs: Path


def server_account() -> str | None:
    """The account PostgreSQL runs as: itself refuses root; anybody else runs it as oneself."""
    return POSTGRES_ACCOUNT if os.geteuid() == 0 else None


def prepare_folders(var: Path) -> Folders:
    """Choose and create the folders of the servers that belong to ``var``.

    Everything lies in ``var``, except: where the postgres account cannot reach it (a 0700
    home), the cluster lies in ``/var/lib/unosat-<hash>``; where a socket's path would be too
    long for the kernel, sockets lie in the temporary folder.

    Raises:
        UnsafeFolder: a folder of that name belongs to somebody else.
    """
    var = var.resolve()
    var.mkdir(parents=True, exist_ok=True)
    account = server_account()
    mark = hashlib.sha256(os.fsencode(var)).hexdigest()[:12]
    home = var if reachable(var, account) else Path("/var/lib") / f"unosat-{mark}"
    sockets = home / "run"
    if not _fits(sockets):
        sockets = _temporary_folder(account) / f"unosat-{os.geteuid()}-{mark}"
    folders = Folders(home / "postgres", var / "redis", sockets, var / "log")
    home.mkdir(mode=0o711, exist_ok=True)
    for folder in (folders.postgres, folders.sockets):
        _own(folder, account)
    for folder in (folders.redis, folders.logs):
        private_folder(folder)
    return folders


def private_folder(folder: Path) -> None:
    """Create a folder that nobody but ourselves may enter, or make it one."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)


def reachable(folder: Path, account: str | None) -> bool:
    """Whether ``account`` (None: oneself) may enter ``folder``, all parents included."""
    test = ["test", "-x", str(folder)]
    command = test if account is None else [*as_account(account), *test]
    return subprocess.run(command, check=False).returncode == 0


def temporary_test_folder() -> Path:
    """A path, not yet created, for this process's own servers during tests."""
    return _temporary_folder(server_account()) / f"unosat-test-{os.getpid()}"


def _fits(sockets: Path) -> bool:
    path = str(sockets / LONGEST_SOCKET)
    return len(os.fsencode(path)) <= SOCKET_PATH_BYTES and bool(PLAIN.fullmatch(path))


def _temporary_folder(account: str | None) -> Path:
    """TMPDIR where it is short and the account can reach it, else /tmp."""
    chosen = Path(tempfile.gettempdir())
    usable = _fits(chosen / "unosat-4294967296-0123456789ab") and reachable(chosen, account)
    return chosen if usable else Path("/tmp")  # noqa: S108 (its content is checked by _own)


def _own(folder: Path, account: str | None) -> None:
    """Create a folder that only ``account`` may enter, or check that it is one."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if account is not None and folder.stat().st_uid == 0 and not folder.is_symlink():
        shutil.chown(folder, account, account)
    owner = folder.owner() if account is not None else folder.stat().st_uid
    expected = account if account is not None else os.geteuid()
    if owner != expected or folder.is_symlink():
        raise UnsafeFolder(f"{folder} belongs to {owner}")
    folder.chmod(0o700)
