"""What is due when: one heap for the timers of all connections, with cancelled ones left in it until they come up."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from statemachines.table.record import Timer, next_order

Forgetting = tuple[float, int, str, None]
"""When a connection is to be forgotten: shaped like a timer, so that both stand in one queue."""

Due = Timer | Forgetting

_COMPACT_ABOVE = 64
_COMPACT_PART = 4
"""A half would never be passed where each connection cancels one timer and arms the next."""


class TimerQueue:
    """Timers by deadline; those due at the same time in the order they were armed.

    Arming costs O(log n), cancelling a place in a set. Cancelled timers are dropped when they come up, or together once
    they are more than a quarter of the heap: so memory follows the number of living ones, and each is dropped in
    O(log n) over time. Deadlines are on the monotonic clock, so nothing here notices when the wall clock jumps.
    """

    __slots__ = ("_cancelled", "_heap")

    def __init__(self) -> None:
        self._heap: list[Due] = []
        self._cancelled: set[int] = set()
        """The orders of arming of those in the heap that live no longer."""

    def __len__(self) -> int:
        return len(self._heap) - len(self._cancelled)

    def arm(self, timer: Timer) -> None:
        """Let a timer be due at its deadline."""
        heappush(self._heap, timer)

    def forget(self, deadline: float, connection_id: str) -> None:
        """Let a connection be forgotten at ``deadline``."""
        heappush(self._heap, (deadline, next_order(), connection_id, None))

    def cancel(self, timer: Timer) -> None:
        """Let a timer that was armed, and has not come up, never be due."""
        cancelled = self._cancelled
        cancelled.add(timer.order)
        if len(cancelled) > _COMPACT_ABOVE and len(cancelled) * _COMPACT_PART > len(self._heap):
            self._heap = [due for due in self._heap if due[1] not in cancelled]
            heapify(self._heap)
            cancelled.clear()

    def earliest(self) -> float | None:
        """When the next one is due, which may be cancelled: a look at the heap and no more."""
        return self._heap[0][0] if self._heap else None

    def next_deadline(self) -> float | None:
        """When the next living one is due; None if there is none."""
        heap, cancelled = self._heap, self._cancelled
        while cancelled and heap[0][1] in cancelled:
            cancelled.discard(heappop(heap)[1])
        return heap[0][0] if heap else None

    def pop(self) -> Due:
        """Take the one that is due next. Ask :meth:`next_deadline` first."""
        return heappop(self._heap)
