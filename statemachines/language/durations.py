"""Durations as people write them: ``500ms``, ``30s``, ``5m``, ``1h``, decimals such as ``1.5s``."""

from __future__ import annotations

import re

from bus.errors import PhasebusError

MAX_DURATION_S = 366 * 24 * 3600.0
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)", re.ASCII)
_EXAMPLES = "write a number and a unit, as in 500ms, 1.5s, 30s, 5m or 1h"


class DurationError(PhasebusError):
    """A text that is no duration; the message says how one is written."""


def parse_duration(text: str) -> float:
    """The seconds that ``text`` means.

    :raises DurationError: if it is not a number with a unit, or longer than a year.

    >>> parse_duration("500ms"), parse_duration("1.5s"), parse_duration("5m")
    (0.5, 1.5, 300.0)
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise DurationError(f"'{shortened(text)}' is not a duration: {_EXAMPLES}")
    number, unit = match.groups()
    # Dividing keeps 500ms at exactly 0.5 and 300ms at exactly 0.3; multiplying by 0.001 would not.
    seconds = float(number) / 1000 if unit == "ms" else float(number) * _SECONDS[unit]
    if seconds > MAX_DURATION_S:
        raise DurationError(f"'{text}' is longer than a year: {_EXAMPLES}")
    return seconds


def is_duration_like(text: str) -> bool:
    """Whether ``text`` begins as a number does, so that it cannot be meant as a name."""
    return text[:1].isdigit() or text[:1] in ("-", "+", ".")


def shortened(text: str, length: int = 60) -> str:
    """``text``, cut so that a message stays readable."""
    return text if len(text) <= length else text[: length - 1] + "…"
