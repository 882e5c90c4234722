"""Events as JSON lines, each with its time, read one by one as they come.

A line is one object: ``type``, and as far as they are known ``connection_id``, ``data``, ``call_id``, ``tenant_id``,
``id``, ``error``, and the time, as ``at`` (seconds since the start) or ``timestamp`` (Unix seconds). A line that is no
event is a problem at its place, and the reading goes on behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import inf, isfinite
from typing import Any

from attrs import define

from bus.errors import InvalidEvent
from bus.event import Event, plain_event
from bus.interchange import event_from_dict, payload_of
from statemachines.errors import Problem
from statemachines.language.durations import shortened
from statemachines.language.names import EVENT_RULE, is_event, near_name, nearest

MAX_LINE_BYTES = 1024 * 1024

# As in bus.Event, plus the time of a recording; a test holds the two together.
FIELDS = (
    "type",
    "connection_id",
    "at",
    "timestamp",
    "data",
    "call_id",
    "tenant_id",
    "id",
    "error",
    "causation_id",
    "causation_depth",
)
_FIELDS = frozenset(FIELDS)
_NOT_EMPTY = ("connection_id", "call_id", "tenant_id", "id")
_SPACE = " \t\n\r"


@define(weakref_slot=False)
class EventLine:
    """An event, when it came (``at``: seconds since the first line's time), and the number of its line.

    Never assigned to after it is made; not frozen, since each line makes one.
    """

    at: float
    event: Event
    line: int


def read_event_lines(lines: Iterable[str | bytes], path: str) -> Iterator[EventLine | Problem]:
    """Each line's event, or what is wrong with the line, as they come: an endless input is no problem.

    >>> [read.at for read in read_event_lines(['{"type": "call.accepted", "at": 1.5}'], "calls.jsonl")]
    [1.5]
    """
    reader = EventLineReader(path)
    for line in lines:
        yield from reader.read(line)


class EventLineReader:
    """Reads lines that somebody else gets hold of, and knows where in the file and in time they stand.

    ``at`` counts as it is. The first ``timestamp`` is the time reached by then, which is 0 at the beginning; those
    after it are relative to it. A line without a time has that of the line before, and so has one whose time goes
    back, with a warning: virtual time only goes forward.

    Weak spot: the limit on a line's size protects what comes after it; it is for whoever gets hold of the lines not to
    gather an endless one.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.line = 0
        self.now = 0.0
        self._zero: float | None = None

    def read(self, line: str | bytes) -> tuple[EventLine | Problem, ...]:
        """What the next line says: nothing if it is blank, its event, what is wrong with it, or a warning and both."""
        self.line += 1
        if not line or line.isspace():
            return ()
        try:
            text = _decoded(line)
            plain = _parsed(text)
            usual = self._usual(plain)
            if usual is not None:
                return (usual,)
            _check(plain, text)
            given = plain.pop("at", None)
            event = _event(plain, text)
            at = self._time(given, plain.get("timestamp"), text)
        except _Refused as refused:
            return (self._problem(refused),)
        read = EventLine(max(at, self.now), event, self.line)
        if at >= self.now:
            self.now = at
            return (read,)
        back = f"time goes back, from {self.now:g} s to {at:g} s: the event is taken at {self.now:g} s"
        column = _column(text, "timestamp" if given is None else "at")
        return (Problem(self.path, self.line, column, "warning", back), read)

    def _usual(self, plain: dict[str, Any]) -> EventLine | None:
        """The event of a line such as recordings have by the thousand, which take half the time for it."""
        if len(plain) != 4:
            return None
        try:
            event_type, connection_id, at, data = plain["type"], plain["connection_id"], plain["at"], plain["data"]
        except KeyError:
            return None
        if not (
            type(event_type) is type(connection_id) is str
            and type(at) is float
            and type(data) is dict
            and connection_id
            and self.now <= at < inf
            and _is_event(event_type)
        ):
            return None
        self.now = at
        return EventLine(at, plain_event(event_type, connection_id, payload_of(event_type, data)), self.line)

    def _problem(self, refused: _Refused) -> Problem:
        return Problem(self.path, self.line, refused.column, "error", refused.message)

    def _time(self, at: Any, timestamp: Any, text: str) -> float:
        """When the line's event came."""
        if at is not None:
            at = _seconds("at", at, text)
            if at < 0:
                raise _Refused(f"'at' must be 0 or more seconds, not {at:g}", _column(text, "at"))
        if timestamp is not None:
            timestamp = _seconds("timestamp", timestamp, text)
            if self._zero is None:
                self._zero = timestamp - (self.now if at is None else at)
            if at is None:
                at = round(timestamp - self._zero, 6)  # finer than that is noise: today's seconds fill the float
        return self.now if at is None else at


_is_event = lru_cache(maxsize=10_000)(is_event)  # a recording has few types, and says them often


class _Refused(Exception):
    """What is wrong with a line, and where in it."""

    def __init__(self, message: str, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


def _decoded(line: str | bytes) -> str:
    if len(line) > MAX_LINE_BYTES:
        raise _Refused(f"the line is longer than the limit of 1 MiB ({MAX_LINE_BYTES} bytes): shorten its payload")
    if isinstance(line, str):
        return line.removeprefix("\ufeff")
    try:
        return line.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        column = len(line[: error.start].decode("utf-8")) + 1
        raise _Refused(f"the byte 0x{line[error.start]:02x} is not UTF-8: save the file as UTF-8", column) from None


def _parsed(text: str) -> dict[str, Any]:
    """The line's object."""
    try:
        plain = _decoded_json(text)
    except _Refused as refused:
        raise _Refused(refused.message, _first_column(text)) from None
    except json.JSONDecodeError as error:
        message = error.msg[:1].lower() + error.msg[1:]
        raise _Refused(f"this is not JSON: {message}", min(error.pos, len(text.rstrip())) + 1) from None
    except RecursionError:
        raise _Refused("this is nested too deep: flatten its payload", _first_column(text)) from None
    except ValueError:  # an integer of more digits than Python reads
        raise _Refused("this has a number of thousands of digits: send it as text", _first_column(text)) from None
    if not isinstance(plain, dict):
        example = '{"type": "call.accepted", "connection_id": "conn_1"}'
        raise _Refused(f"an event is an object, as in {example}", _first_column(text))
    if "\\u" in text:
        _refuse_halves(plain, text)
    return plain


def _no_constant(name: str) -> None:
    raise _Refused(f"{name} is no JSON: leave the field out, or write null")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise _Refused(f"the field '{shortened(twice)}' is there twice: remove one")
    return plain


_QUICK = json.JSONDecoder(parse_constant=_no_constant)
_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_without_duplicates)


def _decoded_json(text: str) -> Any:
    try:
        plain, end = _QUICK.raw_decode(text)
        if (end == len(text) or text[end:].isspace()) and _has_keys(plain, text.count(":")):
            return plain
    except json.JSONDecodeError:
        pass
    return _DECODER.decode(text)  # which allows for space in front of it, and says what is wrong with it


def _has_keys(plain: Any, number: int) -> bool:
    """Whether an object, with those inside it, has as many keys as its text has colons: then none is there twice."""
    if type(plain) is not dict:
        return False
    for value in plain.values():
        kind = type(value)
        if kind is dict:
            number -= len(value)
            for inner in value.values():
                if type(inner) is dict or type(inner) is list:
                    return False
        elif kind is list:
            return False
    return number == len(plain)


def _refuse_halves(plain: dict[str, Any], text: str) -> None:
    """Half a surrogate pair is valid JSON but no text: it could not be written out again."""
    try:
        json.dumps(plain, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        message = "this holds half of a character (\\ud800 to \\udfff without its pair): send whole characters"
        raise _Refused(message, _first_column(text)) from None


def _check(plain: dict[str, Any], text: str) -> None:
    """Refuse what no event can be, beyond what :func:`bus.event_from_dict` refuses."""
    for name in plain if not plain.keys() <= _FIELDS else ():
        if name not in FIELDS:
            known = ", ".join(FIELDS)
            hint = nearest(name, FIELDS) or f": the fields are {known}"
            raise _Refused(f"unknown field '{shortened(name)}'{hint}", _column(text, name, key=True))
    event_type = plain.get("type")
    if event_type is None:
        raise _Refused("the field 'type' is missing", _first_column(text))
    if isinstance(event_type, str) and not _is_event(event_type):
        message = f"'{shortened(event_type)}' is not an event name{near_name(event_type)}: {EVENT_RULE}"
        raise _Refused(message, _column(text, "type"))
    for name in _NOT_EMPTY if "" in plain.values() else ():
        if plain.get(name) == "":
            raise _Refused(f"'{name}' is empty: leave it out", _column(text, name))
    data = plain.get("data")
    if data is not None and not isinstance(data, dict):
        raise _Refused("'data' must be an object of fields", _column(text, "data"))


def _event(plain: dict[str, Any], text: str) -> Event:
    try:
        return event_from_dict(plain)
    except InvalidEvent as error:
        raise _Refused(f"'{error.field}' {error.problem}", _column(text, error.field or "type")) from None


def _seconds(name: str, value: Any, text: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _Refused(f"'{name}' must be a number of seconds, not {json.dumps(value)[:40]}", _column(text, name))
    try:
        seconds = float(value)
    except OverflowError:
        seconds = float("inf")
    if not isfinite(seconds):
        raise _Refused(f"'{name}' is too large", _column(text, name))
    return seconds


# -- where a field of the object stands --


def _first_column(text: str) -> int:
    return len(text) - len(text.lstrip()) + 1


def _column(text: str, field: str, *, key: bool = False) -> int:
    """The column of a field's value, or of its key. The line, which has that field, is walked through once more."""
    decoder = json.JSONDecoder()
    position = text.index("{") + 1
    while True:
        key_at = _skip(text, position)
        name, position = decoder.raw_decode(text, key_at)
        value_at = _skip(text, text.index(":", position) + 1)
        if name == field:
            return (key_at if key else value_at) + 1
        _, position = decoder.raw_decode(text, value_at)
        position = _skip(text, position) + 1  # behind the comma


def _skip(text: str, position: int) -> int:
    while text[position] in _SPACE:
        position += 1
    return position
