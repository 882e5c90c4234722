"""What some steps did together, as far as anything can depend on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import frozen

from statemachines.exploration.clocks import Change
from statemachines.exploration.reading import Reads
from statemachines.exploration.values import frozen_value
from statemachines.table.record import Record
from statemachines.table.step import Step


@frozen
class Heard:
    """An event of the definition's own that comes back to it.

    :ivar but: the definition, by number, that does not hear it: nobody hears of its own registrations
    """

    type: str
    data: Any
    but: int | None = None

    @property
    def key(self) -> Any:
        """What tells it from others."""
        told = (self.type, frozen_value(self.data))
        return told if self.but is None else (*told, self.but)


NO_CHANGE, NO_READS = Change(), Reads()

Visits = tuple[tuple[int, bool, int], ...]


@frozen
class Made:
    """What some steps did, the last of which led to ``record``.

    :ivar took: whether a transition was taken
    :ivar change: what becomes of the timers
    :ivar heard: what was published and comes back
    :ivar opened: of the actions that want a second, one bit each, those that were performed and still want it
    :ivar closed: those whose second was performed since
    :ivar reads: the facts that guards asked about
    :ivar visits: by number, whether a count of visits begins anew, and how much is added to it
    :ivar fired: the transitions that were taken
    :ivar performed: the actions that were performed
    :ivar steps: themselves
    """

    record: Record
    took: bool = False
    change: Change = NO_CHANGE
    heard: tuple[Heard, ...] = ()
    opened: int = 0
    closed: int = 0
    reads: Reads = NO_READS
    visits: Visits = ()
    fired: frozenset[int] = frozenset()
    performed: frozenset[str] = frozenset()
    steps: tuple[Step, ...] = ()

    def then(self, other: Made) -> Made:
        """What both did, one after the other."""
        return Made(
            other.record,
            self.took or other.took,
            self.change.then(other.change),
            self.heard + other.heard,
            self.opened & ~other.closed | other.opened,
            self.closed & ~other.opened | other.closed,
            self.reads | other.reads,
            _counted([*self.visits, *other.visits]),
            self.fired | other.fired,
            self.performed | other.performed,
            self.steps + other.steps,
        )

    @property
    def written(self) -> frozenset[int]:
        """The visits that begin anew."""
        return frozenset(number for number, anew, _ in self.visits if anew)


def visits_of(entries: Iterable[tuple[int, bool]]) -> Visits:
    """What a step does to the visits: the counts that go up by one (True) or back to 0 (False), in order."""
    return _counted((number, not entered, int(entered)) for number, entered in entries)


def _counted(visits: Iterable[tuple[int, bool, int]]) -> Visits:
    found: dict[int, tuple[bool, int]] = {}
    for number, anew, added in visits:
        before = (False, 0) if anew else found.get(number, (False, 0))
        found[number] = (anew or before[0], before[1] + added)
    return tuple((number, *what) for number, what in sorted(found.items()))


def counted(visits: tuple[int, ...], changes: Visits) -> tuple[int, ...]:
    """The counts of visits after these changes."""
    after = list(visits)
    for number, anew, added in changes:
        after[number] = added if anew else after[number] + added
    return tuple(after)
