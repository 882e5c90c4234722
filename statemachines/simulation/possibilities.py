"""What can happen to a connection now: the events that matter where it is, and its timers.

What an event would do is asked of the same steps that take it: they are pure, so a step made only to look at is thrown
away. Payloads are taken from what guards and conditions compare with, so that choosing an event makes them true.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import Factory, frozen

from bus.event import Event
from bus.names import matches
from statemachines.connections.connections import Connections
from statemachines.errors import StepNeverSettles
from statemachines.language.definition import Definition, Trigger
from statemachines.language.expressions import Expression
from statemachines.language.names import is_done, is_pattern
from statemachines.simulation.scenario_file import understood
from statemachines.table.record import Record
from statemachines.table.step import Step


@frozen
class PossibleEvent:
    """An event with a payload, and what it would do now."""

    type: str
    data: Mapping[str, Any] = Factory(dict)
    does: str = ""


@frozen
class PossibleTimer:
    """A timer that runs: ``due_s`` is when it fires, in virtual time."""

    name: str
    state: str
    target: str | None
    due_s: float


def possible_events(connections: Connections, record: Record, now: float) -> list[PossibleEvent]:
    """The events that would do something where a connection is, those that lead on first."""
    found: dict[str, PossibleEvent] = {}
    for event_type, data in _candidates(connections, record):
        step = _tried(connections, record, event_type, data, now)
        if step is not None and not step.ignored:
            possible = PossibleEvent(event_type, data, _effect(step))
            found.setdefault(f"{event_type} {possible.does}", possible)
    return sorted(found.values(), key=lambda possible: not possible.does.startswith("→"))


def possible_timers(connections: Connections, record: Record) -> list[PossibleTimer]:
    """The timers that run, the one due first at the beginning."""
    return [
        PossibleTimer(
            timer.spec.after.written,
            connections.layout.ids[timer.spec.state],
            timer.spec.after.transition.target,
            timer.deadline,
        )
        for timer in sorted(record.timers)
    ]


def known_events(definition: Definition) -> list[str]:
    """Every event that the definition names as its input, patterns left out."""
    return sorted(name for name in understood(definition) if not is_pattern(name) and not is_done(name))


# -- which events --


def _candidates(connections: Connections, record: Record) -> Iterator[tuple[str, dict[str, Any]]]:
    known = known_events(connections.definition)
    for number in reversed(record.situation.states):
        for transition in connections.layout.states[number].transitions:
            guards = () if transition.cond is None else (transition.cond,)
            for event_type in _named(transition.event, known):
                yield event_type, _payload(connections, event_type, guards)
        for event_type in _named(connections.layout.states[number].defer, known):
            yield event_type, _payload(connections, event_type, ())
    for trigger in _triggers(connections.definition):
        for event_type in _named((trigger.event,), known):
            yield event_type, _wanted(() if trigger.when is None else (trigger.when,))


def _named(patterns: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    """The events that patterns stand for, as far as the definition writes their names out."""
    for pattern in patterns:
        yield from (name for name in known if matches(pattern, name))


def _triggers(definition: Definition) -> Iterator[Trigger]:
    """The events that change facts, and those that tell who a connection is."""
    for dependency in definition.dependencies.values():
        yield from (*dependency.ready_on, *dependency.lost_on, *dependency.failed_on)
    for remembered in (*definition.remember.values(), *definition.keys.values()):
        yield from remembered.on


def _payload(connections: Connections, event_type: str, guards: Iterable[Expression]) -> dict[str, Any]:
    """What makes guards true, and the conditions of the facts that the event may tell as far as that agrees."""
    told = [t.when for t in _triggers(connections.definition) if t.event == event_type and t.when is not None]
    return {**_wanted(told), **_wanted(guards)}


def _wanted(expressions: Iterable[Expression]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for expression in expressions:
        _want(expression.tree, data)
    return data


def _want(tree: ast.expr, data: dict[str, Any]) -> None:
    """Note what ``data.name == literal`` and the like ask for; of alternatives the first."""
    match tree:
        case ast.BoolOp(op=ast.And(), values=parts):
            for part in parts:
                _want(part, data)
        case ast.BoolOp(op=ast.Or(), values=[first, *_]):
            _want(first, data)
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[ast.Constant(value=value)]):
            _note(left, value, data)
        case ast.Compare(left=left, ops=[ast.In()], comparators=[ast.List() | ast.Tuple() as several]):
            if several.elts and isinstance(several.elts[0], ast.Constant):
                _note(left, several.elts[0].value, data)
        case ast.Attribute():
            _note(tree, True, data)


def _note(tree: ast.expr, value: Any, data: dict[str, Any]) -> None:
    if isinstance(tree, ast.Attribute) and isinstance(tree.value, ast.Name) and tree.value.id == "data":
        data.setdefault(tree.attr, value)


# -- what they would do --


def _tried(
    connections: Connections, record: Record, event_type: str, data: Mapping[str, Any], now: float
) -> Step | None:
    """The step that an event would make, with what cannot be evaluated not counted."""
    event = Event(event_type, record.connection_id, data, id="", timestamp=now)
    failures = connections.steps.table.compiler.failures
    try:
        return connections.steps.event(record, event, at=now, now=now)
    except StepNeverSettles:
        return None
    finally:
        connections.steps.table.compiler.failures = failures


def _effect(step: Step) -> str:
    """``→ ready``, or which facts change, or that something is done."""
    if step.outcome.moved:
        return f"→ {step.after.situation.phase or 'the end'}"
    facts = [f"{name} {value}" if not name.startswith("meta.") else f"tells {name}" for name, value in step.facts()]
    if facts:
        return ", ".join(facts)
    return "waits for another state" if step.deferral else f"stays in {step.after.situation.phase}"
