"""Moments as programs write them."""

from datetime import UTC, date, datetime, time

from django.utils.dateparse import parse_date, parse_datetime

EARLIEST = datetime(1, 1, 2, tzinfo=UTC)  # a day off either end, so that any zone can show it
LATEST = datetime(9999, 12, 30, tzinfo=UTC)


def read(text: str) -> datetime:
    """A moment, or a day (its first one), in ISO 8601; UTC where no zone is named.

    Raises:
        ValueError: it is neither, or lies outside of the years that a calendar has.
    """
    moment = parse_datetime(text)
    day: date | None = None if moment else parse_date(text)
    if moment is None and day is not None:
        moment = datetime.combine(day, time(), UTC)
    if moment is None:
        raise ValueError("no date and no moment")
    return _in_utc(moment)


def read_ours(text: str) -> datetime:
    """A moment as our own answers write it, with its zone.

    Raises:
        ValueError: it is none, or lies outside of the years that a calendar has.
    """
    moment = parse_datetime(text)
    if moment is None or moment.tzinfo is None:
        raise ValueError("no moment with a zone")
    return _in_utc(moment)


def _in_utc(moment: datetime) -> datetime:
    try:
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("outside of the calendar") from error
    if not EARLIEST <= moment <= LATEST:
        raise ValueError("outside of the calendar")
    return moment
