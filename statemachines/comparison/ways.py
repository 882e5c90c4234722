"""The shortest events that tell two definitions apart, as people read them and a scenario plays them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from statemachines.comparison.pairs import AT_ONCE, Move, Pairs
from statemachines.comparison.result import Difference
from statemachines.comparison.watching import Sight, Sights
from statemachines.exploration.result import Step
from statemachines.exploration.search import Graph, World
from statemachines.exploration.stories import Teller, label_between


def tell_difference(
    pairs: Pairs, before: tuple[World, Graph, int] | None, case: int, moves: Sequence[int]
) -> Difference:
    """The way to a pair by ``before`` (where the old definition was explored, and the case there), then some moves.

    The last of the moves tells the two apart.
    """
    teller = Teller(pairs.old.cases.timers)
    steps: list[Step] = []
    replay: list[Step] = []
    if before is not None:
        world, graph, number = before
        path = graph.path(number)
        teller.arrive(graph.cases[path[0]], Fraction(0))
        for one, other in pairwise(path):
            moved = world.moves.labels[label_between(world, graph, one, other)]
            step, played = teller.step(graph.cases[one], graph.cases[other], moved)
            steps += [] if step is None else [step]
            replay += [] if played is None else [played]
    way = tuple(steps)
    first, old_likes = pairs.new.first_timer, pairs.carrier.timers
    teller.begin(case, {first + spec.number: number for number, spec in old_likes.items()})
    steps = []
    last = Move(case, (), ())
    for label in moves:
        last = pairs.move(label, case)
        if label != AT_ONCE:
            step, played = teller.step(case, last.after, pairs.label(label))
            steps += [] if step is None else [step]
            replay += [] if played is None else [played]
        case = last.after
    old, new = pairs.old.cases.situation(case), pairs.new.cases.situation(case)
    return Difference(
        way,
        tuple(steps),
        _words(last.old) or (f"stays in {old.phase}",),
        _words(last.new) or (f"stays in {new.phase}",),
        tuple(replay),
        old.configuration,
    )


def apart_at_once(pairs: Pairs, move: Move) -> Difference:
    """The difference that a registration makes by itself."""
    configuration = pairs.old.cases.situation(move.after).configuration
    return Difference((), (), _words(move.old), _words(move.new), (), configuration)


def _words(sights: Sights) -> tuple[str, ...]:
    return tuple(_sight(sight) for sight in sights)


def _sight(sight: Sight) -> str:
    """One thing that was seen.

    >>> _sight(Sight("publish", "call.ended", {"reason": "busy"}))
    'publishes call.ended {reason: "busy"}'
    """
    match sight.kind:
        case "publish":
            data = ", ".join(
                f"{name}: {json.dumps(value, ensure_ascii=False, default=str)}" for name, value in sight.data.items()
            )
            return f"publishes {sight.name} {{{data}}}" if data else f"publishes {sight.name}"
        case "call":
            return f"calls {sight.name}"
        case "invoke":
            ends = [f"{event} when {end}" for end, event in sight.data.items() if event]
            return f"invokes {sight.name}" + (f" ({', '.join(ends)})" if ends else "")
        case "cancel":
            return f"cancels {sight.name}"
        case "phase":
            ended = " and ends" if sight.data["ended"] else ""
            return f"is in {sight.name or 'no state'} [{', '.join(sight.data['configuration'])}]{ended}"
    return "never settles, and stays where it was"
