"""Simulating, from a recording and from traffic, with no line for each event: what a virtual event costs.

A virtual event is one that comes, a timer that fires, or an event that a connection publishes. Beside it, in one run:
the same with everything told, a line for each event; and only the connections, given the same events ready made, which
is what no simulation can do without.
"""

from __future__ import annotations

import json
from functools import cache
from time import process_time

from attrs import evolve

from benchmarks.by_hand import EVENTS
from benchmarks.measuring import Comparison, Limit, Report, Scale, Side, measure
from statemachines import Definition, load_definition
from statemachines.connections.connections import Connections
from statemachines.connections.trace import Entry
from statemachines.language.traffic import Traffic, find_traffic, load_traffic
from statemachines.simulation.calls import CallRunner
from statemachines.simulation.event_lines import EventLine, read_event_lines
from statemachines.simulation.recording import run_events
from statemachines.simulation.simulator import Emit, Simulation
from statemachines.table.step import Steps

DEFINITION = "whatsapp_call"
AT_MOST_S = 1e-5
"""100,000 virtual events a second."""
SUMMARY, TOLD, ALONE = "summary only", "a line for each event", "the connections alone"


def reports(scale: Scale) -> list[Report]:
    """Seconds a virtual event, from each of the two."""
    calls, rounds = scale(2_000, 30), scale(9, 2)
    recorded = Comparison(
        "simulating a recording",
        "one virtual event of calls recorded as JSON lines: read, run, and in the summary",
        "seconds",
        Side(SUMMARY, lambda: _recorded(calls, None)),
        (Side(TOLD, lambda: _recorded(calls, _ignored)), Side(ALONE, lambda: _alone(calls))),
    )
    drawn = Comparison(
        "simulating traffic",
        "one virtual event of calls drawn from busy_hour",
        "seconds",
        Side(SUMMARY, lambda: _drawn(calls, None)),
        (Side(TOLD, lambda: _drawn(calls, _ignored)),),
    )
    return [
        _judged(measure(recorded, rounds), _lines_share(calls)),
        _judged(measure(drawn, rounds), _came_share(calls)),
    ]


def _judged(report: Report, came: float) -> Report:
    limit = Limit("one virtual event", report.cost, AT_MOST_S, "seconds")
    rates = f"{1 / report.cost:,.0f} virtual events a second, of which {came / report.cost:,.0f} came or were timers"
    return evolve(report, limits=(limit,), remarks=(rates,))


def _ignored(entry: Entry) -> None:
    entry.to_dict()


# -- a recording --


@cache
def _definition() -> Definition:
    return load_definition(DEFINITION)


@cache
def _steps() -> Steps:
    return Steps(_definition())


@cache
def _lines(calls: int) -> list[bytes]:
    lines = []
    for call in range(calls):
        for place, (event_type, data) in enumerate((("connection.created", {}), *EVENTS)):
            plain = {"type": event_type, "connection_id": f"conn_{call}", "at": call + place / 100, "data": data}
            lines.append(json.dumps(plain).encode())
    return lines


def _recorded(calls: int, emit: Emit | None) -> float:
    simulation, lines = Simulation(_definition(), emit, steps=_steps()), _lines(calls)
    began = process_time()
    summary = run_events(simulation, lines, "<lines>", lambda problem: None)
    took = process_time() - began
    return took / _virtual(calls, summary.published.total())


def _virtual(calls: int, published: int) -> int:
    return len(_lines(calls)) + published


@cache
def _published(calls: int) -> int:
    return run_events(Simulation(_definition(), steps=_steps()), _lines(calls), "", lambda _: None).published.total()


def _lines_share(calls: int) -> float:
    return len(_lines(calls)) / _virtual(calls, _published(calls))


def _alone(calls: int) -> float:
    events = [read for read in read_event_lines(_lines(calls), "<lines>") if isinstance(read, EventLine)]
    connections = Connections(_definition(), _steps())
    began = process_time()
    for line in events:
        while (deadline := connections.next_deadline()) is not None and deadline <= line.at:
            connections.fire_next(at=deadline, now=deadline)
        connections.receive(line.event, at=line.at, now=line.at)
    return (process_time() - began) / _virtual(calls, _published(calls))


# -- traffic --


@cache
def _traffic() -> Traffic:
    return load_traffic(find_traffic(DEFINITION, "busy_hour"), _definition())


def _runner(emit: Emit | None) -> CallRunner:
    runner = CallRunner(_definition(), _traffic(), 1, "ready")
    for _ in runner.run(20):  # its table is filled before the clock runs
        pass
    runner.simulation.tell(emit)
    return runner


def _drawn(calls: int, emit: Emit | None) -> float:
    runner = _runner(emit)
    before = sum(runner.published.values())
    began = process_time()
    came = sum(call.events + call.timers for call in runner.run(calls))
    took = process_time() - began
    return took / (came + sum(runner.published.values()) - before)


@cache
def _came_share(calls: int) -> float:
    runner = _runner(None)
    before = sum(runner.published.values())
    came = sum(call.events + call.timers for call in runner.run(calls))
    return came / (came + sum(runner.published.values()) - before)
