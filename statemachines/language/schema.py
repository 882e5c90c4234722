"""The JSON Schema of the language, made from the classes of :mod:`~statemachines.language.definition`.

What keys there are, which of them must be there and what each is for comes from the classes and their docstrings, so
that a new key is in the schema by being in its class. Written here by hand are only the shorthands (``_WRITTEN``), and
the few fields that hold something else than their type says, as durations do (``_FIELDS``).

The schema checks shape, for editors. It accepts whatever the loader accepts. What it accepts besides has an expression
outside the grammar, a duration above a year, a ``max`` below its first delay, something that depends on another file,
or breaks a rule about what a definition means, such as that a target exists.

Draft 7 of JSON Schema, which every editor knows.
"""

from __future__ import annotations

import re
from collections import abc
from collections.abc import Mapping
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from statemachines.language.definition import (
    Action,
    After,
    Definition,
    Dependency,
    History,
    Invoke,
    Property,
    Publish,
    Remembered,
    State,
    Transition,
    Trigger,
)
from statemachines.language.expressions import MAX_LENGTH, Expression
from statemachines.language.merging import STATE, TOP
from statemachines.language.names import EVENT, MAX_NAME, NAME, PATTERN
from statemachines.language.schema_changes import Changes
from statemachines.language.vocabulary import PROPERTY_KINDS, Back, Timed

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
_DURATION = r"[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h)"
_LONGER_THAN_0 = r"(?=[0-9.]*[1-9])"


def ref(name: str) -> Schema:
    """The schema of that name among the definitions."""
    return {"$ref": f"#/definitions/{name}"}


def mapping_of(values: Schema, **more: Any) -> Schema:
    """Names, each with such a value."""
    return {"type": "object", "propertyNames": ref("name"), "additionalProperties": values, **more}


def one_or_several(name: str, least: int = 1) -> Schema:
    """One such value, or a list of them."""
    return {"anyOf": [ref(name), {"type": "array", "items": ref(name), "minItems": least}]}


def keyed(properties: Mapping[str, Schema], required: list[str], **more: Any) -> Schema:
    """A mapping with these keys and no others."""
    made: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False, **more}
    return {**made, "required": required} if required else made


def _text(pattern: str, description: str, **more: Any) -> Schema:
    return {"type": "string", "pattern": pattern, "description": description, **more}


def _event(pattern: str, description: str, but: str) -> Schema:
    return _text(f"^(?:{pattern})$", description, maxLength=MAX_NAME, **{"not": {"pattern": but}})


_ANY_EVENT = f"{EVENT.pattern}|{PATTERN.pattern}"

# What is written another way than its class has it, or is no class at all.
_WRITTEN: Mapping[str, Schema] = {
    "name": _text(f"^{NAME.pattern}$", "a letter a-z, then a-z, 0-9 and _", maxLength=MAX_NAME),
    "duration": _text(f"^{_DURATION}$", "a number and a unit: 500ms, 1.5s, 30s, 5m, 1h"),
    "delay": _text(f"^{_LONGER_THAN_0}{_DURATION}$", "a duration longer than 0s: 500ms, 1.5s, 30s, 5m, 1h"),
    "expression": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_LENGTH,
        "description": "a guard or value: names, and or not, comparisons, in, + - * / % //, literals, In('state')",
    },
    "event": _event(EVENT.pattern, "the full name of one event, as in call.accepted", r"^done\.state\."),
    "heard": _event(_ANY_EVENT, "the name of an event, or a pattern: name.* or *", r"^done\.(\*$|state\.)"),
    "taken": _event(
        _ANY_EVENT, "the name of an event, a pattern, or done.state.NAME for a state's end", r"^done\.(state\.)?\*$"
    ),
    "trigger": {"anyOf": [ref("heard"), ref("Trigger")]},
    "triggers": one_or_several("trigger"),
    "dependency": {
        "anyOf": [ref("heard"), {"type": "array", "items": ref("trigger"), "minItems": 1}, ref("Dependency")]
    },
    "action": {
        "anyOf": [
            {**ref("name")},
            keyed({"publish": {"anyOf": [ref("event"), ref("Publish")]}}, ["publish"]),
            keyed({"call": ref("name")}, ["call"]),
        ],
        "description": "publish: EVENT, call: HOOK, or the bare name of a hook",
    },
    "value": {
        "anyOf": [
            keyed({"expr": ref("expression")}, ["expr"]),
            {"type": "object", "properties": {"expr": False}, "additionalProperties": ref("value")},
            {"type": "array", "items": ref("value")},
            {"type": ["string", "number", "boolean", "null"]},
        ]
    },
    "timers": {
        "type": "object",
        "propertyNames": {"anyOf": [ref("delay"), ref("name")]},
        "additionalProperties": {"anyOf": [{"type": "string"}, ref("Timed")]},
    },
    "states": mapping_of(ref("state"), minProperties=1),
    "state": {
        "if": {"type": "object", "required": ["include"]},
        "then": ref("State_changes"),
        "else": {"anyOf": [ref("State"), {"type": "null"}]},
    },
    "inclusion": {
        "anyOf": [
            {"type": "string", "minLength": 1},
            keyed(
                {
                    "from": {"type": "string", "minLength": 1, "description": "a path, or the name of what ships"},
                    "state": {"type": "string", "description": "the state to take"},
                    "rename": {
                        "type": "object",
                        "additionalProperties": ref("name"),
                        "description": "other ids for states, as in {ready: online}",
                    },
                },
                ["from"],
            ),
        ],
        "description": "the body of a state from another file, which this one is laid over",
    },
}

