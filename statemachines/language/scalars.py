"""What a plain YAML scalar means, by the core schema of YAML 1.2, and how to speak of a value in a message.

Only ``true`` and ``false`` are booleans: ``on``, ``off``, ``yes`` and ``no`` stay words, and so do dates.
"""

from __future__ import annotations

import re

from statemachines.language.durations import shortened

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}", re.ASCII)
_BASED = re.compile(r"0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII)


def resolve(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar.

    >>> resolve("on"), resolve("true"), resolve("30"), resolve("30s")
    ('on', True, 30, '30s')
    """
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def describe(value: object) -> str:
    """What ``value`` is, in the words of a message: ``the text '5'``, ``the number 5``, ``a list``."""
    match value:
        case None:
            return "empty"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {shortened(str(value))}"
        case str():
            return f"the text '{shortened(value)}'"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}"
