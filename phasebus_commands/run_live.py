"""A live run between standard input, or a file, and a terminal or a pipe; imported when ``phasebus run`` has one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import anyio
import click

from bus import Event, EventBus, event_to_json
from phasebus_commands.arguments import input_name
from phasebus_commands.event_input import read_inputs
from phasebus_commands.problems import Problems
from phasebus_commands.terminal import make_console, make_timeline, nothing
from statemachines import ConnectionLifecycle, Definition, Problem, UnknownConnection
from statemachines.lifecycle.sidecar import Sidecar

if TYPE_CHECKING:
    from statemachines.rendering.live import LiveStatistics

_COUNTED = ("processed", "ignored", "early", "expired", "unknown", "foreign", "finished", "unevaluated")
"""What a lifecycle did with events, by the words of its statistics."""


class LiveRun:
    """One run of a definition: what it shows, where it tells of problems, and how it ends."""

    def __init__(self, *, timeline: bool, statistics: bool, payloads: bool) -> None:
        self._problems = Problems()
        self._lifecycle: ConnectionLifecycle | None = None
        self._table: LiveStatistics | None = None
        self._above: LiveStatistics | None = None
        if statistics:
            self._table, self._above = _live_statistics()
        self._timeline = None
        if timeline:
            console = self._above.above if self._above else None
            self._timeline = make_timeline(False, payloads, self._awaited, console)

    def run(self, definition: Definition, events: str, *, paced: bool, linger_s: float) -> int:
        """Run to the end of the events; returns the exit status."""
        sidecar = self._sidecar(definition, paced, linger_s)
        with self._table or nullcontext():
            finished = anyio.run(self._until_signalled, sidecar, events)
            if self._timeline is not None:
                self._timeline.close(None)
        if not finished:
            return 130
        return 1 if self._problems.failed else 0

    def _sidecar(self, definition: Definition, paced: bool, linger_s: float) -> Sidecar:
        table, timeline = self._table, self._timeline
        return Sidecar(
            definition,
            published=nothing if timeline else _event_writer(self._above.say if self._above else click.echo),
            entry=timeline.add if timeline else nothing,
            refused=self._refuse,
            settled=timeline.flush if timeline else None,
            started=self._started,
            ending=table.finish if table else lambda: None,
            paced=paced,
            linger_s=linger_s,
        )

    async def _until_signalled(self, sidecar: Sidecar, events: str) -> bool:
        """Run to the end of the events; an interrupt ends it in order. Returns whether the end was reached."""
        finished = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on_signal, tasks.cancel_scope)
            if self._table is not None:
                tasks.start_soon(self._table.keep_up_to_date)
            with click.open_file(events, "rb") as file:
                await sidecar.run(read_inputs(file, input_name(events), self._refuse))
            finished = True
            tasks.cancel_scope.cancel()
        return finished

    def _started(self, bus: EventBus, lifecycle: ConnectionLifecycle) -> None:
        self._lifecycle = lifecycle
        if self._table is not None:
            self._table.show(lambda: (bus.stats(), lifecycle.phases(), _counts(lifecycle)))

    def _refuse(self, problem: Problem) -> None:
        self._problems.add(problem)
        if self._table is None:
            click.echo(str(problem), err=True)
        else:
            self._table.say(str(problem))

    def _awaited(self, connection_id: str) -> list[str]:
        assert self._lifecycle is not None
        try:
            return self._lifecycle.get_connection_state(connection_id).awaited
        except UnknownConnection:
            return []


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


def _live_statistics() -> tuple[LiveStatistics, LiveStatistics | None]:
    """The table for standard error, and it again if standard output is the same terminal: then they must take turns."""
    from statemachines.rendering.live import LiveStatistics

    shared = sys.stderr.isatty() and os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    table = LiveStatistics(make_console(sys.stdout if shared else sys.stderr))
    return table, table if shared else None


def _counts(lifecycle: ConnectionLifecycle) -> dict[str, int]:
    stats = lifecycle.stats()
    return {word: getattr(stats, word) for word in _COUNTED}


def _event_writer(write: Callable[[str], None]) -> Callable[[Event], None]:
    return lambda event: write(event_to_json(event))
