"""The forms in which a scenario's steps are written, each made one of the actions of ``scenario``.

A step has one action and, beside it, perhaps ``at``. What the action needs stands inside it or beside it, whichever
reads better; ``connection`` and ``connection_id`` are the same word::

    - publish: webrtc.audio_track_ready
      data: {track_type: audio}
    - publish: {type: webrtc.audio_track_ready, data: {track_type: audio}}

This takes two looks. The first (:func:`written_step`) sorts what stands where, and needs to know nothing. Then it is
known which connections there are, so that the second (:func:`structure_step`) can fill in the only one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import NOTHING, define, field, frozen

from statemachines.language.durations import shortened
from statemachines.language.names import nearest
from statemachines.language.scalars import describe
from statemachines.language.shorthands import structure_event_name
from statemachines.language.source import Location
from statemachines.language.structuring import Faults, structure_duration, structure_text
from statemachines.simulation.scenario import (
    Action,
    Expect,
    Mark,
    Publish,
    Register,
    Registration,
    ScenarioStep,
    Terminate,
    Wait,
)
from statemachines.simulation.scenario_values import (
    Field,
    Names,
    identifier,
    payload,
    registration_hooks,
    several,
    some,
    statuses,
)

ALIASES = {"connection_id": "connection"}


@frozen
class _Form:
    """What an action takes: its keys in a file, which of them must be there, and which a bare value stands for."""

    keys: tuple[str, ...]
    bare: str | None
    required: tuple[str, ...] = ()
    example: str = ""


_REGISTRATION = ("call_id", "tenant_id", "dependencies", "timeouts", "metadata")

FORMS: Mapping[str, _Form] = {
    "publish": _Form(("type", "connection", "data", "call_id", "tenant_id"), "type", ("type",)),
    "wait": _Form(("wait",), "wait", ("wait",)),
    "expect": _Form(
        ("connection", "phase", "configuration", "dependencies", "published", "not_published", "called", "not_called"),
        None,
        example="{phase: ready}",
    ),
    "register": _Form(("connection", *_REGISTRATION), "connection", ("connection",)),
    "mark": _Form(("connection", "dependency"), "dependency", ("dependency",)),
    "terminate": _Form(("connection", "reason"), "connection"),
}
"""The keys of the language, by action."""


@frozen
class WrittenStep:
    """A step as it stands in the file: its action, and each key with its value and its place."""

    index: int
    action: str
    fields: Mapping[str, tuple[Any, Location]]
    at: Any = NOTHING

    @property
    def place(self) -> Location:
        return ("steps", self.index, self.action)

    @property
    def connection(self) -> str | None:
        """The connection that it names, if it names one."""
        name, _ = self.fields.get("connection", (None, ()))
        return name if isinstance(name, str) and name else None


# -- the first look --


def written_step(raw: Any, index: int, faults: Faults) -> WrittenStep | None:
    """Sort what a step says; None if it says nothing that could be looked at again."""
    place: Location = ("steps", index)
    if not isinstance(raw, dict):
        faults.add(f"must be a step, as in publish: call.accepted or wait: 1.5s, not {describe(raw)}", *place)
        return None
    actions = [key for key in raw if key in FORMS]
    if len(actions) != 1:
        _complain_of_actions(raw, actions, place, faults)
        return None
    action = actions[0]
    given = _Given(faults)
    body = raw[action]
    form = FORMS[action]
    if isinstance(body, dict) and action != "wait":
        given.take(body, (*place, action), form.keys, ())
    elif body is not None or action == "wait":
        if form.bare is None:
            wrong = f"must be a mapping with keys such as {some(form.keys)}, not {describe(body)}"
            faults.add(f"{wrong}: write {form.example}", *place, action)
            return None
        given.fields[form.bare] = (body, (*place, action))
    beside = {key: value for key, value in raw.items() if key not in (action, "at")}
    given.take(beside, place, form.keys, ("at",))
    if action == "expect" and not given.keys - {"connection"}:
        asked = ", ".join(form.keys[1:])
        faults.add(f"this expects nothing: give one of {asked}", *place, action, key=True, whole=True)
    return WrittenStep(index, action, given.fields, raw.get("at", NOTHING))


def _complain_of_actions(raw: dict[str, Any], actions: list[str], place: Location, faults: Faults) -> None:
    if actions:
        both = " and ".join(actions)
        faults.add(f"a step does one thing, not {both}: make them two steps", *place, actions[1], key=True, whole=True)
        return
    near_actions = [(key, nearest(key, FORMS)) for key in raw if key != "at"]
    hints = [(key, hint) for key, hint in near_actions if hint]
    for key, hint in hints:
        faults.add(f"unknown key '{shortened(key)}'{hint}", *place, key, key=True, whole=True)
    if not hints:
        cure = "; to let time pass write wait: 1.5s" if list(raw) == ["at"] else ""
        faults.add(f"a step needs one of {', '.join(FORMS)}{cure}", *place, whole=True)


@define
class _Given:
    """Gathers the keys of a step from inside its action and from beside it; ``keys`` has the refused ones too."""

    faults: Faults
    fields: dict[str, tuple[Any, Location]] = field(factory=dict)
    keys: set[str] = field(factory=set)

    def take(self, part: dict[str, Any], place: Location, keys: tuple[str, ...], more: tuple[str, ...]) -> None:
        for key, value in part.items():
            name = ALIASES.get(key, key)
            self.keys.add(name)
            if name not in keys:
                known = (*keys, *more)
                hint = nearest(key, known) or f": the keys here are {', '.join(known)}"
                self.faults.add(f"unknown key '{shortened(key)}'{hint}", *place, key, key=True, whole=True)
            elif name in self.fields:
                message = f"'{name}' is given twice in this step: remove one"
                self.faults.add(message, *place, key, key=True, whole=True)
            else:
                self.fields[name] = (value, (*place, key))


# -- the second look --


def structure_step(step: WrittenStep, names: Names, line: int, faults: Faults) -> ScenarioStep:
    """The step, with its connection filled in. What is wrong goes to ``faults``, and then the step is no good."""
    form = FORMS[step.action]
    hooks = _hooks(step.action, names)
    values: dict[str, Any] = {}
    for name, (value, place) in step.fields.items():
        with faults.at(*place):
            values[name] = hooks[name](value)
    for name in form.required:
        if name not in step.fields:
            faults.add(f"the key '{name}' is missing", *step.place, key=True, whole=True)
    if "connection" in form.keys and "connection" not in step.fields and "connection" not in form.required:
        values["connection"] = _only_connection(step, names, faults)
    at = None
    if step.at is not NOTHING:
        with faults.at("steps", step.index, "at"):
            at = structure_duration(step.at)
    return ScenarioStep(_action(step, values, faults), at, line)


def _only_connection(step: WrittenStep, names: Names, faults: Faults) -> str | None:
    """The connection of a step that names none."""
    if step.action == "publish" and "call_id" in step.fields:
        return None  # found by it, as a web-hook's event is
    if len(names.choice) == 1:
        return names.choice[0]
    if not names.choice:
        message = "this step needs a connection, and there is none: add 'connection'"
    else:
        there_are = ", ".join(shortened(name) for name in names.choice[:8])
        more = ", …" if len(names.choice) > 8 else ""
        message = f"which connection? There are {there_are}{more}: add 'connection'"
    faults.add(message, *step.place, key=True, whole=True)
    return None


def _action(step: WrittenStep, values: dict[str, Any], faults: Faults) -> Action:
    """The action of these values; a stand-in where one is missing, which ``faults`` then knows of."""
    connection = values.pop("connection", None) or ""
    match step.action:
        case "publish":
            return Publish(values.pop("type", ""), connection or None, **values)
        case "wait":
            return Wait(values.get("wait", 0.0))
        case "register":
            return Register(connection, Registration(**values))
        case "mark":
            return Mark(connection, values.get("dependency", ""))
        case "terminate":
            return Terminate(connection, values.get("reason"))
        case _:
            return Expect(connection, **values)


def _identifier_or_none(value: Any) -> str | None:
    """An event's connection; None is written where it names none, though there is only one: a key finds it."""
    return None if value is None else identifier(value)


def _hooks(action: str, names: Names) -> Mapping[str, Field]:
    """How each key of an action is read."""
    match action:
        case "publish":
            own: dict[str, Field] = {
                "type": structure_event_name,
                "connection": _identifier_or_none,
                "data": payload,
                "call_id": identifier,
                "tenant_id": identifier,
            }
        case "wait":
            own = {"wait": structure_duration}
        case "register":
            own = {"connection": identifier, **registration_hooks(names)}
        case "mark":
            own = {"connection": names.connection, "dependency": names.dependency}
        case "terminate":
            own = {"connection": names.connection, "reason": structure_text}
        case _:
            own = {
                "connection": names.connection,
                "phase": names.state,
                "configuration": names.states,
                "dependencies": statuses(names),
                "published": several(structure_event_name),
                "not_published": several(structure_event_name),
                "called": several(names.hook),
                "not_called": several(names.hook),
            }
    return own
