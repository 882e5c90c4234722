"""Shipped definitions under test: driven event by event on virtual time."""

from __future__ import annotations

from functools import cache
from typing import Any

from attrs import field, frozen

from bus import Event
from statemachines import Definition, load_definition
from statemachines.connections.trace import Entry
from statemachines.simulation.library import find_scenario, scenarios_of
from statemachines.simulation.scenario import Scenario
from statemachines.simulation.scenario_file import load_scenario
from statemachines.simulation.simulator import Simulation

PROTOCOLS = ("traffic_light", "tcp", "sip_invite", "sip_dialog", "webrtc_peer", "agent_session", "device")
"""Shipped definitions whose page and scenarios are held against them part by part."""


@cache
def shipped(name: str) -> Definition:
    """A shipped definition."""
    return load_definition(name)


@frozen(eq=False)
class Driven:
    """One connection of a shipped definition, and all that it was seen to do."""

    simulation: Simulation
    seen: list[Entry] = field(factory=list)

    @classmethod
    def of(cls, name: str, *events: str) -> Driven:
        """A connection after these events."""
        seen: list[Entry] = []
        driven = cls(Simulation(shipped(name), seen.append), seen)
        driven.simulation.register("c")
        driven.hear(*events)
        return driven

    def hear(self, *events: str, **data: Any) -> Driven:
        """Let events come, one after the other."""
        for event in events:
            self.simulation.publish(Event(event, "c", data))
        return self

    def wait(self, seconds: float) -> Driven:
        """Let time pass."""
        self.simulation.advance_to(self.simulation.now + seconds)
        return self

    @property
    def configuration(self) -> tuple[str, ...]:
        return self.simulation.summary.connections["c"].configuration

    @property
    def state(self) -> str:
        """The innermost active state."""
        return self.configuration[-1]

    @property
    def calls(self) -> list[str]:
        """The hooks that were called, in order."""
        return [name for _, name in self.timed_calls]

    @property
    def timed_calls(self) -> list[tuple[float, str]]:
        """The hooks that were called, each with its time in seconds."""
        return [(round(entry.at, 6), str(entry.details["name"])) for entry in self.seen if entry.kind == "call"]

    @property
    def published(self) -> list[str]:
        """What the definition itself published, in order."""
        types = [str(entry.details["type"]) for entry in self.seen if entry.kind == "publish"]
        return [event_type for event_type in types if not event_type.startswith("connection.")]


def reaction(name: str, path: tuple[str, ...], event: str) -> tuple[str, list[str]]:
    """Where ``event`` leads after the events of ``path``, and the hooks that it calls."""
    driven = Driven.of(name, *path)
    before = len(driven.calls)
    driven.hear(event)
    return driven.state, driven.calls[before:]


def shipped_scenarios(name: str) -> list[Scenario]:
    """All scenarios that ship with a definition."""
    return [load_scenario(find_scenario(name, scenario), shipped(name)) for scenario in scenarios_of(name)]
