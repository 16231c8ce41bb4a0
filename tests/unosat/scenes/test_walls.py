"""What a program finds when it runs where the converter runs: nothing but its own image."""

import subprocess
from pathlib import Path

import pytest

from tests.unosat.scenes.listening import listening
from unosat.scenes import sandbox, walls

# Each line is tried by itself, and what could be done is printed.
PROBE = """
import os, signal, socket, subprocess, sys
from pathlib import Path
image, made, other, port, server = sys.argv[1:]
def may_write(folder):  # asked, not done: some of these tests have no walls
    if not os.access(folder, os.W_OK):
        raise PermissionError(folder)
def tries():
    yield "call a server", lambda: socket.create_connection(("127.0.0.1", int(port)), 2)
    yield "send a packet", lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(
        b"x", ("127.0.0.1", int(port)))
    yield "read another tenant's file", lambda: Path(other).read_bytes()
    yield "list another tenant's folder", lambda: os.listdir(Path(other).parent)
    yield "read the settings' folder", lambda: os.listdir(Path.cwd() / "var")
    yield "write to the code", lambda: may_write("unosat")
    yield "write to the root", lambda: may_write("/")
    yield "write to its image's folder", lambda: may_write(Path(image).parent)
    yield "change its image", lambda: Path(image).open("r+b").close()
    yield "see the server's process", lambda: os.kill(int(server), 0)
    yield "read its image", lambda: Path(image).read_bytes()
    yield "write beside what it makes", lambda: Path(made).with_name("beside").write_text("x")
    yield "start a program", lambda: subprocess.run([sys.executable, "-c", ""], check=True)
    yield "become two", lambda: os.fork() or os._exit(0)
    yield "open a socket", lambda: socket.socket()
    yield "look elsewhere by a link", lambda: os.symlink("/etc", Path(made).with_name("link"))
if os.environ.get("CONVERTER_FEW_CALLS") == "1":
    from unosat.scenes import seccomp
    seccomp.confine()
for name, act in tries():
    try:
        act()
    except (OSError, subprocess.SubprocessError):
        continue
    print(name, flush=True)
"""
HEARD = "be heard"
OWN_WORK = {"read its image", "write beside what it makes"}
CALLS = {"start a program", "become two", "open a socket", "look elsewhere by a link"}


def possible(standing: walls.Walls, folder: Path, *, few_calls: bool = False) -> set[str]:
    """What a program behind the walls can do, and whether the address it was told heard of it."""
    other, image, made = folder / "other" / "b.tif", folder / "in" / "a.tif", folder / "out" / "c"
    for path in (other, image, made):
        path.parent.mkdir()
    other.write_text("only for tenant B")
    image.write_text("mine")
    with subprocess.Popen(["sleep", "300"]) as server, listening() as ear:
        command = standing.command(
            ["-c", PROBE], image, made, str(other), str(ear.port), str(server.pid)
        )
        calls = {"CONVERTER_FEW_CALLS": "1"} if few_calls else {}
        told = subprocess.run(
            command, cwd=walls.PROJECT, env=sandbox._environment() | calls,
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        server.kill()
        heard = {HEARD} if ear.heard() else set()
    return set(told.splitlines()) | heard


def test_behind_every_wall_only_its_own_work_is_possible(tmp_path: Path) -> None:
    standing = walls.standing()
    if standing.missing:
        pytest.skip(f"this machine lacks: {', '.join(standing.missing)}")

    assert possible(standing, tmp_path, few_calls=True) == OWN_WORK


def test_the_walls_hold_without_the_filter_of_calls(tmp_path: Path) -> None:
    standing = walls.standing()
    if walls.OWN_FILES not in standing.layers:
        pytest.skip("bubblewrap does not work here")

    found = possible(standing, tmp_path)

    # A packet to itself goes round a network of its own, in which nobody else is.
    assert found <= OWN_WORK | CALLS | {"send a packet"}


def test_the_filter_of_calls_holds_without_walls(tmp_path: Path) -> None:
    if walls.FEW_CALLS not in walls.standing().layers:
        pytest.skip("libseccomp is not installed here")

    found = possible(walls.Walls((), ()), tmp_path, few_calls=True)

    assert not found & (
        CALLS | {"call a server", "send a packet", "see the server's process", HEARD}
    )
    assert "read another tenant's file" in found  # this is what only the walls are for


def test_without_any_layer_the_probe_finds_what_it_looks_for(tmp_path: Path) -> None:
    found = possible(walls.Walls((), ()), tmp_path)

    assert {
        "call a server",
        "read another tenant's file",
        "see the server's process",
        HEARD,
    } <= found


def test_where_bubblewrap_is_missing_the_next_best_is_taken_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(walls, "_BUBBLES", (("bwrap-that-is-not-installed",),))
    walls.standing.cache_clear()
    try:
        standing = walls.standing()
        assert walls.OWN_FILES in standing.missing
        assert walls.OWN_FILES in sandbox.missing_layers()
        assert walls.OWN_FILES not in sandbox.layers()
        assert walls.OWN_FILES in caplog.text
    finally:
        walls.standing.cache_clear()
