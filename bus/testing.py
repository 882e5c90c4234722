"""For tests of what uses a bus: a recorder, a clock that the test moves, and waiting until nothing happens any more.

No test of a bus needs to sleep:

    clock = FakeClock()
    async with EventBus(clock=clock) as bus:
        recorder = Recorder(bus)
        bus.subscribe("call.accepted", greet)
        await bus.publish("call.accepted", connection_id="c1")
        await settled(bus)                                       # everything is handled, whatever it led to
        assert recorder.published("call.greeted", connection_id="c1")
        await clock.advance(30)                                  # and now it is half a minute later

With pytest, ``event_bus``, ``event_recorder`` and ``fake_clock`` are fixtures: see :mod:`bus.pytest_plugin`.
"""

from __future__ import annotations

import heapq
from contextlib import AbstractContextManager
from itertools import count
from typing import Any, Protocol

import anyio
from anyio import CancelScope
from anyio.lowlevel import checkpoint

from bus.bus import EventBus
from bus.event import Event
from bus.names import matches
from bus.pending import DrainTimeout

__all__ = ["FakeClock", "Recorder", "all_tasks_blocked", "settled"]


class Recorder:
    """Keeps every event that is published on a bus from now on, at once and in order.

    It needs no queue, so it misses nothing and holds up nobody.
    """

    def __init__(self, bus: EventBus) -> None:
        self.events: list[Event] = []
        self._detach = bus.attach(self)

    def __str__(self) -> str:
        return "recorder"

    @property
    def types(self) -> list[str]:
        """The types of the events, in order."""
        return [event.type for event in self.events]

    def published(self, pattern: str = "*", *, connection_id: str | None = None, **fields: Any) -> list[Event]:
        """The events that match, in order; an empty list if none was published.

        :param pattern: a name, ``prefix.*`` or ``*``
        :param connection_id: only those of this connection
        :param fields: only those whose payload has these fields with these values

        >>> recorder.published("webrtc.*", track_type="audio")               # doctest: +SKIP
        """
        return [
            event
            for event in self.events
            if matches(pattern, event.type)
            and connection_id in (None, event.connection_id)
            and all(event.field(name) == value for name, value in fields.items())
        ]

    def clear(self) -> None:
        """Forget what was recorded so far."""
        self.events.clear()

    def stop(self) -> None:
        """Record nothing more."""
        self._detach()

    # -- on the bus (bus.reactor.Reactor) --

    def names(self, event_type: str) -> bool:
        """Every event is worth recording, so it has a listener."""
        return True

    def receive(self, event: Event) -> bool:
        """Record it."""
        self.events.append(event)
        return False

    async def carry_out(self, event: Event) -> None:
        """Nothing follows from recording."""

    def take_over(self, event: Event) -> None:
        """Nothing is left to do."""


async def settled(*buses: EventBus, timeout: float | None = 5.0) -> None:
    """Wait until nothing is queued and no handler runs, on all these buses at once. Never sleeps.

    An incomplete batch is handled as it is. A handler that waits for a :class:`FakeClock` runs until that is moved:
    ``advance`` it first.

    :raises DrainTimeout: after ``timeout`` real seconds, since a bus's own clock may stand still; it names what is left
    """
    with anyio.move_on_after(timeout):
        while True:
            for bus in buses:
                await bus.drain()
            if not any(bus.pending.count for bus in buses):
                return
    assert timeout is not None
    for bus in buses:
        try:
            await bus.drain(0)
        except DrainTimeout as left:
            raise DrainTimeout(timeout, left.event_ids, left.running_ids, left.running) from None


async def all_tasks_blocked() -> None:
    """Wait until every other task waits for something that no other task here is about to do.

    What anyio offers for this sleeps a tenth of a second on asyncio; this never does.
    """
    loop = _asyncio_loop()
    if loop is None:
        from trio.testing import wait_all_tasks_blocked

        await wait_all_tasks_blocked()
        return
    import asyncio

    this = asyncio.current_task()
    _looking.add(this)
    try:
        quiet = 0
        while quiet < _QUIET_TURNS:
            await checkpoint()
            others: list[Any] = [task for task in asyncio.all_tasks(loop) if task not in _looking]
            # The same attribute of asyncio's tasks that anyio looks at for this purpose.
            blocked = all(task._fut_waiter is not None and not task._fut_waiter.done() for task in others)
            quiet = quiet + 1 if blocked else 0
    finally:
        _looking.discard(this)


