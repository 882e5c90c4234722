"""All cases, breadth first: so the way that is kept to each is a shortest one.

A case is an integer, and costs its place in a dictionary and a list, the case it was first reached from and the move
that led there: some 130 bytes. Where else its moves lead is needed for some questions only (can each case still reach
an end? does a way lead round in a circle?), and worked out for these once more.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from typing import Protocol

from attrs import define, field, frozen

from statemachines.exploration.moves import Clock, Moves
from statemachines.exploration.packing import TooMany

CHECK_EVERY = 512

Progress = Callable[[int, int, int], None]
"""Told now and then: cases found, cases tried, moves tried."""


@frozen
class Bounds:
    """Where to stop: at so many cases, or after so many seconds (None: no such bound)."""

    cases: int | None = 1_000_000
    seconds: float | None = 30.0


class World(Protocol):
    """Where the moves come from."""

    moves: Moves
    members: tuple[Moves, ...]
    """The moves of each definition; ``moves`` are those of the first."""
    any_order: bool
    """Whether any event may come at any time."""
    untried: str | None
    """What was met and not tried, in words; None if nothing was."""

    def start(self) -> int:
        """The first case."""

    def expand(self, case: int, found: list[int]) -> tuple[bool, int]:
        """Append label and next case of each move that changes something; whether one took a transition; how many."""

    def forced(self, case: int) -> int | None:
        """The case after what happens by itself and at once: an event comes back, a timer is due. None if nothing."""

    def may_rest(self, case: int) -> bool:
        """Whether nothing more has to happen."""

    def may_go_on(self, case: int) -> bool:
        """Whether what goes round here can do so for ever, as nothing else has to come."""

    def passed(self, before: int, after: int) -> int:
        """The nanoseconds between a case and one that a move of it leads to; the most, if there are several ways."""


class AnyOrder:
    """Any event may come or not, in any order; timers fire when they are due."""

    any_order = True
    untried: str | None = None

    def __init__(self, moves: Moves) -> None:
        self.moves = moves
        self.members: tuple[Moves, ...] = (moves,)

    def start(self) -> int:
        """The case of a connection just registered."""
        return self.moves.start()

    def expand(self, case: int, found: list[int]) -> tuple[bool, int]:
        """All moves of a case."""
        moves = self.moves
        if case & moves.cases.heard.mask:
            active, after = moves.come_back(case)
            found += (moves.back_label, after)
            return active, 1
        groups = moves._groups.get(case & moves.around_mask)
        if groups is None:
            groups = moves.groups(case)
        if not groups and moves.ended(case):
            return False, 0
        running = (case & moves.timers_mask) >> moves.timers_shift
        if running and (clock := moves.clock(running)).due_now:
            active, after = moves.fire(case, clock)
            found += (moves.timer_label(clock), after)
            return active, 1
        active, tried = False, 0
        dead, where_mask = moves.dead, moves.where_mask
        where = case & where_mask
        dead_here = dead[where]
        for group in groups:
            tried += len(group.labels)
            learnt = group.known.get(case & group.mask)
            if learnt is None:
                learnt = moves.learn(group, case)
            for label, told, chart in learnt:
                after = case ^ told
                try:
                    moved = chart.known[after & chart.mask]
                except KeyError:
                    moved = moves.move(chart, case, after, label)
                if moved is None:
                    dead.read(where, chart.mask)
                    continue
                took, flipped, change, reads, written, then = moved
                after ^= flipped
                if change:
                    after = moves.change_timers(after, change)
                if then is not None:
                    also, after, read, anew = moves.defer(then, after)
                    took, reads, written = took or also, reads | read, written | anew
                if took:
                    active = True
                if reads & dead_here:
                    dead.read(where, reads)
                if after != case:
                    there = after & where_mask
                    if there != where:
                        dead.flow(where, there, written)
                    after &= ~dead[there]
                    if after != case:
                        found += (label, after)
        if running:
            if clock.before is not None:
                found += (moves.wait_label, case & ~moves.timers_mask | clock.before)
                tried += 1
            _, after = moves.fire(case, clock)
            found += (moves.timer_label(clock), after)
            tried += 1
            active = True
        return active, tried

    def ended(self, case: int) -> bool:
        """Whether the connection has ended."""
        return self.moves.ended(case)

    def after(self, label: int, case: int) -> tuple[bool, int]:
        """Whether a transition was taken, and the case, after an event."""
        return self.moves.after(label, case)

    def timer_label(self, clock: Clock) -> int:
        """The label of the timer that is due next."""
        return self.moves.timer_label(clock)

    def come_back(self, case: int) -> tuple[bool, int]:
        """Whether a transition was taken, and the case, after the first of the events that come back has done so."""
        return self.moves.come_back(case)

    def fire(self, case: int, clock: Clock) -> tuple[bool, int]:
        """The same after the next timer has fired."""
        return self.moves.fire(case, clock)

    def forced(self, case: int) -> int | None:
        """The case after what happens by itself and at once."""
        if case & self.moves.cases.heard.mask:
            return self.come_back(case)[1]
        running = (case & self.moves.timers_mask) >> self.moves.timers_shift
        if running and (clock := self.moves.clock(running)).due_now:
            return self.fire(case, clock)[1]
        return None

    def may_rest(self, case: int) -> bool:
        """Whether no timer runs and nothing comes back."""
        return not case & (self.moves.timers_mask | self.moves.cases.heard.mask)

    def may_go_on(self, case: int) -> bool:
        """Always: no event has to come."""
        return True

    def forgotten(self, case: int) -> int | None:
        """The case in which a connection that has ended is forgotten at once; None if there is none such."""
        return None

    def passed(self, before: int, after: int) -> int:
        """How long the next timer had to run, if it is what changed or what was waited for."""
        running = (before & self.moves.timers_mask) >> self.moves.timers_shift
        if not running or before & self.moves.cases.heard.mask:
            return 0
        clock = self.moves.clock(running)
        if clock.elapsed <= 0:
            return 0
        waited = clock.before is not None and before & ~self.moves.timers_mask | clock.before == after
        return clock.elapsed if waited or self.fire(before, clock)[1] == after else 0


@define(eq=False)
class Graph:
    """The cases that were found, by number in the order found; the first ``expanded`` of them were tried.

    ``parents`` and ``labels`` tell from where and by which move each was found. Where else its moves lead is only
    worked out (again) when somebody asks.
    """

    world: World
    cases: list[int] = field(factory=list)
    parents: array[int] = field(factory=lambda: array("I"))
    labels: array[int] = field(factory=lambda: array("I"))
    numbers: dict[int, int] = field(factory=dict)
    _edges: array[int] = field(factory=lambda: array("I"))
    _offsets: array[int] = field(factory=lambda: array("Q"))
    active: bytearray = field(factory=bytearray)
    """Whether a move of the case took a transition."""
    transitions: int = 0
    why_cut: str | None = None
    sound: int = 0
    """How many cases were tried before a fact was read that was taken for dead."""

    @property
    def expanded(self) -> int:
        """How many cases were tried."""
        return len(self.active)

    @property
    def complete(self) -> bool:
        """Whether every case was tried."""
        return self.why_cut is None

    @property
    def edges(self) -> array[int]:
        """Where the moves of all cases lead, those of the first case first."""
        if not self._offsets:
            self._link()
        return self._edges

    def successors(self, number: int) -> array[int]:
        """The cases that the moves of a case lead to, itself aside."""
        if not self._offsets:
            self._link()
        return self._edges[self._offsets[number] : self._offsets[number + 1]]

    def _link(self) -> None:
        edges, offsets = array("I"), array("Q", [0])
        expand, numbers = self.world.expand, self.numbers
        found: list[int] = []
        for case in self.cases[: self.expanded]:
            found.clear()
            expand(case, found)
            edges.extend({numbers[after] for after in found[1::2]})
            offsets.append(len(edges))
        self._edges, self._offsets = edges, offsets

    def path(self, number: int) -> list[int]:
        """The shortest way from the first case to this one, both included."""
        found = [number]
        while number:
            number = self.parents[number]
            found.append(number)
        return found[::-1]

    def depths(self) -> array[int]:
        """How many moves each case is away from the first."""
        found = array("I", [0])
        for parent in self.parents[1:]:
            found.append(found[parent] + 1)
        return found

    def __iter__(self) -> Iterator[int]:
        return iter(self.cases)


def search(
    world: World,
    bounds: Bounds,
    progress: Progress | None = None,
    graph: Graph | None = None,
    *,
    most_tried: int | None = None,
) -> Graph:
    """Find all cases, or as many as the bounds allow. An interrupt ends it too, and what was found is kept.

    ``graph`` is an empty one to be filled, for somebody who watches.

    It also ends soon after a fact was read that was taken for dead; ``graph.sound`` tells how much came before that.
    """
    graph = graph or Graph(world)
    try:
        _search(world, bounds, progress, graph, most_tried)
    except TooMany as error:
        graph.why_cut = str(error)
    except KeyboardInterrupt:
        graph.why_cut = "interrupted"
    if not any(member.grown for member in world.members):
        graph.sound = graph.expanded
    return graph


def _search(world: World, bounds: Bounds, progress: Progress | None, graph: Graph, most_tried: int | None) -> None:
    began = time.monotonic()
    most = bounds.cases if bounds.cases is not None else 1 << 32
    first = world.start()
    cases, parents, labels, numbers = graph.cases, graph.parents, graph.labels, graph.numbers
    cases.append(first)
    parents.append(0)
    labels.append(0)
    numbers[first] = 0
    number = 0
    expand, active = world.expand, graph.active
    several = len(world.members) > 1  # what comes early may take long to try
    found: list[int] = []
    while number < len(cases) and number != most_tried:
        checks = number % CHECK_EVERY == 0
        if checks or several:
            if not any(member.grown for member in world.members):
                graph.sound = number
            elif checks and number >= 2 * graph.sound:
                return  # a little later, so that more is learnt before all begins anew
            if bounds.seconds is not None and time.monotonic() - began > bounds.seconds:
                graph.why_cut = f"it took longer than {bounds.seconds:g} s"
                return
            if progress is not None and checks:
                progress(len(cases), number, graph.transitions)
        found.clear()
        moved, tried = expand(cases[number], found)
        graph.transitions += tried
        for position in range(1, len(found), 2):
            after = found[position]
            known = numbers.get(after)
            if known is None:
                known = len(cases)
                if known >= most:
                    graph.why_cut = f"there are more than {most:,} cases"
                    return
                numbers[after] = known
                cases.append(after)
                parents.append(number)
                labels.append(found[position - 1])
        active.append(moved)
        number += 1
