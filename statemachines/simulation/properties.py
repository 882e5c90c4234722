"""Properties that speak of one moment, judged along a simulation: ``always``, ``never`` and ``sometimes``."""

from __future__ import annotations

from bus.event import Event
from statemachines.language.definition import Definition
from statemachines.table.compiling import Compiler, Guard
from statemachines.table.layout import Layout
from statemachines.table.record import Record

_REST = Event("connection.rested", id="", timestamp=0.0)
"""They are judged with the connection at rest, when no event is being processed."""


class PropertyJudge:
    """Judges the properties of one definition, for one connection at rest after the other."""

    def __init__(self, definition: Definition) -> None:
        self._properties = definition.properties
        self._layout = Layout(definition)
        self._compiler = Compiler(self._layout)
        self._guards: dict[tuple[str, ...], dict[str, Guard | bool]] = {}

    def judge(self, record: Record) -> tuple[set[str], set[str]]:
        """The properties that a connection breaks now, and those of kind ``sometimes`` that it shows."""
        broken: set[str] = set()
        seen: set[str] = set()
        for name, guard in self._at(record.situation.configuration).items():
            wanted = self._properties[name]
            holds = guard if isinstance(guard, bool) else guard(record, _REST)
            if wanted.sometimes is not None:
                seen |= {name} if holds else set()
            elif holds == (wanted.never is not None):
                broken.add(name)
        return broken, seen

    def _at(self, configuration: tuple[str, ...]) -> dict[str, Guard | bool]:
        if configuration not in self._guards:
            inside = {state: state in configuration for state in self._layout.ids}
            said = {name: p.always or p.never or p.sometimes for name, p in self._properties.items()}
            self._guards[configuration] = {
                name: self._compiler.guard(expression, inside)
                for name, expression in said.items()
                if expression is not None
            }
        return self._guards[configuration]
