"""The JSON Schema of a scenario, made from the forms of its steps and the classes that they become.

It checks shape and leaves to the loader which names there are, that a key is not given both inside and beside its
action, and that a step has all that it needs.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from statemachines.language.schema import DRAFT, Schema, keyed, ref, shared_parts
from statemachines.simulation.scenario import Registration
from statemachines.simulation.scenario_file import KEYS
from statemachines.simulation.scenario_steps import ALIASES, FORMS
from statemachines.simulation.scenario_values import STATUSES

_ID: Schema = {"type": "string", "minLength": 1}
_TEXT: Schema = {"type": "string"}
_TYPES: Schema = {"anyOf": [ref("event"), {"type": "array", "items": ref("event")}]}
_TEXTS: Schema = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}

_KEYS: Mapping[str, Schema] = {
    "type": {**ref("event"), "description": "the event"},
    "connection": {**_ID, "description": "the connection; with one, it may be left out"},
    "connection_id": {**_ID, "description": "the same as connection"},
    "call_id": _ID,
    "tenant_id": _ID,
    "data": {"type": "object", "description": "the event's payload"},
    "wait": {**ref("duration"), "description": "how much virtual time passes"},
    "dependency": {**_TEXT, "description": "the dependency that is marked ready"},
    "reason": _TEXT,
    "phase": {**_TEXT, "description": "an active state"},
    "configuration": {**_TEXTS, "description": "all active states"},
    "dependencies": {**_TEXTS, "description": "the dependencies that this connection requires"},
    "published": {**_TYPES, "description": "what was published by now, in this order"},
    "not_published": {**_TYPES, "description": "what was not published by now"},
    "called": {**_TEXTS, "description": "the hooks that were called by now, in this order"},
    "not_called": {**_TEXTS, "description": "the hooks that were not called by now"},
    "timeouts": {
        "type": "object",
        "additionalProperties": ref("delay"),
        "description": "other durations for this connection",
    },
    "metadata": {"type": "object"},
}
_OR_NONE: Schema = {
    "type": ["string", "null"],
    "minLength": 1,
    "description": "the connection; null: known by its keys",
}
_KEYS_OF: Mapping[str, Mapping[str, Schema]] = {
    "publish": {"connection": _OR_NONE, "connection_id": _OR_NONE},
    "expect": {"dependencies": {"type": "object", "additionalProperties": {"enum": list(STATUSES)}}},
}
"""What means something else in one action than in others."""
_TOP: Mapping[str, Schema] = {
    "definition": {**_TEXT, "description": "the definition that this is for: a name, or a path"},
    "description": {**_TEXT, "description": "one sentence for people"},
    "connections": {
        "type": "object",
        "propertyNames": {"minLength": 1},
        "additionalProperties": {"anyOf": [ref("Registration"), {"type": "null"}]},
        "description": "the connections that are registered at the start, by id",
    },
    "steps": {"type": "array", "items": ref("Step"), "description": "what happens, in this order"},
}


def scenario_body() -> Schema:
    """What a scenario holds; refers to :func:`scenario_parts`."""
    return keyed({key: _TOP.get(key, {}) for key in KEYS}, ["steps"])


def scenario_parts() -> dict[str, Schema]:
    """What the schema of a scenario refers to, by name."""
    fields = [field.name for field in attrs.fields(Registration)]
    return {
        **shared_parts(),
        "Registration": keyed({name: _KEYS.get(name, {}) for name in fields}, []),
        "Step": {"oneOf": [_step(action) for action in FORMS]},
    }


def scenario_schema() -> Schema:
    """The JSON Schema of a scenario file."""
    about = {"$schema": DRAFT, "title": "phasebus scenario"}
    return {**about, **scenario_body(), "definitions": dict(sorted(scenario_parts().items()))}


def _step(action: str) -> Schema:
    form = FORMS[action]
    known = {**_KEYS, **_KEYS_OF.get(action, {})}
    names = [*form.keys, *(alias for alias, name in ALIASES.items() if name in form.keys)]
    keys = {name: known.get(name, {}) for name in names}
    bare = [known[form.bare]] if form.bare is not None else []
    inside = [] if action == "wait" else [keyed(keys, [])]
    nothing = [] if action == "wait" else [{"type": "null"}]
    beside = {name: schema for name, schema in keys.items() if name != action}
    at = {"at": {**ref("duration"), "description": "the virtual time at which this happens"}}
    return keyed({action: {"anyOf": [*bare, *inside, *nothing]}, **beside, **at}, [action])
