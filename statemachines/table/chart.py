"""The definition as a python-statemachine StateChart, and one step of it at a time.

python-statemachine alone decides what a step does. It gets names of our own (``s3``, ``e7``, ``g2``), since the user's
could collide with its attributes or match each other by prefix. Everything stands inside one root state, so that no
final state ends the machine and it can be put into any configuration again. Its model only answers guards and records
what happened: no action of the user's runs here.

A step is the event's transitions, then eventless ones until none is enabled (SCXML 3.13). The library would take
eventless transitions before the event too, which SCXML never sees, since there nothing can change between two events;
here the facts just did. So every eventless transition has a first guard that is closed until the event was selected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from attrs import frozen
from statemachine.io import create_machine_class_from_definition
from statemachine.orderedset import OrderedSet

from statemachines.language.definition import State, Transition
from statemachines.language.expressions import Expression
from statemachines.table.layout import Layout

MAX_MICROSTEPS = 1_000
"""A step that takes more transitions than this never settles, even if it never stands where it stood before."""

_ROOT, _END, _SETTLE = "root", "end", "settle"

Happening = tuple[Literal["exit", "transition", "enter"], int]
"""One thing that a step did: which state was left, which transition taken, which state entered."""
Histories = tuple[tuple[int, ...] | None, ...]
Decide = Callable[[Expression, Sequence[int]], bool]
"""Answers a guard, given the states that are active when it is asked."""


class NeverSettles(BaseException):
    """Eventless transitions go in a circle. Not an Exception: the library would turn that into an event."""


@frozen
class Trace:
    """What one step did: the states active afterwards, in document order, and what happened on the way.

    ``history`` has, for each history of the chart, the states that it leads back to; None if its state was never left.
    ``handled`` tells whether a transition was taken for the event itself, not only because of what else had changed.
    """

    states: tuple[int, ...]
    history: Histories
    happenings: tuple[Happening, ...]
    handled: bool


class Chart:
    """One python-statemachine machine for one definition, put into any configuration and sent any event."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.transitions: list[Transition] = []
        """Every transition, numbered as in the happenings: those of each state in document order, timers last."""
        self._guards: list[Expression] = []
        states = {
            _ROOT: {
                "initial": True,
                "states": {
                    **{self._id(state): self._state(state, state.initial) for state in layout.definition.states},
                    _END: {"final": True},
                },
                "transitions": [self._termination()],
            }
        }
        self._class = create_machine_class_from_definition(
            "PhasebusChart",
            states,  # type: ignore[arg-type]  # the library's TypedDicts cannot say "all names are strings of ours"
            catch_errors_as_events=False,
            validate_final_reachability=False,
            validate_trap_states=False,
            validate_disconnected_states=False,
        )
        self._machine: Any = None
        self._model = _make_model(self._guards, layout, len(self.transitions), self._active, self._stand)

    def start(self, decide: Decide) -> Trace:
        """Enter the initial states."""
        return self._run(None, (), None, decide)

    def step(self, states: Sequence[int], history: Histories, event_class: int, decide: Decide) -> Trace:
        """Send an event of a class to the chart in a configuration, with what its histories hold.

        :raises NeverSettles: the eventless transitions go in a circle; nothing has happened
        """
        return self._run(states, history, f"e{event_class}", decide)

    def _run(self, states: Sequence[int] | None, history: Histories, token: str | None, decide: Decide) -> Trace:
        model = self._model
        machine = self._ready_machine()
        model.begin(decide)
        machine.history_values = {
            f"h{number}": [machine.states_map[f"s{state}"] for state in held]
            for number, held in enumerate(history)
            if held is not None
        }
        handled = True
        try:
            if states is None or token is None:
                model.settling = True
                machine.current_state_value = None
                machine.activate_initial_state()
            else:
                machine.current_state_value = OrderedSet([_ROOT, *(f"s{state}" for state in states)])
                machine.send(token, delay=0, internal=False)
                handled = model.settling
                if not handled:
                    model.settling = True
                    machine.send(_SETTLE, delay=0, internal=False)
        except NeverSettles:
            self._machine = None
            raise
        return Trace(tuple(sorted(self._active())), self._history(machine), tuple(model.happenings), handled)

    def _history(self, machine: Any) -> Histories:
        held = machine.history_values
        return tuple(
            tuple(sorted(int(state.id[1:]) for state in held[f"h{number}"])) if f"h{number}" in held else None
            for number in range(len(self._layout.histories))
        )

    def _ready_machine(self) -> Any:
        if self._machine is None:
            # Preset, so that nothing is entered while the machine is made; it does read every guard once.
            self._model.state = _ROOT
            self._model.begin(lambda expression, active: False)
            self._machine = self._class(self._model)
        return self._machine

    def _active(self) -> list[int]:
        if self._machine is None:
            return []
        return [int(name[1:]) for name in self._machine.configuration_values if name not in (_ROOT, _END)]

    def _stand(self) -> tuple[Any, ...]:
        """All that decides which transitions without event come next, since guards stand still."""
        if self._machine is None:
            return ()
        held = self._machine.history_values
        return tuple(self._machine.configuration_values), tuple((name, tuple(held[name])) for name in sorted(held))

    # -- translation --

    def _id(self, state: State) -> str:
        return f"s{self._layout.index[state.id]}"

    def _state(self, state: State, initial: bool) -> dict[str, Any]:
        number = self._layout.index[state.id]
        translated: dict[str, Any] = {
            "initial": initial,
            "final": state.final,
            "parallel": state.parallel,
            "enter": [f"enter_{number}"],
            "exit": [f"exit_{number}"],
            "transitions": list(self._transitions(state)),
        }
        if state.states:
            translated["states"] = {
                self._id(child): self._state(child, child.initial and not state.parallel) for child in state.states
            }
        if state.history:
            translated["history"] = {
                f"h{self._layout.history_index[history.id]}": {
                    "type": history.type,
                    "transitions": [{"target": self._target(history.target)}],
                }
                for history in state.history
            }
        return translated

    def _transitions(self, state: State) -> Iterator[dict[str, Any]]:
        for transition in state.transitions:
            tokens = [f"e{number}" for number in self._layout.classes_of(transition)]
            ends = [f"done.state.s{ended}" for ended in self._layout.done_of(transition)]
            yield self._transition(transition, tokens, ends)
        for timer in self._layout.timers_of.get(self._layout.index[state.id], ()):
            yield self._transition(timer.after.transition, [f"e{timer.event_class}"], [])

    def _target(self, target: str) -> str:
        history = self._layout.history_index.get(target)
        return f"s{self._layout.index[target]}" if history is None else f"h{history}"

    def _transition(self, transition: Transition, tokens: list[str], ends: list[str]) -> dict[str, Any]:
        number = len(self.transitions)
        self.transitions.append(transition)
        translated: dict[str, Any] = {
            "target": None if transition.target is None else self._target(transition.target),
            "internal": transition.internal,
            "on": [f"take_{number}"],
            "cond": ["goes_on"] if ends else [] if tokens else ["settles"],
        }
        if tokens or ends:
            translated["event"] = " ".join([*tokens, *ends])
        if transition.cond is not None:
            translated["cond"].append(self._guard(transition.cond))
        if transition.unless is not None:
            translated["unless"] = [self._guard(transition.unless)]
        return translated

    def _guard(self, expression: Expression) -> str:
        self._guards.append(expression)
        return f"guard_{len(self._guards) - 1}"

    def _termination(self) -> dict[str, Any]:
        final = self._layout.first_top_level_final
        return {
            "event": f"e{self._layout.termination_class}",
            "target": _END if final is None else f"s{final}",
            "internal": True,
        }


