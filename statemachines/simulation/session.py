"""A simulation that somebody plays by hand: steps are taken one by one, taken back, and kept as a scenario.

Taking back replays all steps but the last from the beginning; nothing of a simulation is ever run backwards.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from statemachines.connections.state import ConnectionState
from statemachines.connections.trace import Entry
from statemachines.connections.waiting import Waiting, why
from statemachines.language.definition import Definition
from statemachines.simulation.possibilities import PossibleEvent, PossibleTimer, possible_events, possible_timers
from statemachines.simulation.scenario import Action, Expect, Registration, Scenario, ScenarioStep, Wait
from statemachines.simulation.scenario_file import DEFAULT_CONNECTION
from statemachines.simulation.scenario_writing import scenario_text, seconds_until
from statemachines.simulation.simulator import Simulation, run_scenario, take_step
from statemachines.table.record import Record
from statemachines.table.step import Steps


class PlayedSimulation:
    """One connection of a definition, played; it begins registered, or where a scenario ends.

    :ivar connection: the id of the connection that is played
    """

    def __init__(self, definition: Definition, emit: Callable[[Entry], None], begin: Scenario | None = None) -> None:
        self.definition = definition
        self._emit = emit
        self._steps = Steps(definition)
        self._begin = begin or Scenario(None, {DEFAULT_CONNECTION: Registration()}, ())
        self._taken: list[ScenarioStep] = []
        self._simulation = self._replayed(emit)
        known = self._simulation.summary.connections
        self.connection = next(iter(known), DEFAULT_CONNECTION)

    @property
    def now(self) -> float:
        """Virtual time, in seconds."""
        return self._simulation.now

    @property
    def record(self) -> Record | None:
        """The connection, or None if it is not registered or was forgotten."""
        return self._simulation.connections.records.get(self.connection)

    @property
    def state(self) -> ConnectionState | None:
        """The connection as last seen, forgotten or not."""
        return self._simulation.state(self.connection)

    def awaited(self, connection_id: str) -> list[str]:
        """The required dependencies that a living connection still waits for."""
        return self._simulation.awaited(connection_id)

    def why(self) -> Waiting:
        """Why the connection is where it is."""
        return why(self._simulation.connections, self.connection, at=self.now, now=self.now)

    def events(self) -> list[PossibleEvent]:
        """The events that would do something now."""
        record = self.record
        if record is None or record.ended:
            return []
        return possible_events(self._simulation.connections, record, self.now)

    def timers(self) -> list[PossibleTimer]:
        """The timers that run."""
        return [] if self.record is None else possible_timers(self._simulation.connections, self.record)

    def take(self, action: Action) -> None:
        """Let something happen, right now."""
        step = ScenarioStep(action)
        take_step(self._simulation, step)
        self._taken.append(step)

    def wait_for(self, timer: PossibleTimer) -> None:
        """Let time pass until a timer fires; those due before it fire before it."""
        self.take(Wait(seconds_until(timer.due_s, self.now)))

    def back(self) -> bool:
        """Take the last step back; False if there is none."""
        if not self._taken:
            return False
        self._taken.pop()
        self._simulation = self._replayed(None)
        self._simulation.tell(self._emit)
        return True

    def save(self, path: Path, called: str) -> None:
        """Write what was played as a scenario that expects what is there now.

        ``called`` is what the scenario calls its definition.
        """
        state = self.state
        expected = () if state is None else (ScenarioStep(_expected(state)),)
        scenario = evolve(
            self._begin,
            definition=called,
            description=self._begin.description or "Played by hand.",
            steps=(*self._begin.steps, *self._taken, *expected),
        )
        path.write_text(scenario_text(scenario), encoding="utf-8")

    def _replayed(self, emit: Callable[[Entry], None] | None) -> Simulation:
        simulation = Simulation(self.definition, emit, steps=self._steps)
        run_scenario(simulation, self._begin)
        for step in self._taken:
            take_step(simulation, step)
        return simulation


def _expected(state: ConnectionState) -> Expect:
    phase = state.phase or None
    return Expect(state.id, phase=phase if phase in state.configuration else None, configuration=state.configuration)
