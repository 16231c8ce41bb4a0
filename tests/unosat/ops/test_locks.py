"""The locks belong to pyproject.toml, agree with each other, and name no address."""

import shutil
from pathlib import Path

import pytest

from unosat.ops import locks


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the check reads."""
    shutil.copy(locks.PROJECT / "pyproject.toml", tmp_path)
    shutil.copytree(locks.PROJECT / "requirements", tmp_path / "requirements")
    return tmp_path


def test_the_locks_of_this_project_are_in_order() -> None:
    assert locks.check(locks.PROJECT) == []


def test_a_changed_dependency_asks_for_new_locks(project: Path) -> None:
    pyproject = project / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('"numpy>=2.2"', '"numpy>=2.3"'))

    assert len(locks.check(project)) == len(locks.LOCKS)


def test_a_changed_comment_does_not(project: Path) -> None:
    pyproject = project / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("# every array", "# all arrays"))

    assert locks.check(project) == []


def test_an_address_in_a_lock_is_found(project: Path) -> None:
    lock = project / "requirements" / "web.lock"
    lock.write_text(lock.read_text() + "--extra-index-url https://example.org\n")

    assert locks.check(project) == ["web.lock names an address"]


def test_a_version_of_its_own_in_a_smaller_lock_is_found(project: Path) -> None:
    lock = project / "requirements" / "web.lock"
    version = locks.pins(lock)["celery"]
    lock.write_text(lock.read_text().replace(f"celery=={version}", "celery==1.0"))

    assert locks.check(project) == ["web.lock pins celery unlike dev.lock"]


def test_every_pin_has_a_hash() -> None:
    for name in [*locks.LOCKS, "boot.lock"]:
        lines = (locks.PROJECT / "requirements" / name).read_text().splitlines()
        pinned = [number for number, line in enumerate(lines) if "==" in line]

        assert pinned
        assert all("--hash=sha256:" in lines[number + 1] for number in pinned)
