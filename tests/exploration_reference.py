"""A machine of python-statemachine that can be put anywhere: what exploring is held against.

The reference shares nothing with the table: it is a living machine of the library built here from the definition, its
facts are a dictionary, its guards are evaluated by Python. The configuration is put into document order before each
event, and eventless transitions wait until the event was selected.
"""

from __future__ import annotations

from typing import Any

from statemachine.io import create_machine_class_from_definition
from statemachine.orderedset import OrderedSet

from bus import Event
from bus.names import matches
from statemachines.language.definition import (
    Definition,
    State,
    Transition,
    Trigger,
)
from statemachines.language.expressions import Expression
from tests.plain_charts import DEPENDENCIES, EVENTS

MAX_TRANSITIONS = 1_000


class _Circle(BaseException):
    pass


class Reference:
    """A living machine of the library, with facts in plain dictionaries."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.order = [state.id for state in definition.walk()]
        self.parents = definition.parents()
        self.status = dict.fromkeys(DEPENDENCIES, "pending")
        self.required = [name for name, d in definition.dependencies.items() if d.required]
        self.kept: Any = None
        self.visits = dict.fromkeys(self.order, 0)
        self.event = Event("connection.created")
        self.trace: list[str] = []
        self.entered: list[str] = []
        self.open = True
        self.taken = 0
        self.attributes: dict[str, Any] = {"state": None, "before_transition": self._before}
        self.tokens = {pattern: f"t_{number}" for number, pattern in enumerate(EVENTS)}
        self.timers = 0
        self.machine: Any = None
        self.model: Any = None
        states = {state.id: self._state(state, state.initial) for state in definition.states}
        around = {"around": {"initial": True, "states": states, "transitions": []}}
        self.cls = create_machine_class_from_definition(
            "Reference",
            around,  # type: ignore[arg-type]
            catch_errors_as_events=False,
            validate_final_reachability=False,
            validate_trap_states=False,
            validate_disconnected_states=False,
        )

    def start(self) -> None:
        self.model = type("Model", (), self.attributes)()
        self.machine = self.cls(self.model)
        self._count_visits()

    def receive(self, event: Event) -> None:
        self._learn(event)
        token = next((token for pattern, token in self.tokens.items() if pattern == event.type), "t_none")
        self._send(event, token)

    def fire(self, timer: str) -> None:
        self._send(Event("timer.fired"), timer)

    @property
    def configuration(self) -> list[str]:
        active = set(self.machine.configuration_values)
        return [state for state in self.order if state in active]

    def _send(self, event: Event, token: str) -> None:
        self.event, self.trace, self.entered = event, [], []
        self.taken, self.open = 0, False
        self.machine.current_state_value = OrderedSet(["around", *self.configuration])
        self.machine.send(token)
        self.open = True
        self.machine.send("t_none")
        self._count_visits()

    def _before(self) -> None:
        self.open = True
        self.taken += 1
        if self.taken > MAX_TRANSITIONS:
            raise _Circle

    def _state(self, state: State, initial: bool) -> dict[str, Any]:
        transitions = [
            self._transition(
                t,
                [self.tokens[e] for e in EVENTS if any(matches(p, e) for p in t.event)]
                + [e for e in t.event if e.startswith("done.state.")],
            )
            for t in state.transitions
        ]
        for after in state.after:
            transitions.append(self._transition(after.transition, [f"timer_{state.id}"]))
        built: dict[str, Any] = {
            "initial": initial,
            "final": state.final,
            "parallel": state.parallel,
            "enter": [self._note(f"enter {state.id}"), *(self._note(a.name) for a in state.enter)],  # type: ignore[union-attr]
            "exit": [self._note(a.name) for a in state.exit],  # type: ignore[union-attr]
            "transitions": transitions,
        }
        if state.states:
            built["states"] = {
                child.id: self._state(child, child.initial and not state.parallel) for child in state.states
            }
        if state.history:
            built["history"] = {
                history.id: {"type": history.type, "transitions": [{"target": history.target}]}
                for history in state.history
            }
        return built

    def _transition(self, transition: Transition, tokens: list[str]) -> dict[str, Any]:
        built: dict[str, Any] = {"target": transition.target, "internal": transition.internal, "cond": [], "unless": []}
        if tokens:
            built["event"] = " ".join(tokens)
        elif transition.event:
            built["event"] = "t_never"
        else:
            built["cond"].append(self._guard("is_open", lambda: self.open))
        for expression, where in ((transition.cond, "cond"), (transition.unless, "unless")):
            if expression is not None:
                built[where].append(self._guard(f"g_{len(self.attributes)}", lambda e=expression: self._holds(e)))
        built["on"] = [self._note(a.name) for a in transition.on]  # type: ignore[union-attr]
        return built

    def _guard(self, name: str, answer: Any) -> str:
        self.attributes[name] = property(lambda _: answer())
        return name

    def _note(self, what: str) -> str:
        name = f"n_{len(self.attributes)}"

        def note(_: Any) -> None:
            (self.entered if what.startswith("enter ") else self.trace).append(what.removeprefix("enter "))

        self.attributes[name] = note
        return name

    def _holds(self, expression: Expression) -> bool:
        now = self.model.state  # nothing, one state, or a set of them
        active = now if isinstance(now, OrderedSet) else (now,)

        class Named:
            def __init__(self, values: dict[str, Any]) -> None:
                self.__dict__ = values

        names = {
            **{name: status == "ready" for name, status in self.status.items()},
            "all_ready": all(self.status[name] == "ready" for name in self.required),
            "any_failed": any(self.status[name] == "failed" for name in self.required),
            "data": Named({"n": self.event.field("n")}),
            "meta": Named({"kept": self.kept}),
            "visits": Named(dict(self.visits)),
            "event": self.event.type,
            "In": lambda state: state in active,
        }
        try:
            return bool(eval(expression.text, {"__builtins__": {}}, names))
        except Exception:
            return False

    def _learn(self, event: Event) -> None:
        self.event = event

        def told(triggers: tuple[Trigger, ...]) -> bool:
            return any(matches(t.event, event.type) and (t.when is None or self._holds(t.when)) for t in triggers)

        new = dict(self.status)
        for name, dependency in self.definition.dependencies.items():
            if told(dependency.failed_on):
                new[name] = "failed"
            elif told(dependency.lost_on):
                new[name] = "failed" if self.status[name] == "failed" else "pending"
            elif told(dependency.ready_on):
                new[name] = "ready"
        kept = event.field("n") if told(self.definition.remember["kept"].on) else self.kept
        self.status, self.kept = new, kept

    def _count_visits(self) -> None:
        for state in self.entered:
            self.visits[state] += 1
            for child, parent in self.parents.items():
                if parent == state:
                    self.visits[child] = 0
        self.entered = []
