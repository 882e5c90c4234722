"""Scenarios from YAML files: what happens to some connections, when, and what is expected of them.

Checked as strictly as definitions are, and with the same words: every problem is reported at its place. If the
definition is at hand, the names that a scenario uses must be its names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bus.names import matches
from statemachines.errors import DefinitionError, Problem, suggestion
from statemachines.language.definition import Definition
from statemachines.language.definition import Publish as PublishAction
from statemachines.language.durations import shortened
from statemachines.language.library import find_definition
from statemachines.language.loading import load_definition
from statemachines.language.names import MAX_NAME, is_pattern, nearest
from statemachines.language.scalars import describe
from statemachines.language.source import Source, read_file, read_yaml
from statemachines.language.structuring import (
    Faults,
    Wrong,
    WrongParts,
    check_keys,
    flatten,
    problems_of,
    structure_text,
)
from statemachines.simulation.scenario import Expect, Publish, Registration, Scenario, ScenarioStep, Wait
from statemachines.simulation.scenario_steps import WrittenStep, structure_step, written_step
from statemachines.simulation.scenario_values import Names, structure_registration

KEYS = ("definition", "description", "connections", "steps")
DEFAULT_CONNECTION = "conn_1"
_CREATED = "connection.created"
_TOLD_BY_PHASEBUS = (_CREATED, "connection.phase_changed", "connection.unknown")


def load_scenario(path: str | Path, definition: Definition | None = None) -> Scenario:
    """The scenario of a file, checked against ``definition`` or else against the one that it names.

    :raises DefinitionError: with every problem of the file, if one of them is an error.
    """
    return _only_if_good(*check_scenario(read_file(path), definition))


def read_scenario(content: str | bytes, path: str, definition: Definition | None = None) -> Scenario:
    """As :func:`load_scenario`, from a text; ``path`` is what its problems call it.

    >>> read_scenario("steps: [wait: 1.5s]", "<text>").steps[0].action
    Wait(seconds=1.5)
    """
    return _only_if_good(*check_scenario(read_yaml(content, path), definition))


def definition_file(named: str, path: str) -> Path:
    """The file of the definition that the scenario in ``path`` names.

    :raises DefinitionError: there is none
    """
    return find_definition(_place_of(named, path))


def check_scenario(source: Source, definition: Definition | None = None) -> tuple[Scenario | None, list[Problem]]:
    """The scenario, if it has no errors, and all its errors and warnings by line. Never raises on bad input."""
    if not source.readable:
        return None, sorted(source.problems)
    faults = Faults()
    scenario, known = _structure(source, definition, faults)
    found = list(flatten(WrongParts(faults.parts), ()))
    problems = {*source.problems, *problems_of(found, source)}
    if not problems and scenario is not None and known is not None:
        return scenario, sorted(_warnings(scenario, known, source))
    return (None if problems else scenario), sorted(problems)


def _only_if_good(scenario: Scenario | None, problems: list[Problem]) -> Scenario:
    if scenario is None:
        raise DefinitionError(problems)
    return scenario


def _structure(
    source: Source, definition: Definition | None, faults: Faults
) -> tuple[Scenario | None, Definition | None]:
    """The scenario, good only if ``faults`` stay empty, and the definition that it is checked against."""
    data = source.data
    if not isinstance(data, dict):
        faults.add(f"must be a mapping with keys such as {', '.join(KEYS)}, not {describe(data)}")
        return None, None
    check_keys(data, KEYS, faults)
    named = _text(data, "definition", faults)
    if named is not None:
        with faults.at("definition"):
            definition = _definition(named, source.path, definition)
        if any(way == ("definition",) for way, _ in faults.parts):
            definition = None  # its names would only be wrong once more
    written = _written_steps(data, faults)
    registered = _connections(data, faults)
    registered, names = _names(registered, written, definition)
    scenario = Scenario(
        definition=named,
        connections=_registrations(registered, data, names, faults),
        steps=tuple(_steps(written, names, source, faults)),
        description=_text(data, "description", faults) or "",
        path=source.path,
    )
    return scenario, definition


def _text(data: Mapping[str, Any], key: str, faults: Faults) -> str | None:
    text = None
    if key in data:
        with faults.at(key):
            text = structure_text(data[key])
    return text


# -- the definition --


def _definition(named: str, path: str, given: Definition | None) -> Definition:
    """The definition that a scenario is for, which must be the one it is to run with, if there is one already."""
    if given is not None and named == given.name:
        return given
    try:
        found = load_definition(_place_of(named, path))
    except DefinitionError as error:
        if given is None:
            first, *rest = error.problems
            more = f", and {len(rest)} more problems" if rest else ""
            where = "" if first.path == named else f"{first.path}:{first.line}:{first.column}: "
            raise Wrong(f"'{shortened(named)}' cannot be used: {where}{first.message}{more}", whole=True) from None
        found = None
    if given is None:
        assert found is not None, "there is an error otherwise"
        return found
    if found is not None and found.name == given.name:
        return given
    hint = suggestion(named, [given.name])
    raise Wrong(f"this scenario is for '{shortened(named)}', not for '{given.name}'{hint}", whole=True)


def _place_of(named: str, path: str) -> str | Path:
    """Where the definition is: beside the scenario, above the scenario's folder, or else what the name means."""
    # Longer than any shipped name, it may also be longer than a file's name can be.
    if len(named.encode("utf-8", "replace")) > MAX_NAME:
        return Path(named)
    try:
        if not Path(path).is_file():
            return named
        folder = Path(path).resolve().parent
        places = [folder / named, folder / f"{named}.yaml", folder.parent / f"{named}.yaml"]
        return next((place for place in places if place.is_file()), named)
    except (OSError, ValueError):  # a path that no file can have, or that may not be looked at
        return named


