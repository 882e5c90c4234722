"""From a recording of an incident to the smallest scenario that still shows it.

What is left out is tried, not thought out: a candidate is played through the simulator, and counts if the expression
comes true in it for some connection. First connections are left out, then events, then fields of payloads, each by
delta debugging; then the times between inputs are made zero, short or at least round. That is repeated until nothing
changes, as with less to wait for an event may become needless. At last ids and values that need not be what they are
get neutral ones.

The result is 1-minimal: with any one connection, event or field less, or any one wait that is left out, the expression
does not come true. It is not the smallest there is, which nobody can find in time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from attrs import define, evolve, field, frozen

from bus.errors import PhasebusError
from statemachines.connections.consequences import PHASE_CHANGED
from statemachines.connections.trace import Entry
from statemachines.language.definition import Definition
from statemachines.simulation.event_lines import EventLine
from statemachines.simulation.incident import NAMELESS, Incident, recorded_incident
from statemachines.simulation.minimizing import minimal
from statemachines.simulation.scenario import Expect, Register, Registration, Scenario, ScenarioStep
from statemachines.simulation.scenario_writing import scenario_text, seconds_text, seconds_until
from statemachines.simulation.simulator import Simulation, run_scenario, take_step
from statemachines.simulation.until import CameTrue, Until, Watcher
from statemachines.table.step import CREATED, Step

ROUND = (
    0.001,
    0.01,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    3.0,
    5.0,
    10.0,
    15.0,
    20.0,
    30.0,
    45.0,
    60.0,
    120.0,
    300.0,
    600.0,
    3600.0,
)
"""The waits that are tried, in seconds, beside the definition's own durations; the shortest that does is taken."""

Progress = Callable[[str], None]
Part = TypeVar("Part")


class NeverTrue(PhasebusError):
    """The expression did not come true anywhere in the recording; says how near it came."""


@frozen
class Reduced:
    """What became of a recording.

    :ivar at: when the expression comes true in it, in seconds from the start
    :ivar minimal: nothing more can be left out; False if an interrupt or the time ended the search
    """

    definition: str
    until: str
    connection: str
    at: float
    incident: Incident
    whole: Incident
    replays: int
    minimal: bool
    scenario: Scenario

    def to_dict(self) -> dict[str, object]:
        """As one JSON object, without the scenario."""
        return {
            "kind": "reduced",
            "definition": self.definition,
            "until": self.until,
            "connection": self.connection,
            "at": self.at,
            "connections": {"recorded": len(self.whole.connections), "left": len(self.incident.connections)},
            "inputs": {"recorded": len(self.whole.inputs), "left": len(self.incident.inputs)},
            "fields": {"recorded": len(self.whole.fields()), "left": len(self.incident.fields())},
            "replays": self.replays,
            "minimal": self.minimal,
        }

    def __str__(self) -> str:
        """One line for people."""
        inputs = f"{len(self.incident.inputs):,} of {_count(self.whole.inputs, 'input')}"
        connections = f"{len(self.incident.connections):,} of {_count(self.whole.connections, 'connection')}"
        more = "" if self.minimal else ", not yet the smallest"
        return f"{inputs} and {connections} are left after {self.replays:,} replays{more}"

    def text(self, called: str) -> str:
        """The scenario's file; ``called`` is what it calls the definition."""
        came = f"It comes true at {seconds_text(self.at)} for {self.connection}: {self.until}"
        more = () if self.minimal else ("Not yet the smallest: the search was ended before it was through.",)
        return scenario_text(evolve(self.scenario, definition=called), [came, *more])


def reduce_recording(
    definition: Definition,
    events: Sequence[EventLine],
    until: Until,
    progress: Progress = lambda how_far: None,
    seconds: float | None = None,
) -> Reduced:
    """The smallest scenario in which an expression comes true as it does in a recording.

    An interrupt ends the search, and so does the time, if it may take only so many seconds; what is smallest by then is
    returned.

    :raises NeverTrue: it does not in the recording
    """
    whole = recorded_incident(Simulation(definition, steps=until.steps).connections, events)
    search = _Search(definition, until, progress, whole)
    search.begin()
    finished = True
    search.deadline = None if seconds is None else time.monotonic() + seconds
    try:
        search.reduce()
    except (KeyboardInterrupt, _OutOfTime):
        finished = False
    return Reduced(
        definition.name,
        until.text,
        search.connection,
        search.best.end,
        search.best,
        whole,
        search.replays,
        finished,
        _scenario(until, search.best, search.connection),
    )


