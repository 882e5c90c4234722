"""Rules about names: how they are written, and that each means one thing."""

from __future__ import annotations

import keyword
from collections.abc import Iterator

from statemachines.language.names import (
    NAME_RULE,
    is_done,
    is_name,
    is_pattern,
    is_reserved,
    near_name,
    says_what_happened,
)
from statemachines.language.places import Placed
from statemachines.language.rules.rule import Finding, rule
from statemachines.language.source import Location

_SECTIONS = (
    ("dependency", "dependencies"),
    ("remembered fact", "remember"),
    ("key", "keys"),
    ("timeout", "timeouts"),
    ("property", "properties"),
    ("example", "examples"),
)


@rule(
    "malformed-name",
    "error",
    wrong="states: {inCall: {initial: true, final: true}}",
    right="states: {in_call: {initial: true, final: true}}",
)
def malformed_name(placed: Placed) -> Iterator[Finding]:
    """Names are written one way everywhere: a letter a-z, then a-z, 0-9 and _.

    So a name reads the same in the file, in an expression, in a picture and in a metric's label.
    """
    definition = placed.definition
    named: list[tuple[str, str, Location, bool]] = [("definition", definition.name, ("name",), False)]
    named += [("state", found.state.id, found.at, True) for found in placed.states]
    named += [("history", history.id, at, True) for _, history, at in placed.histories]
    for kind, section in _SECTIONS:
        named += [(kind, name, (section, name), True) for name in placed.declared(section)]
    for kind, name, location, is_key in named:
        if not is_name(name):
            message = f"'{name[:60]}' cannot name a {kind}{near_name(name)}: {NAME_RULE}"
            yield Finding(location, message, key=is_key)


@rule(
    "reserved-name",
    "error",
    wrong="""
        dependencies: {event: call.accepted}
        states: {asking: {initial: true, after: {30s: asking}}}
    """,
    right="""
        dependencies: {event_ready: call.accepted}
        states: {asking: {initial: true, after: {30s: asking}}}
    """,
)
def reserved_name(placed: Placed) -> Iterator[Finding]:
    """A dependency or remembered fact is not called what already means something in an expression.

    `event`, `data`, `meta`, `visits`, `all_ready`, `any_failed`, `In` and Python's own words are taken.
    """
    for name in placed.declared("dependencies"):
        if is_reserved(name):
            message = f"'{name}' already means something in an expression: call the dependency {name}_ready"
            yield Finding(("dependencies", name), message, key=True)
    for name in placed.declared("remember"):
        if keyword.iskeyword(name):
            message = f"meta.{name} cannot be written, as '{name}' is a word of the language: call it {name}_value"
            yield Finding(("remember", name), message, key=True)


@rule(
    "duplicate-id",
    "error",
    wrong="""
        states:
          ringing: {initial: true, after: {30s: talking}}
          talking: {transitions: [{event: call.ended, target: ringing}], states: {ringing: {initial: true}}}
    """,
    right="""
        states:
          ringing: {initial: true, after: {30s: talking}}
          talking: {transitions: [{event: call.ended, target: ringing}], states: {greeting: {initial: true}}}
    """,
    source="SCXML 3.14: an id is unique in its document",
)
def duplicate_id(placed: Placed) -> Iterator[Finding]:
    """No two states anywhere share an id, and no history has one of theirs.

    A target names a state by its id alone, so that a second one of that name could never be meant.
    """
    first: dict[str, Location] = {}
    for found in placed.states:
        if found.state.id in first:
            line = placed.source.line_of(first[found.state.id], key=True)
            message = f"duplicate state '{found.state.id}' (first on {line}): ids are unique in the whole chart"
            yield Finding(found.at, message, key=True)
        first.setdefault(found.state.id, found.at)
    for _, history, at in placed.histories:
        if history.id in first:
            line = placed.source.line_of(first[history.id], key=True)
            message = f"'{history.id}' is already something else on {line}: ids are unique in the whole chart"
            yield Finding(at, message, key=True)
        first.setdefault(history.id, at)


@rule(
    "unconventional-event",
    "warning",
    wrong="states: {idle: {initial: true, transitions: [{event: call.hangup, target: idle}]}}",
    right="states: {idle: {initial: true, transitions: [{event: call.hung_up, target: idle}]}}",
    ignorable=True,
)
def unconventional_event(placed: Placed) -> Iterator[Finding]:
    """An event is named by what happened: namespace.past_tense_action.

    An event tells what has happened, and whoever hears it decides what follows. A name such as `call.hangup` reads like
    an order, and sooner or later somebody publishes it as one. Each such name is reported once, where it is first used.
    """
    seen: set[str] = set()
    for event, place in placed.events():
        if event not in seen and not is_pattern(event) and not is_done(event) and not says_what_happened(event):
            message = (
                f"'{event}' does not say what happened: by convention namespace.past_tense_action, as in call.accepted"
            )
            yield Finding(place, message)
        seen.add(event)


RULES = (malformed_name, reserved_name, duplicate_id, unconventional_event)