_CLASSES = (Trigger, Publish, Dependency, Remembered, Transition, Timed, Back, Invoke, Property, State, Definition)
"""What a file writes as a mapping with the class's fields as keys."""

_TYPES: tuple[tuple[Any, Schema], ...] = (
    (str, {"type": "string"}),
    (int, {"type": "integer"}),
    (bool, {"type": "boolean"}),
    (float, {"type": "number"}),
    (Any, {}),
    (Expression, ref("expression")),
    (Dependency, ref("dependency")),
    (tuple[str, ...], one_or_several("taken")),
    (tuple[Expression, Expression], {"type": "array", "items": ref("expression"), "minItems": 2, "maxItems": 2}),
    (tuple[Trigger, ...], ref("triggers")),
    (tuple[Action, ...], one_or_several("action", 0)),
    (tuple[Transition, ...], {"type": "array", "items": ref("Transition")}),
    (tuple[After, ...], ref("timers")),
    (tuple[History, ...], mapping_of(ref("Back"))),
    (tuple[Invoke, ...], one_or_several("Invoke", 0)),
    (tuple[State, ...], ref("states")),
)

_FIELDS: Mapping[tuple[type, str], Schema] = {
    (Definition, "name"): ref("name"),
    (Definition, "version"): {"type": "integer", "minimum": 1},
    (Definition, "retain"): ref("duration"),
    (Definition, "early"): ref("duration"),
    (Definition, "timeouts"): mapping_of(ref("delay")),
    (Definition, "examples"): mapping_of({"anyOf": [{"type": "string"}, ref("Scenario")]}),
    (State, "defer"): one_or_several("heard"),
    (Trigger, "event"): one_or_several("heard"),
    (Invoke, "call"): ref("name"),
    (Invoke, "done"): ref("event"),
    (Invoke, "failed"): ref("event"),
    (Publish, "event"): ref("event"),
    (Publish, "data"): {"type": "object", "properties": {"expr": False}, "additionalProperties": ref("value")},
    (Property, "within"): ref("delay"),
    (Timed, "backoff"): {"type": "number", "exclusiveMinimum": 1, "maximum": 100},
    (Timed, "max"): ref("delay"),
    (Back, "type"): {"enum": ["shallow", "deep"]},
    (Back, "transitions"): {
        "type": "array",
        "items": keyed(
            {"target": {"type": "string"}, "internal": {"const": False}, "on": {"type": "array", "maxItems": 0}},
            ["target"],
        ),
        "minItems": 1,
        "maxItems": 1,
    },
}

