"""A recorded incident as inputs that can be left out, emptied, brought nearer to each other and renamed.

Each of these makes another, smaller incident; whether it still shows what it is to show is for a replay to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from attrs import evolve, frozen

from bus.interchange import payload_to_plain
from statemachines.connections.connections import Connections
from statemachines.simulation.event_lines import EventLine
from statemachines.simulation.recording import registered_at_start, registration_by
from statemachines.simulation.scenario import Publish, Register, Registration, ScenarioStep

Path = tuple[str, ...]
Field = tuple[int, Path]
"""A field of the input with this number: ``("data", "a", "b")``, or another part of it as ``("call_id",)``."""

NAMELESS = "\0"
"""How the owners of events that name no connection begin."""

_WHOLE = ("call_id", "tenant_id", "dependencies")


@frozen
class Input:
    """A registration or an event, ``at`` seconds from the start; its number stays the same whatever is left out."""

    number: int
    at: float
    action: Register | Publish

    @property
    def owner(self) -> str:
        """Whose input this is: an event that names no connection goes with its call id, or with others like it."""
        if isinstance(self.action, Register):
            return self.action.connection
        return self.action.connection_id or f"{NAMELESS}{self.action.call_id or ''}"


@frozen
class Incident:
    """Inputs, and when the last thing happens: at the last of them, or a timer fires after it."""

    inputs: tuple[Input, ...]
    end: float

    @property
    def steps(self) -> Iterator[ScenarioStep]:
        """The inputs as a scenario has them."""
        return (ScenarioStep(one.action, one.at) for one in self.inputs)

    @property
    def ids(self) -> list[str]:
        """The connections that are named."""
        return [owner for owner in self.connections if not owner.startswith(NAMELESS)]

    @property
    def connections(self) -> list[str]:
        """Whose inputs there are, in the order in which they come."""
        return list(dict.fromkeys(one.owner for one in self.inputs))

    # -- less of it --

    def of(self, owners: Iterable[str]) -> Incident:
        """With the inputs of these connections only."""
        kept = set(owners)
        return evolve(self, inputs=tuple(one for one in self.inputs if one.owner in kept))

    def only(self, numbers: Iterable[int]) -> Incident:
        """With these inputs only."""
        kept = set(numbers)
        return evolve(self, inputs=tuple(one for one in self.inputs if one.number in kept))

    def fields(self) -> list[Field]:
        """Every field that an input has, the inner ones of payloads after those that they stand in."""
        return [(one.number, path) for one in self.inputs for path in _fields(one.action)]

    def with_fields(self, kept: Iterable[Field]) -> Incident:
        """With these fields only; one whose outer field is left out is left out with it."""
        paths: dict[int, set[Path]] = {}
        for number, path in kept:
            paths.setdefault(number, set()).add(path)
        inputs = (evolve(one, action=_kept(one.action, paths.get(one.number, set()))) for one in self.inputs)
        return evolve(self, inputs=tuple(inputs))

    # -- sooner --

    @property
    def gaps(self) -> list[float]:
        """The seconds before each input, and after the last."""
        times = [0.0, *(one.at for one in self.inputs), self.end]
        return [round(after - before, 6) for before, after in pairwise(times)]

    def with_gaps(self, gaps: Sequence[float]) -> Incident:
        """With other times between the inputs."""
        now, inputs = 0.0, []
        for one, gap in zip(self.inputs, gaps, strict=False):
            now = round(now + gap, 6)
            inputs.append(evolve(one, at=now))
        return Incident(tuple(inputs), round(now + gaps[-1], 6))

    # -- under other names --

    def values(self) -> list[Any]:
        """Every text and number in it, each once: ids first, then what payloads and registrations hold."""
        return list({(type(value), value): value for one in self.inputs for value in _values(one.action)}.values())

    def renamed(self, names: Mapping[Any, Any]) -> Incident:
        """With some values replaced by others, wherever they stand."""

        def name(value: Any) -> Any:
            return names.get((type(value), value), value)

        return evolve(self, inputs=tuple(evolve(one, action=_renamed(one.action, name)) for one in self.inputs))


def recorded_incident(connections: Connections, events: Sequence[EventLine]) -> Incident:
    """The recording as it is, as ``phasebus simulate --events`` would run it."""
    actions: list[tuple[float, Register | Publish]] = [
        (0.0, Register(connection_id)) for connection_id in registered_at_start(connections, events)
    ]
    for line in events:
        event = line.event
        registration = registration_by(connections, event)
        if registration is not None and event.connection_id is not None:
            actions.append((line.at, Register(event.connection_id, registration)))
        else:
            data = payload_to_plain(event.data)
            actions.append(
                (line.at, Publish(event.type, event.connection_id, data, event.call_id, event.tenant_id)),
            )
    inputs = tuple(Input(number, round(at, 6), action) for number, (at, action) in enumerate(actions))
    return Incident(inputs, inputs[-1].at if inputs else 0.0)


# -- fields --


def _said(action: Register | Publish) -> Registration | Publish:
    return action.registration if isinstance(action, Register) else action


def _fields(action: Register | Publish) -> Iterator[Path]:
    said = _said(action)
    for name in _WHOLE:
        if getattr(said, name, None) is not None:
            yield (name,)
    mappings = (
        {"data": said.data} if isinstance(said, Publish) else {"timeouts": said.timeouts, "metadata": said.metadata}
    )
    for name, mapping in mappings.items():
        yield from _inner(mapping, (name,))


def _inner(mapping: Mapping[str, Any], around: Path) -> Iterator[Path]:
    for name, value in mapping.items():
        yield (*around, name)
        if isinstance(value, dict):
            yield from _inner(value, (*around, name))


def _kept(action: Register | Publish, paths: set[Path]) -> Register | Publish:
    said = _said(action)
    changed: dict[str, Any] = {
        name: None for name in _WHOLE if getattr(said, name, None) is not None and (name,) not in paths
    }
    for name in ("data",) if isinstance(said, Publish) else ("timeouts", "metadata"):
        changed[name] = _only(getattr(said, name), (name,), paths)
    if isinstance(action, Register):
        return evolve(action, registration=evolve(action.registration, **changed))
    return evolve(action, **changed)


def _only(mapping: Mapping[str, Any], around: Path, paths: set[Path]) -> dict[str, Any]:
    return {
        name: _only(value, (*around, name), paths) if isinstance(value, dict) else value
        for name, value in mapping.items()
        if (*around, name) in paths
    }


# -- values --


def _values(action: Register | Publish) -> Iterator[Any]:
    said = _said(action)
    yield from (value for name in ("call_id", "tenant_id") if (value := getattr(said, name)) is not None)
    yield from _leaves(said.data if isinstance(said, Publish) else said.metadata)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield value


def _renamed(action: Register | Publish, name: Callable[[Any], Any]) -> Register | Publish:
    if isinstance(action, Register):
        said = action.registration
        registration = evolve(
            said,
            call_id=name(said.call_id),
            tenant_id=name(said.tenant_id),
            metadata=_replaced(dict(said.metadata), name),
        )
        return Register(name(action.connection), registration)
    return evolve(
        action,
        connection_id=name(action.connection_id),
        call_id=name(action.call_id),
        tenant_id=name(action.tenant_id),
        data=_replaced(dict(action.data), name),
    )


def _replaced(value: Any, name: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(inner, name) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, name) for inner in value]
    return name(value)
