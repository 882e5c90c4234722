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
from attrs import frozen

from bus import Event, EventBus, event_to_json
from phasebus_commands.arguments import shown
from phasebus_commands.event_input import read_inputs
from phasebus_commands.problems import Problems
from phasebus_commands.terminal import make_console, make_timeline, nothing
from statemachines import ConnectionLifecycle, Definition, Problem, UnknownConnection
from statemachines.lifecycle.sidecar import Sidecar

if TYPE_CHECKING:
    from statemachines.rendering.live import LiveStatistics

_COUNTED = ("processed", "ignored", "early", "expired", "unknown", "foreign", "finished", "unevaluated")
"""What a lifecycle did with events, by the words of its statistics."""


@frozen
class Shown:
    """What is shown beside, or instead of, JSON lines."""

    timeline: bool
    statistics: bool
    payloads: bool


def run_live(definition: Definition, events: str, wanted: Shown, *, paced: bool, linger_s: float) -> int:
    """Run to the end of the events; returns the exit status."""
    problems, lives = Problems(), list[ConnectionLifecycle]()
    table, above = _live_statistics() if wanted.statistics else (None, None)
    timeline = None
    if wanted.timeline:
        console = above.above if above else None
        timeline = make_timeline(False, wanted.payloads, lambda found: _awaited(lives[0], found), console)

    def refuse(problem: Problem) -> None:
        problems.add(problem)
        if table is None:
            click.echo(str(problem), err=True)
        else:
            table.say(str(problem))

    def started(bus: EventBus, lifecycle: ConnectionLifecycle) -> None:
        lives.append(lifecycle)
        if table is not None:
            table.show(lambda: (bus.stats(), lifecycle.phases(), _counts(lifecycle)))

    sidecar = Sidecar(
        definition,
        published=nothing if timeline else _event_writer(above.say if above else click.echo),
        entry=timeline.add if timeline else nothing,
        refused=refuse,
        settled=timeline.flush if timeline else None,
        started=started,
        ending=table.finish if table else lambda: None,
        paced=paced,
        linger_s=linger_s,
    )
    with table or nullcontext():
        finished = anyio.run(_until_signalled, sidecar, events, refuse, table)
        if timeline is not None:
            timeline.close(None)
    if not finished:
        return 130
    return 1 if problems.failed else 0


async def _until_signalled(
    sidecar: Sidecar, events: str, refuse: Callable[[Problem], None], table: LiveStatistics | None
) -> bool:
    """Run to the end of the events; an interrupt ends it in order. Returns whether the end was reached."""
    finished = False

    async def stop_on_signal(scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop_on_signal, tasks.cancel_scope)
        if table is not None:
            tasks.start_soon(table.keep_up_to_date)
        with click.open_file(events, "rb") as file:
            await sidecar.run(read_inputs(file, shown(events), refuse))
        finished = True
        tasks.cancel_scope.cancel()
    return finished


def _live_statistics() -> tuple[LiveStatistics, LiveStatistics | None]:
    """The table for standard error, and it again if standard output is the same terminal: then they must take turns."""
    from statemachines.rendering.live import LiveStatistics

    shared = sys.stderr.isatty() and os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    table = LiveStatistics(make_console(sys.stdout if shared else sys.stderr))
    return table, table if shared else None


def _counts(lifecycle: ConnectionLifecycle) -> dict[str, int]:
    stats = lifecycle.stats()
    return {word: getattr(stats, word) for word in _COUNTED}


def _awaited(lifecycle: ConnectionLifecycle, connection_id: str) -> list[str]:
    try:
        return lifecycle.get_connection_state(connection_id).awaited
    except UnknownConnection:
        return []


def _event_writer(write: Callable[[str], None]) -> Callable[[Event], None]:
    return lambda event: write(event_to_json(event))
