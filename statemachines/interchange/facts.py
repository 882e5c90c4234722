"""What an SCXML interpreter does with an event before and after its states see it: phasebus' facts, in SCXML's words.

phasebus updates facts first, and only then asks guards; SCXML asks the guards of an event's transitions before anything
is executed. So an event from outside is received by one transition around all states. It updates the facts, and raises
``Step.<event>``, which the states listen to, and ``Settle``, which opens the transitions without event: those may not
be taken before the event was, though the facts have changed. What can fail is evaluated in between, each by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from xml.etree import ElementTree as ET

from bus.names import matches
from statemachines.interchange.expressions import can_fail, reads_facts, translate
from statemachines.interchange.naming import state_id, step_event, variable
from statemachines.language.definition import Definition, Dependency, Publish, Transition, Trigger
from statemachines.language.expressions import Expression
from statemachines.language.names import is_done
from statemachines.language.scxml_words import HEAR, JUDGE, LEARN, SETTLE


def element(parent: ET.Element, tag: str, **attributes: str) -> ET.Element:
    """A new element inside ``parent``."""
    return ET.SubElement(parent, tag, attributes)


def assign(parent: ET.Element, location: str, expr: str) -> None:
    """``location = expr``."""
    element(parent, "assign", location=location, expr=expr)


def covers(pattern: str, event_class: str) -> bool:
    """Whether ``pattern`` means every event of a class: a name, or what a pattern matches beside finer ones."""
    if event_class.endswith("*"):
        return pattern in ("*", event_class) or (pattern.endswith(".*") and event_class.startswith(pattern[:-1]))
    return matches(pattern, event_class)


class Facts:
    """The data model of one definition, and the transitions that keep it."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.visited = self._visited()
        self._judged: dict[tuple[str, bool, tuple[bool, ...]], tuple[str, str, str]] = {}
        self._heard: dict[tuple[str, bool], tuple[str, str, str, bool]] = {}

    def _visited(self) -> list[str]:
        found = {name for expression in expressions_of(self.definition) for name, _ in expression.visits}
        found |= {state.id for state in self.definition.walk() if any(after.backoff > 1 for after in state.after)}
        return [state.id for state in self.definition.walk() if state.id in found]

    # -- expressions --

    def guard(self, expression: Expression) -> str:
        """The text of a guard, safe to be asked anywhere."""
        if not can_fail(expression):
            return self._text(expression)
        states = list(dict.fromkeys(name for name, _ in expression.states))
        parts = []
        for answers in product((True, False), repeat=len(states)):
            inside = dict(zip(states, answers, strict=True))
            asked = [
                f"In('{state_id(name)}')" if yes else f"not In('{state_id(name)}')" for name, yes in inside.items()
            ]
            parts.append(" and ".join([*asked, self._variable(expression, True, inside)]))
        return parts[0] if len(parts) == 1 else " or ".join(f"({part})" for part in parts)

    def value(self, expression: Expression) -> str:
        """The text of a value that is published."""
        return self._variable(expression, False, {}) if can_fail(expression) else self._text(expression)

    def _variable(self, expression: Expression, is_guard: bool, inside: dict[str, bool]) -> str:
        key = (expression.text, is_guard, tuple(inside.values()))
        text = translate(expression, variable, state_id, inside)
        name = f"judged_{len(self._judged)}"
        return self._judged.setdefault(key, (name, text, "False" if is_guard else "None"))[0]

    def _text(self, expression: Expression) -> str:
        return translate(expression, variable, state_id)

    def _hear(self, expression: Expression, is_guard: bool) -> str:
        """A condition or value of a fact: all are taken from the facts before the event."""
        if not can_fail(expression) and not reads_facts(expression):
            return self._text(expression)
        fails = can_fail(expression)
        made = (f"heard_{len(self._heard)}", self._text(expression), "False" if is_guard else "None", fails)
        return self._heard.setdefault((expression.text, is_guard), made)[0]

    # -- the document --

    def write(self, data: ET.Element, around: ET.Element) -> None:
        """Fill the data model, and the state around all others with what it does by itself.

        To be called when every guard and value has been asked for.
        """
        classes = self._classes()
        bodies = {event: self._learning(event) for event in classes}
        for name, expr in self._variables():
            element(data, "data", id=name, expr=expr)
        for name, text, _ in self._judged.values():
            assign(element(around, "onentry", **MARK), name, text)
        element(element(around, "onentry", **MARK), "raise", event=SETTLE)
        settle = element(around, "transition", event=SETTLE, **MARK)
        assign(settle, "settling", "True")
        for number, state, _ in timers_of(self.definition):
            body = self._fresh(around, f"Timer.{state}.{number}", None, "'timer.fired'", "None")
            self._continue(body, f"Fired.{state}.{number}")
        for event in classes:
            self._receive(around, event, bodies[event])
        for kind, computed in ((JUDGE, self._judged.values()), (HEAR, self._failing())):
            for name, text, _ in computed:
                assign(element(around, "transition", event=f"{kind}.{name}", **MARK), name, text)

    def _variables(self) -> Iterator[tuple[str, str]]:
        yield "event_name", "'connection.created'"
        yield "event_payload", "None"
        yield "settling", "False"
        for name, dependency in self.definition.dependencies.items():
            yield variable("required", name), str(dependency.required)
            yield variable("ready", name), "False"
            yield variable("failed", name), "False"
        everything = [f"not {variable('required', name)}" for name in self.definition.dependencies]
        yield "all_ready", " and ".join(everything) or "True"
        yield "any_failed", "False"
        for name in self.definition.remember:
            yield variable("meta", name), "None"
        for name in self.visited:
            yield variable("entered", name), "0"
            yield variable("visits", name), "0"
        for name, seconds in self.definition.timeouts.items():
            yield variable("timeout", name), f"'{seconds:g}s'"
        for name, _, initial in [*self._judged.values(), *((n, t, i) for n, t, i, _ in self._heard.values())]:
            yield name, initial

    def _failing(self) -> list[tuple[str, str, str]]:
        return [(name, text, initial) for name, text, initial, fails in self._heard.values() if fails]

    def _fresh(self, around: ET.Element, event: str, cond: str | None, name: str, data: str) -> ET.Element:
        """A transition for an event from outside: what it is called and brings, and all else as it was before."""
        attributes = {"event": event} | ({} if cond is None else {"cond": cond})
        body = element(around, "transition", **attributes, **MARK)
        assign(body, "event_name", name)
        assign(body, "event_payload", data)
        assign(body, "settling", "False")
        for state in self.visited:
            assign(body, variable("visits", state), variable("entered", state))
        for judged, _, initial in self._judged.values():
            assign(body, judged, initial)
        return body

    def _continue(self, body: ET.Element, event: str) -> None:
        for name, _, _ in self._judged.values():
            element(body, "raise", event=f"{JUDGE}.{name}")
        element(body, "raise", event=event)
        element(body, "raise", event=SETTLE)

    def _receive(self, around: ET.Element, event: str, learning: ET.Element) -> None:
        outside = "_event.type == 'external'"
        if event == "*":
            descriptor = "*"
        elif event.endswith(".*"):
            descriptor = event[:-2]
            if "." in descriptor:  # leading tokens would match that very name too
                outside += f" and _event.name != '{descriptor}'"
        else:
            descriptor = event
            outside += f" and _event.name == '{event}'"
        # python-statemachine's name is an event that a guard would send: adding no text to it leaves the text.
        name = "_event.name + ''" if event.endswith("*") else f"'{event}'"
        body = self._fresh(around, descriptor, outside, name, "_event.data")
        if not len(learning):
            self._continue(body, step_event(event))
            return
        for name, text, initial, fails in self._heard.values():
            assign(body, name, initial if fails else text)
        if self._failing():  # their answers are needed, and each must be able to fail alone
            for name, _, _ in self._failing():
                element(body, "raise", event=f"{HEAR}.{name}")
            element(body, "raise", event=f"{LEARN}.{step_event(event)}")
            body = element(around, "transition", event=f"{LEARN}.{step_event(event)}", **MARK)
        body.extend(learning)
        self._continue(body, step_event(event))

    def _learning(self, event: str) -> ET.Element:
        """What an event means for each fact."""
        body = ET.Element("learning")
        for name, dependency in self.definition.dependencies.items():
            self._dependency(body, event, name, dependency)
        for name, remembered in self.definition.remember.items():
            when = self._when(remembered.on, event)
            if when is not None:
                value = self._hear(remembered.value, False)
                assign(element(body, "if", cond=when), variable("meta", name), value)
        if any(child.tag == "if" for child in body) and self.definition.dependencies:
            names = list(self.definition.dependencies)
            ready = [f"(not {variable('required', name)} or {variable('ready', name)})" for name in names]
            failed = [f"({variable('required', name)} and {variable('failed', name)})" for name in names]
            assign(body, "all_ready", " and ".join(ready))
            assign(body, "any_failed", " or ".join(failed))
        return body

    def _dependency(self, body: ET.Element, event: str, name: str, dependency: Dependency) -> None:
        ready, failed = variable("ready", name), variable("failed", name)
        told = (
            (dependency.failed_on, ((ready, "False"), (failed, "True"))),
            (dependency.lost_on, ((ready, "False"),)),
            (dependency.ready_on, ((ready, "True"), (failed, "False"))),
        )
        block: ET.Element | None = None
        for triggers, assignments in told:
            when = self._when(triggers, event)
            if when is None:
                continue
            if block is None:
                block = element(body, "if", cond=when)
            else:
                element(block, "elseif", cond=when)
            for location, expr in assignments:
                assign(block, location, expr)

    def _when(self, triggers: Iterable[Trigger], event: str) -> str | None:
        """Under which condition an event is one of the triggers; None if it never is."""
        conditions = [trigger.when for trigger in triggers if covers(trigger.event, event)]
        if not conditions:
            return None
        if any(when is None for when in conditions):
            return "True"
        return " or ".join(f"({self._hear(when, True)})" for when in conditions if when is not None)

    def _classes(self) -> list[str]:
        """The events that are told apart, the finest first: names, then longer patterns before shorter ones."""
        names = {event for state in self.definition.walk() for t in state.transitions for event in t.event}
        for dependency in self.definition.dependencies.values():
            for trigger in (*dependency.ready_on, *dependency.lost_on, *dependency.failed_on):
                names.add(trigger.event)
        names |= {trigger.event for remembered in self.definition.remember.values() for trigger in remembered.on}
        named = [name for name in names if not is_done(name)] + ["*"]
        return sorted(set(named), key=lambda name: (name.endswith("*"), -name.count("."), name))


MARK = {"phasebus:machinery": "true"}


def timers_of(definition: Definition) -> Iterator[tuple[int, str, Transition]]:
    """Each timer: its number in its state, the state, and where it leads."""
    for state in definition.walk():
        for number, after in enumerate(state.after):
            yield number, state_id(state.id), after.transition


def expressions_of(definition: Definition) -> Iterator[Expression]:
    """Every expression that a step may read."""
    for state in definition.walk():
        for transition in (*state.transitions, *(after.transition for after in state.after)):
            yield from (guard for guard in (transition.cond, transition.unless) if guard is not None)
    for dependency in definition.dependencies.values():
        for trigger in (*dependency.ready_on, *dependency.lost_on, *dependency.failed_on):
            if trigger.when is not None:
                yield trigger.when
    for remembered in definition.remember.values():
        yield remembered.value
        yield from (trigger.when for trigger in remembered.on if trigger.when is not None)
    for action in definition.actions():
        if isinstance(action, Publish):
            yield from _inside(action.data)


def _inside(data: object) -> Iterator[Expression]:
    if isinstance(data, Expression):
        yield data
    elif isinstance(data, dict):
        for value in data.values():
            yield from _inside(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _inside(value)
