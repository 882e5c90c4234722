"""A definition as SCXML 1.0 (W3C), with Python as its data model: what python-statemachine's reader runs.

States, regions, histories, transitions, entry and exit are SCXML's own; ``facts`` says how dependencies become a data
model. A publish is a ``<send>`` to the parent session, a hook one whose event is a single token, a timer a delayed
``<send>`` that its state cancels when it is left. What SCXML has no words for (shorthands, what a registration needs,
``defer``, ``invoke``, properties) stands in attributes and elements of phasebus' namespace, so that reading the
document again gives an equal definition.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from statemachines.errors import CannotExport
from statemachines.interchange.facts import MARK, Facts, assign, element
from statemachines.interchange.naming import duration, milliseconds, state_id, step_descriptor, variable
from statemachines.language.definition import Action, After, Call, Definition, History, State, Transition, Trigger
from statemachines.language.expressions import Expression
from statemachines.language.scxml_words import CONNECTION, NAMESPACE, SCXML

MAX_DOUBLINGS = 100
"""As far as a delay is written out that grows with each visit; the table stops there too."""


def render_scxml(definition: Definition) -> str:
    """The definition as an SCXML document.

    :raises CannotExport: if it uses what would go another way in an SCXML interpreter
    """
    return _Writer(definition).document()


class _Writer:
    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.facts = Facts(definition)
        self.visited = set(self.facts.visited)

    def document(self) -> str:
        first = next(state for state in self.definition.states if state.initial)
        root = ET.Element(
            "scxml",
            {
                "xmlns": SCXML,
                "xmlns:phasebus": NAMESPACE,
                "version": "1.0",
                "name": self.definition.name,
                "datamodel": "python",
                "initial": state_id(first.id) if first.final else CONNECTION,
            },
        )
        write_header(root, self.definition)
        data = element(root, "datamodel", **MARK)
        around = element(root, "state", id=CONNECTION, **MARK)
        if not first.final:
            around.set("initial", state_id(first.id))
        for position, state in enumerate(self.definition.states):
            if not state.final:
                self._state(around, state, top=True)
            else:  # only a final state that nothing is around ends the interpreter
                self._state(root, state, top=True).set("phasebus:position", str(position))
        self.facts.write(data, around)
        ET.indent(root)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"

    def _state(self, parent: ET.Element, state: State, top: bool = False, region: bool = False) -> ET.Element:
        tag = "final" if state.final else "parallel" if state.parallel else "state"
        made = element(parent, tag, id=state_id(state.id))
        if made.get("id") != state.id:
            made.set("phasebus:state", state.id)
        if region and state.initial:  # says nothing there, but the definition does say it
            made.set("phasebus:first", "true")
        if state.ignore:
            made.set("phasebus:ignore", json.dumps(dict(state.ignore), ensure_ascii=False))
        if state.defer:
            made.set("phasebus:defer", " ".join(state.defer))
        first = next((child for child in state.states if child.initial), None)
        if first is not None and not state.parallel:
            made.set("initial", state_id(first.id))
        self._count(made, state)
        self._actions(made, "onentry", state.enter)
        for number, after in enumerate(state.after):
            self._timer(made, state, number, after)
        # Whoever is in a final state of the top level has ended: phasebus does not leave it, SCXML would.
        self._actions(made, "onexit", state.exit, **({"phasebus:never": "true"} if top and state.final else {}))
        for history in state.history:
            self._history(made, history)
        for transition in state.transitions:
            self._transition(made, state, transition, " ".join(step_descriptor(event) for event in transition.event))
        for number, after in enumerate(state.after):
            fired = self._transition(made, state, after.transition, f"Fired.{state_id(state.id)}.{number}")
            fired.set("phasebus:after", after.written)
            if after.backoff != 1:
                fired.set("phasebus:backoff", repr(after.backoff))
            if after.max_delay is not None:
                fired.set("phasebus:max", duration(after.max_delay))
        for invoke in state.invoke:
            written = {"phasebus:call": invoke.call, "phasebus:done": invoke.done, "phasebus:failed": invoke.failed}
            element(made, "phasebus:coroutine", **{key: value for key, value in written.items() if value is not None})
        for child in state.states:
            self._state(made, child, region=state.parallel)
        return made

    def _count(self, made: ET.Element, state: State) -> None:
        counted = [child.id for child in state.states if child.id in self.visited]
        if not counted and state.id not in self.visited:
            return
        block = element(made, "onentry", **MARK)
        for child in counted:
            assign(block, variable("entered", child), "0")
        if state.id in self.visited:
            name = variable("entered", state.id)
            assign(block, name, f"{name} + 1")

    def _timer(self, made: ET.Element, state: State, number: int, after: After) -> None:
        event = f"Timer.{state_id(state.id)}.{number}"
        send = element(element(made, "onentry", **MARK), "send", event=event, id=event)
        if after.backoff == 1 and isinstance(after.delay, str):
            send.set("delayexpr", variable("timeout", after.delay))
        elif after.backoff == 1:
            assert not isinstance(after.delay, str)
            send.set("delay", milliseconds(after.delay))
        else:
            send.set("delayexpr", self._growing(state, after))
        element(element(made, "onexit", **MARK), "cancel", sendid=event)

    def _growing(self, state: State, after: After) -> str:
        """The delay of each visit, written out: the grammar of guards has no powers."""
        first = self.definition.timeouts[after.delay] if isinstance(after.delay, str) else after.delay
        longest = after.max_delay if after.max_delay is not None else float("inf")
        delays: list[float] = []
        for visit in range(MAX_DOUBLINGS + 1):
            delays.append(min(first * after.backoff**visit, longest))
            if delays[-1] == longest or delays[-1] > 1e10:
                break
        entered = variable("entered", state.id)
        *growing, last = delays
        parts = [f"({entered} == {visit} and '{milliseconds(delay)}')" for visit, delay in enumerate(growing, start=1)]
        return " or ".join([*parts, f"'{milliseconds(last)}'"])

    def _history(self, made: ET.Element, history: History) -> None:
        back = element(made, "history", id=state_id(history.id), type=history.type)
        if back.get("id") != history.id:
            back.set("phasebus:state", history.id)
        element(back, "transition", target=state_id(history.target))

    def _transition(self, made: ET.Element, state: State, transition: Transition, event: str) -> ET.Element:
        attributes: dict[str, str] = {}
        conditions = [] if event else ["settling"]
        if event:
            attributes["event"] = event
        if transition.cond is not None:
            conditions.append(f"({self.facts.guard(transition.cond)})")
        if transition.unless is not None:
            conditions.append(f"not ({self.facts.guard(transition.unless)})")
        if conditions:
            attributes["cond"] = " and ".join(conditions)
        if transition.target is not None:
            attributes["target"] = state_id(transition.target)
        if transition.internal:
            self._check_internal(state, transition)
            attributes["type"] = "internal"
        attributes |= {
            f"phasebus:{key}": str(text)
            for key, text in (
                ("events", " ".join(transition.event)),
                ("guard", transition.cond),
                ("unless", transition.unless),
            )
            if text
        }
        written = element(made, "transition", **attributes)
        for action in transition.on:
            self._action(written, action)
        return written

    def _check_internal(self, state: State, transition: Transition) -> None:
        if transition.target == state.id:
            raise CannotExport(
                f"state '{state.id}': an internal transition to the state itself enters it again without leaving it, "
                "which SCXML does not: remove 'internal: true', or lead to a state inside"
            )

    def _actions(self, made: ET.Element, tag: str, actions: tuple[Action, ...], **marks: str) -> None:
        if not actions:
            return
        never = bool(marks)
        block = element(made, "phasebus:exit" if never else tag)
        for action in actions:
            self._action(block, action)

    def _action(self, block: ET.Element, action: Action) -> None:
        if isinstance(action, Call):
            element(block, "send", event=action.name, target="#_parent")
            return
        send = element(block, "send", event=action.event, target="#_parent")
        if action.data:
            send.set("phasebus:payload", json.dumps(_plain(action.data), ensure_ascii=False))
        for name, value in action.data.items():
            element(send, "param", name=name, expr=self._literal(value))

    def _literal(self, value: Any) -> str:
        """A published value as an expression."""
        if isinstance(value, Expression):
            return self.facts.value(value)
        if isinstance(value, Mapping):
            return "{" + ", ".join(f"{key!r}: {self._literal(part)}" for key, part in value.items()) + "}"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(self._literal(part) for part in value) + "]"
        return repr(value)


def _plain(value: Any) -> Any:
    """A payload as the definition's file writes it."""
    if isinstance(value, Expression):
        return {"expr": value.text}
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def write_header(root: ET.Element, definition: Definition) -> None:
    """What belongs to the whole connection and not to its chart, in phasebus' namespace."""
    header = element(root, "phasebus:definition", version=str(definition.version), retain=duration(definition.retain))
    header.set("early", duration(definition.early))
    if definition.description:
        header.set("description", definition.description)
    for key in ("ignore", "examples"):
        if getattr(definition, key):
            header.set(key, json.dumps(dict(getattr(definition, key)), ensure_ascii=False))
    _triggers(header, "phasebus:starts_on", definition.starts_on)
    for name, seconds in definition.timeouts.items():
        element(header, "phasebus:timeout", name=name, delay=duration(seconds))
    for name, dependency in definition.dependencies.items():
        made = element(header, "phasebus:dependency", name=name)
        if not dependency.required:
            made.set("required", "false")
        for key in ("ready_on", "lost_on", "failed_on"):
            _triggers(made, f"phasebus:{key}", getattr(dependency, key))
    for tag, facts in (("phasebus:remember", definition.remember), ("phasebus:key", definition.keys)):
        for name, remembered in facts.items():
            made = element(header, tag, name=name, value=remembered.value.text)
            _triggers(made, "phasebus:on", remembered.on)
    for name, wanted in definition.properties.items():
        made = element(header, "phasebus:property", name=name)
        for key in ("always", "never", "sometimes", "always_reachable"):
            if getattr(wanted, key) is not None:
                made.set(key, str(getattr(wanted, key)))
        if wanted.leads_to is not None:
            made.set("from", wanted.leads_to[0].text)
            made.set("leads_to", wanted.leads_to[1].text)
        if wanted.within is not None:
            made.set("within", duration(wanted.within))
        for first, second in (wanted.closes or {}).items():
            element(made, "phasebus:closes", action=first, by=second)


def _triggers(parent: ET.Element, tag: str, triggers: tuple[Trigger, ...]) -> None:
    for trigger in triggers:
        made = element(parent, tag, event=trigger.event)
        if trigger.when is not None:
            made.set("when", trigger.when.text)
