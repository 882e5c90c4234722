"""Few ways that together cover all that exploring reached: every state, transition and guard outcome.

While exploring, each move that is made for the first time is watched: it tells what it covers, and the first one to
cover something is as near to the start as any. Then ways are laid, each as far as it goes: from where it stands to the
nearest move that covers something new (breadth first), again and again. A way that has left a place for good cannot
cover what is missing there, so moves that can be taken back come first, and a way ends with those that cannot. At last
ways are dropped that the others make needless: the greedy cover of a set, which is never far from the smallest
(Chvátal, 1979).

Weak spot: the nearest is looked for among so many cases only, and not for ever. What is further away gets a way of its
own, the shortest from the start, so that all is covered; but there may be some ways more than it takes.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise

from attrs import define, field, frozen

from statemachines.exploration.moves import Chart
from statemachines.exploration.result import Covering
from statemachines.exploration.search import Graph
from statemachines.exploration.stories import label_between, tell_moves
from statemachines.table.coverage import Coverage, Goal
from statemachines.table.step import Step

MAX_LOOKED_AT = 1_000
"""So many cases are looked at for the nearest move that covers something new."""

_NOTHING: frozenset[Goal] = frozenset()

_States = tuple[int, ...]
_Seen = tuple[_States, _States, int]
"""Where something was covered: the states before and after, and the class of the event that led to it."""

Places = frozenset[int]
"""Where a connection is, as far as it cannot go back there: the numbers of the circles of states that it is in."""


class Reached:
    """What moves were seen to cover while a graph was filled, and how states follow each other."""

    def __init__(self, graph: Graph) -> None:
        """Watch the moves of a graph that is still empty."""
        self.coverage = Coverage(graph.world.moves.steps.definition)
        self.first: dict[Goal, int | None] = {}
        """The number of the case whose move first covered it; None: registering did."""
        self.seen: dict[Goal, set[_Seen]] = {}
        self._graph = graph
        self._then: dict[int, set[int]] = {}
        graph.world.moves.watch = self._watch

    def _watch(self, made: Sequence[Step], _chart: Chart | None, _bits: int) -> None:
        event_class = self.coverage.event_class(made[0])
        for step in made:
            before, after = () if step.before is None else step.before.situation.states, step.after.situation.states
            for goal in self.coverage.goals_of(step):
                self.first.setdefault(goal, None if step.before is None else self._graph.expanded)
                self.seen.setdefault(goal, set()).add((before, after, event_class))
            for state in before if step.outcome.moved else ():
                if state not in after:
                    self._then.setdefault(state, set()).update(other for other in after if other not in before)

    def later(self) -> dict[int, frozenset[int]]:
        """For each state that was left: the states that can come some time after it."""
        found: dict[int, frozenset[int]] = {}
        for state in self._then:
            waiting, later = list(self._then[state]), set(self._then[state])
            while waiting:
                new = self._then.get(waiting.pop(), set()) - later
                later |= new
                waiting += new
            found[state] = frozenset(later)
        return found


@frozen
class _Move:
    label: int
    after: int
    goals: frozenset[Goal]


@define
class _Walk:
    """A way from the first case on, and what it covers."""

    moves: list[_Move] = field(factory=list)
    covered: set[Goal] = field(factory=set)

    def go(self, moves: Iterable[_Move]) -> None:
        for move in moves:
            self.moves.append(move)
            self.covered |= move.goals


def covering(graph: Graph, reached: Reached, seconds: float | None = None) -> Covering:
    """Ways that cover all that was reached; after so many seconds it is not looked any more whether fewer would do.

    An interrupt ends it; there are then as many as were found.
    """
    graph.world.moves.watch = None
    walker = _Walker(graph, reached, None if seconds is None else time.monotonic() + seconds)
    walks: list[_Walk] = []
    interrupted = False
    try:
        for walk in walker.walks():
            walks.append(walk)
    except KeyboardInterrupt:
        interrupted = True
    ways = [
        tell_moves(graph.world, graph.cases[0], [(move.label, move.after) for move in walk.moves])
        for walk in _needed(walks)
    ]
    return Covering(tuple(ways), frozenset(reached.first), interrupted)


def _needed(walks: list[_Walk]) -> list[_Walk]:
    """The walks without those that the others make needless, the one that covers least first."""
    kept = list(walks)
    for walk in sorted(walks, key=lambda walk: len(walk.covered)):
        others = set[Goal]().union(*(other.covered for other in kept if other is not walk))
        if walk.covered <= others and len(kept) > 1:
            kept.remove(walk)
    return kept


class _Walker:
    """Lays ways through the cases of a graph."""

    def __init__(self, graph: Graph, reached: Reached, deadline: float | None) -> None:
        self._deadline = deadline
        self._graph = graph
        self._world = graph.world
        self._moves = graph.world.moves
        self._reached = reached
        self._later = reached.later()
        self._at_start = frozenset(goal for goal, first in reached.first.items() if first is None)
        self._goals: dict[tuple[int, int], frozenset[Goal]] = {}
        self._masks: dict[tuple[int, int], int] = {}
        self._places: dict[_States, Places] = {}
        layout = self._moves.steps.layout
        symbols = [self._moves.labels[label].symbol for label in range(self._moves.timer_labels)]
        self._classes = [layout.event_class(symbol.type) for symbol in symbols if symbol is not None]

    def walks(self) -> Iterator[_Walk]:
        """Ways, until nothing is missing."""
        if not self._graph.cases:
            return
        missing = set(self._reached.first) - self._at_start
        begun = False
        while missing or not begun:
            begun = True
            walk = self._walk(missing)
            if missing and not walk.moves:
                walk.go(self._straight(missing))
            if missing and not walk.moves:
                return  # nothing leads there: whoever replays the ways will miss it
            missing -= walk.covered
            yield walk

    def _walk(self, missing: set[Goal]) -> _Walk:
        """A way from the first case to one new thing after the other."""
        walk = _Walk(covered=set(self._at_start))
        case = self._graph.cases[0]
        while not self._is_late() and (wanted := self._within_reach(case, missing - walk.covered)):
            home = self._place(case)
            at_home = {goal for goal in wanted if self._may_stay(goal, home)}
            there = self._nearest(case, at_home, home) or self._nearest(case, wanted)
            if there is None:
                break
            walk.go(there)
            case = there[-1].after
        return walk

    def _straight(self, missing: set[Goal]) -> list[_Move]:
        """The shortest way to the first of what is missing."""
        goal, number = min(
            ((goal, first) for goal, first in self._reached.first.items() if goal in missing and first is not None),
            key=lambda one: (one[1], one[0]),
        )
        path = self._graph.path(number)
        there = []
        for before, after in pairwise(path):
            label = label_between(self._world, self._graph, before, after)
            there.append(_Move(label, self._graph.cases[after], self._covers(label, self._graph.cases[before])))
        classes = {event_class for _, _, event_class in self._reached.seen[goal]}
        last = next((move for move in self._moves_of(self._graph.cases[number], classes) if goal in move.goals), None)
        return [] if last is None else [*there, last]

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    # -- near and far --

    def _nearest(self, first: int, wanted: set[Goal], home: Places | None = None) -> list[_Move] | None:
        """The fewest moves to one that covers something of this; by those only that lead to where home can be."""
        if not wanted:
            return None
        came_from: dict[int, tuple[int, _Move] | None] = {first: None}
        waiting = [first]
        classes = {event_class for goal in wanted for _, _, event_class in self._reached.seen[goal]}
        for case in waiting:
            best: _Move | None = None
            for move in self._moves_of(case, classes):
                if home is not None and self._place(move.after) != home:
                    continue
                new = len(move.goals & wanted)
                if new and (best is None or new > len(best.goals & wanted)):
                    best = move
                if move.after not in came_from and len(came_from) < MAX_LOOKED_AT:
                    came_from[move.after] = (case, move)
                    waiting.append(move.after)
            if best is not None:
                return [*_back(came_from, case), best]
        return None

    def _within_reach(self, case: int, wanted: set[Goal]) -> set[Goal]:
        """Of what is wanted that which may still come, as far as the states say that."""
        if self._moves.ended(case) and not case & self._moves.cases.heard.mask:
            return set()
        here = self._moves.cases.states(case)
        later = set(here).union(*(self._later.get(state, ()) for state in here))
        return {goal for goal in wanted if any(later.issuperset(before) for before, _, _ in self._reached.seen[goal])}

    def _may_stay(self, goal: Goal, home: Places) -> bool:
        """Whether something was covered by a move that could be taken back."""
        return any(self._place_of(a) == self._place_of(b) == home for a, b, _ in self._reached.seen[goal])

    def _place(self, case: int) -> Places:
        return self._place_of(self._moves.cases.states(case))

    def _place_of(self, states: _States) -> Places:
        found = self._places.get(states)
        if found is None:
            found = self._places[states] = frozenset(self._circle(state) for state in states)
        return found

    def _circle(self, state: int) -> int:
        """The first of the states that come after this one and before it."""
        later = self._later.get(state, frozenset())
        return min([state, *(other for other in later if state in self._later.get(other, ()))])

    # -- moves --

    def _moves_of(self, case: int, classes: Collection[int]) -> Iterator[_Move]:
        """Every move of a case that changes it, and those by events of some classes that do not."""
        found: list[int] = []
        self._world.expand(case, found)
        for label, after in zip(found[::2], found[1::2], strict=True):
            yield _Move(label, after, self._covers(label, case))
        if not self._world.any_order or self._world.forced(case) is not None or self._moves.ended(case):
            return
        told = set(found[::2])
        for label, event_class in enumerate(self._classes):
            if event_class in classes and label not in told and (goals := self._covers(label, case)):
                yield _Move(label, self._moves.after(label, case)[1], goals)

    def _covers(self, label: int, case: int) -> frozenset[Goal]:
        """What a move covers."""
        moves = self._moves
        if label == moves.back_label:
            label = moves.heard_label(moves.cases.heard.of(case)[0])
        said = moves.labels[label]
        if said.kind == "wait" or said.fault == "lose" or (said.kind == "fault" and said.fault is None):
            return _NOTHING
        if moves.ended(case):
            return _NOTHING
        around = (label, case & moves.around_mask)
        if around not in self._masks:
            self._masks[around] = moves.reads(label, case)
        key = (label, case & self._masks[around])
        found = self._goals.get(key)
        if found is None:
            steps = moves.steps_of(label, case)
            found = self._goals[key] = _NOTHING.union(*map(self._reached.coverage.goals_of, steps))
        return found


def _back(came_from: dict[int, tuple[int, _Move] | None], case: int) -> list[_Move]:
    """The moves that led to a case."""
    moves: list[_Move] = []
    while (step := came_from[case]) is not None:
        case, move = step
        moves.append(move)
    return moves[::-1]
