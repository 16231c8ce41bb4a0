"""Django's command line, for this project."""

import os
import secrets
import sys
from pathlib import Path

WITHOUT_SERVICES = {"check_upload"}  # commands that need no database, queue or secret


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "unosat.settings")
    _complete_environment()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


def _complete_environment() -> None:
    """Take the settings that `make run` left for its own machine, or stand-ins where none count."""
    written = Path(__file__).resolve().parent / "var" / "environment"
    if written.exists() and os.access(written, os.R_OK):
        for line in written.read_text().splitlines():
            name, separator, value = line.partition("=")
            if separator:
                os.environ.setdefault(name, value)
    if WITHOUT_SERVICES.intersection(sys.argv[1:2]):
        os.environ.setdefault("UNOSAT_SECRET_KEY", secrets.token_urlsafe(48))
        os.environ.setdefault("UNOSAT_DATABASE_URL", "postgis:///none")
        os.environ.setdefault("UNOSAT_REDIS_URL", "unix:///none")
        os.environ.setdefault("UNOSAT_ALLOWED_HOSTS", "localhost")


if __name__ == "__main__":
    main()
