"""Ways through the cases as people read them and scenarios have them: events, payloads, and how long to wait.

A case knows that an event came "just before" a timer; a scenario needs a time. The instants are made small enough for
the order in which the timers will be due to stay the same: a millisecond, or less where others are as near.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from statemachines.exploration.clocks import NANOSECONDS, Timers, rank, whole
from statemachines.exploration.labels import Label
from statemachines.exploration.packing import Part
from statemachines.exploration.result import Step, Way
from statemachines.exploration.search import Graph, World

NOT_THERE = "-"
"""In the place of a phase where there is no connection."""

MAX_SETTLING = 900
"""A chain of causes longer than that is cut, in a simulation as on a bus."""

INSTANT = Fraction(NANOSECONDS, 1000)
"""How long before a timer "just before" is, in nanoseconds, if nothing is nearer."""


def tell(world: World, graph: Graph, path: Sequence[int], end: str = "", slow_from: int | None = None) -> Way:
    """The way through these cases; from the position ``slow_from`` on by the moves that take the most time."""
    moves = []
    for position, (before, after) in enumerate(pairwise(path)):
        slow = slow_from is not None and position >= slow_from
        moves.append((label_between(world, graph, before, after, slow=slow), graph.cases[after]))
    return tell_moves(world, graph.cases[path[0]], moves, end)


def tell_moves(world: World, first: int, moves: Iterable[tuple[int, int]], end: str = "") -> Way:
    """The way from a case by these moves, each a label and the case that it leads to."""
    teller = Teller(world.moves.cases.timers)
    steps: list[Step] = []
    replay: list[Step] = []
    phases: list[str] = []
    teller.arrive(first, Fraction(0))
    before = first
    for number, after in moves:
        step, played = teller.step(before, after, world.moves.labels[number])
        replay += [] if played is None else [played]
        phase = " + ".join(member.cases.situation(after).phase or NOT_THERE for member in world.members)
        if step is not None:
            steps.append(step)
            phases.append(phase)
        elif phases:
            phases[-1] = phase  # it came by itself, with the step before
        before = after
    return Way(tuple(steps), tuple(phases), end, _settled(world, before), tuple(replay))


def _settled(world: World, case: int) -> tuple[str, ...]:
    """The configuration after all that still happens by itself and at once; nothing if that never ends."""
    for _ in range(MAX_SETTLING):
        then = world.forced(case)
        if then is None:
            return world.moves.cases.situation(case).configuration
        case = then
    return ()


def label_between(world: World, graph: Graph, before: int, after: int, *, slow: bool = False) -> int:
    """The move that leads from a case to the next one of a way; of several the first, or the one that takes time."""
    if graph.parents[after] == before and after and not slow:
        return graph.labels[after]
    found: list[int] = []
    world.expand(graph.cases[before], found)
    labels = [found[place - 1] for place in range(1, len(found), 2) if found[place] == graph.cases[after]]
    return next((one for one in labels if slow and world.moves.labels[one].kind in ("wait", "timer")), labels[0])


class Teller:
    """Keeps the real time on the way: what each running timer has left, in nanoseconds."""

    def __init__(self, timers: Part[Timers]) -> None:
        self._timers = timers
        self._left: dict[int, Fraction] = {}

    def arrive(self, case: int, passed: Fraction) -> None:
        """Be at a case some time later. Of each timer there is one at most."""
        old = self._left
        self._left = {
            spec: Fraction(whole(value)) if rank(value) == 0 else old[spec] - passed
            for value, spec in self._timers.of(case)
        }

    def begin(self, case: int, likes: Mapping[int, int] | None = None) -> None:
        """Be at a case that no step led to; a timer in ``likes`` has left what that other one had."""
        old, likes = self._left, likes or {}
        self._left = {
            spec: old.get(likes.get(spec, spec), whole(value) + rank(value) * INSTANT / 1000)
            for value, spec in self._timers.of(case)
        }

    def step(self, before: int, after: int, label: Label) -> tuple[Step | None, Step | None]:
        """The move as a step, and as a scenario plays it; None if it happens by itself, or does not happen."""
        timers = self._timers.of(before)
        passed = Fraction(0)
        if label.kind == "wait":
            passed = self._left[timers[0][1]] - self._instant(timers)
        elif label.kind == "timer":
            passed = self._left[timers[0][1]]
        self.arrive(after, passed)
        if label.symbol is not None and label.kind in ("event", "fault"):
            played = event_step(label.symbol.type, label.symbol.data)
            if label.kind == "event":
                return played, played
            fault: Step | None = None if label.fault is None else {label.fault: label.symbol.type}
            return fault, None if label.fault in (None, "lose") else played
        step: Step | None = {"wait": _duration(passed)} if passed > 0 else None
        return step, step

    def _instant(self, timers: Timers) -> Fraction:
        """A time shorter than any that the order of the timers depends on."""
        offsets = [Fraction(0), *(self._left[spec] - whole(value) for value, spec in timers)]
        gaps = [abs(one - other) / 2 for one in offsets for other in offsets if one != other]
        return min([INSTANT, self._left[timers[0][1]] / 2, *gaps])


def event_step(event_type: str, data: Mapping[str, Any]) -> Step:
    """An event as a step of a scenario."""
    return {"publish": event_type, "data": dict(data)} if data else event_type


def _duration(nanoseconds: Fraction) -> str:
    seconds = f"{float(nanoseconds) / NANOSECONDS:.9f}".rstrip("0").rstrip(".")
    return f"{seconds}s"
