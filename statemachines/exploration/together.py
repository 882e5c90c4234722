"""Several definitions on one bus: every event reaches the connection of each, and so does what any of them publishes.

Each has one connection at a time, all of the same id. It is registered at the start, or by the event that its
definition ``starts_on`` (:mod:`~statemachines.exploration.life`). They share one clock and one queue of events that
come back; an event is worked off by all of them, in the order in which they are named, before the next one.

Where any event may come, early events that came at two different times wait for a connection at once, not at more:
else there would be as many cases as there are ways for them to end waiting one by one.

Weak spot: lifecycles on one bus publish in an order of their own where several have something to publish at the same
time. Here what was published first is heard first.
"""

from __future__ import annotations

from collections.abc import Sequence

from statemachines.exploration.clocks import EARLY
from statemachines.exploration.life import life_of, news_of, registration
from statemachines.exploration.moves import Clock, Moves
from statemachines.exploration.search import AnyOrder

MOST_TIMES = 2
"""Early events that came at so many different times are tried together, if any event may come."""


class Together(AnyOrder):
    """Any event may come or not, to all definitions at once."""

    def __init__(self, members: Sequence[Moves]) -> None:
        super().__init__(members[0])
        self.members = tuple(members)
        self._lives = lives = tuple(member.life for member in members if member.life is not None)
        self._forgetting = tuple(life for life in lives if life.at_once)
        self._forgets = {life.forgets: life for life in lives}
        self._idle: dict[int, bool] = {}
        self._tells_unknown = any(life.tells_unknown for life in lives)

    def start(self) -> int:
        """The case in which a connection was just registered of each that no event starts."""
        case = 0
        for number, member in enumerate(self.members):
            life = member.life
            if life is None or not life.starts:
                case = member.register(case, news_of(member, number, registration(member)))
                if life is not None:
                    _, case = life.stepped(False, case)
        return case

    def expand(self, case: int, found: list[int]) -> tuple[bool, int]:
        """All moves of a case."""
        first = self.moves
        gone = self.forgotten(case)
        if gone is not None:
            found += (first.back_label, gone)
            return False, 1
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
            if self._is_scattered(after, case):
                self.untried = f"early events of more than {MOST_TIMES} different times were not tried together"
                continue
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

    def _is_scattered(self, after: int, case: int) -> bool:
        """Whether an event would wait that came at one time more than are tried."""
        return any(life.times(after) > max(MOST_TIMES, life.times(case)) for life in self._lives)

    def ended(self, case: int) -> bool:
        """Whether all connections have ended, and no other ever begins."""
        return all(member.life is None and member.ended(case) for member in self.members)

    def forgotten(self, case: int) -> int | None:
        """The case in which a connection that ended just now is forgotten, if it is not to be retained."""
        for life in self._forgetting:
            if life.moves.is_there(case) and life.moves.ended(case):
                return life.forget(case)
        return None

    def forced(self, case: int) -> int | None:
        """The case after what happens by itself and at once."""
        gone = self.forgotten(case)
        return super().forced(case) if gone is None else gone

    def may_rest(self, case: int) -> bool:
        """Whether no timer runs that can lead to anything, and nothing comes back."""
        if case & self.moves.cases.heard.mask:
            return False
        running = (case & self.moves.timers_mask) >> self.moves.timers_shift
        if running not in self._idle:
            timers = self.moves.cases.timers.values[running]
            idle = all(timer >= EARLY or timer in self._forgets for _, timer in timers)
            self._idle[running] = not timers or (idle and not self._tells_unknown)
        return self._idle[running]

    def after(self, label: int, case: int) -> tuple[bool, int]:
        """The case after an event has reached every connection that has not ended."""
        return self._spread((label,) * len(self.members), case)

    def timer_label(self, clock: Clock) -> int:
        """That of any timer: which one, the clock knows."""
        return self.moves.wait_label + 2

    def come_back(self, case: int) -> tuple[bool, int]:
        """The case after every definition has heard the next of what they published."""
        heard = self.moves.cases.heard
        first, *rest = heard.of(case)
        case = case & ~heard.mask | heard.number(tuple(rest), tuple(one.key for one in rest))
        labels = [None if n == first.but else member.heard_label(first) for n, member in enumerate(self.members)]
        return self._spread(labels, case)

    def _spread(self, labels: Sequence[int | None], case: int) -> tuple[bool, int]:
        """An event reaches each definition, by the label that it has there; None: it does not."""
        active = False
        for member, label in zip(self.members, labels, strict=True):
            if label is None:
                continue
            if member.life is not None:
                took, case = member.life.arrive(label, case)
                active |= took
            elif not member.ended(case):
                took, case = member.after(label, case)
                active |= took
        return active, case

    def fire(self, case: int, clock: Clock) -> tuple[bool, int]:
        """The case after the next timer has fired in the definition that has it."""
        if clock.timer >= EARLY:
            life = self.members[life_of(clock.timer)].life
            assert life is not None
            return False, life.expire(case, clock)
        if clock.timer in self._forgets:
            return False, self._forgets[clock.timer].forget(case & ~self.moves.timers_mask | clock.after)
        owner = next(member for member in reversed(self.members) if clock.timer >= member.first_timer)
        if owner.life is None or owner.ended(case):
            return owner.fire(case, clock)
        return owner.life.stepped(*owner.fire(case, clock))
