"""Tries cases for their rows, breadth first, and keeps what each step told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attrs import Factory, define

from bus.causality import MAX_CAUSATION_DEPTH
from bus.event import Event
from statemachines.errors import StepNeverSettles
from statemachines.exploration.events import Symbol
from statemachines.exploration.making import Making
from statemachines.exploration.moves import Chart, Moves
from statemachines.exploration.packing import TooMany
from statemachines.exploration.reading import Reads
from statemachines.exploration.rows import Mark
from statemachines.table.record import Record, Timer
from statemachines.table.step import Step


class MarkMaking(Making):
    """Makes the steps of marks by hand too."""

    def attempt(self, record: Record, symbol: Symbol | None, event: Event, timer: Timer | None = None) -> Step | None:
        if not isinstance(symbol, Mark):
            return super().attempt(record, symbol, event, timer)
        try:
            return self.steps.mark(record, symbol.dependency, event, at=0.0, now=0.0)
        except StepNeverSettles:
            return None


class NotingMoves(Moves):
    """Moves that keep what the steps behind each row told."""

    making_class = MarkMaking
    noted: dict[tuple[Chart, int], Sequence[Step]]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.noted = {}
        self.watch = self._note

    def _note(self, made: Sequence[Step], chart: Chart | None, bits: int) -> None:
        if chart is not None:
            self.noted.setdefault((chart, bits), made)

    def _facts_mask(self, label: int, case: int) -> tuple[int, bool]:
        symbol = self.labels[label].symbol
        if not isinstance(symbol, Mark):
            return super()._facts_mask(label, case)
        told = Reads(self.steps.bit(symbol.dependency))
        return self.cases.mask(told & self.relevance.facts), False

    def possible(self, case: int) -> Iterator[int]:
        """The labels of what may come from outside, and of the timers that may run."""
        if self.ended(case):
            return
        states = set(self.cases.states(case))
        timers = self.steps.layout.timers
        yield from range(self.timer_labels)
        for spec in timers:
            if spec.state in states and spec.number in self.making.timers:
                yield self.timer_labels + spec.number

    def timeless(self, case: int) -> int:
        """The case without its timers, after all that comes back at once."""
        case &= ~self.timers_mask
        for _ in range(MAX_CAUSATION_DEPTH):
            if not case & self.cases.heard.mask:
                break
            case = self.come_back(case)[1] & ~self.timers_mask
        return case


@define
class Tried:
    """The cases that were tried: ``cases`` in the order found, the first ``tried`` of them with all their moves."""

    cases: list[int]
    tried: int = 0
    complete: bool = True
    depths: list[int] = Factory(list)


def try_cases(moves: NotingMoves, near: Iterable[Record], max_cases: int, max_rows: int) -> Tried:
    """Try the cases nearest to the start, and to those of ``near``."""
    begins = dict.fromkeys([moves.timeless(moves.start()), *map(moves.cases.pack, near)])
    found = Tried(list(begins), depths=[0] * len(begins))
    known = set(begins)
    try:
        for number, case in enumerate(found.cases):
            if number >= max(max_cases, len(begins)) or len(moves.noted) > max_rows:
                found.complete = False
                break
            for label in moves.possible(case):
                after = moves.timeless(moves.after(label, case)[1])
                if after not in known:
                    known.add(after)
                    found.cases.append(after)
                    found.depths.append(found.depths[number] + 1)
            found.tried = number + 1
    except TooMany:
        found.complete = False
    return found