class _OutOfTime(Exception):
    """The search has taken as long as it may."""


@frozen
class _Hit:
    """Where an expression came true: for whom, when, and after how many inputs."""

    connection: str
    at: float
    inputs: int


@define(eq=False)
class _Search:
    """Makes the best candidate so far smaller and smaller."""

    definition: Definition
    until: Until
    progress: Progress
    best: Incident
    replays: int = 0
    connection: str = ""
    deadline: float | None = None
    _what: str = "recording"
    _durations: list[float] = field(factory=list)

    # -- the phases --

    def begin(self) -> None:
        """Play the whole recording, and leave out all that comes after."""
        hit = self._replay(self.best)
        if hit is None:
            raise NeverTrue(_how_near(self.until, self.best))
        self._keep(self.best, hit)
        self._durations = sorted({*ROUND, *_own_durations(self.definition)})

    def reduce(self) -> None:
        """All phases, until none makes it smaller."""
        self._guess()
        before = None
        while before != self.best:
            before = self.best
            self._part("connections", self.best.connections, self.best.of)
            self._part("events", [one.number for one in self.best.inputs], self.best.only)
            self._part("fields", self.best.fields(), self.best.with_fields)
            self._wait_less()
            self._rename()

    def _part(self, what: str, parts: Sequence[Part], with_only: Callable[[list[Part]], Incident]) -> None:
        """Leave out as many of some parts as there can be left out."""
        self._what = what
        minimal(parts, lambda some: self._try(with_only(some)))

    def _guess(self) -> None:
        """Most often the other connections have nothing to do with it, nor have the events that changed nothing."""
        self._what = "connections"
        nameless = [owner for owner in self.best.connections if owner.startswith(NAMELESS)]
        _ = self._try(self.best.of([self.connection])) or self._try(self.best.of([self.connection, *nameless]))
        self._what = "events"
        self._try(self.best.only(self._effective()))

    def _wait_less(self) -> None:
        whole, gaps = self.best, self.best.gaps
        waits = [number for number, gap in enumerate(gaps) if gap]
        self._part("waits", waits, lambda some: whole.with_gaps(_only(gaps, some)))
        for number in waits:
            self._shorten(number)

    def _shorten(self, number: int) -> None:
        """Make one wait the shortest of those that are tried; if none is short enough, then a round one."""
        gaps = self.best.gaps
        gap = gaps[number] if number < len(gaps) else 0.0
        tried = [wait for wait in self._durations if wait < gap]
        if gap not in self._durations:
            tried += [round(-(-gap // unit) * unit, 6) for unit in (1.0, 0.1, 0.01, 0.001)]
        for wait in tried if gap else ():
            if wait == gap or self._try(self.best.with_gaps([*gaps[:number], wait, *gaps[number + 1 :]])):
                return

    def _rename(self) -> None:
        """Ids and values that may as well be others become neutral ones: what is left tells of nobody."""
        self._what = "values"
        ids = self.best.ids
        self._try(self.best.renamed({(str, one): f"conn_{number}" for number, one in enumerate(ids, start=1)}))
        number = 0
        for value in self.best.values():
            if value not in self.best.ids:
                number += 1
                neutral = f"text_{number}" if isinstance(value, str) else type(value)(number)
                self._try(self.best.renamed({(type(value), value): neutral}))

    # -- replays --

    def _try(self, candidate: Incident) -> bool:
        """Whether it comes true in a candidate, which then is the best."""
        if candidate == self.best:
            return True
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise _OutOfTime
        hit = self._replay(candidate)
        if hit is not None:
            self._keep(candidate, hit)
        self.progress(f"{self._what}: {len(self.best.inputs):,} inputs left, {self.replays:,} replays")
        return hit is not None

    def _keep(self, incident: Incident, hit: _Hit) -> None:
        self.connection = hit.connection
        self.best = Incident(incident.inputs[: hit.inputs], seconds_until(hit.at, 0.0))

    def _replay(self, incident: Incident) -> _Hit | None:
        self.replays += 1
        watcher = Watcher(self.until)
        hear = watcher.hear if self.until.asks_what_is_published else _nothing
        simulation = Simulation(self.definition, hear, watcher.see, self.until.steps)
        taken = 0
        try:
            for one in incident.inputs:
                simulation.advance_to(one.at)
                taken += 1
                take_step(simulation, ScenarioStep(one.action))
            simulation.advance_to(incident.end)
        except CameTrue as true:
            return _Hit(true.connection, simulation.now, taken)
        return None

    def _effective(self) -> list[int]:
        """The inputs that changed something."""
        changed: set[int] = set()
        here = -1

        def see(step: Step) -> None:
            if not step.ignored:
                changed.add(here)

        self.replays += 1
        simulation = Simulation(self.definition, watch=see, steps=self.until.steps)
        for one in self.best.inputs:
            here = -1  # a timer on the way there
            simulation.advance_to(one.at)
            here = one.number
            take_step(simulation, ScenarioStep(one.action))
        return [one.number for one in self.best.inputs if one.number in changed]


def _nothing(_: object) -> None:
    pass


def _only(gaps: Sequence[float], kept: Iterable[int]) -> list[float]:
    numbers = set(kept)
    return [gap if number in numbers else 0.0 for number, gap in enumerate(gaps)]


def _own_durations(definition: Definition) -> Iterator[float]:
    """How long the timers of a definition run."""
    yield from definition.timeouts.values()
    for state in definition.walk():
        yield from (timer.delay for timer in state.after if not isinstance(timer.delay, str))


# -- the scenario --


def _scenario(until: Until, incident: Incident, connection: str) -> Scenario:
    """The incident, with what is to be expected when all is done."""
    connections: dict[str, Registration] = {}
    inputs = list(incident.inputs)
    while inputs and inputs[0].at == 0.0 and isinstance(begin := inputs[0].action, Register):
        if begin.connection in connections:
            break
        connections[begin.connection] = begin.registration
        del inputs[0]
    steps, now = [], 0.0
    for one in inputs:
        steps.append(ScenarioStep(one.action, one.at if one.at > now else None))
        now = one.at
    description = f"The smallest in which this comes true: {until.text}"
    scenario = Scenario(None, connections, tuple(steps), description)
    expected = ScenarioStep(
        _expected(until, scenario, incident.end, connection), incident.end if incident.end > now else None
    )
    return evolve(scenario, steps=(*steps, expected))


def _expected(until: Until, scenario: Scenario, end: float, connection: str) -> Expect:
    published: list[str] = []

    def hear(entry: Entry) -> None:
        if entry.kind == "publish" and entry.connection == connection:
            published.append(entry.details["type"])

    summary = run_scenario(Simulation(until.definition, hear, steps=until.steps), scenario, end)
    state = summary.connections[connection]
    return Expect(
        connection,
        phase=state.phase if state.phase in state.configuration else None,
        configuration=state.configuration,
        published=tuple(one for one in published if one not in (CREATED, PHASE_CHANGED)),
    )


# -- when there is none --


def _count(things: Sequence[object], what: str) -> str:
    """How many of something, in words."""
    return f"{len(things):,} {what}{'' if len(things) == 1 else 's'}"


def _how_near(until: Until, incident: Incident) -> str:
    """That it never came true, where the connections were instead, and which of its parts did."""
    phases: dict[str, set[str]] = {}
    parts = until.parts
    true: list[set[str]] = [set() for _ in parts]
    watchers = [Watcher(part) for part in parts]

    def see(step: Step) -> None:
        phases.setdefault(step.after.situation.phase, set()).add(step.after.connection_id)
        for watcher, came in zip(watchers, true, strict=True):
            try:
                watcher.see(step)
            except CameTrue as hit:
                came.add(hit.connection)

    def hear(entry: Entry) -> None:
        for watcher, came in zip(watchers, true, strict=True):
            try:
                watcher.hear(entry)
            except CameTrue as hit:
                came.add(hit.connection)

    run_scenario(Simulation(until.definition, hear, see, until.steps), Scenario(None, {}, tuple(incident.steps)))
    reached = ", ".join(f"{phase or 'none'} {len(who):,}" for phase, who in phases.items()) or "none"
    lines = [
        f"{until.text} never came true in the recording ({_count(incident.inputs, 'input')} of"
        f" {_count(incident.connections, 'connection')})",
        f"  phases, and how many connections reached them: {reached}",
        *(
            f"  its part {part.text} came true for {len(came):,} of them"
            for part, came in zip(parts, true, strict=True)
        ),
    ]
    return "\n".join(lines)
