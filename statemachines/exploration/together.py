"""Several definitions on one bus: every event reaches the connection of each, and so does what any of them publishes.

Each has one connection, all of the same id, registered at the start. They share one clock and one queue of events that
come back; an event is worked off by all of them, in the order in which they are named, before the next one.
"""

from __future__ import annotations

from collections.abc import Sequence

from statemachines.exploration.moves import Clock, Moves
from statemachines.exploration.search import AnyOrder


class Together(AnyOrder):
    """Any event may come or not, to all definitions at once."""

    def __init__(self, members: Sequence[Moves]) -> None:
        super().__init__(members[0])
        self.members = tuple(members)

    def start(self) -> int:
        """The case in which a connection of each was just registered."""
        case = 0
        for member in self.members:
            case = member.register(case)
        return case

    def expand(self, case: int, found: list[int]) -> tuple[bool, int]:
        """All moves of a case."""
        first = self.moves
        if case & first.cases.heard.mask:
            active, after = self.come_back(case)
            found += (first.back_label, after)
            return active, 1
        running = (case & first.timers_mask) >> first.timers_shift
        clock = first.clock(running) if running else None
        if clock is not None and clock.due_now:
            active, after = self.fire(case, clock)
            found += (self.timer_label(clock), after)
            return active, 1
        active, tried = False, 0
        for label in range(0 if self.ended(case) else first.timer_labels):
            tried += 1
            took, after = self.after(label, case)
            active |= took
            if after != case:
                found += (label, after)
        if clock is not None:
            if clock.before is not None:
                found += (first.wait_label, case & ~first.timers_mask | clock.before)
            _, after = self.fire(case, clock)
            found += (self.timer_label(clock), after)
            return True, tried + 2
        return active, tried

    def ended(self, case: int) -> bool:
        """Whether all connections have ended."""
        return all(member.ended(case) for member in self.members)

    def after(self, label: int, case: int) -> tuple[bool, int]:
        """The case after an event has reached every connection that has not ended."""
        active, after = False, case
        for member in self.members:
            if not member.ended(case):
                took, after = member.after(label, after)
                active |= took
        return active, after

    def timer_label(self, clock: Clock) -> int:
        """That of any timer: which one, the clock knows."""
        return self.moves.wait_label + 2

    def come_back(self, case: int) -> tuple[bool, int]:
        """The case after every definition has heard the next of what they published."""
        heard = self.moves.cases.heard
        first, *rest = heard.of(case)
        case = case & ~heard.mask | heard.number(tuple(rest), tuple(one.key for one in rest))
        active = False
        for member in self.members:
            took, case = member.hear(first, case)
            active |= took
        return active, case

    def fire(self, case: int, clock: Clock) -> tuple[bool, int]:
        """The case after the next timer has fired in the definition that has it."""
        owner = next(member for member in reversed(self.members) if clock.timer >= member.first_timer)
        return owner.fire(case, clock)
