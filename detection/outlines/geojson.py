"""Read GeoJSON one feature after another, however long the file, and without GDAL."""

import json
from collections.abc import Iterator
from typing import Any, TextIO

from detection.errors import UnreadableOutlines

PIECE = 2**20  # characters read at once
LONGEST_PIECE = 2**28  # a single value longer than this is no feature
WHITESPACE = " \t\r\n\ufeff"


def read_features(file: TextIO) -> Iterator[dict[str, Any]]:
    """The features of a FeatureCollection, a Feature, or of lines that hold one each.

    A ``crs`` member, as GeoJSON had before RFC 7946, is yielded first, as
    ``{"type": "crs", "crs": ...}``; behind the features it comes too late and is refused.

    Raises:
        UnreadableOutlines: it is not GeoJSON, or breaks off.
    """
    text = _Text(file)
    try:
        while text.peek():
            yield from _one_document(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise UnreadableOutlines(f"not GeoJSON: {error}") from error


def _one_document(text: "_Text") -> Iterator[dict[str, Any]]:
    """A JSON object; only the array of its features is taken apart as it is read."""
    members: dict[str, Any] = {}
    streamed = False
    text.expect("{")
    while text.peek() != "}":
        key = text.value()
        text.expect(":")
        if key == "features" and text.peek() == "[":
            yield from _features(text)
            streamed = True
        else:
            members[key] = text.value()
            if key == "crs":
                if streamed:
                    raise ValueError("crs behind the features")
                yield {"type": "crs", "crs": members["crs"]}
        if text.peek() == ",":
            text.expect(",")
    text.expect("}")
    if not streamed:
        if members.get("type") != "Feature":
            raise ValueError("neither Feature nor FeatureCollection")
        yield members


def _features(text: "_Text") -> Iterator[dict[str, Any]]:
    text.expect("[")
    while text.peek() != "]":
        feature = text.value()
        if not isinstance(feature, dict):
            raise TypeError("a feature is no object")
        yield feature
        if text.peek() == ",":
            text.expect(",")
    text.expect("]")


class _Text:
    """JSON values from a stream of characters, of which only a piece is in memory."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        # NaN is no JSON, but Python's own writers put it where a table had no value
        self._decoder = json.JSONDecoder(parse_constant=lambda _: None)
        self._buffer = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in WHITESPACE:
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._read(PIECE):
                return ""

    def expect(self, character: str) -> None:
        """Step over one character."""
        if self.peek() != character:
            raise ValueError(f"expected {character}, not {self.peek() or 'the end'}")
        self._at += 1

    def value(self) -> Any:  # noqa: ANN401 (whatever JSON holds)
        """The next value, whole."""
        self.peek()
        more = PIECE
        while True:
            try:
                found, end = self._decoder.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError:
                if not self._read(more):
                    raise
            else:
                # what ends with the piece may go on: 12 may be the start of 123
                if end < len(self._buffer) or not self._read(more):
                    self._at = end
                    return found
            more = min(2 * more, LONGEST_PIECE)

    def _read(self, count: int) -> bool:
        """Put more characters behind what is left; False at the end of the file."""
        if self._ended or len(self._buffer) - self._at > LONGEST_PIECE:
            return False
        fresh = self._file.read(count)
        self._ended = not fresh
        self._buffer = self._buffer[self._at :] + fresh
        self._at = 0
        return not self._ended
