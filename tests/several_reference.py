"""Several definitions on one bus in the plainest way: real :class:`Connections` of each, driven through everything.

Nothing is packed, merged or left out, and every state is reached by playing all its inputs again from the start.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from attrs import evolve
from hypothesis import strategies as st

from bus import Event
from bus.causality import caused_by
from statemachines import parse_definition
from statemachines.connections.connections import Connections
from statemachines.connections.consequences import News, Publication, consequences, unknown_news
from statemachines.connections.reaction import Reaction
from statemachines.exploration.search import World
from statemachines.language.definition import Definition
from statemachines.table.record import Record, Timer
from statemachines.table.step import Steps, dependency_status

EVENTS = ("x.came", "x.went", "y.came")
ID = "conn_1"
MOST_AT_ONCE = 40
SAME_TIME = 1e-7
"""In seconds: sums of decimals are a little off, and instants are longer than that."""
Input = str | float
"""An event's type, or that so many seconds pass."""
Place = tuple[Any, ...]


class Endless(Exception):
    """What is published comes back without end."""


class OnOneBus:
    """Real connections of each definition; what they publish comes back in the order published."""

    def __init__(self, definitions: Sequence[Definition], steps: Sequence[Steps]) -> None:
        self.all = [Connections(definition, one) for definition, one in zip(definitions, steps, strict=True)]
        self.now = 0.0
        self._last: dict[str, Record] = {}
        told = any(connections.names("connection.unknown") for connections in self.all)
        self._stay = [one.name for one in definitions if not one.starts_on and not told]
        """Those that no event starts: once one has ended, it is no matter when it is forgotten."""
        self._queue: deque[tuple[Event, Connections | None]] = deque()
        for connections in self.all:
            if not connections.definition.starts_on:
                self._follow(connections, connections.register(ID, at=0.0, now=0.0), None)
        self._settle()

    def play(self, inputs: Iterable[Input]) -> OnOneBus:
        for one in inputs:
            if isinstance(one, str):
                self._queue.append((Event(one, ID, {}), None))
                self._settle()
            else:
                self.pass_time(one)
        return self

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        dues = [deadline for connections in self.all for deadline, *_ in _due(connections)]
        until = next((due for due in dues if abs(due - until) < SAME_TIME), until)
        while (due := self.next_due()) is not None and due <= until:
            self.now = due
            self._settle()
        self.now = until

    def next_due(self) -> float | None:
        return min((deadline for connections in self.all for deadline, *_ in _due(connections)), default=None)

    def _settle(self) -> None:
        """Until nothing comes back and nothing is due."""
        for _ in range(MOST_AT_ONCE):
            if self._queue:
                event, but = self._queue.popleft()
                for connections in self.all:
                    if connections is not but and connections.names(event.type):
                        received = evolve(event)
                        reactions = connections.receive(received, at=self.now, now=self.now)
                        self._follow(connections, reactions, received)
                continue
            due = [(*one, n) for n, connections in enumerate(self.all) for one in _due(connections)]
            if not due or min(due)[0] > self.now:
                return
            connections = self.all[min(due)[-1]]
            for reaction in connections.fire_next(at=self.now, now=self.now) or ():
                self._follow(connections, [reaction], None)
        raise Endless

    def _follow(self, connections: Connections, reactions: Iterable[Reaction], received: Event | None) -> None:
        for reaction in reactions:
            if reaction.step is not None and connections.definition.name in self._stay:
                self._last[connections.definition.name] = reaction.step.after
            if reaction.kind in ("unknown", "expired"):
                self._queue.append((unknown_news(reaction.event).event, None))
            for consequence in consequences(reaction, received):
                if isinstance(consequence, Publication):
                    self._queue.append((consequence.build(), None))
                elif isinstance(consequence, News):
                    but = connections if consequence.own_registration else None
                    self._queue.append((caused_by(consequence.event, consequence.cause), but))

    # -- what is seen --

    def place(self, wanted: Sequence[Sequence[str]]) -> Place:
        """Where each connection is, and how its dependencies of these names are; None where there is none."""
        found: list[Any] = []
        for connections, names in zip(self.all, wanted, strict=True):
            record = connections.records.get(ID) or self._last.get(connections.definition.name)
            bits = connections.layout.bits
            status = () if record is None else tuple(dependency_status(record, bits[name]) for name in names)
            found.append(None if record is None else (record.situation.configuration, status))
        return tuple(found)

    def held(self) -> int:
        """How many events wait for the connection that has most of them."""
        return max(len(connections.early) for connections in self.all)

    def key(self) -> Any:
        """All that can matter later. Of times the whole seconds, and the order of the instants beside them."""
        running: list[tuple[float, bool, int, int, Any]] = []
        for number, connections in enumerate(self.all):
            for deadline, early, order, what in _due(connections):
                running.append((deadline - self.now, early, order, number, what))
        offsets = sorted({0.0, *(left - round(left) for left, *_ in running)})
        ranks = {offset: place - offsets.index(0.0) for place, offset in enumerate(offsets)}
        clock = tuple(
            (round(left), ranks[left - round(left)], number, what) for left, _, _, number, what in sorted(running)
        )
        records: list[Any] = []
        for connections in self.all:
            record = connections.records.get(ID)
            if record is None:
                records.append(tuple(held.event.type for held in connections.early.held.values()))
            else:
                deferred = tuple(event.type for event in record.deferred)
                records.append(
                    (record.situation.states, record.ready, record.failed, record.required, record.visits, deferred)
                )
        return tuple(records), clock

    def instant(self) -> float:
        """A time shorter than any that the order of what is due depends on."""
        left = [deadline - self.now for connections in self.all for deadline, *_ in _due(connections)]
        offsets = [0.0, *(one - round(one) for one in left)]
        gaps = [abs(one - other) / 2 for one in offsets for other in offsets if one != other]
        return min([2.0**-10, *gaps])


