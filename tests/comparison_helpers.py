"""Two definitions driven side by side by simulations of both, with no table of pairs and no packing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from bus import Event
from statemachines.connections.carrying import Carrier
from statemachines.connections.trace import Entry
from statemachines.language.definition import Definition
from statemachines.language.durations import parse_duration
from statemachines.simulation.simulator import Simulation
from statemachines.table.record import Record
from statemachines.table.step import Steps

CONNECTION = "conn_1"
Stimulus = tuple[str, Any]
"""``(event type, payload)``, or ``("wait", seconds)``."""


@frozen
class Stand:
    """A connection at a moment of virtual time."""

    record: Record
    now: float

    @property
    def key(self) -> Any:
        """Equal for connections whose futures are."""
        record = self.record
        return (
            record.situation.states,
            record.situation.history,
            record.ready,
            record.failed,
            repr(record.remembered),
            record.visits,
            tuple((timer.spec.number, round(timer.deadline - self.now, 6)) for timer in record.timers),
        )

    def due_in(self) -> float | None:
        """Seconds until the next timer."""
        return min((timer.deadline - self.now for timer in self.record.timers), default=None)


class Driver:
    """Drives connections of one definition by its simulation."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.steps = Steps(definition)

    def start(self) -> tuple[Stand, list[Any]]:
        """A connection just registered, and what was seen of that."""
        seen: list[Entry] = []
        simulation = Simulation(self.definition, seen.append, steps=self.steps)
        simulation.register(CONNECTION)
        stand = Stand(simulation.connections.records[CONNECTION], 0.0)
        return stand, [*_seen(seen), stand.record.situation.configuration, stand.record.ended]

    def drive(self, stand: Stand, stimulus: Stimulus) -> tuple[Stand, list[Any]]:
        """What something does to a connection, and what is seen of it."""
        seen: list[Entry] = []
        simulation = Simulation(self.definition, seen.append, steps=self.steps)
        simulation.now = stand.now
        simulation.connections.records[CONNECTION] = stand.record
        for timer in stand.record.timers:
            simulation.connections._timers.arm(timer)
        before = stand.record
        last: dict[str, Record] = {CONNECTION: before}
        simulation._watch = lambda step: last.__setitem__(CONNECTION, step.after)
        kind, what = stimulus
        if kind == "wait":
            simulation.advance_to(stand.now + what)
        else:
            simulation.publish(Event(kind, CONNECTION, what))
        after = simulation.connections.records.get(CONNECTION, last[CONNECTION])
        return Stand(after, simulation.now), [*_seen(seen), after.ended]


def _seen(entries: list[Entry]) -> Iterator[Any]:
    for entry in entries:
        if entry.kind in ("call", "invoke"):
            yield (entry.kind, entry.details["name"])
        elif entry.kind == "publish" and entry.details["type"] != "connection.created":
            data = {name: value for name, value in entry.details["data"].items() if name != "event"}
            if "configuration" in data and entry.details["type"] == "connection.phase_changed":
                data["configuration"] = sorted(data["configuration"])
            yield (entry.details["type"], data)


class Both:
    """Two definitions side by side."""

    def __init__(self, old: Definition, new: Definition) -> None:
        self.old, self.new = Driver(old), Driver(new)
        self.carrier = Carrier(self.old.steps.layout, self.new.steps)

    def deploy(self, stand: Stand) -> Stand | None:
        """The connection under the new definition; None if it has no place there."""
        if self.carrier.obstacles(stand.record):
            return None
        return Stand(self.carrier.carry(stand.record), stand.now)

    def apart_by(self, old: Stand, new: Stand, stimuli: list[Stimulus], most: int) -> int | None:
        """How many stimuli it takes until something else is seen; None if no ``most`` of them do that."""
        seen = {(old.key, new.key)}
        waiting = deque([(old, new, 0)])
        while waiting:
            old, new, depth = waiting.popleft()
            if depth >= most:
                continue
            for stimulus in (*stimuli, *times(old, new)):
                (mine, told), (theirs, told_new) = self.old.drive(old, stimulus), self.new.drive(new, stimulus)
                if told != told_new:
                    return depth + 1
                if mine.record.ended or (mine.key, theirs.key) in seen:
                    continue
                seen.add((mine.key, theirs.key))
                waiting.append((mine, theirs, depth + 1))
        return None

    def replay(self, way: list[Stimulus], events: list[Stimulus]) -> tuple[list[Any], list[Any]]:
        """What is seen of the last event under each definition, if the new one comes after ``way``.

        All before it must be the same.
        """
        old, _ = self.old.start()
        for stimulus in way:
            old, _ = self.old.drive(old, stimulus)
        new = self.deploy(old)
        assert new is not None
        told: list[Any] = [old.record.situation.configuration]
        told_new: list[Any] = [new.record.situation.configuration]
        for stimulus in events:
            assert told == told_new, "they are apart before the last event"
            (old, told), (new, told_new) = self.old.drive(old, stimulus), self.new.drive(new, stimulus)
        return told, told_new


def times(*stands: Stand) -> Iterator[Stimulus]:
    """To wait until the next timer, and until just before."""
    due = [found for stand in stands if (found := stand.due_in()) is not None]
    if due:
        yield ("wait", max(0.0, min(due)))
        if min(due) > 0.01:
            yield ("wait", min(due) - 0.001)


def stimuli_of(steps: list[Any]) -> list[Stimulus]:
    """Steps of a way as stimuli."""
    found: list[Stimulus] = []
    for step in steps:
        if isinstance(step, str):
            found.append((step, {}))
        elif "wait" in step:
            found.append(("wait", parse_duration(step["wait"])))
        else:
            found.append((step["publish"], step.get("data", {})))
    return found


def lives(driver: Driver, stimuli: list[Stimulus], depth: int, most: int) -> list[Stand]:
    """The connections that some stimuli lead to."""
    first, _ = driver.start()
    seen = {} if first.record.ended else {first.key: first}
    waiting = deque((stand, 0) for stand in seen.values())
    while waiting and len(seen) < most:
        stand, far = waiting.popleft()
        if far >= depth:
            continue
        for stimulus in (*stimuli, *times(stand)):
            after, _ = driver.drive(stand, stimulus)
            if not after.record.ended and after.key not in seen:
                seen[after.key] = after
                waiting.append((after, far + 1))
    return list(seen.values())
