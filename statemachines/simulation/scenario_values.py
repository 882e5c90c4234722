"""What a scenario's keys may hold: the names that it may use, and a registration, which stands in two places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import frozen

from statemachines.language.definition import Call, Definition
from statemachines.language.durations import shortened
from statemachines.language.names import near, nearest
from statemachines.language.scalars import describe
from statemachines.language.source import Location
from statemachines.language.structuring import Faults, Wrong, structure_duration, structure_text
from statemachines.simulation.scenario import Registration

Field = Callable[[Any], Any]
"""Reads the value of one key, or raises :class:`Wrong`."""

STATUSES = ("pending", "ready", "failed")


@frozen
class Names:
    """The names that a scenario may use.

    ``appearing`` are the connections that occur in the file; ``choice`` are those that a step without one may mean.
    """

    definition: Definition | None = None
    appearing: frozenset[str] = frozenset()
    choice: tuple[str, ...] = ()

    def state(self, value: Any) -> str:
        """A state of the definition."""
        name = structure_text(value)
        states = [] if self.definition is None else [state.id for state in self.definition.walk()]
        return self._known(name, states, f"has no state '{shortened(name)}'")

    def states(self, value: Any) -> tuple[str, ...]:
        """Active states, put into document order."""
        names = several(self.state)(value)
        if self.definition is None:
            return names
        return tuple(state.id for state in self.definition.walk() if state.id in names)

    def dependency(self, value: Any) -> str:
        """A dependency of the definition."""
        name = structure_text(value)
        declared = () if self.definition is None else self.definition.dependencies
        return self._known(name, declared, f"declares no dependency '{shortened(name)}'")

    def timeout(self, name: str) -> str:
        """A timeout of the definition."""
        declared = () if self.definition is None else self.definition.timeouts
        return self._known(name, declared, f"has no timeout '{shortened(name)}'")

    def hook(self, value: Any) -> str:
        """A hook that the definition calls."""
        name = structure_text(value)
        actions = () if self.definition is None else self.definition.actions()
        hooks = {action.name for action in actions if isinstance(action, Call)}
        return self._known(name, hooks, f"calls no hook '{shortened(name)}'")

    def connection(self, value: Any) -> str:
        """A connection that occurs somewhere in the file."""
        name = identifier(value)
        if name not in self.appearing:
            hint = near(name, self.appearing)
            raise Wrong(f"no connection '{shortened(name)}' appears in this scenario{hint}", whole=True)
        return name

    def _known(self, name: str, known: Iterable[str], complaint: str) -> str:
        known = tuple(known)
        if self.definition is None or name in known:
            return name
        raise Wrong(f"{self.definition.name} {complaint}{near(name, known)}", whole=True)


def structure_registration(raw: Any, place: Location, names: Names, faults: Faults) -> Registration:
    """How a connection is registered at the start; nothing (``conn_1:``) is good too."""
    if raw is None:
        return Registration()
    hooks = registration_hooks(names)
    if not isinstance(raw, dict):
        faults.add(f"must be a mapping with keys such as {some(hooks)}, not {describe(raw)}", *place)
        return Registration()
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key in hooks:
            with faults.at(*place, key):
                values[key] = hooks[key](value)
        else:
            hint = nearest(key, hooks) or f": the keys here are {', '.join(hooks)}"
            faults.add(f"unknown key '{shortened(key)}'{hint}", *place, key, key=True, whole=True)
    return Registration(**values)


def registration_hooks(names: Names) -> Mapping[str, Field]:
    """How each key of a registration is read."""
    return {
        "call_id": identifier,
        "tenant_id": identifier,
        "dependencies": several(names.dependency),
        "timeouts": _timeouts(names),
        "metadata": payload,
    }


def identifier(value: Any) -> str:
    """A connection's, call's or tenant's id: any text but an empty one."""
    if structure_text(value) == "":
        raise Wrong("must not be empty")
    return str(value)


def payload(value: Any) -> dict[str, Any]:
    """A mapping of fields, whatever they hold."""
    if not isinstance(value, dict):
        raise Wrong(f"must be a mapping of fields, not {describe(value)}")
    return value


def several(one: Field) -> Callable[[Any], tuple[str, ...]]:
    """One name, or a list of them, perhaps an empty one."""

    def hook(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            return (one(value),)
        faults = Faults()
        made = []
        for index, item in enumerate(value):
            with faults.at(index):
                made.append(one(item))
        faults.check()
        return tuple(made)

    return hook


def _timeouts(names: Names) -> Field:
    def hook(value: Any) -> dict[str, float]:
        if not isinstance(value, dict):
            raise Wrong(f"must map names to durations, as in {{setup: 30s}}, not {describe(value)}")
        faults = Faults()
        timeouts = {}
        for name, duration in value.items():
            _check_key(faults, name, names.timeout)
            with faults.at(name):
                timeouts[name] = structure_duration(duration)
                if timeouts[name] <= 0:
                    raise Wrong("must be longer than 0s")
        faults.check()
        return timeouts

    return hook


def statuses(names: Names) -> Field:
    """Reads what is expected of dependencies: some of them, each with its status."""

    def hook(value: Any) -> dict[str, str]:
        if not isinstance(value, dict):
            raise Wrong(f"must map dependencies to {_or(STATUSES)}, not {describe(value)}")
        faults = Faults()
        for name, status in value.items():
            _check_key(faults, name, names.dependency)
            if status not in STATUSES:
                hint = nearest(status, STATUSES) if isinstance(status, str) else ""
                faults.add(f"must be {_or(STATUSES)}, not {describe(status)}{hint}", name)
        faults.check()
        return value

    return hook


def _check_key(faults: Faults, name: str, check: Field) -> None:
    try:
        check(name)
    except Wrong as wrong:
        faults.add(wrong.message, name, key=True, whole=True)


def some(keys: Iterable[str]) -> str:
    """The first few of the keys, for a message."""
    return ", ".join(list(keys)[:5])


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
