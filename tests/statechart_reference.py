"""python-statemachine itself, driven straight from a definition: what the table is held against.

Nothing of phasebus's table is used here. The chart is built from the library's own ``State`` objects, with plain Python
functions as guards and actions; nothing is wrapped around it, no transition has a guard of ours, names and patterns are
matched here. Facts, visits, timers, deferred events and invocations are kept in dictionaries and lists, as
``docs/language.md`` tells it. Guards are evaluated by Python.

What is set for the library from outside, and why:

* the configuration, and what each history holds, is put into document order before each event (SCXML 3.13; the library
  keeps its order of entry, and enters what a history brings back in that order too);
* a transition without an event sees what it saw in the step before until the event's own transitions are chosen: the
  library asks such transitions first, and in SCXML nothing can have changed between two events, while here facts have;
* a machine that goes in circles is thrown away and made anew where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from attrs import define, evolve, frozen
from statemachine import State as TheirState
from statemachine import StateChart
from statemachine.orderedset import OrderedSet
from statemachine.state import HistoryState

from bus import Event
from statemachines.language.definition import Action, After, Call, Definition, State, Transition, Trigger
from statemachines.language.expressions import Expression

TERMINATED, NONE = "terminated", "no_such_token"
MOST_TRANSITIONS = 1_000
MOST_DEFERRED = 16


@frozen
class Facts:
    """What guards see in a step."""

    event: Event
    status: Mapping[str, str]
    kept: Mapping[str, Any]
    visits: Mapping[str, int]


@define(eq=False)
class Running:
    """A timer that runs."""

    state: str
    after: After
    token: str
    deadline: float


@frozen
class Seen:
    """Everything that can be seen of a connection after a step, and what the step did. Compared as a whole."""

    event: str
    handled: bool
    configuration: tuple[str, ...]
    history: Mapping[str, tuple[str, ...]]
    effects: tuple[tuple[str, Any], ...]
    status: Mapping[str, str]
    kept: Mapping[str, Any]
    visits: Mapping[str, int]
    timers: tuple[tuple[str, str, float], ...]
    invoked: tuple[tuple[str, str], ...]
    deferred: tuple[str, ...]
    ended: bool


CUT = "cut"
"""In place of what a step did: it never settles, and the connection is where it was."""


class Circle(BaseException):
    """The machine goes in a circle. Not an Exception: the library would take that for an event."""


class Reference:
    """The definition as the library's class, and one connection at a time as its machine."""

    def __init__(self, definition: Definition, events: Iterable[str]) -> None:
        self.definition = definition
        self.events = [*events, "dependency.marked"]
        self.order = [state.id for state in definition.walk()]
        self.parents = definition.parents()
        self.states = {state.id: state for state in definition.walk()}
        self.finals = [state.id for state in definition.states if state.final]
        self.timer_tokens: dict[tuple[str, str], str] = {}
        self.machine: Any = None
        self.model: Any = None
        self.cls = self._build()

    # -- the inputs --

    def register(self, required: Iterable[str], timeouts: Mapping[str, float], metadata: Mapping[str, Any]) -> Any:
        """A new connection; what was there before is gone."""
        self.required = list(required)
        self.timeouts = {**self.definition.timeouts, **timeouts}
        self.now = 0.0
        self.timers: list[Running] = []
        self.invoked: list[tuple[str, str]] = []
        self.deferred: list[Event] = []
        status = dict.fromkeys(self.definition.dependencies, "pending")
        kept = {name: metadata.get(name) for name in self.definition.remember}
        self.machine = None
        self.facts = self.settled = Facts(Event("connection.created"), status, kept, dict.fromkeys(self.order, 0))
        self._begin()
        self.model = _Model(self)
        try:
            self.machine = self.cls(self.model)
        except Circle:
            return CUT
        return self._end(handled=True)

    def receive(self, event: Event) -> list[Any]:
        """An event of the bus."""
        return self._work_off(self._learn(event), self._token(event.type), deferrable=True)

    def mark(self, dependency: str) -> list[Any]:
        """A dependency made ready by hand."""
        event = Event("dependency.marked", data={"dependency": dependency})
        status = {**self.facts.status, dependency: "ready"}
        return self._work_off(evolve(self.facts, event=event, status=status), self._token(event.type))

    def terminate(self) -> list[Any]:
        """The end by hand."""
        event = Event("termination.requested", data={"reason": "enough"})
        return self._work_off(evolve(self.facts, event=event), TERMINATED)

    def next_timer(self) -> Running | None:
        """The timer that is due next; of those due at once, the one that was armed first."""
        return min(self.timers, key=lambda timer: timer.deadline, default=None)

    def fire(self) -> list[Any]:
        """Time passes to the next timer, and that fires."""
        timer = self.next_timer()
        assert timer is not None
        self.now = timer.deadline
        self.timers = [other for other in self.timers if other is not timer]
        event = Event("timer.fired", data={"timer": timer.after.written, "state": timer.state})
        return self._work_off(evolve(self.facts, event=event), timer.token)

    # -- a step --

    def _work_off(self, facts: Facts, token: str, deferrable: bool = False) -> list[Any]:
        before = self._configuration()
        steps = [self._step(facts, token, deferrable)]
        while steps[-1] != CUT and self.deferred and self._configuration() != before and not self._ended():
            before = self._configuration()
            steps += self._send_again(before)
        return steps

    def _send_again(self, before: tuple[str, ...]) -> list[Any]:
        """The deferred events once more, in order, until one changes the configuration."""
        steps: list[Any] = []
        for event in list(self.deferred):
            step = self._step(evolve(self.facts, event=event), self._token(event.type), again=True)
            if step is not None:
                steps.append(step)
                if self._configuration() != before:
                    break
        return steps

    def _step(self, facts: Facts, token: str, deferrable: bool = False, again: bool = False) -> Any:
        before = self._configuration()
        history = self._history()
        saved = self.facts, self.settled, self.timers, self.invoked
        waits = (deferrable or again) and any(
            _is_meant(pattern, facts.event.type) for state in before for pattern in self.states[state].defer
        )
        self.facts = facts
        self._begin()
        self.machine.current_state_value = OrderedSet(self.codes[state] for state in before)
        self._recall(history)
        try:
            self.machine.send(token)
            handled = self.chosen
            if not handled and again and waits:
                self.facts = saved[0]
                return None
            self.settled = self.facts
            if not handled:
                self.machine.send(NONE)
        except Circle:
            self.facts, self.settled, self.timers, self.invoked = saved
            self._put(before, history)
            return None if again else CUT
        if again:
            self.deferred = [other for other in self.deferred if other is not facts.event]
        elif not handled and waits and len(self.deferred) < MOST_DEFERRED:
            self.deferred = [*self.deferred, facts.event]
        return self._end(handled)

    def _begin(self) -> None:
        self.effects: list[tuple[str, Any]] = []
        self.entered: list[str] = []
        self.chosen = False
        self.transitions = 0
        self.taken = 0
        self.stood: dict[Any, int] = {}

    def _take(self, transition: Transition) -> None:
        self.taken += 1
        self._act(transition.on)

    def _end(self, handled: bool) -> Seen:
        visits = dict(self.facts.visits)
        for state in self.entered:
            visits[state] += 1
            visits.update({child: 0 for child, parent in self.parents.items() if parent == state})
        last = {state: number for number, state in enumerate(self.entered)}
        lasting = [s for n, s in enumerate(self.entered) if last[s] == n and s in self._configuration()]
        for state in lasting:
            self.timers = [
                *self.timers,
                *(self._armed(state, after, visits[state]) for after in self.states[state].after),
            ]
            self.invoked = [*self.invoked, *((state, invoke.call) for invoke in self.states[state].invoke)]
        seen_by_guards = self.facts
        self.facts = evolve(seen_by_guards, visits=visits)
        # An ended chart of theirs takes no more events; a region that has ended at the top is no end of a connection.
        self.machine._engine.running = True
        return Seen(
            event=self.facts.event.type,
            handled=handled,
            configuration=self._configuration(),
            history=self._history(),
            effects=tuple(self.effects),
            status=self.facts.status,
            kept=self.facts.kept,
            visits=visits,
            timers=tuple((timer.state, timer.after.written, timer.deadline) for timer in self.timers),
            invoked=tuple(self.invoked),
            deferred=tuple(event.type for event in self.deferred),
            ended=self._ended(),
        )

    def _armed(self, state: str, after: After, visits: int) -> Running:
        delay = self.timeouts[after.delay] if isinstance(after.delay, str) else after.delay
        for _ in range(min(visits - 1, 100) if after.backoff != 1 else 0):
            delay *= after.backoff
        if after.backoff != 1 and after.max_delay is not None:
            delay = min(delay, after.max_delay)
        return Running(state, after, self.timer_tokens[state, after.written], self.now + delay)

    # -- called by the machine --

    def before_transition(self, event: Any) -> None:
        """The first thing that the library does of each transition that it has chosen."""
        self.chosen = True
        self.settled = self.facts
        self.transitions += 1
        if self.transitions > MOST_TRANSITIONS:
            raise Circle
        if event is not None:
            self.stood.clear()
        elif self.machine is not None:
            # Where it stood before, without an event in between: as guards stand still, it will go the same way again.
            values = self.model.state
            stands = tuple(values) if isinstance(values, OrderedSet) else values, tuple(self._history().items())
            if self.stood.setdefault(stands, self.taken) != self.taken:
                raise Circle

    def _enters(self, state: State) -> Callable[[], None]:
        def enter() -> None:
            self.entered.append(state.id)
            self._act(state.enter)

        return enter

    def _exits(self, state: State) -> Callable[[], None]:
        def leave() -> None:
            self.timers = [timer for timer in self.timers if timer.state != state.id]
            self.invoked = [running for running in self.invoked if running[0] != state.id]
            self._act(state.exit)

        return leave

    def _act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            done = (action.name, None) if isinstance(action, Call) else (action.event, self._payload(action.data))
            self.effects.append(done)

    def _payload(self, data: Any) -> Any:
        if isinstance(data, Expression):
            return self._value(data, self.facts)
        if isinstance(data, dict):
            return {name: self._payload(value) for name, value in data.items()}
        return [self._payload(value) for value in data] if isinstance(data, list | tuple) else data

    # -- facts --

    def _learn(self, event: Event) -> Facts:
        before = evolve(self.facts, event=event)

        def told(triggers: tuple[Trigger, ...]) -> bool:
            return any(
                _is_meant(t.event, event.type) and (t.when is None or self._holds(t.when, before)) for t in triggers
            )

        status = dict(before.status)
        for name, dependency in self.definition.dependencies.items():
            if told(dependency.failed_on):
                status[name] = "failed"
            elif told(dependency.lost_on):
                status[name] = "failed" if status[name] == "failed" else "pending"
            elif told(dependency.ready_on):
                status[name] = "ready"
        kept = {
            name: self._value(fact.value, before) if told(fact.on) else before.kept[name]
            for name, fact in self.definition.remember.items()
        }
        return evolve(before, status=status, kept=kept)

    def _holds(self, expression: Expression, facts: Facts) -> bool:
        return bool(self._value(expression, facts))

    def _value(self, expression: Expression, facts: Facts) -> Any:
        active = self._active()
        names = {
            **{name: status == "ready" for name, status in facts.status.items()},
            "all_ready": all(facts.status[name] == "ready" for name in self.required),
            "any_failed": any(facts.status[name] == "failed" for name in self.required),
            "data": _Named(facts.event.data or {}),
            "meta": _Named(facts.kept),
            "visits": _Named(facts.visits),
            "event": facts.event.type,
            "In": lambda state: state in active,
        }
        try:
            return eval(_compiled(expression.text), {"__builtins__": {}}, names)
        except Exception:
            return None

    # -- the machine --

    def _active(self) -> set[str]:
        now = self.model.state  # nothing, one state, or a set of them
        values = now if isinstance(now, OrderedSet) else () if now is None else (now,)
        return {self.names[value] for value in values} - {""}

    def _configuration(self) -> tuple[str, ...]:
        active = self._active()
        return tuple(state for state in self.order if state in active)

    def _history(self) -> dict[str, tuple[str, ...]]:
        return {
            self.names[code]: tuple(sorted((self.names[state.id] for state in held), key=self.order.index))
            for code, held in self.machine.history_values.items()
        }

    def _put(self, configuration: tuple[str, ...], history: Mapping[str, tuple[str, ...]]) -> None:
        """A new machine in the place of one that went in circles."""
        self.model = _Model(self)
        self.model.state = OrderedSet(self.codes[state] for state in configuration)
        self.machine = self.cls(self.model)
        self._recall(history)

    def _recall(self, history: Mapping[str, tuple[str, ...]]) -> None:
        for name, held in history.items():
            self.machine.history_values[self.codes[name]] = [self.machine.states_map[self.codes[s]] for s in held]

    def _ended(self) -> bool:
        active = self._active()
        return not active or any(final in active for final in self.finals)

    def _token(self, event_type: str) -> str:
        return self.tokens.get(event_type, NONE)

    # -- building --

    def _build(self) -> Any:
        self.codes = {state: f"q{number}" for number, state in enumerate(self.order)}
        self.codes |= {history.id: f"w{number}" for number, (_, history) in enumerate(self.definition.histories())}
        self.names = {code: name for name, code in self.codes.items()}
        self.tokens = {event: f"t{number}" for number, event in enumerate(self.events)}
        self.objects: dict[str, TheirState] = {}
        top = {self.codes[state.id]: self._object(state) for state in self.definition.states}
        end = self.finals[0] if self.finals else None
        if end is None:
            top["gone"] = self.objects[""] = TheirState(final=True)
            self.names["gone"] = ""
        for state in self.definition.walk():
            self._leave(state)
        for state in self.definition.states:
            if not state.final:
                self.objects[state.id].to(self.objects[end or ""], event=TERMINATED)
        unchecked = dict.fromkeys(
            ("validate_final_reachability", "validate_trap_states", "validate_disconnected_states"), False
        )
        metaclass: Any = type(StateChart)
        return metaclass("Reference", (StateChart,), {**top, "catch_errors_as_events": False, **unchecked})

    def _object(self, state: State, region: bool = False) -> TheirState:
        history = [HistoryState(type=history.type) for history in state.history]
        for theirs, ours in zip(history, state.history, strict=True):
            theirs._set_id(self.codes[ours.id])
        made = TheirState(
            initial=state.initial and not region,
            final=state.final,
            parallel=state.parallel,
            states=[self._object(child, state.parallel) for child in state.states],
            history=history,
            enter=self._enters(state),
            exit=self._exits(state),
        )
        self.objects |= dict(zip((h.id for h in state.history), history, strict=True))
        self.objects[state.id] = made
        return made._set_id(self.codes[state.id])

    def _leave(self, state: State) -> None:
        """The ways out of a state: its transitions, then its timers."""
        for transition in state.transitions:
            meant = [t for event, t in self.tokens.items() if any(_is_meant(p, event) for p in transition.event)]
            ends = [f"done.state.{self.codes[e[11:]]}" for e in transition.event if e.startswith("done.state.")]
            never = ["never"] if transition.event else []
            self._way(state, transition, " ".join([*meant, *ends] or never))
        for number, after in enumerate(state.after):
            token = self.timer_tokens[state.id, after.written] = f"{self.codes[state.id]}_after_{number}"
            self._way(state, after.transition, token)
        for history in state.history:
            self.objects[history.id].to(self.objects[history.target])

    def _way(self, state: State, transition: Transition, tokens: str) -> None:
        def asked(guard: Expression) -> Callable[[], bool]:
            return lambda: self._holds(guard, self.facts if tokens else self.settled)

        guards: dict[str, Any] = {}
        if transition.cond is not None:
            guards["cond"] = asked(transition.cond)
        if transition.unless is not None:
            guards["unless"] = asked(transition.unless)
        target = None if transition.target is None else self.objects[transition.target]
        self.objects[state.id].to(
            target,
            event=tokens or None,
            internal=transition.internal,
            on=lambda: self._take(transition),
            **guards,
        )


class _Model:
    """What the library keeps its configuration in."""

    def __init__(self, reference: Reference) -> None:
        self.state: Any = None
        self.before_transition = reference.before_transition


class _Named:
    """``data.n``: what is not there is None, and so is ``data.deep.n`` if ``deep`` is not there."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        found = self._values.get(name)
        return _Named(found or {}) if name == "deep" else found


@cache
def _compiled(text: str) -> Any:
    return compile(text, "<guard>", "eval")


def _is_meant(pattern: str, event_type: str) -> bool:
    prefix = pattern.removesuffix("*")
    return event_type.startswith(prefix) if prefix != pattern else event_type == pattern
