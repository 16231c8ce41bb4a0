"""The private servers find room whatever the project's path."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from unosat.ops.errors import UnsafeFolder
from unosat.ops.folders import (
    LONGEST_SOCKET,
    POSTGRES_ACCOUNT,
    prepare_folders,
    reachable,
    server_account,
)

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")


@pytest.fixture
def var() -> Iterator[Path]:
    """A folder that the postgres account can reach, unlike pytest's own 0700 parents."""
    folder = Path("/tmp") / f"unosat-folders-{os.getpid()}"  # noqa: S108
    folder.mkdir(mode=0o711)
    yield folder
    shutil.rmtree(folder)


def test_everything_lies_in_var_where_that_is_possible(var: Path) -> None:
    folders = prepare_folders(var)

    assert {folders.postgres, folders.redis, folders.sockets, folders.logs} == {
        var / name for name in ("postgres", "redis", "run", "log")
    }
    assert folders.sockets.stat().st_mode & 0o077 == 0


def test_preparing_twice_gives_the_same_folders(var: Path) -> None:
    assert prepare_folders(var) == prepare_folders(var)


@pytest.mark.parametrize("name", ["long" * 30, "with space", "ümlaut"])
def test_sockets_of_a_long_or_unusual_path_lie_in_the_temporary_folder(
    var: Path, name: str
) -> None:
    folders = prepare_folders(var / name)

    assert var not in folders.sockets.parents
    assert len(os.fsencode(folders.sockets / LONGEST_SOCKET)) <= 100
    assert str(folders.sockets).isascii()
    folders.sockets.rmdir()


@as_root
def test_the_cluster_leaves_a_home_that_postgres_cannot_enter(var: Path) -> None:
    home = var / "home"
    home.mkdir(mode=0o700)

    folders = prepare_folders(home / "var")

    assert folders.postgres.parent.parent == Path("/var/lib")
    assert reachable(folders.postgres, POSTGRES_ACCOUNT)
    assert reachable(folders.sockets, POSTGRES_ACCOUNT)
    assert folders.logs.parent == home / "var"
    shutil.rmtree(folders.postgres.parent)


@as_root
def test_two_projects_never_share_a_folder(var: Path) -> None:
    homes = [var / "one", var / "other"]
    for home in homes:
        home.mkdir(mode=0o700)

    one, other = (prepare_folders(home / "var") for home in homes)

    assert one.postgres != other.postgres
    assert one.sockets != other.sockets
    for folders in (one, other):
        shutil.rmtree(folders.postgres.parent)


@as_root
def test_a_folder_that_somebody_else_put_there_is_refused(var: Path) -> None:
    (var / "run").mkdir()
    os.chown(var / "run", NOBODY, NOBODY)

    with pytest.raises(UnsafeFolder):
        prepare_folders(var)


def test_a_link_in_place_of_a_folder_is_refused(var: Path) -> None:
    (var / "elsewhere").mkdir()
    account = server_account()
    if account is not None:
        shutil.chown(var / "elsewhere", account)
    (var / "run").symlink_to(var / "elsewhere")

    with pytest.raises(UnsafeFolder):
        prepare_folders(var)
