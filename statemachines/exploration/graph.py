"""Questions about all ways at once: from where can something still be reached, and how long can it be avoided?"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence

from statemachines.exploration.search import Graph

Weight = Callable[[int, int], int]
"""Nanoseconds that pass between a case and the one after it."""

ENDLESS = 1 << 80
"""Longer than any time."""


def can_reach(graph: Graph, goals: bytearray, gone: bytearray) -> bytearray:
    """The cases from which a goal can be reached, goals included. Cases that were not tried count as goals.

    No way leads over a case that is ``gone``.
    """
    reached = bytearray(goals)
    for number in range(graph.expanded, len(graph.cases)):
        reached[number] = 1
    sources, offsets = backwards(graph)
    waiting = [number for number, goal in enumerate(reached) if goal]
    while waiting:
        number = waiting.pop()
        for source in sources[offsets[number] : offsets[number + 1]]:
            if not reached[source] and not gone[source]:
                reached[source] = 1
                waiting.append(source)
    return reached


def backwards(graph: Graph) -> tuple[array[int], array[int]]:
    """The edges by where they lead to."""
    offsets = array("Q", bytes(8 * (len(graph.cases) + 2)))
    for target in graph.edges:
        offsets[target + 2] += 1
    for number in range(2, len(offsets)):
        offsets[number] += offsets[number - 1]
    sources = array("I", bytes(4 * len(graph.edges)))
    for number in range(graph.expanded):
        for target in graph.successors(number):
            place = offsets[target + 1]
            sources[place] = number
            offsets[target + 1] = place + 1
    return sources, offsets


class Avoiding:
    """The ways from some cases on that avoid a goal. They end where a case is ``gone``."""

    def __init__(self, graph: Graph, starts: Sequence[int], goals: bytearray, gone: bytearray) -> None:
        self.graph = graph
        self.goals = goals
        self.gone = gone
        self.depth: dict[int, int] = {}
        """How many moves each case is away from the first, over one of the starts."""
        self.parents: dict[int, int] = {}
        self._spread(starts)

    def _spread(self, starts: Sequence[int]) -> None:
        depths = self.graph.depths()
        levels: dict[int, list[int]] = {}
        for start in starts:
            levels.setdefault(depths[start], []).append(start)
        level = min(levels, default=0)
        while levels:
            for number in levels.pop(level, ()):
                if number in self.depth:
                    continue
                self.depth[number] = level
                for target in self._inside(number):
                    if target not in self.depth:
                        self.parents.setdefault(target, number)
                        levels.setdefault(level + 1, []).append(target)
            level += 1
        for start in starts:
            if self.depth[start] == depths[start]:
                self.parents.pop(start, None)

    def path(self, number: int) -> list[int]:
        """The shortest way from the first case over a start to this one."""
        found = [number]
        while found[-1] in self.parents:
            found.append(self.parents[found[-1]])
        return self.graph.path(found[-1])[:-1] + found[::-1]

    def nearest(self, wanted: Iterable[int]) -> int | None:
        """Of these cases the one with the shortest way, if there is one."""
        return min(
            (number for number in wanted if number in self.depth), key=lambda n: (self.depth[n], n), default=None
        )

    def components(self) -> list[list[int]]:
        """The strongly connected components (Tarjan, 1972), each after those that it leads to."""
        order: dict[int, int] = {}
        lowest: dict[int, int] = {}
        stack: list[int] = []
        on_stack: set[int] = set()
        found: list[list[int]] = []
        for root in self.depth:
            if root in order:
                continue
            work = [(root, iter(self._inside(root)))]
            order[root] = lowest[root] = len(order)
            stack.append(root)
            on_stack.add(root)
            while work:
                number, targets = work[-1]
                for target in targets:
                    if target not in order:
                        order[target] = lowest[target] = len(order)
                        stack.append(target)
                        on_stack.add(target)
                        work.append((target, iter(self._inside(target))))
                        break
                    if target in on_stack:
                        lowest[number] = min(lowest[number], order[target])
                else:
                    work.pop()
                    if work:
                        lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[number])
                    if lowest[number] == order[number]:
                        component = []
                        while True:
                            member = stack.pop()
                            on_stack.discard(member)
                            component.append(member)
                            if member == number:
                                break
                        found.append(component)
        return found

    def _inside(self, number: int) -> list[int]:
        if number >= self.graph.expanded or self.gone[number]:
            return []
        return [target for target in self.graph.successors(number) if not self.goals[target]]

    def circles(self, weight: Weight, may_go_on: Callable[[int], bool]) -> list[list[int]]:
        """The components in which time can pass for ever."""
        found = []
        for component in self.components():
            members = set(component)
            if may_go_on(component[0]) and any(
                target in members and weight(number, target) > 0
                for number in component
                for target in self._inside(number)
            ):
                found.append(component)
        return found

    def lap(self, component: Sequence[int], weight: Weight) -> list[int]:
        """A way round inside a component, over a move in which time passes; it begins with the nearest of its cases."""
        members = set(component)
        first = min(component, key=lambda number: (self.depth[number], number))
        best: list[int] | None = None
        there = self._inner_ways(first, members)
        for number in there:
            for target in self._inside(number):
                if target in members and weight(number, target) > 0:
                    back = self._inner_ways(target, members, first).get(first)
                    if back is not None:
                        lap = [*there[number], *back]
                        if best is None or len(lap) < len(best):
                            best = lap
            if best is not None:
                break
        return best or [first]

    def _inner_ways(self, start: int, members: set[int], until: int | None = None) -> dict[int, list[int]]:
        """The shortest ways from a case to others of its component."""
        ways = {start: [start]}
        waiting = [start]
        for number in waiting:
            if number == until:
                break
            for target in self._inside(number):
                if target in members and target not in ways:
                    ways[target] = [*ways[number], target]
                    waiting.append(target)
        return ways

    def longest(self, weight: Weight, is_stuck: Callable[[int], bool]) -> dict[int, int]:
        """How long the goal can be avoided from each case on; ENDLESS if for ever."""
        found: dict[int, int] = {}
        for component in self.components():
            members = set(component)
            time = 0
            for number in component:
                if number >= self.graph.expanded:
                    continue
                if is_stuck(number):
                    time = ENDLESS
                if self.gone[number]:
                    continue
                for target in self.graph.successors(number):
                    passed = weight(number, target)
                    if target in members:
                        time = ENDLESS if passed > 0 else time
                    else:
                        time = max(time, min(ENDLESS, passed + (0 if self.goals[target] else found[target])))
            for number in component:
                found[number] = time
        return found
