"""Why the product cannot start, each in one sentence for the person at the terminal."""

from typing import ClassVar

from unosat.errors import RefusedError


class StartError(Exception):
    """Base: starting was refused. ``str(error)`` is the detail."""

    user_message: ClassVar[str] = "The application cannot start."


class UnsafeFolder(StartError):
    """A folder that must be ours belongs to somebody else."""

    user_message = "A folder that the database needs belongs to another user. Remove it first."


class MissingProgram(StartError):
    """A program of a Debian package is not installed."""

    user_message = (
        "Packages are missing. Install postgresql, postgresql-15-postgis-3 and redis-server."
    )


class ServerDidNotStart(StartError):
    """PostgreSQL, Redis or the web process ended or stayed silent."""

    user_message = "A server did not start. The log named below says why."


class AlreadyRunning(StartError):
    """Another supervisor holds the lock of this folder."""

    user_message = "The application is already running here."


class PortTaken(StartError):
    """No port is left to listen on."""

    user_message = "The port is in use by something else. Set UNOSAT_PORT to a free one."


class StoreAway(RefusedError):
    """The storage of files cannot be reached, or refuses what it should do."""

    code = "store_away"
    user_message = "The storage of images does not answer at the moment. Try again in a minute."
    status = 503
    retry_after_seconds = 30


class DiskFull(RefusedError):
    """The disk that files are written to is."""

    code = "storage_full"
    user_message = (
        "The server's disk is full. Nothing that was there is lost. "
        "Ask the administrator to make room, then start this again."
    )
    status = 507
