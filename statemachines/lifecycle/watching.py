"""Those who watch connections: tasks that wait for a phase, and iterators over every change."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Self

import anyio

from bus.errors import QueueFull
from statemachines.connections.state import ConnectionState
from statemachines.errors import ConnectionEnded, LifecycleClosed
from statemachines.table.record import Record

MAX_CHANGES = 10_000
"""So many changes a watcher may fall behind before its iterator ends with an error: none is dropped unsaid."""


class PhaseWaiter:
    """One task waiting until a connection is in a phase; see ``ConnectionLifecycle.wait_until``."""

    __slots__ = ("_done", "error", "phase", "state")

    def __init__(self, phase: str) -> None:
        self.phase = phase
        self.state: ConnectionState | None = None
        self.error: Exception | None = None
        self._done = anyio.Event()

    @property
    def done(self) -> bool:
        """Whether the wait is over."""
        return self._done.is_set()

    def see(self, record: Record, state: Callable[[], ConnectionState]) -> bool:
        """Look at a connection after a step. Returns whether the wait is over."""
        if self.phase in record.situation.configuration:
            self.state = state()
        elif record.ended:
            self.error = ConnectionEnded(
                f"{record.connection_id} ended in {record.situation.phase or 'no phase'} without reaching {self.phase}"
            )
        else:
            return False
        self._done.set()
        return True

    def close(self) -> None:
        """The lifecycle is closed: nothing will come any more."""
        if not self._done.is_set():
            self.error = LifecycleClosed(f"the lifecycle was closed while waiting for {self.phase}")
            self._done.set()

    async def wait(self) -> ConnectionState:
        """The state in which the phase was reached."""
        await self._done.wait()
        if self.error is not None:
            raise self.error
        assert self.state is not None
        return self.state


class Changes:
    """What ``ConnectionLifecycle.changes`` returns: present states first, then each change as it happens.

    Ends when the lifecycle is closed; one that watches a single connection also ends with it. One task at a time may
    wait for the next change.

    :raises QueueFull: the reader fell 10,000 changes behind
    """

    __slots__ = ("_inbox", "_leave")

    def __init__(self, present: Iterable[ConnectionState], leave: Callable[[ChangeInbox], None]) -> None:
        self._inbox = ChangeInbox(present)
        self._leave = leave

    @property
    def inbox(self) -> ChangeInbox:
        """The lifecycle's end of it."""
        return self._inbox

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ConnectionState:
        return await self._inbox.next()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Watch no longer. Idempotent."""
        self._inbox.states.clear()
        self._close()

    def _close(self) -> None:
        self._inbox.close()
        self._leave(self._inbox)

    # The lifecycle holds only the inbox, so letting go of the iterator comes here at once.
    __del__ = _close


class ChangeInbox:
    """The changes that a watcher has not read yet."""

    __slots__ = ("closed", "overrun", "states", "wake")

    def __init__(self, present: Iterable[ConnectionState]) -> None:
        self.states: deque[ConnectionState] = deque(present)
        self.wake: anyio.Event | None = None
        self.closed = False
        self.overrun = False

    def put(self, state: ConnectionState) -> None:
        """Tell of a change."""
        if self.closed:
            return
        if len(self.states) >= MAX_CHANGES:
            self.overrun = True
            self.close()
            return
        self.states.append(state)
        self._ring()

    def close(self) -> None:
        """Nothing will come any more; what is there may still be read."""
        self.closed = True
        self._ring()

    async def next(self) -> ConnectionState:
        """The next change."""
        while not self.states:
            if self.overrun:
                raise QueueFull(f"this reader fell more than {MAX_CHANGES} changes behind")
            if self.closed:
                raise StopAsyncIteration
            self.wake = wake = anyio.Event()
            await wake.wait()
        return self.states.popleft()

    def _ring(self) -> None:
        if self.wake is not None:
            self.wake.set()
            self.wake = None


class Watchers:
    """All who watch the connections of one lifecycle, by connection; those who watch all have the key None."""

    def __init__(self) -> None:
        self.waiters: dict[str, list[PhaseWaiter]] = {}
        self.changes: dict[str | None, list[ChangeInbox]] = {}

    def any_for(self, connection_id: str) -> bool:
        """Whether anybody watches this connection."""
        return connection_id in self.waiters or connection_id in self.changes or None in self.changes

    def add_waiter(self, connection_id: str, waiter: PhaseWaiter) -> None:
        """Let a task be told of a connection's steps."""
        self.waiters.setdefault(connection_id, []).append(waiter)

    def remove_waiter(self, connection_id: str, waiter: PhaseWaiter) -> None:
        """Tell it no longer; one that is not there is no error."""
        _discard(self.waiters, connection_id, waiter)

    def add_changes(self, connection_id: str | None, changes: ChangeInbox) -> None:
        """Let an iterator be told of a connection's changes; None for those of all."""
        self.changes.setdefault(connection_id, []).append(changes)

    def remove_changes(self, connection_id: str | None, changes: ChangeInbox) -> None:
        """Tell it no longer; one that is not there is no error."""
        _discard(self.changes, connection_id, changes)

    def tell(self, record: Record, state: Callable[[], ConnectionState], *, changed: bool) -> None:
        """A step was made; ``changed`` says whether phase, configuration or dependencies did."""
        connection_id = record.connection_id
        for waiter in list(self.waiters.get(connection_id, ())):
            if waiter.see(record, state):
                self.remove_waiter(connection_id, waiter)
        if changed:
            for changes in (*self.changes.get(connection_id, ()), *self.changes.get(None, ())):
                changes.put(state())
        if record.ended:
            for changes in list(self.changes.get(connection_id, ())):
                changes.close()
                self.remove_changes(connection_id, changes)

    def close(self) -> None:
        """Tell everybody that nothing will come any more."""
        for waiters in self.waiters.values():
            for waiter in waiters:
                waiter.close()
        for inboxes in self.changes.values():
            for changes in inboxes:
                changes.close()
        self.waiters.clear()
        self.changes.clear()


def _discard(
    index: dict[str, list[PhaseWaiter]] | dict[str | None, list[ChangeInbox]], key: str | None, item: object
) -> None:
    items = index.get(key)  # type: ignore[arg-type]  # a key of either index
    if items is not None and item in items:
        items.remove(item)  # type: ignore[arg-type]
        if not items:
            del index[key]  # type: ignore[arg-type]
