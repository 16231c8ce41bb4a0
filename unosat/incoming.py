"""What the outside world sends, before any part of ours reads it.

PostgreSQL's text knows no NUL, UTF-8 no half of a surrogate pair, and no column of numbers takes
one of more than 64 bits. Whatever could be stored nowhere is refused here, once, and not field by
field.
"""

import json
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import (
    DisallowedHost,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import HttpRequest, QueryDict

from unosat.errors import BadRequest, RefusedError

DEEPEST = 100  # levels of JSON: GeoJSON needs 8, and what calls itself for each ends at some 900
LARGEST = 2**63  # beyond it lies no column of PostgreSQL
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class NotJson(BadRequest):
    """The body is no JSON, or more than JSON may be."""

    code = "not_json"
    user_message = (
        f"The body is not JSON. Send JSON in UTF-8, at most {DEEPEST} levels deep, with whole "
        "numbers of at most 64 bits."
    )


class UnusableText(BadRequest):
    """Text that cannot be kept."""

    code = "unusable_text"
    user_message = (
        "There is a character in it that cannot be kept: NUL, or half of a pair (a surrogate). "
        "Remove it and send it again."
    )
    status = 422


class TooLarge(RefusedError):
    """More than a form or JSON may be; images come by other ways."""

    code = "too_large"
    user_message = "That is over 16 MB. Send images as resumable uploads, and outlines in parts."
    status = 413


def read_json(sent: bytes, *, any_number: bool = False) -> Any:  # noqa: ANN401 (whatever JSON holds)
    """The value that JSON holds.

    Args:
        sent: in UTF-8.
        any_number: take whole numbers that no column takes, too: of a document whose numbers are
            kept as JSON or not at all.

    Raises:
        NotJson: it is none, deeper than ``DEEPEST``, or holds numbers that no column takes.
        UnusableText: a text in it could be stored nowhere.
    """
    try:
        found = json.loads(sent)
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)[:200]) from error
    check_value(found, any_number=any_number)
    return found


def check_value(value: object, depth: int = 0, *, any_number: bool = False) -> None:
    """Refuse what could be stored nowhere, in whatever JSON holds. NaN is for its reader to judge.

    Raises:
        NotJson, UnusableText: as for ``read_json``.
    """
    if depth > DEEPEST:
        raise NotJson(f"deeper than {DEEPEST} levels")
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, int) and not (any_number or -LARGEST <= value < LARGEST):
        raise NotJson("more than 64 bits")
    elif isinstance(value, dict | list):
        for one in value:  # of an object, its names
            check_value(one, depth + 1, any_number=any_number)
        for one in value.values() if isinstance(value, dict) else ():
            check_value(one, depth + 1, any_number=any_number)


def check_text(text: str) -> None:
    """Refuse text that PostgreSQL cannot keep.

    Raises:
        UnusableText: it holds NUL or a lone surrogate.
    """
    if "\0" in text:
        raise UnusableText("NUL")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnusableText("lone surrogate") from error


def check_form(request: HttpRequest) -> None:
    """Refuse a request for a page whose query or form holds what cannot be kept.

    Raises:
        UnusableText: it does.
    """
    _check_fields(request.GET)
    if request.content_type in FORMS:
        _check_fields(request.POST)


def refusal_of(error: Exception) -> RefusedError:
    """What to tell of a request that Django itself could not read."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, RequestDataTooBig):
        return TooLarge(str(error))
    if isinstance(error, TooManyFieldsSent | TooManyFilesSent):
        return BadRequest(str(error), "There are too many fields or files in it. Send fewer.")
    if isinstance(error, DisallowedHost):
        return BadRequest(
            str(error),
            "This server does not go by that name. Use the address that you were given, or have "
            "its operator add this one to UNOSAT_ALLOWED_HOSTS.",
        )
    return BadRequest(
        f"{type(error).__name__}: {error}",
        "The body cannot be read. Send all of it, as what its Content-Type says.",
    )


def _check_fields(fields: QueryDict) -> None:
    texts: Iterable[tuple[str, list[str]]] = fields.lists()
    for name, values in texts:
        for text in (name, *values):
            check_text(text)
