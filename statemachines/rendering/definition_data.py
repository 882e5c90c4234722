"""A definition as plain data, for programs: the language of the YAML, written out in full.

Every shorthand is spelled out, what has its default is left out, the order is the file's. What comes out can be loaded
again, as JSON is YAML, and is then the same definition; so the language page and its JSON Schema are the description of
this format too, and there is no second one to learn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from statemachines.language.definition import After, Call, Definition, History, Property, Publish, State, Transition
from statemachines.language.expressions import Expression
from statemachines.rendering.words import duration_words


def render_json(definition: Definition) -> str:
    """The definition as JSON text, ending with a newline. The same definition always gives the same text."""
    return json.dumps(definition_data(definition), indent=2, ensure_ascii=False, default=str) + "\n"


def definition_data(definition: Definition) -> dict[str, Any]:
    """The definition as mappings, lists, texts, numbers and booleans."""
    data = _fields(definition)
    for name in ("retain", "early"):
        data[name] = duration_words(getattr(definition, name))
    data |= _present(timeouts={name: duration_words(seconds) for name, seconds in definition.timeouts.items()})
    return data | {"states": _states(definition.states)}


def _states(states: tuple[State, ...]) -> dict[str, Any]:
    return {state.id: _state(state) for state in states}


def _state(state: State) -> dict[str, Any]:
    data = _fields(state)
    del data["id"]
    return data | _present(
        after={_delay(after): _after(after) for after in state.after},
        history={history.id: _history(history) for history in state.history},
        states=_states(state.states),
    )


def _delay(after: After) -> str:
    return after.delay if isinstance(after.delay, str) else after.written


def _after(after: After) -> dict[str, Any]:
    timer = _present(
        backoff=after.backoff if after.backoff != 1 else None,
        max=None if after.max_delay is None else duration_words(after.max_delay),
    )
    return _fields(after.transition) | timer


def _history(history: History) -> dict[str, Any]:
    return {"type": history.type, "transitions": [{"target": history.target}]}


def _property(checked: Property) -> dict[str, Any]:
    return _fields(checked) | _present(within=None if checked.within is None else duration_words(checked.within))


def _fields(value: Any) -> dict[str, Any]:
    """What an attrs object says beside its defaults; its name is said by the caller where that is a key."""
    default = {field.name: _default(field) for field in attrs.fields(type(value))}
    said = {name: getattr(value, name) for name in default}
    return {name: _plain(part) for name, part in said.items() if part != default[name]}


def _default(field: attrs.Attribute[Any]) -> Any:
    default: Any = field.default
    return default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    match value:
        case Expression():
            return value.text
        case Call():
            return {"call": value.name}
        case Publish():
            return {"publish": {"event": value.event, **_present(data=_payload(value.data))}}
        case Property():
            return _property(value)
        case Transition() if not _fields(value):
            return {}
        case tuple() | list():
            return [_plain(part) for part in value]
        case Mapping():
            return {name: _plain(part) for name, part in value.items()}
        case _ if attrs.has(type(value)):
            return _fields(value)
    return value


def _payload(data: Any) -> Any:
    match data:
        case Expression():
            return {"expr": data.text}
        case Mapping():
            return {name: _payload(part) for name, part in data.items()}
        case tuple() | list():
            return [_payload(part) for part in data]
    return data


def _present(**parts: Any) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if part not in (None, {}, [])}
