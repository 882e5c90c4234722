"""Payloads short enough to read in a line, and without what is nobody's business.

A phone number or a name is hidden by the key that it stands under; once seen there, it stays hidden wherever it turns
up again, under whatever name a definition remembers it. Numbers that look like a phone's are hidden anywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from statemachines.rendering.signs import Signs

_PERSONAL = ("phone", "caller", "callee", "contact", "business_number", "customer", "msisdn", "wa_id", "email")
_PHONE_NUMBER = re.compile(r"\+\d[\d ()./-]{5,}\d|(?<![\w.:-])\d{9,15}(?![\w:-]|\.\d)")
_BARE = re.compile(r"[\w./:@+-]+")
_LONGEST_VALUE = 40
_LONGEST = 160
_DEEPEST = 3
_MOST_ITEMS = 4
_MOST_HIDDEN = 10_000


class Payloads:
    """Writes payloads. With ``show`` they are written whole, and nothing is hidden."""

    def __init__(self, signs: Signs, *, show: bool = False) -> None:
        self.signs = signs
        self.show = show
        self._hidden: dict[str, None] = {}

    def fields(self, data: Mapping[str, Any]) -> str:
        """``track_type: audio, ssrc: 12345``; fields that are None are left out."""
        parts = [f"{key}: {self.value(str(key), value)}" for key, value in data.items() if value is not None]
        return self._cut(self.signs.clean(", ".join(parts)), _LONGEST)

    def value(self, key: str, value: Any) -> str:
        """A value that stands under ``key``."""
        return self.signs.clean(self._value(key, value, 0))

    def text(self, text: str) -> str:
        """Words that may quote a payload, such as an error."""
        return self.signs.clean(text if self.show else self._without_numbers(text))

    def _value(self, key: str, value: Any, depth: int) -> str:
        if not self.show and value is not None and self._is_personal(key, value):
            return self.signs.hidden
        match value:
            case Mapping():
                return self._mapping(value, depth)
            case list() | tuple():
                return self._list(key, value, depth)
            case str():
                return self._string(value)
            case None | bool():
                return json.dumps(value)
            case int() | float():
                return self._cut(str(value), _LONGEST_VALUE)
            case _:
                return self._cut(self._without_numbers(str(value)), _LONGEST_VALUE)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> str:
        if depth >= _DEEPEST and not self.show:
            return "{" + self.signs.more + "}"
        parts = [f"{name}: {self._value(str(name), part, depth + 1)}" for name, part in value.items()]
        return "{" + ", ".join(parts) + "}"

    def _list(self, key: str, value: list[Any] | tuple[Any, ...], depth: int) -> str:
        if depth >= _DEEPEST and not self.show:
            return "[" + self.signs.more + "]"
        shown = value if self.show else value[:_MOST_ITEMS]
        parts = [self._value(key, part, depth + 1) for part in shown]
        if len(shown) < len(value):
            parts.append(f"{self.signs.more} {len(value) - len(shown)} more")
        return "[" + ", ".join(parts) + "]"

    def _string(self, value: str) -> str:
        if self.show or len(value) <= _LONGEST_VALUE:
            value = value if self.show else self._without_numbers(value)
            return (
                value if _BARE.fullmatch(value) or value == self.signs.hidden else json.dumps(value, ensure_ascii=False)
            )
        beginning = self._without_numbers(value[: _LONGEST_VALUE * 2]).splitlines()[0][: _LONGEST_VALUE - 8]
        quoted = json.dumps(beginning, ensure_ascii=False)
        return f'{quoted[:-1]}{self.signs.more}" ({len(value)} characters)'

    def _is_personal(self, key: str, value: Any) -> bool:
        """Whether a value is to be hidden: for its key, or since it was hidden before."""
        if any(word in key.lower() for word in _PERSONAL):
            self._remember(value)
            return True
        return isinstance(value, str | int) and not isinstance(value, bool) and str(value) in self._hidden

    def _remember(self, value: Any) -> None:
        if isinstance(value, Mapping):
            for part in value.values():
                self._remember(part)
        elif isinstance(value, list | tuple):
            for part in value:
                self._remember(part)
        elif isinstance(value, str | int) and not isinstance(value, bool) and len(str(value)) > 2:
            self._hidden[str(value)] = None
            if len(self._hidden) > _MOST_HIDDEN:
                del self._hidden[next(iter(self._hidden))]

    def _without_numbers(self, text: str) -> str:
        return text if self.show else _PHONE_NUMBER.sub(self.signs.hidden, text)

    def _cut(self, text: str, length: int) -> str:
        if self.show or len(text) <= length:
            return text
        return text[: length - len(self.signs.more)].rstrip() + self.signs.more
