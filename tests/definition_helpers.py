"""What the tests of the shipped definitions share: their scenarios, run in process, and their pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from attrs import define, field

from bus import Event
from statemachines import Definition, load_definition, shipped_definitions
from statemachines.connections.trace import Entry
from statemachines.simulation.library import find_scenario, scenarios_of
from statemachines.simulation.scenario import Scenario
from statemachines.simulation.scenario_file import load_scenario
from statemachines.simulation.simulator import Simulation, Summary, run_scenario
from statemachines.table.compiling import Guard
from statemachines.table.step import Steps

PAGES = Path(__file__).parent.parent / "docs" / "definitions"
REST = Event("connection.rested")
"""Properties are judged with the connection at rest, when no event is being processed."""
SCENARIOS = [(name, scenario) for name in shipped_definitions() for scenario in scenarios_of(name)]


@define
class Run:
    """A scenario that was run: its summary, and everything that happened.

    ``broken`` names the properties that did not hold at some moment, ``seen`` those of kind ``sometimes`` that did.
    """

    summary: Summary
    entries: list[Entry] = field(factory=list)
    broken: set[str] = field(factory=set)
    seen: set[str] = field(factory=set)

    def failed(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind == "expect" and not entry.details["ok"]]


@cache
def scenario_of(definition: str, name: str) -> Scenario:
    """A shipped scenario."""
    return load_scenario(find_scenario(definition, name), load_definition(definition))


def run(definition: Definition, name: str) -> Run:
    """Run a shipped scenario with a definition: its own, or a changed one."""
    watched = Run(Summary())
    judge = Judge(definition)

    def tell(entry: Entry) -> None:
        watched.entries.append(entry)
        broken, seen = judge.judge(simulation)
        watched.broken |= broken
        watched.seen |= seen

    simulation = Simulation(definition, tell)
    watched.summary = run_scenario(simulation, scenario_of(definition.name, name))
    return watched


class Judge:
    """Judges the properties of a definition that speak of one moment: ``always``, ``never`` and ``sometimes``."""

    def __init__(self, definition: Definition) -> None:
        self._properties = definition.properties
        self._steps = Steps(definition)
        self._guards: dict[tuple[str, ...], dict[str, Guard | bool]] = {}

    def judge(self, simulation: Simulation) -> tuple[set[str], set[str]]:
        """The properties that some connection breaks now, and the ``sometimes`` that some connection shows."""
        broken: set[str] = set()
        seen: set[str] = set()
        for record in simulation.connections.records.values():
            for name, guard in self._at(record.situation.configuration).items():
                wanted = self._properties[name]
                holds = guard if isinstance(guard, bool) else guard(record, REST)
                if wanted.sometimes is not None:
                    seen |= {name} if holds else set()
                elif holds == (wanted.never is not None):
                    broken.add(name)
        return broken, seen

    def _at(self, configuration: tuple[str, ...]) -> dict[str, Guard | bool]:
        if configuration not in self._guards:
            inside = {state: state in configuration for state in self._steps.layout.ids}
            said = {name: p.always or p.never or p.sometimes for name, p in self._properties.items()}
            compiler = self._steps.table.compiler
            self._guards[configuration] = {
                name: compiler.guard(expression, inside) for name, expression in said.items() if expression is not None
            }
        return self._guards[configuration]


@cache
def run_shipped(definition: str, name: str) -> Run:
    """Run a shipped scenario with its definition, once for all tests."""
    return run(load_definition(definition), name)


def page_of(definition: str) -> str:
    """The page of a shipped definition; nothing if there is none."""
    page = PAGES / f"{definition}.md"
    return page.read_text(encoding="utf-8") if page.exists() else ""


def blocks(text: str, language: str) -> Iterator[str]:
    """The fenced blocks of a language in a page."""
    return (match.group(1) for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
