"""``manage.py restore FOLDER``: a backup into an empty database and the store."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from unosat.ops import backup
from unosat.ops.backup import BackupError, Restored, listed


class Command(BaseCommand):
    """Overwrites nothing; ends with a failure if anything of the backup is missing or damaged."""

    help = "Fill an empty database and the store out of a backup."
    # Django would look for migrations to apply first, and there may be no table yet
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="made by manage.py backup")
        parser.add_argument(
            "--check", action="store_true", help="read all of the backup and change nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        work = backup.check if options["check"] else backup.restore
        try:
            found = work(options["folder"])
        except BackupError as error:
            raise CommandError(f"{error.user_message} ({error})") from error
        self.tell(found, checked=options["check"])

    def tell(self, found: Restored, *, checked: bool) -> None:
        """What there is, then what there is not."""
        rows = sum(table.rows for table in found.backup.tables)
        verb = "whole" if checked else "restored"
        self.stdout.write(
            f"Backup of {found.backup.made_at}: {rows} rows of {len(found.backup.tables)} tables "
            f"and {found.files} of {len(found.backup.files)} files {verb}."
        )
        if not checked and found.migrations_left:
            self.stdout.write("This release is newer than the backup: now run manage.py migrate.")
        problems = [
            f"{what}: {listed(keys)}"
            for what, keys in (("Missing", found.missing), ("Damaged", found.damaged))
            if keys
        ]
        if problems:
            raise CommandError("Files of the store are not there. " + "; ".join(problems))
