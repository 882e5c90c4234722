"""The table of statistics while a run goes on: at the end of the terminal, drawn anew a few times a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from io import StringIO
from time import monotonic
from typing import Self

import anyio
from attrs import evolve
from rich.console import Console
from rich.live import Live
from rich.segment import Segment, Segments

from bus.statistics import BusStatistics
from statemachines.rendering.statistics import StatisticsTable

INTERVAL_S = 0.25
_RATE_OVER = 8
"""So many intervals are what "lately" means."""

Read = Callable[[], tuple[BusStatistics, Mapping[str, int], Mapping[str, int]]]
"""How things stand: the bus, the connections by phase, and what the lifecycle did with events."""


class LiveStatistics:
    """Shows a table on a terminal until the ``with`` block ends; where there is no terminal, once, at the end.

    What else is written to this terminal must come through here, or it tears the table. It is written when the table
    is drawn anew, or else drawing the table would be what takes the time.

    :param now: monotonic seconds
    :ivar above: for what is to stand above the table (``sys.stderr`` is seen to as well)
    """

    def __init__(self, console: Console, now: Callable[[], float] = monotonic) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False)
        self._written = StringIO()
        self.above = Console(file=self._written, force_terminal=console.is_terminal, highlight=False)
        self._now = now
        self._began = now()
        self._read: Read | None = None
        self._table: StatisticsTable | None = None
        self._totals: deque[tuple[float, int]] = deque([(0.0, 0)], maxlen=_RATE_OVER + 1)

    def __enter__(self) -> Self:
        self._live.start()
        # If this process is ended without a word (by `| head`), the terminal must not be left without its cursor.
        self._console.show_cursor(True)
        return self

    def __exit__(self, *_: object) -> None:
        self._draw()
        self._live.stop()
        if not self._console.is_terminal:
            self._console.line()

    def say(self, line: str) -> None:
        """Write a line above the table."""
        self._written.write(f"{line}\n")

    def show(self, read: Read) -> None:
        """Show what ``read`` says, from now on."""
        self._began = self._now()
        self._read = read
        self.refresh()

    def refresh(self) -> None:
        """Show how things stand now."""
        if self._read is not None:
            statistics, phases, counts = self._read()
            elapsed_s = self._now() - self._began
            earlier_s, earlier = self._totals[0]
            rate_hz = (statistics.total_events - earlier) / max(elapsed_s - earlier_s, INTERVAL_S)
            self._totals.append((elapsed_s, statistics.total_events))
            self._table = StatisticsTable(statistics, phases, counts, elapsed_s, rate_hz)
        self._draw()

    def finish(self) -> None:
        """Show how things stand now, and leave it at that."""
        self.refresh()
        self._read = None
        self._table = self._table and evolve(self._table, rate_hz=None)

    async def keep_up_to_date(self) -> None:
        """Refresh again and again, until cancelled."""
        while True:
            await anyio.sleep(INTERVAL_S)
            self.refresh()

    def _draw(self) -> None:
        written = self._written.getvalue()
        self._written.seek(0)
        self._written.truncate()
        with self._console:  # which then writes it all at once
            if written:
                self._console.print(Segments([Segment(written)]), end="", soft_wrap=True)
            self._live.update(self._table or "", refresh=True)
