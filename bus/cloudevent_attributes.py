"""The attributes of a CloudEvent: one row each, with its rule, for reading and writing alike.

A rule gives the value that an event takes, or raises ValueError that says what is wrong with it. "CE" is the
CloudEvents specification, "JSON" its JSON Event Format, both 1.0.2. Weak spot: URIs are checked by their characters,
not by their grammar.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from attrs import frozen

from bus.interchange import error_to_text
from bus.names import is_event_name

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE_NUMBER = re.compile("-?(0|[1-9][0-9]*)")
_REFERENCE = re.compile(r"([A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_MEDIA_TYPE = re.compile(r"[^\s/;]+/[^\s/;]+ *(;.*)?")
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]((?:[01][0-9]|2[0-3]):[0-5][0-9]):([0-5][0-9]|60)(\.[0-9]+)?"
    r"(?:[Zz]|([+-](?:[01][0-9]|2[0-3]):[0-5][0-9]))"
)
_NONCHARACTERS = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_FORBIDDEN = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]")


def _text(value: Any) -> str:
    """CE Type System, String: no control characters, no noncharacters, no lone surrogates. May be empty."""
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {_excerpt(value)}")
    if found := _FORBIDDEN.search(value):
        raise ValueError(f"holds U+{ord(found[0]):04X}, which no attribute may (CE Type System)")
    return value


def _word(value: Any) -> str:
    """A String that "MUST be a non-empty string": id and type (CE REQUIRED Attributes), subject (CE OPTIONAL)."""
    if not _text(value):
        raise ValueError("is empty")
    return str(value)


def _specversion(value: Any) -> str:
    """CE specversion: producers of this version "MUST use a value of 1.0"."""
    if value != "1.0":
        raise ValueError(f'must be "1.0", not {_excerpt(value)}')
    return "1.0"


def _event_type(value: Any) -> str:
    """CE type leaves the format to the producer; the bus does not."""
    if not is_event_name(_word(value)):
        raise ValueError(
            "cannot name an event: a name is two or more tokens of a to z, 0 to 9 and _, joined by dots;"
            " translate the type before reading"
        )
    return str(value)


def _uri_reference(value: Any) -> str:
    """CE source: "MUST be a non-empty URI-reference", RFC 3986 section 4.1."""
    if not _REFERENCE.fullmatch(_word(value)):
        raise ValueError(f"is not a URI-reference, as in //pbx.example/edge-7: {_excerpt(value)}")
    return str(value)


def _uri(value: Any) -> str:
    """CE dataschema: "MUST be a non-empty URI", with a scheme."""
    if not _SCHEME.match(_uri_reference(value)):
        raise ValueError(f"is not an absolute URI, as in https://pbx.example/schema: {_excerpt(value)}")
    return str(value)


def _media_type(value: Any) -> str:
    """CE datacontenttype: "MUST adhere to the format specified in RFC 2046"."""
    if not _MEDIA_TYPE.fullmatch(_word(value)):
        raise ValueError(f"is not a media type, as in application/json: {_excerpt(value)}")
    return str(value)


def _integer(value: Any) -> int:
    """CE Type System, Integer: 32 bits, signed; a number or its canonical text."""
    number = int(value) if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value) else value
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError(f"must be a whole number, not {_excerpt(value)}")
    if not -(2**31) <= number < 2**31:
        raise ValueError("is beyond the 32 bits of an Integer (CE Type System)")
    return number


def _depth(value: Any) -> int:
    """How many events stand before this one: none or more."""
    if _integer(value) < 0:
        raise ValueError(f"counts events, so it is not {_excerpt(value)}")
    return _integer(value)


def extension(value: Any) -> str | int | bool:
    """CE Extension Context Attributes: of the same types as all others. In JSON they are these three (JSON 2.2)."""
    if isinstance(value, (bool, str)):
        return value if isinstance(value, bool) else _text(value)
    if isinstance(value, int):
        return _integer(value)
    raise ValueError(f"must be a text, a whole number or a boolean, not {_excerpt(value)} (JSON section 2.2)")


def binary(value: Any) -> bytes:
    """CE Type System, Binary: Base64 as in RFC 4648."""
    return b64decode(_text(value), validate=True)


def _timestamp(value: Any) -> float:
    """CE time: "MUST adhere to the format specified in RFC 3339". The second of a leap is the first of the next day."""
    match = _RFC3339.fullmatch(_text(value))
    if match is None:
        raise ValueError(f"is not a time of RFC 3339, as in 2018-04-05T17:31:00Z: {_excerpt(value)}")
    date, minute, second, fraction, offset = match.groups()
    minutes = (datetime.fromisoformat(f"{date}T{minute}:00{offset or '+00:00'}") - _EPOCH) // timedelta(minutes=1)
    if second == "60" and minutes % 1440 != 1439:
        raise ValueError(f"has a leap second, and it is not 23:59 UTC: {_excerpt(value)}")
    return float(minutes * 60 + int(second) + Fraction(fraction or 0))


def _rfc3339(timestamp: float) -> str:
    """In UTC with microseconds, or more digits if the float says more: so it is the same float when read again."""
    try:
        decimal = Decimal(repr(float(timestamp)))
        digits = max(6, len(f"{decimal:f}".partition(".")[2]))
        seconds, rest = divmod(int(decimal.scaleb(digits)), 10**digits)
        moment = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"no time of the years 1 to 9999: {_excerpt(timestamp)}") from None
    return f"{moment.isoformat()}.{rest:0{digits}d}Z"


def _one_line(error: str | BaseException) -> str:
    """A line break is usual in an error's text, and no attribute may hold one: it is written as a backslash and n."""
    return _FORBIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), error_to_text(error))


def _same(value: Any) -> Any:
    return value


@frozen
class Attribute:
    """One row: the rule, the event's field (None if it has none), and how the field is written."""

    read: Callable[[Any], Any]
    field: str | None = None
    write: Callable[[Any], Any] = _same


ATTRIBUTES = {
    "specversion": Attribute(_specversion),
    "id": Attribute(_word, "id"),
    "source": Attribute(_uri_reference),
    "type": Attribute(_event_type, "type"),
    "subject": Attribute(_word, "connection_id"),
    "time": Attribute(_timestamp, "timestamp", _rfc3339),
    "datacontenttype": Attribute(_media_type),
    "dataschema": Attribute(_uri),
    "callid": Attribute(_text, "call_id"),
    "tenantid": Attribute(_text, "tenant_id"),
    "causationid": Attribute(_text, "causation_id"),
    "causationdepth": Attribute(_depth, "causation_depth", lambda depth: depth or None),
    "error": Attribute(_text, "error", _one_line),
}


def _excerpt(value: Any) -> str:
    return json.dumps(value)[:40] if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"