# -- connections --


def _connections(data: Mapping[str, Any], faults: Faults) -> tuple[str, ...] | None:
    """The ids under ``connections``; None if that is left out."""
    if "connections" not in data:
        return None
    connections = data["connections"]
    if not isinstance(connections, dict):
        faults.add(f"must map ids to registrations, as in {{conn_1: {{}}}}, not {describe(connections)}", "connections")
        return ()
    for connection_id in connections:
        if not connection_id:
            faults.add("a connection's id must not be empty", "connections", connection_id, key=True, whole=True)
    return tuple(connections)


def _names(
    registered: tuple[str, ...] | None, steps: Iterable[WrittenStep], definition: Definition | None
) -> tuple[tuple[str, ...], Names]:
    """Who is registered at the start, and whom the steps may name.

    With ``connections`` left out there is one connection, called as the steps call it. It is registered at the start,
    unless a step registers it, or publishes the event that the definition starts on.
    """
    steps = list(steps)
    named = tuple(dict.fromkeys(step.connection for step in steps if step.connection is not None))
    later = [step.connection for step in steps if step.action == "register" and step.connection is not None]
    published = [step.connection for step in steps if step.action == "publish" and step.connection is not None]
    if registered is None:
        only = named[0] if len(named) == 1 else DEFAULT_CONNECTION
        begins = any(_starts(step, definition) for step in steps)
        registered = () if later or begins else (only,)
        published = published or ([only] if begins else [])
    known = tuple(dict.fromkeys([*registered, *later]))
    started = tuple(dict.fromkeys(published))
    return registered, Names(definition, frozenset([*known, *started]), known or started)


def _starts(step: WrittenStep, definition: Definition | None) -> bool:
    """Whether a step publishes an event that registers a connection."""
    event_type, _ = step.fields.get("type", (None, ()))
    if step.action != "publish" or not isinstance(event_type, str):
        return False
    if definition is None:
        return event_type == _CREATED
    return any(matches(trigger.event, event_type) for trigger in definition.starts_on)


def _registrations(
    registered: Iterable[str], data: Mapping[str, Any], names: Names, faults: Faults
) -> dict[str, Registration]:
    written = data.get("connections")
    written = written if isinstance(written, dict) else {}
    registrations = {
        connection_id: structure_registration(written.get(connection_id), ("connections", connection_id), names, faults)
        for connection_id in registered
    }
    holders: dict[str, str] = {}
    for connection_id, registration in registrations.items():
        call_id = registration.call_id
        if call_id is not None and holders.setdefault(call_id, connection_id) != connection_id:
            message = f"the call_id '{shortened(call_id)}' belongs to '{shortened(holders[call_id])}' already"
            faults.add(message, "connections", connection_id, "call_id", whole=True)
    return registrations


# -- steps --


def _written_steps(data: Mapping[str, Any], faults: Faults) -> list[WrittenStep]:
    if "steps" not in data:
        faults.add("the key 'steps' is missing", key=True, whole=True)
        return []
    steps = data["steps"]
    if not isinstance(steps, list):
        cure = ": put '- ' before each" if isinstance(steps, dict) else ""
        faults.add(f"must be a list of steps, not {describe(steps)}{cure}", "steps")
        return []
    written = (written_step(raw, index, faults) for index, raw in enumerate(steps))
    return [step for step in written if step is not None]


def _steps(written: Iterable[WrittenStep], names: Names, source: Source, faults: Faults) -> Iterator[ScenarioStep]:
    now = 0.0
    for raw in written:
        line, _ = source.position(("steps", raw.index))
        step = structure_step(raw, names, line, faults)
        if step.at is not None:
            if step.at < now:
                message = f"time only goes forward, and it is {_written_seconds(now)} here already"
                faults.add(message, "steps", raw.index, "at", whole=True)
            now = max(now, step.at)
        if isinstance(step.action, Wait):
            now += step.action.seconds
        yield step


def _written_seconds(seconds: float) -> str:
    return f"{round(seconds, 6):g}s"


# -- warnings --


def _warnings(scenario: Scenario, definition: Definition, source: Source) -> Iterator[Problem]:
    """What can be run, but is hardly meant."""
    known = understood(definition)
    told = {action.event for action in definition.actions() if isinstance(action, PublishAction)}
    told.update(_TOLD_BY_PHASEBUS)
    for index, step in enumerate(scenario.steps):
        place = ("steps", index)
        if isinstance(step.action, Publish):
            event_type = step.action.type
            hint = nearest(event_type, [name for name in known if not is_pattern(name)])
            if hint and not any(matches(pattern, event_type) for pattern in known):
                message = f"{definition.name} does not know the event '{event_type}'{hint}"
                yield source.problem((*place, "publish"), message, severity="warning")
        elif isinstance(step.action, Expect):
            for event_type in (*step.action.published, *step.action.not_published):
                if event_type not in told:
                    message = f"{definition.name} never publishes '{event_type}'{nearest(event_type, told)}"
                    yield source.problem((*place, "expect"), message, severity="warning")


def understood(definition: Definition) -> set[str]:
    """The events and patterns that a definition names as its input."""
    found = {trigger.event for trigger in definition.starts_on}
    for dependency in definition.dependencies.values():
        for triggers in (dependency.ready_on, dependency.lost_on, dependency.failed_on):
            found.update(trigger.event for trigger in triggers)
    for remembered in (*definition.remember.values(), *definition.keys.values()):
        found.update(trigger.event for trigger in remembered.on)
    for state in definition.walk():
        for transition in state.transitions:
            found.update(transition.event)
    return found
