"""The step table: what python-statemachine did once, remembered for ever.

A case is (configuration, event class). Its entry is a decision tree: each branch asks one guard, each leaf is an
:class:`Outcome`. The first time that a case comes up with guards answered in a new way, the chart is put into that
configuration and sent the event; the guards that it asks, in order, with their answers, are the new path. From then on
the case costs a list look-up and a guard call or two.

The table has a limit: beyond so many cases the one that was filled longest ago is given up. It is filled again when it
comes up again, so what a stream of ever new cases costs is time, not memory, and no connection notices.

Facts stand still during a step, so a guard that is asked twice answers the same and stands in the tree once. The answer
of ``In('state')`` does depend on where the chart is just then, but on nothing else: it becomes a literal of the guard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from bus.event import Event
from statemachines.errors import StepNeverSettles
from statemachines.language.definition import Action, Publish
from statemachines.language.expressions import Expression
from statemachines.table.chart import Chart, Happening, Histories, NeverSettles, Trace
from statemachines.table.compiling import Compiler, Guard
from statemachines.table.layout import InvokeSpec, Layout, TimerSpec, expressions_in
from statemachines.table.record import Record

MAX_CASES = 50_000
"""So many paths through guards are remembered in all: some 40 MB, and far more than any definition seen so far has."""

MAX_GUARDS = 10_000
"""So many guards are kept compiled: one for each outcome of the ``In`` tests in it."""


@frozen(eq=False)
class PublishEffect:
    """Publish an event; ``data`` evaluates its payload from the facts of the step."""

    event_type: str
    data: Callable[[Record, Event], dict[str, Any]]


@frozen
class CallEffect:
    """Call a hook."""

    name: str


Effect = PublishEffect | CallEffect


class Situation:
    """A configuration that a connection can be in, with what its histories hold, and the cases known of it."""

    __slots__ = ("cases", "configuration", "defers", "final", "history", "phase", "states")

    def __init__(self, states: tuple[int, ...], history: Histories, layout: Layout) -> None:
        self.states = states
        self.history = history
        self.configuration: tuple[str, ...] = tuple(layout.ids[state] for state in states)
        self.phase: str = layout.phase(states)
        self.defers: tuple[str, ...] = tuple(pattern for state in states for pattern in layout.states[state].defer)
        self.final: bool = not states or not layout.top_level_finals.isdisjoint(states)
        self.cases: dict[int, Branch | Outcome | Endless] = {}

    def __repr__(self) -> str:
        return f"<Situation {self.phase}>"


@frozen(eq=False)
class Outcome:
    """What a step does: where it leads, and its effects in order.

    ``exited`` and ``entered`` are states, ``transitions`` numbers of ``Chart.transitions``, each in the order that it
    happened. ``quiet`` means that no transition was taken, ``handled`` that one was for the event itself, ``held`` that
    none was although a state waits for such events: a guard held it back. The timers of the states in ``disarms`` end,
    those in ``arms`` begin; likewise what is invoked, by ``cancels`` and ``invokes``. ``visits`` says which counts go
    up by one (True) or back to 0 (False), in order. ``moved`` tells whether other states are active afterwards.
    """

    situation: Situation
    exited: tuple[int, ...]
    transitions: tuple[int, ...]
    entered: tuple[int, ...]
    effects: tuple[Effect, ...]
    quiet: bool
    handled: bool
    held: bool
    disarms: frozenset[int]
    arms: tuple[TimerSpec, ...]
    cancels: tuple[int, ...]
    invokes: tuple[InvokeSpec, ...]
    visits: tuple[tuple[int, bool], ...]
    moved: bool
    has_effects: bool = field(init=False)
    """Whether anything is to be carried out."""

    @has_effects.default
    def _has_effects(self) -> bool:
        return bool(self.effects or self.invokes)


@define(eq=False)
class Branch:
    """A guard, and what follows from each of its answers as far as known."""

    guard: Guard
    if_true: Branch | Outcome | Endless | None = None
    if_false: Branch | Outcome | Endless | None = None


@frozen
class Endless:
    """A step whose eventless transitions go in a circle."""


Node = Branch | Outcome | Endless
Path = list[tuple[Guard, bool]]


class StepTable:
    """The table of one definition.

    :ivar hits: how often a case was known
    :ivar misses: how often the chart was asked
    :ivar evicted: how many cases were given up to make room for others
    """

    def __init__(self, layout: Layout, max_cases: int = MAX_CASES) -> None:
        self.layout = layout
        self.compiler = Compiler(layout)
        self.chart = Chart(layout)
        self.max_cases = max_cases
        self.hits = 0
        self.misses = 0
        self.evicted = 0
        self._size = 0
        self._filled: deque[tuple[Situation, int]] = deque()
        """Which event classes of which situations have cases, those first that were filled longest ago."""
        self._situations: dict[tuple[tuple[int, ...], Histories], Situation] = {}
        self._guards: dict[tuple[str, tuple[bool, ...]], Guard | bool] = {}
        self._outside = Situation((), (), layout)
        """Where a connection is before it enters its initial states: the start is the one case there."""
        self._actions: dict[Happening, tuple[Action, ...]] = {}
        for number, state in enumerate(layout.states):
            self._actions["enter", number], self._actions["exit", number] = state.enter, state.exit
        for number, transition in enumerate(self.chart.transitions):
            self._actions["transition", number] = transition.on
        self._effects: dict[tuple[Happening, tuple[bool, ...]], tuple[Effect, ...]] = {}

    def __len__(self) -> int:
        return self._size

    def start(self, record: Record, event: Event) -> Outcome:
        """What entering the initial states does. ``record`` holds the facts; its situation does not matter."""
        return self.step(self._outside, 0, record, event)

    def step(self, situation: Situation, event_class: int, record: Record, event: Event) -> Outcome:
        """What an event of a class does in a situation, under the facts of ``record`` and the event's payload.

        :raises StepNeverSettles: eventless transitions go in a circle
        """
        node = situation.cases.get(event_class)
        while type(node) is Branch:
            node = node.if_true if node.guard(record, event) else node.if_false
        if type(node) is Outcome:
            self.hits += 1
            return node
        if node is None:
            node = self._resolve(situation, event_class, record, event)
        if isinstance(node, Outcome):
            return node
        where = "at the start" if situation is self._outside else f"in {situation.phase} on {event.type}"
        raise StepNeverSettles(
            f"{self.layout.definition.name}: {where}, the transitions without an event never settle; "
            "the event was not applied. Give one of them a guard that its own target makes false"
        )

    def situation(self, states: tuple[int, ...], history: Histories = ()) -> Situation:
        """The object that stands for a configuration and its history: the same as last time, unless that was long ago.

        Connections may still be in one that was given up here, so situations are the same if their ``states`` are.
        """
        found = self._situations.get((states, history))
        if found is None:
            if len(self._situations) >= self.max_cases:
                del self._situations[next(iter(self._situations))]
            found = self._situations[states, history] = Situation(states, history, self.layout)
        return found

    # -- filling --

    def _resolve(self, situation: Situation, event_class: int, record: Record, event: Event) -> Outcome | Endless:
        """Ask the chart, and add what it says to the tree of the case."""
        path: Path = []
        answers: dict[Guard, bool] = {}

        def decide(expression: Expression, active: Sequence[int]) -> bool:
            guard = self._guard(expression, active)
            if isinstance(guard, bool):
                return guard
            if guard not in answers:
                answers[guard] = guard(record, event)
                path.append((guard, answers[guard]))
            return answers[guard]

        self.misses += 1
        self._make_room()
        leaf: Outcome | Endless
        try:
            if situation is self._outside:
                trace = self.chart.start(decide)
            else:
                trace = self.chart.step(situation.states, situation.history, event_class, decide)
            leaf = self._outcome(trace, situation, event_class)
        except NeverSettles:
            leaf = Endless()
        known = situation.cases.get(event_class)
        if known is None:
            self._filled.append((situation, event_class))
        situation.cases[event_class] = _grown(known, path, leaf)
        self._size += 1
        return leaf

    def _make_room(self) -> None:
        """Give up the cases filled longest ago where the table is full; all of them where there are too many guards."""
        if len(self._guards) >= MAX_GUARDS:
            self.clear()
            self._guards.clear()  # only now: trees know their guards by identity
        if len(self._effects) >= MAX_GUARDS:
            self._effects.clear()
        while self._size >= self.max_cases:
            self._evict()

    def clear(self) -> None:
        """Give up every case."""
        while self._filled:
            self._evict()

    def _evict(self) -> None:
        situation, event_class = self._filled.popleft()
        gone = _paths(situation.cases.pop(event_class))
        self._size -= gone
        self.evicted += gone

    def _guard(self, expression: Expression, active: Sequence[int]) -> Guard | bool:
        inside = {name: self.layout.index[name] in active for name, _ in expression.states}
        key = (expression.text, tuple(inside.values()))
        guard = self._guards.get(key)
        if guard is None:
            guard = self._guards[key] = self.compiler.guard(expression, inside)
        return guard

    def _outcome(self, trace: Trace, before: Situation, event_class: int) -> Outcome:
        def numbers(kind: str) -> tuple[int, ...]:
            return tuple(number for happened, number in trace.happenings if happened == kind)

        exited, entered = numbers("exit"), numbers("enter")
        timers_of, visited = self.layout.timers_of, self.layout.visited
        # A state may be entered, left and entered again in one step: only its last visit lasts.
        lasting = [s for n, s in enumerate(entered) if s in trace.states and s not in entered[n + 1 :]]
        return Outcome(
            situation=self.situation(trace.states, trace.history),
            exited=exited,
            transitions=numbers("transition"),
            entered=entered,
            effects=tuple(self._effects_of(before, trace.happenings)),
            quiet=not trace.happenings,
            handled=trace.handled,
            held=not trace.happenings and any(event_class in self.layout.awaited[state] for state in before.states),
            disarms=frozenset(state for state in exited if state in timers_of),
            arms=tuple(spec for state in lasting for spec in timers_of.get(state, ())),
            cancels=tuple(state for state in exited if state in self.layout.invokes_of),
            invokes=tuple(spec for state in lasting for spec in self.layout.invokes_of.get(state, ())),
            visits=tuple(
                (number, state == into)
                for into in entered
                for number, state in enumerate(visited)
                if into in (state, self.layout.parent[state])
            ),
            moved=before.states != trace.states,
        )

    def _effects_of(self, before: Situation, happenings: Sequence[Happening]) -> Iterator[Effect]:
        """The effects of what happened, in order, each of the moment it happened in: ``In`` may be asked there too.

        A state is active while it is left and while it is entered (SCXML 3.9, 3.8).
        """
        active = set(before.states)
        for happening in happenings:
            kind, number = happening
            if kind == "enter":
                active.add(number)
            yield from self._effects_at(happening, active)
            if kind == "exit":
                active.discard(number)

    def _effects_at(self, happening: Happening, active: set[int]) -> tuple[Effect, ...]:
        actions = self._actions[happening]
        inside = {
            name: self.layout.index[name] in active
            for action in actions
            if isinstance(action, Publish)
            for expression in expressions_in(action.data)
            for name, _ in expression.states
        }
        key = (happening, tuple(inside.values()))
        found = self._effects.get(key)
        if found is None:
            found = self._effects[key] = tuple(
                PublishEffect(action.event, self._payload(action.data, inside))
                if isinstance(action, Publish)
                else CallEffect(action.name)
                for action in actions
            )
        return found

    def _payload(self, data: Any, inside: Mapping[str, bool]) -> Callable[[Record, Event], Any]:
        if isinstance(data, Expression):
            return self.compiler.value(data, inside)
        if isinstance(data, dict):
            fields = {name: self._payload(value, inside) for name, value in data.items()}
            return lambda record, event: {name: make(record, event) for name, make in fields.items()}
        if isinstance(data, list | tuple):
            items = [self._payload(value, inside) for value in data]
            return lambda record, event: [make(record, event) for make in items]
        return lambda record, event: data


def _paths(root: Node | None) -> int:
    """How many paths a tree has."""
    paths, ahead = 0, [root]
    while ahead:
        node = ahead.pop()
        if isinstance(node, Branch):
            ahead += (node.if_true, node.if_false)
        else:
            paths += node is not None
    return paths


def _grown(root: Node | None, path: Path, leaf: Outcome | Endless) -> Node:
    """The tree with one more path in it."""
    if not path:
        return leaf
    guard, answer = path[0]
    if root is None:
        root = Branch(guard)
    assert isinstance(root, Branch), "the chart asked more guards than the last time"
    assert root.guard is guard, "the chart asked another guard than the last time"
    if answer:
        root.if_true = _grown(root.if_true, path[1:], leaf)
    else:
        root.if_false = _grown(root.if_false, path[1:], leaf)
    return root


__all__ = ["Branch", "CallEffect", "Effect", "Happening", "Outcome", "PublishEffect", "Situation", "StepTable"]
