"""What stands around the converter, as far as this machine allows: programs it starts through.

bubblewrap gives it a world of its own: no network, no other process, nothing to read but the
interpreter, our code and one image, and one folder to write to. Where that does not work, a
network namespace alone; where even that does not, nothing, and the health page says so.
"""

import logging
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

log = logging.getLogger(__name__)

PROJECT = Path(__file__).resolve().parent.parent.parent
SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")  # libraries, read only
CODE = ("detection", "unosat")  # of the project; never its settings, store or logs
INSIDE_IMAGE, INSIDE_FOLDER = "/job/image.tif", "/job/made"
SCRATCH_BYTES = 64 * 1024**2  # of the private /tmp
TRIAL_SECONDS = 300  # an import takes one; a machine that is busy with models needs many
NOBODY = "65534"
NO_NETWORK = "no network"
NO_PRIVILEGES = "no new privileges"
OWN_FILES = "own file system"
OWN_PROCESSES = "own process list"
FEW_CALLS = "few system calls"
WANTED = (NO_NETWORK, NO_PRIVILEGES, OWN_FILES, OWN_PROCESSES, FEW_CALLS)

_NAMESPACES = ("--unshare-all", "--cap-drop", "ALL", "--die-with-parent", "--new-session")
_BUBBLES = (
    ("bwrap", *_NAMESPACES, "--unshare-user", "--uid", NOBODY, "--gid", NOBODY),
    ("bwrap", *_NAMESPACES),  # where only the administrator may make namespaces
)
_GUARDS = ("setpriv", "--no-new-privs", "--pdeathsig", "KILL")
_PLAIN = (
    ("unshare", "--net", *_GUARDS),
    ("unshare", "--net", "--map-root-user", *_GUARDS),
    _GUARDS,
)


@dataclass(frozen=True, slots=True)
class Walls:
    """What works here.

    Attributes:
        programs: each does its part and becomes the next; the last becomes the interpreter.
        layers: what they and the filter of system calls give, of ``WANTED``.
    """

    programs: tuple[str, ...]
    layers: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """What of ``WANTED`` there is not."""
        return tuple(layer for layer in WANTED if layer not in self.layers)

    def command(
        self, program: Sequence[str], image: Path, target: Path, *arguments: str
    ) -> list[str]:
        """What to start, so that our interpreter runs a program behind these walls.

        Args:
            program: what the interpreter is told, such as ``["-m", "unosat.scenes.convert"]``.
            image: the one file to be read; its path inside is the program's first argument.
            target: to be written, in a folder of its own; its path inside is the second.
            arguments: more.
        """
        if OWN_FILES not in self.layers:
            paths = [str(image.resolve()), str(target.resolve())]
            return [*self.programs, sys.executable, *program, *paths, *arguments]
        shown = [
            *("--ro-bind", str(image.resolve()), INSIDE_IMAGE),
            *("--bind", str(target.parent.resolve()), INSIDE_FOLDER),
            *("--chdir", str(PROJECT)),
            *("--remount-ro", "/"),
        ]
        paths = [INSIDE_IMAGE, f"{INSIDE_FOLDER}/{target.name}"]
        return [*self.programs, *shown, sys.executable, *program, *paths, *arguments]


@lru_cache(maxsize=1)
def standing() -> Walls:
    """The strongest walls that work here, tried out once; the log says what is missing."""
    walls = next(_that_work(), Walls((), ()))
    if _works(walls, ["-I", str(Path(__file__).with_name("seccomp.py"))]):
        walls = Walls(walls.programs, (*walls.layers, FEW_CALLS))
    if walls.missing:
        log.warning("images are converted without: %s", ", ".join(walls.missing))
    return walls


def _that_work() -> Iterator[Walls]:
    all_but_calls = (NO_NETWORK, NO_PRIVILEGES, OWN_FILES, OWN_PROCESSES)
    for bubble in _BUBBLES:
        yield from _if_it_works(Walls((*bubble, *_read_only()), all_but_calls))
    for plain in _PLAIN:
        network = (NO_NETWORK,) if "unshare" in plain else ()
        yield from _if_it_works(Walls(plain, (*network, NO_PRIVILEGES)))


def _if_it_works(walls: Walls) -> Iterator[Walls]:
    if _works(walls, ["-c", "import rasterio"]):  # with all of its libraries
        yield walls


def _works(walls: Walls, program: Sequence[str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "image")
        image.touch()
        command = walls.command(program, image, Path(folder, "made"))
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter; no shell
                command, cwd=PROJECT, capture_output=True, timeout=TRIAL_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


@lru_cache(maxsize=1)
def _read_only() -> tuple[str, ...]:
    """Binds of what the interpreter, its libraries and our code are made of."""
    binds = ["--size", str(SCRATCH_BYTES), "--tmpfs", "/tmp"]  # noqa: S108 - the private one
    for path in SYSTEM:
        binds += ["--ro-bind-try", path, path]
    library = str(Path(sysconfig.get_path("stdlib")).parent)
    binds += ["--ro-bind", library, library]
    for name in _names_of_interpreter():
        binds += ["--ro-bind", str(Path(sys.executable).resolve()), str(name)]
    if sys.prefix != sys.base_prefix:  # a virtual environment
        binds += ["--ro-bind", str(Path(sys.prefix).resolve()), sys.prefix]
    for part in CODE:
        binds += ["--ro-bind", str(PROJECT / part), str(PROJECT / part)]
    return tuple(binds)


def _names_of_interpreter() -> Iterator[Path]:
    """The file, and every link to it outside the virtual environment, which holds its own."""
    name = Path(sys.executable)
    while True:
        if not (sys.prefix != sys.base_prefix and name.is_relative_to(sys.prefix)):
            yield name
        if not name.is_symlink():
            return
        name = name.parent / name.readlink()
