"""The table does what python-statemachine does: random definitions, random events, step by step, on both.

The reference (``tests/statechart_reference.py``) shares nothing with the table: it is a living machine of the library,
built straight from the definition; its facts are dictionaries, its guards are evaluated by Python. After every step
the whole is compared: configuration, history, effects with their payloads and order, facts, visits, timers with their
deadlines and order, what is invoked, what is deferred, and whether it has ended.

``make soak`` looks at 20,000 charts, ``make test`` at some hundreds; in both each lives through 200 events.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from attrs import evolve, fields
from hypothesis import HealthCheck, given, settings

from bus import Event
from statemachines import StepNeverSettles, parse_definition
from statemachines.connections.connections import Connections
from statemachines.connections.reaction import Reaction
from statemachines.language.definition import Definition
from statemachines.table import chart
from statemachines.table.layout import Layout
from statemachines.table.step import dependency_status
from tests import plain_charts, statechart_reference
from tests.statechart_reference import CUT, Reference, Seen
from tests.statechart_strategies import EVENTS, Happening, definitions, happenings, registrations

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
PARTS = [f"{half}-{number}" for half in ("first", "second") for number in range(20 if SOAK else 1)]
CHARTS = 500 if SOAK else 100
LENGTH = 200

Registration = tuple[tuple[str, ...], dict[str, float], dict[str, Any]]


class Pair:
    """The same definition on both sides; connections live on them one after the other."""

    def __init__(self, definition: Definition, registration: Registration) -> None:
        self.registration = registration
        self.ours = Connections(definition)
        self.reference = Reference(definition, EVENTS)
        self.seen: Counter[str] = Counter()
        self._running: list[tuple[str, str]] = []
        self._names = (f"c{number}" for number in count())
        self._register()

    def happen(self, what: Happening) -> None:
        """Let something happen on both sides, and compare every step that came of it."""
        if self.refused:
            return
        kind, value, number = what
        reference, now = self.reference, self.reference.now
        if kind == "event":
            event = Event(value, self.name, {"n": number, "deep": {"n": number}} if number else None)
            self._compare(self.ours.receive(event, at=now, now=now), reference.receive(event))
        elif kind == "mark":
            self._compare(self.ours.mark(self.name, value, at=now, now=now), reference.mark(value))
        elif kind == "terminate":
            self._compare(self.ours.terminate(self.name, "enough", at=now, now=now), reference.terminate())
        elif (timer := reference.next_timer()) is None or kind == "wait":
            reference.now = now + value if timer is None else min(now + value, timer.deadline)
        else:
            assert self.ours.next_deadline() == timer.deadline
            fired = self.ours.fire_next(at=timer.deadline, now=timer.deadline)
            assert fired is not None
            self._compare(fired, reference.fire())
        if self.reference._ended():
            self._register()

    def _register(self) -> None:
        self.name = next(self._names)
        self._running = []
        required, timeouts, metadata = self.registration
        (reaction,) = self.ours.register(
            self.name, dependencies=required, timeouts=timeouts, metadata=metadata, at=0.0, now=0.0
        )
        expected = self.reference.register(required, timeouts, metadata)
        self._compare([reaction], [expected])
        self.refused = expected == CUT or self.reference._ended()

    def _compare(self, reactions: list[Reaction], expected: list[Any]) -> None:
        made = [self._as_seen(reaction) for reaction in reactions if reaction.kind != "finished"]
        visited = [self.ours.layout.ids[state] for state in self.ours.layout.visited]  # the table counts no others
        wanted = [
            seen if seen == CUT else evolve(seen, visits={name: seen.visits[name] for name in visited})
            for seen in expected
        ]
        assert made == wanted, _differences(made, wanted)
        self.seen.update(kind for step in made for kind in _kinds(step))

    def _as_seen(self, reaction: Reaction) -> Any:
        step = reaction.step
        if step is None:
            assert isinstance(reaction.error, StepNeverSettles)
            return CUT
        layout, after = self.ours.layout, step.after
        for state in step.outcome.cancels:
            self._running = [one for one in self._running if one[0] != layout.ids[state]]
        self._running += [(layout.ids[spec.state], spec.invoke.call) for spec in step.outcome.invokes]
        return Seen(
            event=step.event.type,
            handled=step.outcome.handled,
            configuration=after.situation.configuration,
            history={
                history.id: tuple(layout.ids[state] for state in held)
                for (_, history), held in zip(layout.histories, after.situation.history, strict=True)
                if held is not None
            },
            effects=tuple(step.effects()),
            status={name: dependency_status(after, bit) for name, bit in layout.bits.items()},
            kept=dict(zip(layout.remembered, after.remembered, strict=True)),
            visits={layout.ids[state]: n for state, n in zip(layout.visited, after.visits, strict=True)},
            timers=tuple((layout.ids[t.spec.state], t.spec.after.written, t.deadline) for t in after.timers),
            invoked=tuple(self._running),
            deferred=tuple(event.type for event in after.deferred),
            ended=after.ended,
        )


def _differences(made: list[Any], expected: list[Any]) -> str:
    """What is not alike, ours first; a failing chart is large enough."""
    told = [f"{len(made)} steps and {len(expected)}"] if len(made) != len(expected) else []
    for ours, theirs in zip(made, expected, strict=False):
        if CUT in (ours, theirs):
            told += [] if ours == theirs else [f"{ours} and {theirs}"]
            continue
        for part in fields(Seen):
            one, other = getattr(ours, part.name), getattr(theirs, part.name)
            told += [] if one == other else [f"{ours.event}: {part.name}: {one} and {other}"]
    return "\n".join(told)


def _kinds(step: Any) -> Iterator[str]:
    """What a step shows of the language, for the count of what the random charts reach."""
    if step == CUT:
        yield "cut"
        return
    yield step.event if step.event in ("timer.fired", "dependency.marked", "termination.requested") else "event"
    wanted = {
        "handled": step.handled,
        "unhandled": not step.handled,
        "history": bool(step.history),
        "published": any(data is not None for _, data in step.effects),
        "several effects": len(step.effects) > 3,
        "timers": len(step.timers) > 1,
        "invoked": bool(step.invoked),
        "deferred": bool(step.deferred),
        "ended": step.ended,
    }
    yield from (kind for kind, shown in wanted.items() if shown)


def run(definition: Definition, registration: Registration, happened: list[Happening]) -> Counter[str]:
    """Let the same things happen on both sides; what was seen of the language."""
    pair = Pair(definition, registration)
    for what in happened:
        pair.happen(what)
    return pair.seen


REACHED = {
    "event", "timer.fired", "dependency.marked", "termination.requested", "cut", "handled", "unhandled", "history",
    "published", "several effects", "timers", "invoked", "deferred", "ended",
}  # fmt: skip
"""What the charts must reach: had they never seen one of these, nothing of it would have been compared."""


@pytest.fixture(autouse=True)
def circles_are_cut_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly half of the time went into driving what goes in circles through a thousand transitions."""
    monkeypatch.setattr(chart, "MAX_MICROSTEPS", 200)
    monkeypatch.setattr(statechart_reference, "MOST_TRANSITIONS", 200)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # a failing chart is shown whole