class _Model:
    """What the machine sees of the world: guards to ask, and callbacks that only take notes."""

    state: Any = None
    settling: bool = False
    goes_on: bool = True
    """Whether the end was not yet reached by the event's own transitions.

    There python-statemachine stops, whatever else could follow: something can where a transition that stays inside
    another region was taken with the one that ends all. This machine does not stop by itself, as all of the chart is
    below its root.
    """

    @property
    def settles(self) -> bool:
        """Whether transitions without an event may be taken."""
        return self.settling and self.goes_on

    def __init__(self, active: Callable[[], list[int]], stand: Callable[[], tuple[Any, ...]]) -> None:
        self._active = active
        self._stand = stand

    def begin(self, decide: Decide) -> None:
        self._decide = decide
        self.settling = False
        self.goes_on = True
        self._own = False
        self.happenings: list[Happening] = []
        self._transitions = 0
        self._stood: dict[tuple[Any, ...], int] = {}

    def before_transition(self, event: Any) -> None:
        """Called by the library as the first thing of each transition that was selected; ``event`` may be None."""
        self.settling = True
        self._own = event is not None and not self.happenings
        self._transitions += 1
        if self._transitions > MAX_MICROSTEPS:
            raise NeverSettles
        if event is not None:  # the end of a state, say, is an event that does not come again
            self._stood.clear()
            return
        now = len(self.happenings)  # the same for all transitions of one microstep
        if self._stood.setdefault(self._stand(), now) != now:
            raise NeverSettles

    def note_end(self) -> None:
        """A final state of the top level is entered."""
        self.goes_on = not self._own

    def ask(self, expression: Expression) -> bool:
        return self._decide(expression, self._active())


def _make_model(
    guards: list[Expression],
    layout: Layout,
    transitions: int,
    active: Callable[[], list[int]],
    stand: Callable[[], tuple[Any, ...]],
) -> _Model:
    names: dict[str, Any] = {}
    for number, expression in enumerate(guards):
        names[f"guard_{number}"] = _guard(expression)
    for number in range(len(layout.states)):
        names[f"enter_{number}"] = _note("enter", number, ends=number in layout.top_level_finals)
        names[f"exit_{number}"] = _note("exit", number)
    for number in range(transitions):
        names[f"take_{number}"] = _note("transition", number)
    model: _Model = type("_Model", (_Model,), names)(active, stand)
    return model


def _guard(expression: Expression) -> property:
    def ask(self: _Model) -> bool:
        return self.ask(expression)

    return property(ask)


def _note(kind: Literal["exit", "transition", "enter"], number: int, ends: bool = False) -> Callable[[_Model], None]:
    happening: Happening = (kind, number)

    def note(self: _Model) -> None:
        self.happenings.append(happening)

    def note_end(self: _Model) -> None:
        note(self)
        self.note_end()

    return note_end if ends else note
