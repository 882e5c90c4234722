"""The several ways to write events, triggers and actions, made one; and where in the file each of them stands.

Each ``structure_*`` hook has a ``*_places`` beside it that gives, for each thing which the hook made and in the same
order, its location in the file, so that a rule can point at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from statemachines.language.definition import Action, Call, Publish, Trigger
from statemachines.language.durations import shortened
from statemachines.language.expressions import Expression
from statemachines.language.names import EVENT_RULE, NAME_RULE, is_done, is_event, is_name, is_pattern, near_name
from statemachines.language.scalars import describe
from statemachines.language.source import Location
from statemachines.language.structuring import Faults, Wrong, check_keys, structure_expression


def structure_event_pattern(value: Any, _: Any = None) -> str:
    """The name of an event, ``name.*`` or ``*``."""
    if not isinstance(value, str):
        raise Wrong(f"must be the name of an event, as in call.accepted, not {describe(value)}")
    if value in ("done.*", "done.state.*"):
        raise Wrong(
            f"'{shortened(value)}' would be any state's end: name the one, as in done.state.greeting", whole=True
        )
    if not is_event(value) and not is_pattern(value):
        raise Wrong(_not_an_event(value) + ", or name.* or * for several", whole=True)
    return value


def structure_event_name(value: Any, _: Any = None) -> str:
    """The name of one event, as it is published."""
    if not isinstance(value, str):
        raise Wrong(f"must be the name of an event, as in connection.ready, not {describe(value)}")
    if is_pattern(value):
        raise Wrong(f"'{shortened(value)}' is a pattern: publish one event by its full name", whole=True)
    if not is_event(value):
        raise Wrong(_not_an_event(value), whole=True)
    if is_done(value):
        raise Wrong(f"'{shortened(value)}' happens by itself: it cannot be published", whole=True)
    return value


def _not_an_event(value: str) -> str:
    return f"'{shortened(value)}' is not an event name{near_name(value)}: {NAME_RULE}; {EVENT_RULE}"


def structure_events(value: Any, _: Any = None) -> tuple[str, ...]:
    """One event, or a list of them."""
    return _one_or_several(value, structure_event_pattern)


def structure_heard(value: Any, _: Any = None) -> tuple[str, ...]:
    """One event of the bus, or a list of them."""
    return _one_or_several(value, _heard)


def _one_or_several(value: Any, structure_one: Callable[[Any], str]) -> tuple[str, ...]:
    if not isinstance(value, list):
        return (structure_one(value),)
    if not value:
        raise Wrong("is an empty list: name at least one event")
    faults = Faults()
    events = []
    for index, item in enumerate(value):
        with faults.at(index):
            events.append(structure_one(item))
    faults.check()
    return tuple(events)


def event_places(raw: Any, base: Location) -> list[Location]:
    """The location of each event of :func:`structure_events`."""
    return [(*base, index) for index in range(len(raw))] if isinstance(raw, list) else [base]


def structure_triggers(value: Any, _: Any = None) -> tuple[Trigger, ...]:
    """A name, a list, or ``{event, when}``, whose event may be a list too."""
    if not isinstance(value, list):
        return _trigger(value)
    if not value:
        raise Wrong("is an empty list: name at least one event")
    faults = Faults()
    triggers: list[Trigger] = []
    for index, item in enumerate(value):
        with faults.at(index):
            triggers += _trigger(item)
    faults.check()
    return tuple(triggers)


def _heard(value: Any) -> str:
    pattern = structure_event_pattern(value)
    if is_done(pattern):
        raise Wrong(f"'{shortened(pattern)}' happens inside the chart: only a transition can have it", whole=True)
    return pattern


def _trigger(value: Any) -> tuple[Trigger, ...]:
    if not isinstance(value, dict):
        return (Trigger(_heard(value)),)
    faults = Faults()
    check_keys(value, ("event", "when"), faults)
    events: tuple[str, ...] = ()
    when: Expression | None = None
    if "event" not in value:
        faults.add("the key 'event' is missing", key=True, whole=True)
    with faults.at("event"):
        events = structure_heard(value["event"]) if "event" in value else ()
    with faults.at("when"):
        when = structure_expression(value["when"]) if "when" in value else None
    faults.check()
    return tuple(Trigger(event, when) for event in events)


def trigger_places(raw: Any, base: Location) -> Iterator[tuple[Location, Location]]:
    """For each trigger of :func:`structure_triggers`: where its event stands, and where its condition."""
    if isinstance(raw, list):
        for index, item in enumerate(raw):
            yield from trigger_places(item, (*base, index))
    elif isinstance(raw, dict):
        for place in event_places(raw.get("event"), (*base, "event")):
            yield place, (*base, "when")
    else:
        yield base, base


def structure_actions(value: Any, _: Any = None) -> tuple[Action, ...]:
    """One action, or a list of them."""
    if not isinstance(value, list):
        return (_action(value),)
    faults = Faults()
    actions: list[Action] = []
    for index, item in enumerate(value):
        with faults.at(index):
            actions.append(_action(item))
    faults.check()
    return tuple(actions)


def action_places(raw: Any, base: Location) -> list[Location]:
    """The location of each action of :func:`structure_actions`."""
    return event_places(raw, base)


def _action(value: Any) -> Action:
    if isinstance(value, str):
        return Call(structure_hook_name(value))
    if not isinstance(value, dict):
        raise Wrong(f"must be an action (publish: TYPE, call: NAME or the name of a hook), not {describe(value)}")
    faults = Faults()
    check_keys(value, ("publish", "call"), faults)
    faults.check()
    if len(value) != 1:
        raise Wrong("must be one action, either publish or call: write several as a list")
    kind, body = next(iter(value.items()))
    action: Action | None = None
    with faults.at(kind):
        action = _publish(body) if kind == "publish" else Call(structure_hook_name(body))
    faults.check()
    assert action is not None, "a fault would have been noted"
    return action


def structure_hook_name(value: Any, _: Any = None) -> str:
    """The name under which a hook is registered."""
    if not isinstance(value, str):
        raise Wrong(f"must be the name of a hook, not {describe(value)}")
    if is_event(value):
        raise Wrong(
            f"'{shortened(value)}' is an event, and a bare name calls a hook: write {{publish: {value}}}", whole=True
        )
    if not is_name(value):
        raise Wrong(f"'{shortened(value)}' is not the name of a hook{near_name(value)}: {NAME_RULE}", whole=True)
    return value


def _publish(value: Any) -> Publish:
    if not isinstance(value, dict):
        return Publish(structure_event_name(value))
    faults = Faults()
    check_keys(value, ("event", "data"), faults)
    event, data = "", value.get("data", {})
    if "event" not in value:
        faults.add("the key 'event' is missing", key=True, whole=True)
    with faults.at("event"):
        event = structure_event_name(value["event"]) if "event" in value else ""
    with faults.at("data"):
        if not isinstance(data, dict):
            raise Wrong(f"must be a mapping of fields, not {describe(data)}")
        if "expr" in data:
            raise Wrong("must be a mapping of fields: give the expression a field, as in {reason: {expr: data.reason}}")
        data = _payload(data)
    faults.check()
    return Publish(event, data)


def _payload(value: Any) -> Any:
    """A copy of a payload with each ``{expr: …}``, at any depth, parsed."""
    faults = Faults()
    made: Any = value
    if isinstance(value, dict) and "expr" in value:
        if len(value) > 1:
            extra = next(key for key in value if key != "expr")
            raise Wrong(f"'{extra}' stands beside 'expr': a value is either an expression or literal", whole=True)
        with faults.at("expr"):
            made = structure_expression(value["expr"])
    elif isinstance(value, dict):
        made = {}
        for key, part in value.items():
            with faults.at(key):
                made[key] = _payload(part)
    elif isinstance(value, list):
        made = []
        for index, part in enumerate(value):
            with faults.at(index):
                made.append(_payload(part))
    faults.check()
    return made


def payload_expressions(data: Any, base: Location) -> Iterator[tuple[Expression, Location]]:
    """Each expression of a payload with its location."""
    if isinstance(data, Expression):
        yield data, (*base, "expr")
    elif isinstance(data, dict):
        for key, part in data.items():
            yield from payload_expressions(part, (*base, key))
    elif isinstance(data, list):
        for index, part in enumerate(data):
            yield from payload_expressions(part, (*base, index))