@pytest.mark.parametrize("part", PARTS)
def test_the_table_agrees_with_python_statemachine(part: str) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=CHARTS, deadline=None, suppress_health_check=list(HealthCheck))
    @given(definitions(), registrations(), happenings(LENGTH))
    def agree(definition: Definition, registration: Registration, happened: list[Happening]) -> None:
        seen.update(run(definition, registration, happened))

    agree()
    assert {kind for kind in REACHED if not seen[kind]} == set()


PATIENT = plain_charts.RICH.replace("\ndependencies:", "\ntimeouts: {patience: 3s}\ndependencies:").replace(
    "much: {after: {5s: little}", "much: {after: {patience: little}"
)
"""The rich chart with a time-out that a registration may override."""


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(registrations(), happenings(100))
def test_regions_histories_and_their_ends_go_as_in_python_statemachine(
    registration: Registration, happened: list[Happening]
) -> None:
    run(evolve(parse_definition(PATIENT), retain=0.0), registration, happened)


def test_visits_that_only_a_property_asks_for_are_counted() -> None:
    text = """
        name: lamp
        states:
          off: {initial: true, transitions: [{event: switch.pressed, target: lit}]}
          lit: {transitions: [{event: switch.pressed, target: off}]}
        properties: {once: {never: visits.lit > 1}, leads: {leads_to: [visits.off > 3, In('lit')]}}
        """
    layout = Layout(parse_definition(text))
    assert [layout.ids[state] for state in layout.visited] == ["off", "lit"]
