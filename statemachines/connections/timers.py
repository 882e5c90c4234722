"""What is due when: one heap for the timers of all connections, with cancelled ones left in it until they come up."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from statemachines.table.record import Timer, next_order

Forgetting = tuple[float, int, str, None]
"""When a connection is to be forgotten: shaped like a timer, so that both stand in one queue."""

Due = Timer | Forgetting

_COMPACT_ABOVE = 64


class TimerQueue:
    """Timers by deadline; those due at the same time in the order they were armed.

    Arming and cancelling cost O(log n) and O(1). Cancelled timers are dropped when they come up, or together once they
    are more than half of the heap, so memory follows the number of living ones.
    """

    def __init__(self, lives: Callable[[Due], bool]) -> None:
        self._lives = lives
        self._heap: list[Due] = []
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def arm(self, timer: Timer) -> None:
        """Let a timer be due at its deadline."""
        heappush(self._heap, timer)

    def forget(self, deadline: float, connection_id: str) -> None:
        """Let a connection be forgotten at ``deadline``."""
        heappush(self._heap, (deadline, next_order(), connection_id, None))

    def cancelled(self, number: int) -> None:
        """Note that so many timers in the heap live no longer."""
        self._cancelled += number
        if self._cancelled > _COMPACT_ABOVE and self._cancelled * 2 > len(self._heap):
            self._heap = [due for due in self._heap if self._lives(due)]
            heapify(self._heap)
            self._cancelled = 0

    def earliest(self) -> float | None:
        """When the next one is due, which may be cancelled: a look at the heap and no more."""
        return self._heap[0][0] if self._heap else None

    def next_deadline(self) -> float | None:
        """When the next living one is due; None if there is none."""
        heap = self._heap
        while heap and not self._lives(heap[0]):
            heappop(heap)
            self._cancelled = max(0, self._cancelled - 1)
        return heap[0][0] if heap else None

    def pop(self) -> Due:
        """Take the one that is due next. Ask :meth:`next_deadline` first."""
        return heappop(self._heap)
