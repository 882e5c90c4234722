"""The events that may come, each with every payload that makes a difference.

The types are those that the definition names; for a pattern also a name that nothing else names. Payloads are tried
from the values of :mod:`~statemachines.exploration.values`, and those are merged that no expression can tell apart.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from attrs import frozen

from bus.event import Event
from bus.names import matches
from statemachines.exploration.reading import Relevance, fields_read, guards_of
from statemachines.exploration.telling import atoms_of, compiled, is_of_event
from statemachines.exploration.values import Candidates, frozen_value
from statemachines.language.definition import Definition
from statemachines.language.expressions import Expression
from statemachines.language.names import is_done, is_pattern
from statemachines.table.step import Steps

MAX_PAYLOADS = 10_000
"""So many payloads are looked at for one type of event, before merging."""


@frozen
class Symbol:
    """One event that may come."""

    type: str
    data: Mapping[str, Any]


@frozen
class Alphabet:
    """All events that may come; ``cut`` names the types that have more payloads than were tried."""

    symbols: tuple[Symbol, ...]
    cut: tuple[str, ...] = ()


def alphabet(listening: Sequence[tuple[Steps, Relevance]], candidates: Candidates | None = None) -> Alphabet:
    """The events that may come to connections of these definitions, which share a bus.

    ``candidates`` may already hold values to try beside those that the definitions compare with.
    """
    candidates = candidates or Candidates()
    for number, (steps, relevance) in enumerate(listening):
        candidates.begin(str(number))
        for guard in guards_of(steps.layout):
            candidates.condition(guard)
        for expression in relevance.beginning():
            candidates.condition(expression)
        for expression, is_value in relevance.learning():
            if not is_value:
                candidates.condition(expression)
        for name, known in steps.definition.remember.items():
            candidates.kept(name, known.value)
    symbols: list[Symbol] = []
    cut = []
    for event_type in event_types(listening):
        payloads, whole = _payloads(event_type, listening, candidates)
        symbols += [Symbol(event_type, payload) for payload in payloads]
        if not whole:
            cut.append(event_type)
    return Alphabet(tuple(symbols), tuple(cut))


def event_types(listening: Sequence[tuple[Steps, Relevance]]) -> list[str]:
    """The types that the definitions name, and for each of their patterns one more."""
    named: dict[str, None] = {}
    asked: list[Expression] = []
    for steps, relevance in listening:
        if relevance.begun:
            named.update(dict.fromkeys(trigger.event for trigger in steps.definition.starts_on))
        named.update(_named(steps.definition))
        asked += [*guards_of(steps.layout), *relevance.beginning()]
        asked += [expression for expression, _ in relevance.learning()]
    patterns = [name for name in named if is_pattern(name) and name.endswith("*")]
    types = [name for name in named if name not in patterns]
    for text in _event_constants(asked):
        if text not in types and any(matches(pattern, text) for pattern in patterns):
            types.append(text)
    for pattern in sorted(patterns, key=len):
        types.append(_unnamed(pattern, types))
    return types


def _named(definition: Definition) -> dict[str, None]:
    named: dict[str, None] = {}
    for dependency in definition.dependencies.values():
        for triggers in (dependency.ready_on, dependency.lost_on, dependency.failed_on):
            named.update(dict.fromkeys(trigger.event for trigger in triggers))
    for known in definition.remember.values():
        named.update(dict.fromkeys(trigger.event for trigger in known.on))
    for state in definition.walk():
        for transition in state.transitions:
            named.update(dict.fromkeys(event for event in transition.event if not is_done(event)))
        named.update(dict.fromkeys(state.defer))
    return named


def _unnamed(pattern: str, types: list[str]) -> str:
    """A name that only this pattern, and those around it, match."""
    stem = "other" if pattern == "*" else pattern[:-2]
    name = f"{stem}.happened"
    while name in types or any(known.startswith(f"{name}.") for known in types):
        name += "_too"
    return name


def _event_constants(expressions: Iterable[Expression]) -> Iterator[str]:
    """The names that ``event`` is compared with."""
    for expression in expressions:
        for node in ast.walk(expression.tree):
            if isinstance(node, ast.Compare) and any(
                isinstance(part, ast.Name) and part.id == "event" for part in ast.walk(node)
            ):
                for part in ast.walk(node):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.value


# -- payloads --


def _payloads(
    event_type: str, listening: Sequence[tuple[Steps, Relevance]], candidates: Candidates
) -> tuple[list[dict[str, Any]], bool]:
    """The payloads that make a difference, and whether these are all."""
    asked = [(steps, *one) for steps, relevance in listening for one in relevance.asked_on(event_type)]
    paths = sorted(fields_read(expression for _, expression, _ in asked))
    paths = [path for path in paths if not any(other[: len(path)] == path and other != path for other in paths)]
    choices = [candidates.of(path) for path in paths]
    whole = prod(map(len, choices)) <= MAX_PAYLOADS
    atoms = [
        compiled(atom, steps)
        for steps, expression, is_value in asked
        for atom in atoms_of(expression.tree, is_of_event, truth=not is_value)
    ]
    nobody = listening[0][0].blank
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for values in product(*choices) if whole else _one_at_a_time(choices):
        payload = _payload(paths, values)
        event = Event(event_type, "", payload, id="", timestamp=0.0)
        signature = tuple(frozen_value(atom(nobody, event)) for atom in atoms)
        merged.setdefault(signature, payload)
    return list(merged.values()), whole


def _one_at_a_time(choices: list[list[Any]]) -> Iterator[tuple[Any, ...]]:
    """Too many to combine: each value of each field, with one value for each of the others."""
    usual = [values[min(1, len(values) - 1)] for values in choices]
    for number, values in enumerate(choices):
        for value in values:
            yield (*usual[:number], value, *usual[number + 1 :])


def _payload(paths: list[tuple[str, ...]], values: tuple[Any, ...]) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for path, value in zip(paths, values, strict=True):
        if value is None:
            continue
        inner = payload
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = value
    return payload
