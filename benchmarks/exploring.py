"""Exploring: what a move costs once the steps are known, and what a case costs, beside a plain search over the table.

The plain search does what one would write in an afternoon: records in a dictionary, each event sent to each, and the
case it was first reached from. Both find the same cases of the same chart.
"""

from __future__ import annotations

import tracemalloc
from collections import deque
from collections.abc import Callable
from functools import cache
from time import process_time
from typing import Any

from benchmarks.measuring import Comparison, Report, Scale, Side, measure
from bus import Event
from statemachines import Definition, parse_definition
from statemachines.exploration.search import Bounds, World, search
from statemachines.exploration.worlds import Worlds
from statemachines.table.record import Identity, Record
from statemachines.table.step import CREATED, Steps

STATES = 10


@cache
def regions(number: int) -> Definition:
    """So many regions of ten states side by side: ten to that power of configurations."""
    lines = ["name: grid", "states:", "  all:", "    initial: true", "    parallel: true", "    states:"]
    for region in range(number):
        lines += [f"      r{region}:", "        states:"]
        for state in range(STATES):
            initial = "initial: true, " if state == 0 else ""
            target = f"r{region}s{(state + 1) % STATES}"
            way = f"{{event: r{region}.moved, target: {target}}}"
            lines.append(f"          r{region}s{state}: {{{initial}transitions: [{way}]}}")
    return parse_definition("\n".join(lines))


def reports(scale: Scale) -> list[Report]:
    """Seconds a move, and bytes a case."""
    small, large = scale(3, 2), scale(6, 3)
    move = Comparison(
        "exploring_speed",
        f"one move, {STATES**small:,} configurations, the steps known",
        "seconds",
        Side("phasebus explore", _warm(small)),
        (Side("search over records", lambda: _plain(small)[0]),),
    )
    case = Comparison(
        "exploring_memory",
        f"one of {STATES**large:,} cases (of {STATES**small:,} of the other's)",
        "bytes",
        Side("phasebus explore", lambda: _weigh(lambda: search(_world(large), Bounds(None, None)), STATES**large)),
        (Side("search over records", lambda: _weigh(lambda: _plain(small)[1], STATES**small)),),
    )
    return [measure(move, rounds=scale(5, 1)), measure(case, rounds=scale(1, 1))]


@cache
def _world(number: int) -> World:
    return Worlds([regions(number)]).make(())


def _warm(number: int) -> Callable[[], float]:
    def turn() -> float:
        world = _world(number)
        _warm_up(number)
        began = process_time()
        graph = search(world, Bounds(None, None))
        return (process_time() - began) / graph.transitions

    return turn


@cache
def _warm_up(number: int) -> None:
    search(_world(number), Bounds(None, None))


def _plain(number: int) -> tuple[float, Any]:
    """Seconds a move, and all that was found."""
    steps = Steps(regions(number))
    events = [Event(f"r{region}.moved", "c") for region in range(number)]
    identity = Identity("c", None, None, None, {}, 0.0)
    first = steps.register(identity, 0, Event(CREATED, "c"), at=0, now=0).after
    found: dict[tuple[int, ...], tuple[Record, tuple[int, ...] | None, str]] = {
        first.situation.states: (first, None, "")
    }
    waiting = deque([first])
    moves = 0
    began = process_time()
    while waiting:
        record = waiting.popleft()
        for event in events:
            moves += 1
            after = steps.event(record, event, at=0, now=0).after
            if after.situation.states not in found:
                found[after.situation.states] = (after, record.situation.states, event.type)
                waiting.append(after)
    return (process_time() - began) / moves, found


def _weigh(make: Callable[[], Any], cases: int) -> float:
    tracemalloc.start()
    try:
        found = make()
        used, _ = tracemalloc.get_traced_memory()
        del found
        return used / cases
    finally:
        tracemalloc.stop()
