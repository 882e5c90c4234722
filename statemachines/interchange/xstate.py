"""A definition as an XState 5 machine configuration: JSON that ``createMachine`` takes.

The chart is XState's own: states, regions, histories, ``after``, ``always``, the events of ``onDone``. Facts are not:
whoever runs the machine keeps them, and answers the one guard ``phasebus``, whose parameters hold the expressions.
Actions are objects too: ``{"type": "publish", "params": {event, data}}`` and ``{"type": "call", "params": {name}}``.

XState asks the transitions of a longer event descriptor before those of a shorter one, phasebus in document order. So
each descriptor of a state lists every transition that its events can take, in document order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from statemachines.errors import CannotExport
from statemachines.interchange.facts import covers
from statemachines.language.definition import Action, After, Call, Definition, Invoke, State, Transition
from statemachines.language.expressions import Expression
from statemachines.language.names import is_done

GUARD = "phasebus"


def render_xstate(definition: Definition) -> str:
    """The definition as the JSON of an XState machine configuration.

    :raises CannotExport: if it uses what would go another way in XState
    """
    return json.dumps(_Writer(definition).machine(), indent=2, ensure_ascii=False)


class _Writer:
    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.states = {state.id: state for state in definition.walk()}
        self.parents = definition.parents()
        self.histories = {history.id: state.id for state, history in definition.histories()}

    def machine(self) -> dict[str, Any]:
        taken = self.definition.name in self.states or self.definition.name in self.histories
        made: dict[str, Any] = {"id": f"{self.definition.name}-machine" if taken else self.definition.name}
        if self.definition.description:
            made["description"] = self.definition.description
        made["initial"] = next(state.id for state in self.definition.states if state.initial)
        made["states"] = {state.id: self._state(state) for state in self.definition.states}
        dependencies = {name: {"required": made.required} for name, made in self.definition.dependencies.items()}
        for parallel in (state for state in self.states.values() if state.parallel):
            self._check_regions(parallel)
        made["meta"] = {"phasebus": {"version": self.definition.version, "dependencies": dependencies}}
        return made

    def _state(self, state: State) -> dict[str, Any]:
        made: dict[str, Any] = {"id": state.id}
        if state.final:
            made["type"] = "final"
        elif state.parallel:
            made["type"] = "parallel"
        elif state.states:
            made["initial"] = next(child.id for child in state.states if child.initial)
        if state.enter:
            made["entry"] = self._actions(state.enter)
        # A connection in a final state of the top level has ended: phasebus does not leave it, XState would.
        if state.exit and not (state.final and self.parents[state.id] is None):
            made["exit"] = self._actions(state.exit)
        if state.invoke:
            made["invoke"] = [self._invoke(invoke) for invoke in state.invoke]
        if listened := self._listened(state):
            made["on"] = listened
        always = [self._transition(state, t, {"settling": True}) for t in state.transitions if not t.event]
        if always:
            made["always"] = [{key: part for key, part in t.items() if key != "guard" or part} for t in always]
        if state.after:
            made["after"] = self._timers(state)
        if state.states:
            made["states"] = {child.id: self._state(child) for child in state.states}
        for history in state.history:
            back = {"id": history.id, "type": "history", "history": history.type, "target": f"#{history.target}"}
            made["states"][history.id] = back
        if state.defer:
            made["meta"] = {"phasebus": {"defer": list(state.defer)}}
        return made

    def _listened(self, state: State) -> dict[str, Any]:
        names = {event for transition in state.transitions for event in transition.event}
        bus = sorted(
            (name for name in names if not is_done(name)),
            key=lambda name: (name.endswith("*"), -name.count("."), name),
        )
        listened: dict[str, Any] = {}
        for done in sorted(name for name in names if is_done(name)):
            taken = [t for t in state.transitions if done in t.event]
            listened[f"xstate.{done}"] = [self._transition(state, t, {}) for t in taken]
        for name in bus:
            taken = [
                t for t in state.transitions if any(not is_done(event) and covers(event, name) for event in t.event)
            ]
            # XState's `*` also means its own events, and `a.b.*` an event `a.b`.
            only = {"*": {"bus": True}}.get(name, {"beyond": name[:-2]} if name.endswith(".*") else {})
            listened[name] = [self._transition(state, t, only) for t in taken]
        return listened

    def _timers(self, state: State) -> dict[str, Any]:
        timers: dict[str, Any] = {}
        for number, after in enumerate(state.after):
            seconds = self._seconds(after)
            key = f"{seconds * 1000:.6f}".rstrip("0").rstrip(".")
            if after.backoff != 1 or key in timers or "." in key:
                key = f"{state.id}.{number}"
            made = self._transition(state, after.transition, {})
            meta: dict[str, Any] = {"delay": after.written}
            if key == f"{state.id}.{number}":
                meta |= {"ms": seconds * 1000, "backoff": after.backoff}
                if after.max_delay is not None:
                    meta["max"] = after.max_delay * 1000
            made["meta"] = {"phasebus": meta}
            timers[key] = made
        return timers

    def _seconds(self, after: After) -> float:
        return self.definition.timeouts[after.delay] if isinstance(after.delay, str) else after.delay

    def _transition(self, state: State, transition: Transition, params: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if transition.target is not None:
            self._check_domain(state, transition)
            made["target"] = f"#{transition.target}"
            made["reenter"] = not (transition.internal and state.states and not state.parallel)
        guard = dict(params)
        for key, expression in (("cond", transition.cond), ("unless", transition.unless)):
            if expression is not None:
                guard[key] = expression.text
        states = [name for e in (transition.cond, transition.unless) if e is not None for name, _ in e.states]
        if states:
            guard["in"] = list(dict.fromkeys(states))
        if guard:
            guard.pop("settling", None)  # XState takes eventless transitions after the event's by itself
        if guard:
            made["guard"] = {"type": GUARD, "params": guard}
        if transition.on:
            made["actions"] = self._actions(transition.on)
        return made

    # -- what XState would do otherwise --

    def _check_domain(self, state: State, transition: Transition) -> None:
        """XState leaves the least common ancestor's children; SCXML takes that ancestor which is no region's parent."""
        target = transition.target
        assert target is not None
        if transition.internal and target == state.id:
            raise CannotExport(
                f"state '{state.id}': an internal transition to the state itself enters it again without leaving it, "
                "which XState does not: remove 'internal: true', or lead to a state inside"
            )
        if transition.internal and state.states and not state.parallel:
            return
        targets = [target]
        if target in self.histories:
            targets = [inside.id for inside in self.states[self.histories[target]].walk()][1:]
        for reached in targets:
            common = self._common(state.id, reached)
            if common is not None and self.states[common].parallel:
                raise CannotExport(
                    f"state '{state.id}': its transition to '{target}' leaves all regions of '{common}', in XState "
                    f"only those of '{state.id}' and its target: lead to '{common}', or from it"
                )

    def _check_regions(self, parallel: State) -> None:
        """XState asks a state around regions only if none of them took the event, SCXML for each region that did not.

        Where both would leave their states the inner one wins in either; else SCXML takes both.
        """
        inner = [(state, t) for region in parallel.states for state in region.walk() for t in state.transitions]
        for name in [parallel.id, *self._around(parallel.id)]:
            for outer in self.states[name].transitions:
                for state, transition in inner:
                    if (outer.target is None or transition.target is None) and _share_an_event(outer, transition):
                        raise CannotExport(
                            f"states '{name}' and '{state.id}' listen to the same event, and one of them stays where "
                            f"it is: if another region of '{parallel.id}' does not take it both act, in XState only "
                            f"'{state.id}': give the two different events"
                        )

    def _common(self, source: str, target: str) -> str | None:
        around = self._around(source)
        return next((state for state in self._around(target) if state in around), None)

    def _around(self, state: str) -> list[str]:
        found: list[str] = []
        parent = self.parents[state]
        while parent is not None:
            found.append(parent)
            parent = self.parents[parent]
        return found

    # -- actions --

    def _actions(self, actions: tuple[Action, ...]) -> list[dict[str, Any]]:
        return [
            {"type": "call", "params": {"name": action.name}}
            if isinstance(action, Call)
            else {"type": "publish", "params": {"event": action.event, "data": _plain(action.data)}}
            for action in actions
        ]

    def _invoke(self, invoke: Invoke) -> dict[str, Any]:
        made: dict[str, Any] = {"src": invoke.call}
        for key, event in (("onDone", invoke.done), ("onError", invoke.failed)):
            if event is not None:
                made[key] = {"actions": [{"type": "publish", "params": {"event": event, "data": {}}}]}
        return made


def _share_an_event(one: Transition, other: Transition) -> bool:
    return any(
        mine == theirs or (not is_done(mine) and not is_done(theirs) and (covers(mine, theirs) or covers(theirs, mine)))
        for mine in one.event
        for theirs in other.event
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Expression):
        return {"expr": value.text}
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
