"""Rules about what is named elsewhere: states, timeouts, dependencies, facts and actions that have to be there."""

from __future__ import annotations

from collections.abc import Iterator

from statemachines.language.expressions import Expression
from statemachines.language.names import RESERVED, is_name, near, nearest
from statemachines.language.places import Placed
from statemachines.language.rules.rule import Finding, rule
from statemachines.language.source import Location


@rule(
    "unknown-target",
    "error",
    wrong="states: {idle: {initial: true, after: {30s: over}}}",
    right="states: {idle: {initial: true, after: {30s: over}}, over: {final: true}}",
)
def unknown_target(placed: Placed) -> Iterator[Finding]:
    """A transition or timer leads to a state or history of this chart."""
    for moved in placed.transitions:
        target = moved.transition.target
        if target is not None and target not in placed.target_ids:
            message = f"target '{target[:60]}' does not exist{near(target, placed.target_ids)}"
            yield Finding(moved.target_at, message)


@rule(
    "unknown-timeout",
    "error",
    wrong="""
        timeouts: {setup: 30s}
        states: {asking: {initial: true, after: {setup: over, answer: over}}, over: {final: true}}
    """,
    right="""
        timeouts: {setup: 30s, answer: 60s}
        states: {asking: {initial: true, after: {setup: over, answer: over}}, over: {final: true}}
    """,
)
def unknown_timeout(placed: Placed) -> Iterator[Finding]:
    """What `after` waits for is a duration or one of `timeouts`."""
    known = placed.declared("timeouts")
    for found in placed.states:
        for after in found.state.after:
            if isinstance(after.delay, str) and after.delay not in known:
                if placed.source.fragment and is_name(after.delay):
                    continue  # whoever includes it may have one of that name
                hint = near(after.delay, known)
                message = f"'{after.delay[:60]}' is neither a duration such as 30s nor one of 'timeouts'{hint}"
                yield Finding((*found.at, "after", after.written), message, key=True)


@rule(
    "unused-timeout",
    "warning",
    wrong="""
        timeouts: {setup: 30s, patience: 5m}
        states: {asking: {initial: true, after: {setup: over}}, over: {final: true}}
    """,
    right="""
        timeouts: {setup: 30s}
        states: {asking: {initial: true, after: {setup: over}}, over: {final: true}}
    """,
    needs="chart",
    ignorable=True,
)
def unused_timeout(placed: Placed) -> Iterator[Finding]:
    """A timeout is waited for by some state.

    One that no `after` names is a leftover, or the state that was meant to give up after it never does.
    """
    if any(True for _ in unknown_timeout.check(placed)):  # most likely this one was meant there
        return
    used = {after.delay for found in placed.states for after in found.state.after}
    for name in placed.definition.timeouts:
        if name not in used:
            message = f"timeout '{name}' is never used: remove it, or name it in an 'after'"
            yield Finding(("timeouts", name), message, key=True)


@rule(
    "unknown-name",
    "error",
    wrong="""
        dependencies: {audio: media.track_started}
        states:
          idle: {initial: true, after: {30s: over}, transitions: [{cond: adio, target: over}]}
          over: {final: true}
    """,
    right="""
        dependencies: {audio: media.track_started}
        states:
          idle: {initial: true, after: {30s: over}, transitions: [{cond: audio, target: over}]}
          over: {final: true}
    """,
)
def unknown_name(placed: Placed) -> Iterator[Finding]:
    """Guards and values read what is declared: dependencies, remembered facts, states.

    A bare name is a dependency. What an event carries is `data.name`, what was remembered of an earlier one is
    `meta.name`, and whether a state is active is `In('name')`.
    """
    for expression, place in placed.expressions():
        yield from _unknown_names(expression, place, placed)


