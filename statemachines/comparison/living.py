"""Living connections, as JSON lines: what a store lists, or :class:`~statemachines.ConnectionState` as an object.

A line names a connection and where it is; of its facts as many as are known. What is missing can be anything that a
connection of that configuration can have:

    {"connection_id": "conn_1", "configuration": ["live", "ringing"], "dependencies": {"audio": "ready"},
     "remembered": {"caller": "+49…"}, "timers": [{"state": "ringing", "timer": "30s", "remaining": 12.5}]}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from attrs import Factory, fields, frozen

from bus.structuring import Misfit, structure
from statemachines.errors import DefinitionError, Problem, suggestion
from statemachines.table.chart import Histories
from statemachines.table.layout import Layout, TimerSpec

MAX_LINE_BYTES = 1024 * 1024
Status = Literal["pending", "ready", "failed"]


@frozen
class RunningTimer:
    """A timer that runs: of which state, how the file writes its delay, and the seconds that are left."""

    state: str
    timer: str
    remaining: float


@frozen
class _Line:
    """All that a line may hold. What does not decide its future is taken and left aside."""

    connection_id: str | None = None
    id: str | None = None
    phase: str | None = None
    configuration: tuple[str, ...] | None = None
    dependencies: Mapping[str, Status] = Factory(dict)
    required: tuple[str, ...] | None = None
    ready_conditions: Mapping[str, bool] | None = None
    remembered: Mapping[str, Any] = Factory(dict)
    metadata: Mapping[str, Any] = Factory(dict)
    visits: Mapping[str, int] = Factory(dict)
    history: Mapping[str, tuple[str, ...]] | None = None
    timers: tuple[RunningTimer, ...] | None = None
    timeouts: Mapping[str, float] = Factory(dict)
    keys: Mapping[str, str | int] = Factory(dict)
    ended: bool = False
    call_id: str | None = None
    tenant_id: str | None = None
    created_at: float | None = None
    updated_at: float | None = None
    since: float | None = None
    definition: str | None = None
    version: int | None = None


@frozen
class Living:
    """A connection that lives, in the numbers of its definition. None, or a fact that is missing: any possible."""

    connection_id: str
    states: tuple[int, ...] | None
    phase: str | None
    statuses: Mapping[int, Status]
    remembered: Mapping[int, Any]
    visits: Mapping[int, int]
    history: Histories | None
    timers: tuple[tuple[TimerSpec, float], ...] | None
    required: int
    timeouts: tuple[tuple[str, float], ...]
    keys: tuple[str, ...]
    ended: bool


def read_living(lines: Iterable[str | bytes], path: str, layout: Layout) -> list[Living]:
    """The connections of all lines.

    :raises DefinitionError: a line is no connection of the definition; every problem of the file is told
    """
    found: list[Living] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found.append(_Reader(layout).read(line))
            except _Refused as refused:
                problems.append(Problem(path, number, 1, "error", str(refused)))
    if problems:
        raise DefinitionError(problems)
    return found


class _Refused(Exception):
    """What is wrong with a line."""


@frozen
class _Reader:
    layout: Layout

    def read(self, text: str | bytes) -> Living:
        line = _parsed(text)
        connection_id = line.connection_id or line.id
        if not connection_id:
            raise _Refused("the connection has no 'connection_id'")
        if line.configuration is None and line.phase is None and not line.ended:
            raise _Refused(f"connection '{connection_id}' has neither a 'configuration' nor a 'phase'")
        layout, name = self.layout, layout_name(self.layout)
        metadata = {known: line.metadata[known] for known in layout.remembered if known in line.metadata}
        return Living(
            connection_id,
            None if line.configuration is None else self._states(line.configuration),
            line.phase,
            {
                layout.bits[_known("dependency", one, layout.bits, name)]: status
                for one, status in line.dependencies.items()
            },
            {
                layout.remembered.index(_known("remembered fact", one, layout.remembered, name)): value
                for one, value in {**metadata, **line.remembered}.items()
            },
            {
                layout.visit_number[self._state(one)]: count
                for one, count in line.visits.items()
                if self._state(one) in layout.visit_number
            },
            None if line.history is None else self._histories(line.history),
            None if line.timers is None else tuple(self._timer(one) for one in line.timers),
            self._required(line),
            tuple(sorted((self._timeout(one), seconds) for one, seconds in line.timeouts.items())),
            tuple(line.keys),
            line.ended,
        )

    def _state(self, name: str) -> int:
        return self.layout.index[_known("state", name, self.layout.index, layout_name(self.layout))]

    def _states(self, names: Iterable[str]) -> tuple[int, ...]:
        return tuple(sorted({self._state(name) for name in names}))

    def _timeout(self, name: str) -> str:
        return _known("timeout", name, self.layout.definition.timeouts, layout_name(self.layout))

    def _required(self, line: _Line) -> int:
        names = line.required if line.required is not None else line.ready_conditions
        if names is None:
            return self.layout.required_by_default
        bits, name = self.layout.bits, layout_name(self.layout)
        return sum({bits[_known("dependency", one, bits, name)] for one in names})

    def _histories(self, held: Mapping[str, tuple[str, ...]]) -> Histories:
        for one in held:
            _known("history", one, self.layout.history_index, layout_name(self.layout))
        return tuple(
            self._states(held[history.id]) if history.id in held else None for _, history in self.layout.histories
        )

    def _timer(self, running: RunningTimer) -> tuple[TimerSpec, float]:
        specs = self.layout.timers_of.get(self._state(running.state), ())
        written = _known("timer", running.timer, [spec.after.written for spec in specs], f"state '{running.state}'")
        if not running.remaining >= 0:
            raise _Refused(f"'remaining' must be 0 or more seconds, not {running.remaining:g}")
        return next(spec for spec in specs if spec.after.written == written), running.remaining


def layout_name(layout: Layout) -> str:
    """What messages call the definition."""
    return layout.definition.name


def _known(kind: str, name: str, known: Iterable[str], where: str) -> str:
    names = list(known)
    if name in names:
        return name
    raise _Refused(f"{where} has no {kind} '{name}'{suggestion(name, names)}; it has {', '.join(names) or 'none'}")


def _parsed(text: str | bytes) -> _Line:
    if len(text) > MAX_LINE_BYTES:
        raise _Refused("the line is longer than the limit of 1 MiB")
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Refused(f"the line is no JSON: {error}") from None
    if not isinstance(plain, dict):
        raise _Refused('the line is no object: write one as {"connection_id": …, "configuration": […]}')
    for name in plain:
        if name not in (known := [field.name for field in fields(_Line)]):
            raise _Refused(f"unknown field '{name}'{suggestion(name, known)}; the fields are {', '.join(known)}")
    try:
        return structure(plain, _Line)
    except Misfit as error:
        raise _Refused(str(error)) from None
