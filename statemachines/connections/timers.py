"""What is due when: one heap for the timers of all connections, with cancelled ones left in it until they come up."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from statemachines.table.record import Timer

Due = tuple[float, int, str, Timer | None]
"""Deadline, order of arming, connection id, and the timer; None stands for forgetting the connection."""

_COMPACT_ABOVE = 64


class TimerQueue:
    """Timers by deadline; those due at the same time in the order they were armed.

    Arming and cancelling cost O(log n) and O(1). Cancelled timers are dropped when they come up, or together once they
    are more than half of the heap, so memory follows the number of living ones.
    """

    def __init__(self, lives: Callable[[str, Timer | None], bool]) -> None:
        self._lives = lives
        self._heap: list[Due] = []
        self._armed = 0
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def arm(self, deadline: float, connection_id: str, timer: Timer | None) -> None:
        """Let something be due at ``deadline``."""
        self._armed += 1
        heappush(self._heap, (deadline, self._armed, connection_id, timer))

    def cancelled(self, number: int) -> None:
        """Note that so many timers in the heap live no longer."""
        self._cancelled += number
        if self._cancelled > _COMPACT_ABOVE and self._cancelled * 2 > len(self._heap):
            self._heap = [due for due in self._heap if self._lives(due[2], due[3])]
            heapify(self._heap)
            self._cancelled = 0

    def next_deadline(self) -> float | None:
        """When the next living one is due; None if there is none."""
        heap = self._heap
        while heap and not self._lives(heap[0][2], heap[0][3]):
            heappop(heap)
            self._cancelled = max(0, self._cancelled - 1)
        return heap[0][0] if heap else None

    def pop(self) -> Due:
        """Take the one that is due next. Ask :meth:`next_deadline` first."""
        return heappop(self._heap)