def _unknown_names(expression: Expression, place: Location, placed: Placed) -> Iterator[Finding]:
    dependencies = placed.declared("dependencies")
    remembered = placed.declared("remember")
    for name, offset in expression.dependencies:
        if name not in dependencies:
            yield Finding(place, f"unknown dependency '{name}'{_meant(name, placed)}", offset=offset)
    for name, offset in expression.meta:
        if name not in remembered:
            message = f"nothing is remembered as 'meta.{name}'{near(name, remembered)}: declare it under 'remember'"
            yield Finding(place, message, offset=offset)
    for written, names in (("visits.{}", expression.visits), ("In('{}')", expression.states)):
        for name, offset in names:
            if name not in placed.state_ids:
                where = written.format(name)
                yield Finding(place, f"unknown state '{name}' in {where}{near(name, placed.state_ids)}", offset=offset)


def _meant(name: str, placed: Placed) -> str:
    """What a name that is no dependency was probably meant to be."""
    if name.lower() in ("true", "false", "none", "null"):
        return f" (did you mean {'None' if name.lower() in ('none', 'null') else name.capitalize()}?)"
    if name in placed.declared("remember"):
        return f" (did you mean 'meta.{name}'?)"
    known = [*placed.declared("dependencies"), *(RESERVED - {"In"})]
    if hint := nearest(name, known):
        return hint
    if name in placed.state_ids:
        return f" (did you mean In('{name}')?)"
    return ": declare it under 'dependencies', or write data.NAME for a field of the event"


@rule(
    "unknown-state-of-property",
    "error",
    wrong="""
        states: {idle: {initial: true, after: {30s: over}}, over: {final: true}}
        properties: {ends: {always_reachable: ovr}}
    """,
    right="""
        states: {idle: {initial: true, after: {30s: over}}, over: {final: true}}
        properties: {ends: {always_reachable: over}}
    """,
)
def unknown_state_of_property(placed: Placed) -> Iterator[Finding]:
    """A property speaks of states of this chart."""
    for name, wanted in placed.definition.properties.items():
        state = wanted.always_reachable
        if state is not None and state not in placed.state_ids:
            message = f"unknown state '{state[:60]}'{near(state, placed.state_ids)}"
            yield Finding(("properties", name, "always_reachable"), message)


@rule(
    "unknown-action-of-property",
    "error",
    wrong="""
        states: {talking: {initial: true, enter: start_audio, exit: stop_audio, after: {1h: over}}, over: {final: true}}
        properties: {stops: {closes: {start_audio: end_audio}}}
    """,
    right="""
        states: {talking: {initial: true, enter: start_audio, exit: stop_audio, after: {1h: over}}, over: {final: true}}
        properties: {stops: {closes: {start_audio: stop_audio}}}
    """,
    needs="chart",
)
def unknown_action_of_property(placed: Placed) -> Iterator[Finding]:
    """A property that `closes` speaks of actions of this chart: hooks that are called, events that are published."""
    for name, wanted in placed.definition.properties.items():
        for first, second in (wanted.closes or {}).items():
            at: Location = ("properties", name, "closes", first)
            for action, is_key in ((first, True), (second, False)):
                if action not in placed.action_names:
                    hint = near(action, placed.action_names)
                    yield Finding(at, f"no state or transition has the action '{action[:60]}'{hint}", key=is_key)


@rule(
    "key-not-in-payload",
    "error",
    wrong="""
        keys: {wa_id: {on: call.requested, value: "'15550100'"}}
        states: {asking: {initial: true, final: true}}
    """,
    right="""
        keys: {wa_id: {on: call.requested, value: data.wa_id}}
        states: {asking: {initial: true, final: true}}
    """,
)
def key_not_in_payload(placed: Placed) -> Iterator[Finding]:
    """The value of a key comes from the event alone.

    It is looked for in events whose connection is not known yet: there are no facts to read it from.
    """
    for name, key in placed.definition.keys.items():
        value = key.value
        place: Location = ("keys", name, "value")
        if value.dependencies or value.meta or value.visits or value.states or "data." not in value.text:
            message = (
                f"the value of key '{name}' must come from the event, as in data.{name}: its connection is not known"
            )
            yield Finding(place, message)
        if name in ("connection_id", "tenant_id"):
            yield Finding(("keys", name), f"'{name}' is no key of an event's payload: give it another name", key=True)


RULES = (
    unknown_target,
    unknown_timeout,
    unused_timeout,
    unknown_name,
    unknown_state_of_property,
    unknown_action_of_property,
    key_not_in_payload,
)
