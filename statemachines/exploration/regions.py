"""Which parts of a chart an event concerns, so that a step is tried once for all that the other parts may be in.

Regions of a parallel state live side by side. An event concerns a region if a transition inside it can match the event,
or waits for none. If such a transition stands around the regions, leaves its region or asks ``In`` about another, the
whole chart is concerned. What is not concerned does not change, and nothing that happens depends on it.

Where regions do hear of each other in ways that are not written in a transition (``done.state``, deferred events, the
news of a changed phase), the chart is taken as one.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from statemachines.exploration.reading import conditions
from statemachines.language.definition import Transition
from statemachines.language.expressions import Expression
from statemachines.language.names import is_done
from statemachines.table.layout import UNHANDLED, Layout

PHASE_CHANGED = "connection.phase_changed"

MANY = 20
"""Bits for a part that has regions of its own: any number of them may combine."""

Everything = None
"""Stands for all parts of a chart."""


@frozen
class Concern:
    """What an event can do where the states around all regions are the given ones.

    :ivar parts: the parts that it reads and may change; None for all of them
    :ivar guards: what may be asked
    :ivar heard: whether a transition waits for this very event
    :ivar moves: whether a transition may be taken at all
    """

    parts: frozenset[int] | None
    guards: tuple[Expression, ...]
    heard: bool
    moves: bool


@frozen(eq=False)
class _Way:
    """A transition, by number of state; ``classes`` is empty for one that waits for no event."""

    state: int
    transition: Transition
    classes: frozenset[int]
    stays: bool

    @property
    def guards(self) -> Iterator[Expression]:
        return conditions(self.transition.cond, self.transition.unless)


class Regions:
    """The parts of a chart: number 0 is all that is in no region, each region of an outermost parallel state is one."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.part_of: list[int] = [0] * len(layout.states)
        """The part that each state belongs to."""
        self.count = 1
        self.regions_of: dict[int, tuple[int, ...]] = {}
        """The parts that are active with each outermost parallel state."""
        if self._is_separable():
            self._separate()
        self._ways = tuple(self._written())

    def concern(self, around: tuple[int, ...], event_class: int) -> Concern:
        """What an event of a class can do while these states of part 0 are active."""
        active = {part for state in around for part in self.regions_of.get(state, ())}
        whole, heard, parts = False, False, set()
        for way in self._ways:
            part = self.part_of[way.state]
            here = way.state in around if part == 0 else part in active
            if here and (not way.classes or event_class in way.classes):
                parts.add(part)
                heard |= event_class in way.classes
                whole |= part == 0 or not way.stays
        if not parts:
            return Concern(frozenset(), (), heard=False, moves=False)
        found = Everything if whole else frozenset(parts)
        guards = tuple(
            guard
            for way in self._ways
            if (found is Everything or self.part_of[way.state] in found)
            and (not way.classes or event_class in way.classes)
            for guard in way.guards
        )
        return Concern(found, guards, heard, moves=True)

    def width(self, part: int) -> int:
        """Bits enough for the number of every set of states that can be active in a part."""
        layout = self.layout
        states = [number for number, found in enumerate(self.part_of) if found == part]
        split = any(layout.states[number].parallel and number not in self.regions_of for number in states)
        return MANY if split else (len(states) + 1).bit_length()

    # -- details --

    def _is_separable(self) -> bool:
        layout = self.layout
        hears_itself = layout.event_class(PHASE_CHANGED) != UNHANDLED or layout.is_named(PHASE_CHANGED)
        waits = any(state.defer for state in layout.states)
        ends = any(is_done(e) for state in layout.states for t in state.transitions for e in t.event)
        return not (hears_itself or waits or ends)

    def _separate(self) -> None:
        layout = self.layout
        for number, state in enumerate(layout.states):
            parent = layout.parent[number]
            if parent is None or self.part_of[number]:
                continue
            if layout.states[parent].parallel:
                part = self.count
                self.count += 1
                self.regions_of[parent] = (*self.regions_of.get(parent, ()), part)
                for inner in state.walk():
                    self.part_of[layout.index[inner.id]] = part

    def _written(self) -> Iterator[_Way]:
        layout = self.layout
        for number, state in enumerate(layout.states):
            for transition in state.transitions:
                waits = transition.event and not layout.done_of(transition)
                classes = frozenset(layout.classes_of(transition)) if waits else frozenset()
                yield _Way(number, transition, classes, self._stays(number, transition))
            for timer in layout.timers_of.get(number, ()):
                transition = timer.after.transition
                yield _Way(number, transition, frozenset([timer.event_class]), self._stays(number, transition))

    def _stays(self, source: int, transition: Transition) -> bool:
        """Whether a transition reads and changes nothing outside of its own part."""
        part = self.part_of[source]
        asked = [name for guard in conditions(transition.cond, transition.unless) for name, _ in guard.states]
        if any(self.part_of[self.layout.index[name]] != part for name in asked):
            return False
        if transition.target is None:
            return True
        domain = self._domain(source, transition)
        return domain is not None and self.part_of[domain] == part and not self.layout.states[domain].parallel

    def _domain(self, source: int, transition: Transition) -> int | None:
        """The innermost state that a transition does not leave; None for the whole chart (SCXML, appendix D)."""
        layout = self.layout
        target = transition.target
        history = layout.history_index.get(target or "")
        around_target = [layout.histories[history][0]] if history is not None else []
        if history is None:
            around_target = self._around(layout.index[target or ""])
        else:
            around_target += self._around(around_target[0])
        around_source = [source, *self._around(source)] if transition.internal else self._around(source)
        return next((state for state in around_source if state in around_target), None)

    def _around(self, state: int) -> list[int]:
        found = []
        parent = self.layout.parent[state]
        while parent is not None:
            found.append(parent)
            parent = self.layout.parent[parent]
        return found
