"""Write the pinned, hashed requirement files, or check that they belong to pyproject.toml.

Each file starts with the hash of the dependency tables it was made from, so that the check needs
no package index. ``python -m unosat.ops.locks write|check``; writing needs uv.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
LOCKS: dict[str, tuple[str, ...]] = {
    "dev.lock": ("worker", "dev"),
    "web.lock": (),
    "worker.lock": ("worker",),
}
STAMP = "# made from pyproject.toml dependencies "
# Debian 12's own Python: some packages need a stand-in below 3.11.3
OPTIONS = (
    "--python-version=3.11.2",
    "--generate-hashes",
    "--no-header",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "-q",
)
FOREIGN = ("://", "--index", "--find-links", "--extra-index")  # an address has no place in a lock


def stamp(pyproject: Path, extras: tuple[str, ...]) -> str:
    """The first line of the lock of these extras."""
    project = tomllib.loads(pyproject.read_text())["project"]
    tables = {extra: sorted(project["optional-dependencies"][extra]) for extra in extras}
    inputs = {"": sorted(project["dependencies"]), "python": project["requires-python"], **tables}
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    return STAMP + digest


def check(project: Path) -> list[str]:
    """Say what is wrong with the locks of a project; nothing if they are in order."""
    wrong = []
    everything = pins(project / "requirements" / "dev.lock")
    for name, extras in LOCKS.items():
        lock = project / "requirements" / name
        first, _, rest = lock.read_text().partition("\n") if lock.exists() else ("", "", "")
        if first != stamp(project / "pyproject.toml", extras):
            wrong.append(f"{name} was not made from this pyproject.toml: run make lock")
        if any(mark in rest for mark in FOREIGN):
            wrong.append(f"{name} names an address")
        differing = pins(lock).items() - everything.items()
        wrong += [f"{name} pins {package} unlike dev.lock" for package, _ in sorted(differing)]
    return wrong


def pins(lock: Path) -> dict[str, str]:
    """Version by package name, with its marker if it has one."""
    lines = lock.read_text().splitlines() if lock.exists() else []
    found = (line.removesuffix("\\").strip() for line in lines if not line.startswith((" ", "#")))
    return dict(line.split("==", 1) for line in found if "==" in line)


def write(project: Path, uv: str) -> None:
    """Compile every lock; the smaller ones take their versions from the largest."""
    folder = project / "requirements"
    for name, extras in LOCKS.items():
        with tempfile.TemporaryDirectory() as scratch:
            made = Path(scratch) / name
            if (folder / name).exists():  # keep the versions that still fit
                made.write_text((folder / name).read_text())
            command = [uv, "pip", "compile", "pyproject.toml", *OPTIONS, "-o", str(made)]
            command += [part for extra in extras for part in ("--extra", extra)]
            if name != "dev.lock":
                command += ["--constraints", "requirements/dev.lock", "--no-annotate"]
            subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL)
            text = made.read_text()
        (folder / name).write_text(f"{stamp(project / 'pyproject.toml', extras)}\n{text}")


def main(arguments: list[str]) -> int:
    """Run one of the two jobs; 1 if the check found something."""
    if arguments[:1] == ["write"]:
        write(PROJECT, arguments[1] if len(arguments) > 1 else "uv")
    wrong = check(PROJECT)
    sys.stderr.write("".join(f"{sentence}\n" for sentence in wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