def _due(connections: Connections) -> Iterator[tuple[float, bool, int, str]]:
    """What is due when: timers before early events, and each in the order it was armed."""
    for entry in connections._timers._heap:
        if entry[1] not in connections._timers._cancelled:
            what = f"timer {entry.spec.number}" if isinstance(entry, Timer) else "forget"
            yield entry[0], False, entry[1], what
    for number, held in connections.early.held.items():
        yield held.arrived + connections.early.keep_s, True, number, "early"


def driven(
    definitions: Sequence[Definition],
    most: int,
    next_events: Callable[[tuple[Input, ...]], Iterable[str]],
    remembers: Callable[[tuple[Input, ...]], Any] = lambda inputs: None,
    most_held: int = 64,
) -> list[OnOneBus] | None:
    """Every state that inputs lead to; None if there are more than ``most``. ``remembers`` is told apart, too."""
    steps = [Steps(definition) for definition in definitions]
    found: dict[Any, OnOneBus] = {}
    waiting: deque[tuple[Input, ...]] = deque([()])
    while waiting:
        inputs = waiting.popleft()
        world = OnOneBus(definitions, steps).play(inputs)
        key = (world.key(), remembers(inputs))
        if key in found or world.held() > most_held:
            continue
        if len(found) >= most:
            return None
        found[key] = world
        waiting.extend((*inputs, event_type) for event_type in next_events(inputs))
        due = world.next_due()
        if due is not None:
            waiting.append((*inputs, due - world.now))
            if due - world.now > 0.5:
                waiting.append((*inputs, due - world.now - world.instant()))
    return list(found.values())


def wanted_of(world: World) -> list[list[str]]:
    """The dependencies of each definition that the cases of a search are told apart by."""
    return [
        [name for name, bit in m.steps.layout.bits.items() if m.relevance.facts.dependencies & bit]
        for m in world.members
    ]


def place_of(world: World, case: int) -> Place:
    """As :meth:`OnOneBus.place`, of a case."""
    found: list[Any] = []
    for member, names in zip(world.members, wanted_of(world), strict=True):
        record, bits = member.cases.record(case), member.steps.layout.bits
        status = tuple(dependency_status(record, bits[name]) for name in names)
        found.append((record.situation.configuration, status) if member.is_there(case) else None)
    return tuple(found)


# -- random pairs --


@st.composite
def pairs(draw: st.DrawFn, *, unknown: bool = False) -> list[Definition]:
    """Two small definitions that hear each other; one at least begins by an event."""
    begins = draw(st.sampled_from([(False, True), (True, False), (True, True)]))
    return [
        parse_definition(json.dumps(_written(draw, name, starts, unknown)))
        for name, starts in zip("ab", begins, strict=True)
    ]


def _written(draw: st.DrawFn, name: str, starts: bool, unknown: bool) -> dict[str, Any]:
    names = [*EVENTS, "a.told", "b.told", *(["connection.unknown"] if unknown else [])]
    events = st.sampled_from(names)
    tells = st.sampled_from(["a.told", "b.told"])
    states: dict[str, Any] = {}
    ids = [f"s_{number}" for number in range(draw(st.integers(1, 3)))]
    targets = st.sampled_from([*ids, "over"])

    def transition(target: str | None = None, event: str | None = None) -> dict[str, Any]:
        made: dict[str, Any] = {"target": target or draw(targets)}
        if event is not None:
            made["event"] = event
        if target is None and draw(st.integers(0, 3)) == 0:
            made["cond"] = draw(st.sampled_from(["d", "not d", "all_ready"]))
        if draw(st.integers(0, 2)) == 0:
            made["on"] = [{"publish": draw(tells)}]
        return made

    for number, state in enumerate(ids):
        first, *others = draw(st.lists(events, min_size=1, max_size=3, unique=True))
        onwards = transition((*ids, "over")[number + 1], first)
        made: dict[str, Any] = {"transitions": [onwards, *(transition(event=one) for one in others)]}
        if number == 0:
            made["initial"] = True
        if draw(st.integers(0, 2)) == 0:
            made["after"] = {f"{draw(st.sampled_from([1, 2, 3]))}s": transition()}
        if draw(st.integers(0, 3)) == 0:
            made["defer"] = [draw(events)]
        if draw(st.integers(0, 3)) == 0:
            made["enter"] = [{"publish": draw(tells)}]
        states[state] = made
    states["over"] = {"final": True, **({"enter": [{"publish": draw(tells)}]} if draw(st.booleans()) else {})}
    written: dict[str, Any] = {
        "name": name,
        "early": f"{draw(st.sampled_from([0, 1, 2]))}s",
        "retain": f"{draw(st.sampled_from([0, 1, 3]))}s",
        "dependencies": {"d": {"ready_on": draw(events), "lost_on": draw(events), "required": draw(st.booleans())}},
        "states": states,
    }
    if starts:
        written["starts_on"] = draw(st.sampled_from([*EVENTS, "a.told", "b.told", "connection.created"]))
    return written
