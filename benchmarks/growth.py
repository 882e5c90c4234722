"""How a warm step grows: with connections, states, regions and guards. The ratios are to the smallest of each."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from benchmarks.measuring import Comparison, Report, Scale, Side, measure
from bus import Event
from statemachines import Definition, parse_definition
from statemachines.connections.connections import Connections

CONNECTIONS = (1, 1_000, 100_000, 1_000_000)
STATES = (5, 50, 500)
REGIONS = (1, 8, 64)
GUARDS = (0, 1, 10, 50)


def reports(scale: Scale) -> list[Report]:
    """One report for each of the four."""
    events = scale(2_000, 20)
    rounds = scale(9, 2)

    def report(name: str, sizes: tuple[int, ...], make: Callable[[int], Callable[[], float]]) -> Report:
        sides = [Side(f"{size:,} {name}", make(size)) for size in sizes]
        meaning = "one warm step of one of the connections; the others cost so many times as much"
        return measure(Comparison(f"growth: {name}", meaning, "seconds", sides[0], tuple(sides[1:])), rounds)

    return [
        report(
            "connections",
            CONNECTIONS if not scale.quick else CONNECTIONS[:2],
            lambda size: _steps(ring(2), events, size),
        ),
        report("states", STATES if not scale.quick else STATES[:2], lambda size: _steps(ring(size), events)),
        report(
            "regions",
            REGIONS if not scale.quick else REGIONS[:2],
            lambda size: _steps(regions(size) if size > 1 else ring(2), events),
        ),
        report("guards", GUARDS, lambda size: _steps(guarded(size), events)),
    ]


def ring(states: int) -> Definition:
    """States one after the other, and from the last to the first."""
    lines = ["name: ring", "states:"]
    for number in range(states):
        first = "initial: true, " if number == 0 else ""
        target = f"s{(number + 1) % states}"
        lines.append(f"  s{number}: {{{first}transitions: [{{event: it.went_on, target: {target}}}]}}")
    return parse_definition("\n".join(lines))


def regions(number: int) -> Definition:
    """Regions side by side, one of which goes to and fro."""
    lines = ["name: regions", "states:", "  all:", "    initial: true", "    parallel: true", "    states:"]
    for region in range(number):
        event = "it.went_on" if region == 0 else f"it.went_{region}"
        lines += [
            f"      r{region}:",
            "        states:",
            f"          a{region}: {{initial: true, transitions: [{{event: {event}, target: b{region}}}]}}",
            f"          b{region}: {{transitions: [{{event: {event}, target: a{region}}}]}}",
        ]
    return parse_definition("\n".join(lines))


def guarded(number: int) -> Definition:
    """Two states, with so many closed guards to ask before the open way."""
    lines = ["name: guarded", "states:"]
    for state, target, first in (("a", "b", "initial: true"), ("b", "a", "initial: false")):
        lines += [f"  {state}:", f"    {first}", "    transitions:"]
        lines += [
            f"      - {{event: it.went_on, cond: data.n == {guard}, target: {target}}}" for guard in range(number)
        ]
        lines += [f"      - {{event: it.went_on, target: {target}}}"]
    return parse_definition("\n".join(lines))


def _steps(definition: Definition, events: int, others: int = 1) -> Callable[[], float]:
    """Steps of connections taken from all over, each in the table already."""
    made: list[tuple[Connections, list[Event]]] = []

    def turn() -> float:
        if not made:  # not before its turn: a million take a while
            made.append(_made(definition, events, others))
        connections, sent = made[0]
        began = perf_counter()
        for event in sent:
            connections.receive(event, at=0.0, now=0.0)
        return (perf_counter() - began) / len(sent)

    return turn


def _made(definition: Definition, events: int, number: int) -> tuple[Connections, list[Event]]:
    connections = Connections(definition)
    for index in range(number):
        connections.register(f"c{index}", at=0.0, now=0.0)
    stride = max(1, number // events)
    sent = [Event("it.went_on", f"c{(index * stride) % number}", {"n": -1}) for index in range(events)]
    round_trip = Event("it.went_on", "c0", {"n": -1})
    for _ in range(len(connections.layout.states)):
        connections.receive(round_trip, at=0.0, now=0.0)
    return connections, sent
