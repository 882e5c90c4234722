"""The step table as rows that can be written down and played elsewhere, with nothing to evaluate there.

A case is a list of *fields*: which states are active (in each region), what histories hold, each fact that matters,
the events that wait. A row says: where these fields are so, those become so, and this is told.

Time is no field. A row says which timers end and which begin; when a timer is due its own row is looked up. So whoever
plays the rows keeps a clock and a list of timers, and no case is left out because of when it comes up.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from attrs import frozen

from statemachines.exploration.events import Symbol
from statemachines.exploration.labels import Label
from statemachines.exploration.values import frozen_value
from statemachines.language.definition import Definition
from statemachines.table.layout import TimerSpec

Writes = tuple[tuple[int, int], ...]
"""Fields and what they become."""
Key = tuple[int, ...]
"""What the fields that a row reads stand at."""


@frozen
class Mark(Symbol):
    """A dependency that is marked ready by hand: it tells just that, whatever the definition learns from events."""

    @property
    def dependency(self) -> str:
        """Which one."""
        return str(self.data["dependency"])


def frozen_event(symbol: Symbol) -> Hashable:
    """What tells events apart, 1 and True in their payloads too."""
    return type(symbol), symbol.type, frozen_value(dict(symbol.data))


@frozen
class Field:
    """One part of every case. ``values`` are what its numbers stand for; empty where a number stands for itself."""

    kind: str
    name: str
    shift: int
    width: int
    values: tuple[Any, ...] = ()

    @property
    def mask(self) -> int:
        """Its bits in a case."""
        return ((1 << self.width) - 1) << self.shift

    def of(self, case: int) -> int:
        """Its number in a case."""
        return case >> self.shift & (1 << self.width) - 1


@frozen
class Told:
    """One step, in words: transitions by number, then what it published, called, invoked and gave up."""

    transitions: tuple[int, ...] = ()
    published: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    invoked: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()
    again: str = ""
    deferral: str = ""


@frozen
class Outcome:
    """What a row does: ``timers`` says for each step which states' timers end and which timers begin, with seconds."""

    writes: Writes
    told: tuple[Told, ...] = ()
    timers: tuple[tuple[tuple[int, ...], tuple[tuple[int, float], ...]], ...] = ()


@frozen
class FactRows:
    """What events of a label tell: by what the fields read, what becomes of facts and which chart rows come next.

    None: such an event changes nothing at all.
    """

    reads: tuple[int, ...]
    rows: Mapping[Key, tuple[Writes, int] | None]


@frozen
class ChartRows:
    """What the chart does: by what the fields read. None: the step never settles."""

    reads: tuple[int, ...]
    rows: Mapping[Key, Outcome | None]


@frozen
class Bound:
    """How much was written. ``depth`` is how many moves every way can be followed, at the least."""

    tried: int
    found: int
    rows: int
    complete: bool
    depth: int


@frozen
class Playable:
    """All that is needed to play one connection of a definition.

    :ivar labels: what can happen: events of an alphabet, timers, own events that come back
    :ivar rows: by label and by what the first field (the states outside of all regions) stands at
    :ivar beside: by label, facts that nothing reads: what each status becomes
    :ivar unseen: the names of the facts that are in none of this
    """

    definition: Definition
    required: tuple[str, ...]
    timers: tuple[TimerSpec, ...]
    fields: tuple[Field, ...]
    start: Outcome
    labels: tuple[Label, ...]
    rows: Mapping[int, Mapping[int, FactRows]]
    charts: tuple[ChartRows, ...]
    phases: Mapping[Key, str]
    ended: frozenset[int]
    transitions: tuple[tuple[str, str | None], ...]
    beside: Mapping[int, Mapping[str, tuple[str, str, str]]]
    unseen: tuple[str, ...]
    bound: Bound
