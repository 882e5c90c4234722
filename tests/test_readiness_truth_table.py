"""Readiness by all, by any and by n of m: the phase follows the guard's truth table, whatever came in which order.

For 1 to 6 dependencies: every order of becoming ready, and from every set of ready ones every loss and every recovery.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations

import pytest

from bus import Event
from statemachines import Definition, parse_definition
from statemachines.connections.connections import Connections

NAMES = ("a", "b", "c", "d", "e", "f")
CASES = [
    (kind, count, count if kind == "all" else wanted)
    for count in range(1, 7)
    for kind, wanted in (("all", count), ("any", 1), *(("several", n) for n in range(1, count + 1)))
]


@cache
def definition(kind: str, count: int, wanted: int) -> Definition:
    names = NAMES[:count]
    guard = {"all": "all_ready", "any": " or ".join(names), "several": f"{' + '.join(names)} >= {wanted}"}[kind]
    dependencies = "\n".join(
        f"  {name}: {{ready_on: {name}.came, lost_on: {name}.went, failed_on: {name}.broke}}" for name in names
    )
    return parse_definition(
        f"name: several\ndependencies:\n{dependencies}\n"
        "states:\n"
        f"  waiting: {{initial: true, transitions: [{{cond: {guard}, target: usable}}]}}\n"
        f"  usable: {{transitions: [{{unless: {guard}, target: waiting}}]}}\n"
    )


class Call:
    """A connection, and by hand the set of what is ready."""

    def __init__(self, connections: Connections, name: str, wanted: int) -> None:
        self.name, self.wanted, self.connections = name, wanted, connections
        self.connections.register(name, at=0.0, now=0.0)
        self.ready: set[str] = set()

    def tell(self, dependency: str, what: str) -> None:
        self.connections.receive(Event(f"{dependency}.{what}", self.name), at=0.0, now=0.0)
        (self.ready.add if what == "came" else self.ready.discard)(dependency)
        state = self.connections.state(self.name)
        assert {name for name, ready in state.ready_conditions.items() if ready} == self.ready
        assert state.phase == ("usable" if len(self.ready) >= self.wanted else "waiting"), (dependency, what)


@pytest.mark.parametrize(("kind", "count", "wanted"), CASES)
def test_every_order_of_becoming_ready_leads_to_the_phase_of_the_truth_table(
    kind: str, count: int, wanted: int
) -> None:
    connections = Connections(definition(kind, count, wanted))
    for number, order in enumerate(permutations(NAMES[:count])):
        call = Call(connections, f"c{number}", wanted)
        for name in order:
            call.tell(name, "came")
        for name in order:  # and all are lost again in that order
            call.tell(name, "went")


@pytest.mark.parametrize(("kind", "count", "wanted"), CASES)
def test_from_every_set_every_loss_and_recovery_leads_to_the_phase_of_the_truth_table(
    kind: str, count: int, wanted: int
) -> None:
    names = NAMES[:count]
    call = Call(Connections(definition(kind, count, wanted)), "c", wanted)
    for subset in range(2**count):
        for number, name in enumerate(names):
            call.tell(name, "came" if subset >> number & 1 else "went")
        for name in names:
            before = name in call.ready
            for what in ("went", "came", "broke", "broke", "went", "came"):
                call.tell(name, what)
            if not before:
                call.tell(name, "went")
