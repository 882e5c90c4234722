"""A cold case, which the table has not seen, so that python-statemachine is asked: beside its own ``send``.

The difference is what it costs to put the chart into the connection's configuration, to note what happens and to keep
it as a case. Guards are compiled once, and are so here. A definition has few cases, so a process pays for some dozens.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from benchmarks.measuring import Comparison, Report, Scale, Side, measure
from benchmarks.table_step import PlainModel, Walk, answer, plain_machines, start, token, tree, whatsapp_call


def reports(scale: Scale) -> list[Report]:
    """Seconds a cold case, for two definitions."""
    found = []
    for walk in (whatsapp_call(), tree()):
        ours = Side("Steps.event, cold", _cold(walk, scale(400, 10)))
        peers = (Side("python-statemachine send", _sends(walk, scale(400, 10))),)
        comparison = Comparison(f"cold: {walk.name}", "one step not seen before", "seconds", ours, peers)
        found.append(measure(comparison, scale(9, 2)))
    return found


def _cold(walk: Walk, number: int) -> Callable[[], float]:
    steps, record = start(walk)
    for event, _ in (*walk.way_there, *walk.circle):
        record = steps.event(record, event, at=0.0, now=0.0).after
    rounds = max(1, number // len(walk.circle))

    def turn() -> float:
        nonlocal record
        took = 0.0
        for _ in range(rounds):
            for event, _answers in walk.circle:
                steps.table.clear()
                began = perf_counter()
                record = steps.event(record, event, at=0.0, now=0.0).after
                took += perf_counter() - began
        return took / (rounds * len(walk.circle))

    return turn


def _sends(walk: Walk, number: int) -> Callable[[], float]:
    machine, model = plain_machines(walk.definition)()
    _send_all(machine.send, model, walk)
    rounds = max(1, number // len(walk.circle))

    def turn() -> float:
        took = 0.0
        for _ in range(rounds):
            for event, answers in walk.circle:
                answer(model, answers)
                began = perf_counter()
                machine.send(token(event.type))
                took += perf_counter() - began
        return took / (rounds * len(walk.circle))

    return turn


def _send_all(send: Callable[[str], object], model: PlainModel, walk: Walk) -> None:
    for event, answers in walk.way_there:
        answer(model, answers)
        send(token(event.type))
