"""A case as one number: everything about a connection that can matter later, each part in bits of its own.

A part is a small number that stands for a value seen before (which states are active in a region, what is remembered).
One integer a case is what makes a million of them fit into memory, and lets a step be remembered as the bits that it
reads and the bits that it writes.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from attrs import define, field

T = TypeVar("T", bound=Hashable)


class TooMany(Exception):
    """A part has more different values than there is room for: there are too many cases to try them all."""


@define(eq=False)
class Part(Generic[T]):
    """Some bits of every case, and the values that they stand for. 0 stands for ``values[0]``."""

    name: str
    shift: int
    width: int
    values: list[T] = field(factory=list)
    _numbers: dict[Any, int] = field(factory=dict)

    @property
    def mask(self) -> int:
        """The bits."""
        return ((1 << self.width) - 1) << self.shift

    def number(self, value: T, key: Hashable = None) -> int:
        """The number of a value, in its bits. ``key`` tells values apart, if they cannot do so themselves."""
        key = value if key is None else key
        found = self._numbers.get(key)
        if found is None:
            found = len(self.values)
            if found >> self.width:
                raise TooMany(f"more than {found} different values of {self.name}")
            self._numbers[key] = found
            self.values.append(value)
        return found << self.shift

    def of(self, case: int) -> T:
        """The value in a case."""
        return self.values[(case & self.mask) >> self.shift]


class Packing:
    """Hands out the bits of a case, from the lowest up."""

    def __init__(self) -> None:
        self.used = 0

    def part(self, name: str, first: T, width: int, key: Hashable = None) -> Part[T]:
        """A part of so many bits, whose number 0 is ``first``."""
        made: Part[T] = Part(name, self.used, width)
        made.number(first, key)
        self.used += width
        return made

    def bits(self, width: int) -> int:
        """So many bits that are numbers by themselves; returns where they begin."""
        shift = self.used
        self.used += width
        return shift
