"""Scenarios as YAML, the other way round from ``scenario_file``: what is written here reads back as it was."""

from __future__ import annotations

from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from statemachines.simulation.scenario import (
    Action,
    Expect,
    Mark,
    Publish,
    Register,
    Registration,
    Scenario,
    ScenarioStep,
    Terminate,
    Wait,
)

_WIDTH = 110


def scenario_text(scenario: Scenario) -> str:
    """The scenario as a YAML document."""
    document: dict[str, Any] = {}
    if scenario.definition is not None:
        document["definition"] = scenario.definition
    if scenario.description:
        document["description"] = scenario.description
    document["connections"] = {name: _flow(registration_data(r)) for name, r in scenario.connections.items()}
    document["steps"] = [_step(step) for step in scenario.steps]
    yaml = YAML()
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def seconds_text(seconds: float) -> str:
    """Seconds as a duration of the language, to the microsecond.

    >>> seconds_text(1.5), seconds_text(30.0)
    ('1.5s', '30s')
    """
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def _step(step: ScenarioStep) -> dict[str, Any]:
    at = {} if step.at is None else {"at": seconds_text(step.at)}
    return {**_action(step.action), **at}


def _action(action: Action) -> dict[str, Any]:
    match action:
        case Wait(seconds=seconds):
            return {"wait": seconds_text(seconds)}
        case Mark(connection=connection, dependency=dependency):
            return {"mark": dependency, "connection": connection}
        case Terminate(connection=connection, reason=None):
            return {"terminate": connection}
        case Terminate(connection=connection, reason=reason):
            return {"terminate": _flow({"connection": connection, "reason": reason})}
        case Register(connection=connection, registration=registration):
            return {"register": _flow({"connection": connection, **registration_data(registration)})}
        case Publish():
            known = {"call_id": action.call_id, "tenant_id": action.tenant_id}
            return {
                "publish": action.type,
                "connection": action.connection_id,
                **{name: value for name, value in known.items() if value is not None},
                **({"data": _flow(dict(action.data))} if action.data else {}),
            }
        case Expect():
            return {"expect": _flow(_expected(action))}


def _expected(expect: Expect) -> dict[str, Any]:
    asked: dict[str, Any] = {"connection": expect.connection}
    if expect.phase is not None:
        asked["phase"] = expect.phase
    if expect.configuration is not None:
        asked["configuration"] = list(expect.configuration)
    if expect.dependencies is not None:
        asked["dependencies"] = dict(expect.dependencies)
    for name in ("published", "not_published", "called", "not_called"):
        if getattr(expect, name):
            asked[name] = list(getattr(expect, name))
    return asked


def registration_data(registration: Registration) -> dict[str, Any]:
    """A registration as a scenario has it."""
    said: dict[str, Any] = {}
    for name in ("call_id", "tenant_id"):
        if getattr(registration, name) is not None:
            said[name] = getattr(registration, name)
    if registration.dependencies is not None:
        said["dependencies"] = list(registration.dependencies)
    if registration.timeouts:
        said["timeouts"] = {name: seconds_text(seconds) for name, seconds in registration.timeouts.items()}
    if registration.metadata:
        said["metadata"] = dict(registration.metadata)
    return said


def _flow(value: Any) -> Any:
    """A value to be written on one line."""
    made: CommentedMap | CommentedSeq
    if isinstance(value, dict):
        made = CommentedMap({name: _flow(inner) for name, inner in value.items()})
    elif isinstance(value, list):
        made = CommentedSeq([_flow(inner) for inner in value])
    else:
        return value
    made.fa.set_flow_style()
    return made
