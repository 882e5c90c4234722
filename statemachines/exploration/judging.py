"""What the cases say about a definition's properties.

A property is judged at rest: at the start, and after every step, those included that an event of the definition's own
makes when it comes back. What is violated in the part that was tried is violated; what is not may still be, if a bound
cut it, and is then not decided.

``leads_to`` asks of every case where the first part holds whether the second comes. Nothing surely happens but that
timers fire when they are due (and, with a traffic file, that its items come). So it fails where a way that avoids the
second part stops with no timer running, or goes round in a circle in which time passes; with ``within``, also where it
takes longer. Ways on which infinitely much happens in no time are no ways.

With traffic a circle counts only once nothing has to come any more.

``closes`` asks whether at an end the second action of a pair has followed the first: once is enough for several.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator

from attrs import define, field

from statemachines.exploration.clocks import NANOSECONDS
from statemachines.exploration.graph import Avoiding, can_reach
from statemachines.exploration.moves import Moves
from statemachines.exploration.result import Judgement, Way
from statemachines.exploration.search import Graph, World
from statemachines.exploration.stories import tell
from statemachines.exploration.telling import NO_EVENT
from statemachines.language.definition import Property
from statemachines.language.expressions import Expression


@define(eq=False)
class Predicate:
    """Whether an expression holds in a case, asked once for all cases that agree in what it reads."""

    moves: Moves
    expression: Expression
    _mask: int = field(init=False)
    _known: dict[int, bool] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        reads = self.moves.relevance.reader.reads([self.expression])
        cases = self.moves.cases
        parts = {cases.regions.part_of[self.moves.steps.layout.index[name]] for name, _ in self.expression.states}
        self._mask = cases.mask(reads) | cases.parts_mask(parts)

    def __call__(self, case: int) -> bool:
        bits = case & self._mask
        found = self._known.get(bits)
        if found is None:
            found = self._known[bits] = self._ask(case)
        return found

    def _ask(self, case: int) -> bool:
        states = self.moves.cases.states(case)
        index = self.moves.steps.layout.index
        inside = {name: index[name] in states for name, _ in self.expression.states}
        guard = self.moves.steps.table.compiler.guard(self.expression, inside)
        return guard if isinstance(guard, bool) else guard(self.moves.cases.record(case), NO_EVENT)


class Judge:
    """Judges the properties of one definition by the cases that were found."""

    def __init__(self, world: World, graph: Graph, moves: Moves, entered: frozenset[str]) -> None:
        self.world = world
        self.moves = moves
        self.graph = graph
        self.gone = bytearray(len(graph.cases))
        """The cases in which there is no connection of this definition: nothing is asked of them."""
        if moves.life is not None:
            self.gone = bytearray(not moves.is_there(case) for case in graph)
        self.entered = entered
        """The states that are active in some case."""

    def all(self) -> Iterator[Judgement]:
        """A judgement of each property."""
        for name, wanted in self.moves.steps.definition.properties.items():
            try:
                yield self.judge(name, wanted)
            except KeyboardInterrupt:
                yield Judgement(name, None, why="interrupted")

    def judge(self, name: str, wanted: Property) -> Judgement:
        """What became of a property."""
        if wanted.always is not None:
            return self._never(name, wanted.always, hold=False)
        if wanted.never is not None:
            return self._never(name, wanted.never, hold=True)
        if wanted.sometimes is not None:
            return self._sometimes(name, wanted.sometimes)
        if wanted.always_reachable is not None:
            return self._always_reachable(name, wanted.always_reachable)
        if wanted.leads_to is not None:
            return self._leads_to(name, *wanted.leads_to, wanted.within)
        return self._closes(name)

    # -- the kinds --

    def _never(self, name: str, expression: Expression, *, hold: bool) -> Judgement:
        found = self._first(Predicate(self.moves, expression), hold=hold)
        if found is not None:
            return Judgement(name, False, self._way(self.graph.path(found)))
        never_entered = not self._can_occur(expression.tree, hold)
        return self._held(name, vacuous=never_entered, why="a state that it speaks of is never entered")

    def _sometimes(self, name: str, expression: Expression) -> Judgement:
        found = self._first(Predicate(self.moves, expression), hold=True)
        if found is not None:
            return Judgement(name, True, witness=self._way(self.graph.path(found)))
        return Judgement(name, False if self.graph.complete else None, why="it is never so")

    def _always_reachable(self, name: str, state: str) -> Judgement:
        number = self.moves.steps.layout.index[state]
        part = self.moves.cases.active[self.moves.cases.regions.part_of[number]]
        inside = [number in states for states in part.values]
        goals = bytearray(inside[(case & part.mask) >> part.shift] for case in self.graph)
        reached = can_reach(self.graph, goals, self.gone)
        lost = next((number for number, found in enumerate(reached) if not found and not self.gone[number]), -1)
        if lost >= 0:
            return Judgement(name, False, self._way(self.graph.path(lost), f"{state} cannot be reached any more"))
        return self._held(name)

    def _leads_to(self, name: str, first: Expression, then: Expression, within: float | None) -> Judgement:
        begins, ends = Predicate(self.moves, first), Predicate(self.moves, then)
        goals = bytearray(not gone and ends(case) for case, gone in zip(self.graph, self.gone, strict=True))
        occurs = False
        starts = []
        for number, case in enumerate(self.graph):
            if not self.gone[number] and begins(case):
                occurs = True
                if not goals[number]:
                    starts.append(number)
        avoiding = Avoiding(self.graph, starts, goals, self.gone)
        way = self._late(avoiding, starts, within) if within is not None else self._missed(avoiding)
        if way is not None:
            return Judgement(name, False, way)
        return self._held(name, vacuous=not occurs, why="its first part never comes")

    def _closes(self, name: str) -> Judgement:
        pairs = [(n, first) for n, (owner, first, _) in enumerate(self.moves.closes) if owner == name]
        open_bits = sum(1 << self.moves.cases.monitors + number for number, _ in pairs)
        ends = False
        for number, case in enumerate(self.graph):
            if self.moves.ended(case) and not self.gone[number]:
                ends = True
                if case & open_bits:
                    watched = case >> self.moves.cases.monitors
                    missing = next(second for n, (_, _, second) in enumerate(self.moves.closes) if watched >> n & 1)
                    return Judgement(name, False, self._way(self.graph.path(number), f"{missing} is missing"))
        performed = any(first in self.moves.making.performed for _, first in pairs)
        why = "no end is reached" if performed else "its first action never happens"
        return self._held(name, vacuous=not (performed and ends), why=why)

    # -- ways that avoid something --

    def _missed(self, avoiding: Avoiding) -> Way | None:
        """The shortest way on which the goal never comes."""
        stuck = avoiding.nearest(number for number in avoiding.depth if self._is_stuck(number))
        circles = avoiding.circles(self._passed, lambda number: self.world.may_go_on(self.graph.cases[number]))
        entries = {min(circle, key=lambda n: (avoiding.depth[n], n)): circle for circle in circles}
        entry = avoiding.nearest(entries)
        if stuck is not None and (entry is None or avoiding.depth[stuck] <= avoiding.depth[entry]):
            ended = self.moves.ended(self.graph.cases[stuck])
            return self._way(avoiding.path(stuck), "the end" if ended else "nothing more has to happen")
        if entry is None:
            return None
        lap = avoiding.lap(entries[entry], self._passed)
        times = len(lap) - 1
        there = avoiding.path(entry)
        end = f"the last {times} moves can repeat for ever" if times > 1 else "the last move can repeat for ever"
        return tell(self.world, self.graph, [*there, *lap[1:]], end, slow_from=len(there) - 1)

    def _late(self, avoiding: Avoiding, starts: list[int], within: float) -> Way | None:
        """A way on which the goal does not come in time, from the nearest start that has one."""
        limit = round(within * NANOSECONDS)
        longest = avoiding.longest(self._passed, self._is_stuck)
        late = [number for number in starts if longest[number] > limit]
        if not late:
            return None
        start = min(late, key=lambda number: (avoiding.depth[number], number))
        return self._overdue(avoiding, start, limit, longest)

    def _overdue(self, avoiding: Avoiding, start: int, limit: int, longest: dict[int, int]) -> Way:
        """The fewest moves from a start on until it is too late, or until nothing more has to happen."""
        came_from: dict[tuple[int, int], tuple[int, int] | None] = {(start, 0): None}
        waiting = deque(came_from)
        while True:
            here = waiting.popleft()
            number, passed = here
            if passed > limit or self._is_stuck(number):
                break
            for target in self.graph.successors(number):
                then = (target, passed + self._passed(number, target))
                in_time = then[1] <= limit
                hopeless = in_time and (avoiding.goals[target] or then[1] + longest[target] <= limit)
                if then not in came_from and not hopeless:
                    came_from[then] = here
                    waiting.append(then)
        way: list[int] = []
        step: tuple[int, int] | None = here
        while step is not None:
            way.append(step[0])
            step = came_from[step]
        end = "it is too late by now" if passed > limit else "nothing more has to happen"
        there = avoiding.path(start)
        return tell(self.world, self.graph, there[:-1] + way[::-1], end, slow_from=len(there) - 1)

    def _is_stuck(self, number: int) -> bool:
        """Whether nothing has to happen any more."""
        case, others = self.graph.cases[number], len(self.world.members) > 1
        return number < self.graph.expanded and (self.world.may_rest(case) or (others and self.moves.ended(case)))

    def _passed(self, before: int, after: int) -> int:
        """The nanoseconds between a case and the next."""
        return self.world.passed(self.graph.cases[before], self.graph.cases[after])

    # -- details --

    def _first(self, predicate: Predicate, *, hold: bool) -> int | None:
        gone = self.gone
        return next((n for n, case in enumerate(self.graph) if predicate(case) is hold and not gone[n]), None)

    def _way(self, path: list[int], end: str = "") -> Way:
        return tell(self.world, self.graph, path, end)

    def _held(self, name: str, *, vacuous: bool = False, why: str = "") -> Judgement:
        if not self.graph.complete:
            return Judgement(name, None, why=self.graph.why_cut or "")
        return Judgement(name, True, vacuous=vacuous, why=why if vacuous else "")

    def _can_occur(self, tree: ast.expr, wanted: bool) -> bool:
        """Whether an expression can have a value at all, as far as that depends on states that are never entered."""
        match tree:
            case ast.BoolOp():
                parts = [self._can_occur(part, wanted) for part in tree.values]
                return all(parts) if isinstance(tree.op, ast.And) is wanted else any(parts)
            case ast.UnaryOp() if isinstance(tree.op, ast.Not):
                return self._can_occur(tree.operand, not wanted)
            case ast.Call(args=[ast.Constant(value=state)]) if wanted:
                return state in self.entered
        return True
