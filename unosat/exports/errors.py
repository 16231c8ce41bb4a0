"""What cannot be exported, and what to tell people."""

from unosat.errors import RefusedError


class NothingToExport(RefusedError):
    """The assessment has no result (yet)."""

    code = "assessment_not_done"
    user_message = "This analysis has no result to download. Wait until it is done."
