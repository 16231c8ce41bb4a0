"""``manage.py backup FOLDER``: the database and the store, while the application runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from unosat.ops import backup
from unosat.ops.backup import BackupError, listed


class Command(BaseCommand):
    """Reads only; the folder is a backup once this has ended well."""

    help = "Copy the database and the store into a new folder. Keep it safe: it holds everything."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="new or empty")
        parser.add_argument(
            "--since", type=Path, help="an earlier backup on the same disk: only changes are copied"
        )
        parser.add_argument(
            "--manifest-only",
            action="store_true",
            help="note the store's files by their hash and copy none: something else keeps them",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = backup.make(
                options["folder"],
                since=options["since"],
                copy_files=not options["manifest_only"],
            )
        except BackupError as error:
            raise CommandError(f"{error.user_message} ({error})") from error
        rows = sum(table.rows for table in made.tables)
        size = sum(file.size for file in made.files) / 1e9
        self.stdout.write(
            f"{rows} rows of {len(made.tables)} tables; {len(made.files)} files, {size:.2f} GB"
            + ("" if made.files_copied else ", noted and not copied")
        )
        if made.gone:
            self.stderr.write(f"Removed by others meanwhile: {listed(made.gone)}")
        if made.without_file:
            self.stderr.write(f"Images without a file in the store: {listed(made.without_file)}")
