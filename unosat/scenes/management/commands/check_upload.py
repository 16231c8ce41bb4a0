"""Check a file exactly as an upload is checked, without storing anything."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from detection.errors import DetectionError, UnreadableRaster
from unosat.scenes import sandbox
from unosat.scenes.errors import ImageRefused
from unosat.scenes.tiffcheck import check_tiff


class Command(BaseCommand):
    """Prints ``accepted``, or the code and the sentence of the refusal; exits 0 or 1."""

    help = "Check and convert FILE as an upload would be, storing nothing."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """One file, and what its bands are."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--bands", default="", help='such as "BGRN"; default: as the file says')

    def handle(self, *args: Any, **options: Any) -> None:
        """Check one file."""
        try:
            check(options["file"], options["bands"])
        except (DetectionError, ImageRefused) as error:
            self.stdout.write(f"{error.code}: {error.user_message}")
            sys.exit(1)
        self.stdout.write("accepted")


def check(path: Path, band_order: str = "") -> None:
    """The header check and the conversion, into a folder that is removed.

    Raises:
        ImageRefused: the file cannot be taken.
        DetectionError: the engine could not use the image.
    """
    if not path.is_file():
        raise UnreadableRaster("no such file")
    check_tiff(path)
    with tempfile.TemporaryDirectory(prefix="unosat-check-") as folder:
        sandbox.convert(path, Path(folder, "clean.tif"), band_order)
