"""Scenarios as YAML, the other way round from ``scenario_file``: what is written here reads back as it was."""

from __future__ import annotations

import re
from collections.abc import Iterable
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

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
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def scenario_text(scenario: Scenario, comments: Iterable[str] = ()) -> str:
    """The scenario as a YAML document, with comments above it. Steps do not name a connection that is the only one."""
    document: dict[str, Any] = {}
    later = any(isinstance(step.action, Register) for step in scenario.steps)
    only = next(iter(scenario.connections)) if len(scenario.connections) == 1 and not later else None
    if scenario.definition is not None:
        document["definition"] = scenario.definition
    if scenario.description:
        document["description"] = scenario.description
    document["connections"] = {name: _flow(registration_data(r)) for name, r in scenario.connections.items()}
    document["steps"] = [_step(step, only) for step in scenario.steps]
    yaml = YAML()
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    stream.writelines(f"# {' '.join(comment.split())}\n" for comment in comments)
    yaml.dump(document, stream)
    return stream.getvalue()


def seconds_text(seconds: float) -> str:
    """Seconds as a duration of the language, to the microsecond.

    >>> seconds_text(1.5), seconds_text(30.0)
    ('1.5s', '30s')
    """
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def seconds_until(due: float, now: float) -> float:
    """How long to wait until a timer fires: to the microsecond, as a scenario says it, and never too short."""
    seconds = max(0.0, round(due - now, 6))
    while now + seconds < due:
        seconds = round(seconds + 1e-6, 6)
    return seconds


def _step(step: ScenarioStep, only: str | None) -> dict[str, Any]:
    at = {} if step.at is None else {"at": seconds_text(step.at)}
    return {**_action(step.action, only), **at}


def _action(action: Action, only: str | None) -> dict[str, Any]:
    match action:
        case Wait(seconds=seconds):
            return {"wait": seconds_text(seconds)}
        case Mark(connection=connection, dependency=dependency):
            return {"mark": dependency, **_connection(connection, only)}
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
                **_connection(action.connection_id, None if action.call_id is not None else only),
                **{name: value for name, value in known.items() if value is not None},
                **({"data": _flow(dict(action.data))} if action.data else {}),
            }
        case Expect():
            asked = _expected(action, only)
            fits = len(str(asked).replace("'", "")) < _WIDTH - len("  - expect: ")
            return {"expect": _flow(asked) if fits else {name: _flow(value) for name, value in asked.items()}}


def _connection(connection: str | None, only: str | None) -> dict[str, Any]:
    return {} if connection is not None and connection == only else {"connection": connection}


def _expected(expect: Expect, only: str | None) -> dict[str, Any]:
    asked: dict[str, Any] = _connection(expect.connection, only)
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
    if isinstance(value, str):
        # Left plain, texts such as `?0` are no YAML on one line.
        return value if _WORD.fullmatch(value) else DoubleQuotedScalarString(value)
    if isinstance(value, dict):
        made = CommentedMap({_flow(name): _flow(inner) for name, inner in value.items()})
    elif isinstance(value, list):
        made = CommentedSeq([_flow(inner) for inner in value])
    else:
        return value
    made.fa.set_flow_style()
    return made
