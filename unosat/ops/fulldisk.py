"""What a full disk says, in whose words ever."""

import errno
import os

FULL = (errno.ENOSPC, errno.EDQUOT)
# of the kernel, which other programs repeat, and of SQLite
WORDS = (*(os.strerror(number) for number in FULL), "database or disk is full")


def was_full(error: BaseException) -> bool:
    """Whether an error, of ours or in the words of another program, says so."""
    number = error.errno if isinstance(error, OSError) else None
    return number in FULL or any(words in str(error) for words in WORDS)
