"""How each key of a definition file becomes a part of a :class:`Definition`: the converter with the shorthands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen
from cattrs import Converter

from statemachines.language.definition import (
    Action,
    After,
    Definition,
    Dependency,
    History,
    Invoke,
    Property,
    Remembered,
    State,
    Transition,
    Trigger,
)
from statemachines.language.durations import DurationError, is_duration_like
from statemachines.language.expressions import Expression
from statemachines.language.scalars import describe
from statemachines.language.shorthands import (
    structure_actions,
    structure_event_name,
    structure_events,
    structure_heard,
    structure_hook_name,
    structure_triggers,
)
from statemachines.language.structuring import (
    GIVEN,
    Faults,
    Hook,
    Wrong,
    class_hook,
    strict_converter,
    structure_duration,
    structure_expression,
    structure_number,
)

OF_A_FILE = ("extends", "fragment")
OF_A_STATE = ("include",)
"""Keys that ``composition`` has followed before anything is structured."""

PROPERTY_KINDS = ("always", "never", "sometimes", "always_reachable", "leads_to", "closes")
"""What a property can be; it is exactly one of them."""

_MISPLACED = {
    "event": "'event' belongs inside ready_on, lost_on or failed_on, as in ready_on: {event: …, when: …}",
    "when": "'when' belongs inside ready_on, lost_on or failed_on, as in ready_on: {event: …, when: …}",
}


@frozen
class Timed:
    """What ``after`` maps a delay to; a timer has no event of its own.

    :ivar target: the state or history that it leads to
    :ivar cond: it fires only if this holds
    :ivar unless: it fires only if this does not hold
    :ivar on: the actions on the way
    :ivar backoff: multiplies the delay at each further visit of the state
    :ivar max: how long the delay can get by that
    """

    target: str | None = None
    cond: Expression | None = None
    unless: Expression | None = None
    on: tuple[Action, ...] = ()
    backoff: float = 1.0
    max: float | None = None


@frozen
class Back:
    """What ``history`` maps a name to, as python-statemachine writes it.

    :ivar transitions: one transition, whose target it leads to the first time
    :ivar type: shallow for the child that was active, deep for everything inside
    """

    transitions: tuple[Transition, ...]
    type: str = "shallow"


def definition_converter() -> Converter:
    """A strict converter that knows the definition language."""
    converter = strict_converter()
    converter.register_structure_hook_func(_is(tuple[Trigger, ...]), structure_triggers)
    converter.register_structure_hook_func(_is(tuple[Action, ...]), structure_actions)
    converter.register_structure_hook_func(_is(tuple[str, ...]), structure_events)
    converter.register_structure_hook_func(_is(tuple[Expression, Expression] | None), _structure_pair)
    converter.register_structure_hook_func(_is(tuple[After, ...]), _after_hook(converter))
    converter.register_structure_hook_func(_is(tuple[State, ...]), _states_hook(converter))
    converter.register_structure_hook(Dependency, _dependency_hook(converter))
    converter.register_structure_hook(Remembered, class_hook(converter, Remembered))
    converter.register_structure_hook(Transition, class_hook(converter, Transition))
    converter.register_structure_hook(Property, _property_hook(converter))
    timed = class_hook(converter, Timed, hooks={"backoff": _structure_backoff, "max": _structure_positive})
    converter.register_structure_hook(Timed, timed)
    converter.register_structure_hook_func(_is(tuple[History, ...]), _histories_hook(converter))
    names = {"call": structure_hook_name, "done": structure_event_name, "failed": structure_event_name}
    converter.register_structure_hook(Invoke, class_hook(converter, Invoke, hooks=names))
    converter.register_structure_hook_func(_is(tuple[Invoke, ...]), _invokes_hook(converter))
    converter.register_structure_hook(State, _state_hook(converter))
    converter.register_structure_hook(Definition, _definition_hook(converter))
    return converter


def _is(wanted: Any) -> Callable[[Any], bool]:
    return lambda cls: bool(cls == wanted)


def _definition_hook(converter: Converter) -> Hook:
    return class_hook(
        converter,
        Definition,
        hooks={
            "retain": structure_duration,
            "early": structure_duration,
            "timeouts": _structure_timeouts,
            "examples": _structure_examples,
            "version": _structure_version,
        },
        also=OF_A_FILE,
    )


def _state_hook(converter: Converter) -> Hook:
    hooks = {"transitions": _transitions_hook(converter), "defer": structure_heard}
    return class_hook(converter, State, hooks=hooks, given="id", also=OF_A_STATE)


def _states_hook(converter: Converter) -> Hook:
    def hook(value: Any, _: Any) -> tuple[State, ...]:
        if not isinstance(value, dict):
            raise Wrong(f"must be a mapping of states by name, not {describe(value)}")
        if not value:
            raise Wrong("is empty: name at least one state")
        faults = Faults()
        states = []
        for name, body in value.items():
            with faults.at(name):
                states.append(_one_state(converter, name, body))
        faults.check()
        return tuple(states)

    return hook


def _one_state(converter: Converter, name: str, body: Any) -> State:
    if body is None:  # `idle:` with nothing below it is a state with nothing in it
        body = {}
    if isinstance(body, dict):
        body = {**body, GIVEN: name}
    return converter.structure(body, State)


def _transitions_hook(converter: Converter) -> Hook:
    def hook(value: Any, _: Any) -> tuple[Transition, ...]:
        if isinstance(value, dict):
            raise Wrong("must be a list of transitions: put '- ' before each, or write [{event: …, target: …}]")
        if not isinstance(value, list):
            raise Wrong(f"must be a list of transitions, not {describe(value)}")
        faults = Faults()
        transitions = []
        for index, item in enumerate(value):
            with faults.at(index):
                transitions.append(converter.structure(item, Transition))
        faults.check()
        return tuple(transitions)

    return hook


def _after_hook(converter: Converter) -> Hook:
    def hook(value: Any, _: Any) -> tuple[After, ...]:
        if not isinstance(value, dict):
            raise Wrong(f"must map a delay to a target, as in {{30s: terminating}}, not {describe(value)}")
        faults = Faults()
        timers: list[After] = []
        for written, body in value.items():
            with faults.at():
                delay = _structure_delay(written)
                with faults.at(written):
                    timers.append(_timer(converter, delay, written, body))
        faults.check()
        return tuple(timers)

    return hook


def _structure_delay(written: str) -> float | str:
    if not is_duration_like(written):
        return written
    try:
        seconds = structure_duration(written)
    except DurationError as error:
        raise Wrong(str(error), written, key=True, whole=True) from None
    if seconds <= 0:
        raise Wrong("a timer needs a delay above 0s: use a transition without event", written, key=True, whole=True)
    return seconds


def _timer(converter: Converter, delay: float | str, written: str, body: Any) -> After:
    if isinstance(body, str):
        return After(delay, written, Transition(target=body))
    if isinstance(body, dict) and "event" in body:
        raise Wrong("a timer has no event: it fires by itself", "event", key=True, whole=True)
    if not isinstance(body, dict):
        raise Wrong(f"must lead to a state, or be a mapping with target, cond, unless, on, not {describe(body)}")
    timed = converter.structure(body, Timed)
    if timed.target is None and not timed.on:
        raise Wrong("this timer does nothing: give it a target, or actions with 'on'", whole=True)
    if timed.max is not None and timed.backoff == 1:
        raise Wrong(
            "'max' bounds what 'backoff' makes longer: add backoff: 2, or remove it", "max", key=True, whole=True
        )
    if timed.max is not None and isinstance(delay, float | int) and timed.max < delay:
        raise Wrong(f"is shorter than the first delay, {written}", "max")
    transition = Transition(target=timed.target, cond=timed.cond, unless=timed.unless, on=timed.on)
    return After(delay, written, transition, timed.backoff, timed.max)


def _invokes_hook(converter: Converter) -> Hook:
    def hook(value: Any, _: Any) -> tuple[Invoke, ...]:
        if not isinstance(value, list):
            return (converter.structure(value, Invoke),)
        faults = Faults()
        made = []
        for index, item in enumerate(value):
            with faults.at(index):
                made.append(converter.structure(item, Invoke))
        faults.check()
        return tuple(made)

    return hook


def _histories_hook(converter: Converter) -> Hook:
    back = class_hook(converter, Back, hooks={"transitions": _transitions_hook(converter)})

    def one(name: str, body: Any) -> History:
        made: Back = back(body, Back)
        faults = Faults()
        if made.type not in ("shallow", "deep"):
            faults.add(f"must be shallow or deep, not {describe(made.type)}", "type")
        way = made.transitions[0] if len(made.transitions) == 1 else Transition()
        if way != Transition(target=way.target) or way.target is None:
            example = "transitions: [{target: idle}]"
            faults.add(f"must be one transition with a target and nothing else, as in {example}", "transitions")
        faults.check()
        return History(name, way.target or "", "deep" if made.type == "deep" else "shallow")

    def hook(value: Any, _: Any) -> tuple[History, ...]:
        if not isinstance(value, dict):
            example = "{was: {type: deep, transitions: [{target: idle}]}}"
            raise Wrong(f"must be a mapping of histories by name, as in {example}, not {describe(value)}")
        faults = Faults()
        made = []
        for name, body in value.items():
            with faults.at(name):
                made.append(one(name, body))
        faults.check()
        return tuple(made)

    return hook


def _dependency_hook(converter: Converter) -> Hook:
    build = class_hook(converter, Dependency, unknown=_MISPLACED.get)

    def hook(value: Any, cls: Any) -> Dependency:
        if isinstance(value, str | list):
            return Dependency(ready_on=structure_triggers(value))
        if not isinstance(value, dict):
            raise Wrong(f"must be an event, or a mapping with ready_on, lost_on, failed_on, not {describe(value)}")
        made: Dependency = build(value, cls)
        return made

    return hook


def _property_hook(converter: Converter) -> Hook:
    build = class_hook(converter, Property, hooks={"within": _structure_positive})

    def hook(value: Any, cls: Any) -> Property:
        faults = Faults()
        with faults.at():
            made: Property = build(value, cls)
        if isinstance(value, dict):
            given = [kind for kind in PROPERTY_KINDS if kind in value]
            if len(given) > 1:
                both = " and ".join(given)
                faults.add(f"a property has one kind, not {both}: make them two", given[1], key=True, whole=True)
            if not given:
                faults.add(f"a property needs one of {', '.join(PROPERTY_KINDS)}", key=True, whole=True)
            if "within" in value and given and "leads_to" not in given:
                faults.add("'within' goes with 'leads_to' only: remove it", "within", key=True, whole=True)
        faults.check()
        return made

    return hook


def _structure_pair(value: Any, _: Any) -> tuple[Expression, Expression]:
    if not isinstance(value, list) or len(value) != 2:
        raise Wrong("must be a list of two expressions: what leads, and what it leads to")
    faults = Faults()
    made: list[Expression] = []
    for index, item in enumerate(value):
        with faults.at(index):
            made.append(structure_expression(item))
    faults.check()
    return made[0], made[1]


def _structure_timeouts(value: Any, _: Any) -> Mapping[str, float]:
    if not isinstance(value, dict):
        raise Wrong(f"must map names to durations, as in {{setup: 30s}}, not {describe(value)}")
    faults = Faults()
    timeouts: dict[str, float] = {}
    for name, duration in value.items():
        with faults.at(name):
            timeouts[name] = _structure_positive(duration)
    faults.check()
    return timeouts


def _structure_examples(value: Any, _: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Wrong(f"must map names to scenarios, as in {{good_call: {{steps: […]}}}}, not {describe(value)}")
    faults = Faults()
    for name, scenario in value.items():
        if not isinstance(scenario, dict | str):
            faults.add(f"must be a scenario or the path of one, not {describe(scenario)}", name)
    faults.check()
    return value


def _structure_positive(value: Any, _: Any = None) -> float:
    seconds = structure_duration(value)
    if seconds <= 0:
        raise Wrong("must be longer than 0s")
    return seconds


def _structure_backoff(value: Any, _: Any = None) -> float:
    number = structure_number(value)
    if not 1 < number <= 100:
        raise Wrong(f"must be a number above 1, as in backoff: 2, not {describe(value)}")
    return float(number)


def _structure_version(value: Any, _: Any = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Wrong(f"must be an integer of 1 or more, not {describe(value)}")
    if value < 1:
        raise Wrong(f"must be an integer of 1 or more, not {value}")
    return value
