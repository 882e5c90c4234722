"""Numbers for everything that a definition names, so that a step works on bits and indices instead of names."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from bus.names import matches, prefixes
from statemachines.language.definition import After, Definition, History, Invoke, Publish, State, Transition, Trigger
from statemachines.language.expressions import Expression
from statemachines.language.names import is_done

UNHANDLED = 0
"""The event class of everything that no transition names."""

MAX_NAMED = 1_000
"""So many sets of dependencies are kept with their names."""

TERMINATION = "termination.requested"
"""The event of ``terminate_connection``; ``data.reason`` is the reason."""


@frozen
class TimerSpec:
    """One ``after`` of one state."""

    number: int
    state: int
    after: After
    event_class: int
    usual_s: float | None
    """The delay in seconds, for every connection that overrides no time-out; None if it depends on the visits."""


def status(ready: int, failed: int) -> str:
    """How a dependency is called of which these bits are set."""
    return "ready" if ready else "failed" if failed else "pending"


@frozen(eq=False)
class InvokeSpec:
    """One ``invoke`` of one state."""

    state: int
    invoke: Invoke


class Layout:
    """The states, transitions, timers, event classes, dependencies and facts of one definition, numbered.

    Events are sorted into classes: events that every transition treats alike. A name that some transition writes out is
    a class of its own; of the rest, the longest matching pattern decides, since patterns are prefixes of one another.
    """

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.states: tuple[State, ...] = tuple(definition.walk())
        self.ids: tuple[str, ...] = tuple(state.id for state in self.states)
        self.index: dict[str, int] = {state_id: number for number, state_id in enumerate(self.ids)}
        self.parent: tuple[int | None, ...] = tuple(
            None if parent is None else self.index[parent] for parent in definition.parents().values()
        )
        self.histories: tuple[tuple[int, History], ...] = tuple(
            (self.index[state.id], history) for state, history in definition.histories()
        )
        self.history_index: dict[str, int] = {history.id: n for n, (_, history) in enumerate(self.histories)}
        self.first_top_level_final: int | None = next(
            (self.index[state.id] for state in definition.states if state.final), None
        )
        self.top_level_finals = frozenset(self.index[state.id] for state in definition.states if state.final)

        self.dependencies: tuple[str, ...] = tuple(definition.dependencies)
        self.bits: dict[str, int] = {name: 1 << number for number, name in enumerate(self.dependencies)}
        self._named: dict[int, tuple[str, ...]] = {}
        self._statuses: dict[tuple[int, int], dict[str, str]] = {}
        self.required_by_default: int = sum(
            self.bits[name] for name, dependency in definition.dependencies.items() if dependency.required
        )
        self.remembered: tuple[str, ...] = tuple(definition.remember)
        self.visited: tuple[int, ...] = tuple(
            sorted(
                {self.index[name] for expression in self.expressions() for name, _ in expression.visits}
                | {number for number, state in enumerate(self.states) if any(a.backoff > 1 for a in state.after)}
            )
        )
        self.visit_number: dict[int, int] = {state: number for number, state in enumerate(self.visited)}

        patterns = sorted({p for t in self._written_transitions() for p in t.event if not is_done(p)})
        self.event_classes: dict[str, int] = {pattern: number for number, pattern in enumerate(patterns, start=1)}
        number_of_classes = 1 + len(patterns)
        self.awaited: tuple[frozenset[int], ...] = tuple(
            frozenset(number for transition in state.transitions for number in self.classes_of(transition))
            for state in self.states
        )
        """For each state, the classes of the events that a transition of it waits for."""
        self.timers: tuple[TimerSpec, ...] = tuple(
            TimerSpec(number, state, after, number_of_classes + number, self._usual_s(after))
            for number, (state, after) in enumerate(
                (state, after) for state in range(len(self.states)) for after in self.states[state].after
            )
        )
        self.timers_of: dict[int, tuple[TimerSpec, ...]] = {
            state: tuple(timer for timer in self.timers if timer.state == state)
            for state in {timer.state for timer in self.timers}
        }
        self.invokes_of: dict[int, tuple[InvokeSpec, ...]] = {
            number: tuple(InvokeSpec(number, invoke) for invoke in state.invoke)
            for number, state in enumerate(self.states)
            if state.invoke
        }
        self.termination_class: int = number_of_classes + len(self.timers)
        self.number_of_classes: int = self.termination_class + 1

    def _usual_s(self, after: After) -> float | None:
        if after.backoff != 1:
            return None
        return self.definition.timeouts[after.delay] if isinstance(after.delay, str) else after.delay

    def event_class(self, event_type: str) -> int:
        """The class of an event's type."""
        for pattern in (event_type, *prefixes(event_type), "*"):
            found = self.event_classes.get(pattern)
            if found is not None:
                return found
        return UNHANDLED

    def named(self, bits: int) -> tuple[str, ...]:
        """The dependencies of these bits, in the order declared."""
        found = self._named.get(bits)
        if found is None:
            found = tuple(name for name, bit in self.bits.items() if bits & bit)
            if len(self._named) < MAX_NAMED:
                self._named[bits] = found
        return found

    def statuses(self, ready: int, failed: int) -> dict[str, str]:
        """Every dependency with ``ready``, ``failed`` or ``pending``: a dictionary of the caller's own."""
        found = self._statuses.get((ready, failed))
        if found is None:
            found = {name: status(ready & bit, failed & bit) for name, bit in self.bits.items()}
            if len(self._statuses) < MAX_NAMED:
                self._statuses[ready, failed] = found
        return found.copy()

    def classes_of(self, transition: Transition) -> list[int]:
        """The event classes that a transition matches."""
        return [
            number
            for written, number in self.event_classes.items()
            if any(_covers(pattern, written) for pattern in transition.event if not is_done(pattern))
        ]

    def done_of(self, transition: Transition) -> list[int]:
        """The states whose end a transition waits for."""
        return [self.index[event.rpartition(".")[2]] for event in transition.event if is_done(event)]

    def is_named(self, event_type: str) -> bool:
        """Whether the definition names events of this type anywhere."""
        return (
            self.event_class(event_type) != UNHANDLED
            or any(matches(trigger.event, event_type) for trigger in self._triggers())
            or any(matches(pattern, event_type) for state in self.states for pattern in state.defer)
        )

    def phase(self, states: tuple[int, ...]) -> str:
        """The active leaf's id; with several, that of the innermost state around all of them; of none, nothing."""
        around = {self.parent[state] for state in states}
        leaves = [state for state in states if state not in around]
        if not leaves:
            return ""
        common: list[int] = self._path(leaves[0])
        for leaf in leaves[1:]:
            path = self._path(leaf)
            common = [state for state, other in zip(common, path, strict=False) if state == other]
        return self.ids[common[-1]] if common else self.definition.name

    def _path(self, state: int) -> list[int]:
        path = [state]
        while (parent := self.parent[path[-1]]) is not None:
            path.append(parent)
        return path[::-1]

    def _written_transitions(self) -> Iterator[Transition]:
        for state in self.states:
            yield from state.transitions

    def _transitions(self) -> Iterator[Transition]:
        for state in self.states:
            yield from state.transitions
            yield from (after.transition for after in state.after)

    def _triggers(self) -> Iterator[Trigger]:
        yield from self.definition.starts_on
        for dependency in self.definition.dependencies.values():
            yield from (*dependency.ready_on, *dependency.lost_on, *dependency.failed_on)
        for remembered in (*self.definition.remember.values(), *self.definition.keys.values()):
            yield from remembered.on

    def expressions(self) -> Iterator[Expression]:
        """Every expression of the definition: guards, conditions, values, payloads, properties."""
        for transition in self._transitions():
            yield from (guard for guard in (transition.cond, transition.unless) if guard is not None)
        for trigger in self._triggers():
            if trigger.when is not None:
                yield trigger.when
        for remembered in self.definition.remember.values():
            yield remembered.value
        for action in self.definition.actions():
            if isinstance(action, Publish):
                yield from expressions_in(action.data)
        # Nothing here asks for them, but whoever judges a property does, and counts cannot be had afterwards.
        for wanted in self.definition.properties.values():
            asked = (wanted.always, wanted.never, wanted.sometimes, *(wanted.leads_to or ()))
            yield from (expression for expression in asked if expression is not None)


def expressions_in(data: object) -> Iterator[Expression]:
    """The expressions inside a publish action's data, at any depth."""
    if isinstance(data, Expression):
        yield data
    elif isinstance(data, dict):
        for value in data.values():
            yield from expressions_in(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from expressions_in(value)


def _covers(pattern: str, written: str) -> bool:
    """Whether ``pattern`` matches every event of the class that ``written`` stands for."""
    if written == "*" or written.endswith(".*"):
        return pattern == "*" or pattern == written or (pattern.endswith(".*") and written.startswith(pattern[:-1]))
    return matches(pattern, written)