_DOES_SOMETHING: Schema = {
    "anyOf": [
        {"required": ["target"]},
        {"required": ["on"], "not": {"properties": {"on": {"type": "array", "maxItems": 0}}}},
    ]
}
_MORE: Mapping[type, Schema] = {
    Timed: {"dependencies": {"max": ["backoff"]}, **_DOES_SOMETHING},
    Property: {
        "oneOf": [{"required": [kind]} for kind in PROPERTY_KINDS],
        "dependencies": {"within": ["leads_to"]},
    },
}
"""What must hold between the keys of a class."""


def definition_schema(scenario: Schema, scenario_parts: Mapping[str, Schema]) -> Schema:
    """The JSON Schema of a definition; ``scenario`` is that of an example, which refers to ``scenario_parts``."""
    definitions: dict[str, Schema] = {**_WRITTEN, **scenario_parts, "Scenario": scenario}
    definitions |= {cls.__name__: _of_class(cls) for cls in _CLASSES}
    extends = {"type": "string", "minLength": 1, "description": "the definition that this one is laid over"}
    fragment = {"const": True, "description": "whether this file only holds states for others"}
    changes = Changes(definitions, {"State_changes": {"include": ref("inclusion")}})
    changes.add("State", STATE)
    changes.add("Definition", TOP)
    whole = definitions["Definition"]
    parts = {**whole, "properties": {**whole["properties"], "fragment": fragment}}
    definitions["Fragment"] = {name: part for name, part in parts.items() if name != "required"}
    extension = definitions["Definition_changes"]
    extension["properties"] |= {"extends": extends, "fragment": fragment}
    extension["anyOf"] = [{"required": ["name"]}, {"required": ["fragment"]}]
    return {
        "$schema": DRAFT,
        "title": "phasebus definition",
        "description": _first_line(Definition),
        "if": {"required": ["extends"]},
        "then": ref("Definition_changes"),
        "else": {"if": {"required": ["fragment"]}, "then": ref("Fragment"), "else": ref("Definition")},
        "definitions": dict(sorted(definitions.items())),
    }


def shared_parts() -> dict[str, Schema]:
    """The schemas of names, events and durations, which other files have too."""
    return {name: _WRITTEN[name] for name in ("name", "event", "duration", "delay")}


def _of_class(cls: type[Any]) -> Schema:
    """The mapping that a class is in a file: its fields are the keys, and its docstring says what they are for."""
    attrs.resolve_types(cls)
    told = described(cls)
    fields = [field for field in attrs.fields(cls) if (cls, field.name) != (State, "id")]
    properties = {field.name: {**_of_field(cls, field), **told.get(field.name, {})} for field in fields}
    required = [field.name for field in fields if field.default is attrs.NOTHING]
    return keyed(properties, required, description=_first_line(cls), **_MORE.get(cls, {}))


def described(cls: type[Any]) -> dict[str, Schema]:
    """What the docstring of a class says of each field."""
    text = cleandoc(cls.__doc__ or "")
    found = re.findall(r"^:ivar (\w+): (.+(?:\n  .+)*)", text, re.MULTILINE)
    return {name: {"description": " ".join(words.split())} for name, words in found}


def _first_line(cls: type[Any]) -> str:
    return " ".join(cleandoc(cls.__doc__ or "").partition("\n\n")[0].replace("``", "").split())


def _of_field(cls: type[Any], field: attrs.Attribute[Any]) -> Schema:
    schema = _FIELDS.get((cls, field.name))
    if schema is not None:
        return schema
    plain = isinstance(field.default, bool | int)
    return {**of_type(field.type), **({"default": field.default} if plain else {})}


def of_type(kind: Any) -> Schema:
    """The schema of a type that a class uses."""
    for known, schema in _TYPES:
        if kind == known:
            return schema
    origin, inside = get_origin(kind), [part for part in get_args(kind) if part is not NoneType]
    if origin in (Union, UnionType):
        return of_type(inside[0]) if len(inside) == 1 else {"anyOf": [of_type(part) for part in inside]}
    if origin is Literal:
        return {"enum": inside}
    if origin in (abc.Mapping, dict):
        values = of_type(inside[1])
        return mapping_of(values) if attrs.has(inside[1]) else {"type": "object", "additionalProperties": values}
    if kind in _CLASSES:
        return ref(kind.__name__)
    raise TypeError(f"say in _TYPES or _FIELDS which schema {kind} has")