_QUIET_TURNS = 8
"""So many turns of asyncio's loop nobody has to move: who waits for a task's end (a group, a gather) learns of it by
callbacks, which take a turn each."""
_looking: set[Any] = set()
"""The tasks in :func:`all_tasks_blocked`, which do not wait for each other."""


class Timed(Protocol):
    """Something with things that are due, as :class:`statemachines.ConnectionLifecycle` has."""

    def next_deadline(self) -> float | None:
        """When something is due next."""

    def fire_due(self) -> None:
        """Do what is due by now."""

    async def rescheduled(self) -> None:
        """Wait until something is due earlier than was known."""


_ROUNDING_S = 1e-9
"""Eight steps of 0.1 s are to be 0.8 s, though their sum is not quite."""


class FakeClock:
    """A clock that stands still until :meth:`advance` moves it: ``EventBus(clock=FakeClock())``.

    Time-outs, retries, rate limits, windows and batches of that bus go by it. It does for a lifecycle, too.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._alarms: list[tuple[float, int, anyio.Event | CancelScope]] = []
        self._number = count().__next__

    def now(self) -> float:
        """Virtual seconds."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved so far."""
        if seconds <= 0:
            await checkpoint()
            return
        alarm = anyio.Event()
        self.set_alarm(seconds, alarm)
        try:
            await alarm.wait()
        finally:
            self.take_back(alarm)

    def move_on_after(self, seconds: float | None) -> AbstractContextManager[CancelScope, bool]:
        """Cancel the block once the clock has been moved so far."""
        return _Limit(self, seconds)

    async def advance(self, seconds: float) -> None:
        """Let time pass. What is due on the way happens at its time, with all that follows from it at once."""
        if seconds < 0:
            raise ValueError("time passes forwards only")
        end = self._now + seconds
        await all_tasks_blocked()
        while self._alarms and self._alarms[0][0] <= end + _ROUNDING_S:
            at, _, due = heapq.heappop(self._alarms)
            self._now = max(self._now, at)
            if isinstance(due, CancelScope):
                due.cancel()
            else:
                due.set()
            await all_tasks_blocked()
        self._now = max(self._now, end)

    # -- for a lifecycle (statemachines.lifecycle.clock.Clock) --

    def time(self) -> float:
        """The same as :meth:`now`."""
        return self._now

    def monotonic(self) -> float:
        """The same as :meth:`now`."""
        return self._now

    async def drive(self, timed: Timed) -> None:
        """Let what is due happen as the clock is moved, until cancelled."""
        while True:
            deadline = timed.next_deadline()
            with self.move_on_after(None if deadline is None else deadline - self._now):
                await timed.rescheduled()
            timed.fire_due()

    # -- for its own waits --

    def set_alarm(self, seconds: float, alarm: anyio.Event | CancelScope) -> None:
        """Set or cancel ``alarm`` once the clock has been moved so far."""
        heapq.heappush(self._alarms, (self._now + seconds, self._number(), alarm))

    def take_back(self, alarm: anyio.Event | CancelScope) -> None:
        """Nobody waits for it any more."""
        self._alarms = [entry for entry in self._alarms if entry[2] is not alarm]
        heapq.heapify(self._alarms)


class _Limit:
    """A block that the clock may cancel."""

    def __init__(self, clock: FakeClock, seconds: float | None) -> None:
        self._clock = clock
        self._seconds = seconds
        self._scope = CancelScope()

    def __enter__(self) -> CancelScope:
        scope = self._scope.__enter__()
        if self._seconds is not None:
            if self._seconds <= 0:
                scope.cancel()
            else:
                self._clock.set_alarm(self._seconds, scope)
        return scope

    def __exit__(self, *raised: Any) -> bool:
        self._clock.take_back(self._scope)
        return bool(self._scope.__exit__(*raised))


def _asyncio_loop() -> Any:
    try:
        import asyncio

        return asyncio.get_running_loop()
    except RuntimeError:
        return None
