"""What a drawing sets apart: one phase, or a path of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from attrs import field, frozen

from statemachines.errors import UnknownPhase
from statemachines.language.definition import Definition
from statemachines.language.names import near


@frozen
class Highlight:
    """States, in the order of the path, and the ways between neighbours on it."""

    states: tuple[str, ...] = ()
    ways: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)

    def has_state(self, state: str) -> bool:
        """Whether a state is on the path."""
        return state in self.states

    def has_way(self, source: str, target: str | None) -> bool:
        """Whether a transition, as the file writes it, is a step of the path."""
        return (source, target) in self.ways


def parse_highlight(text: str, definition: Definition) -> Highlight:
    """The highlight that a comma-separated list of states asks for.

    A step from ``a`` to ``b`` is every transition of ``a``, of a state around or inside it, that leads to ``b``, to a
    state around it that does not hold ``a`` too, to one inside it, or to a history that does.

    :raises UnknownPhase: if one of them is no state of the definition
    """
    parents = definition.parents()
    path = tuple(name.strip() for name in text.split(","))
    for name in path:
        if name not in parents:
            raise UnknownPhase(f"{definition.name} has no state '{name}'{near(name, list(parents))}")
    return way_through(path, definition)


def way_through(path: tuple[str, ...], definition: Definition) -> Highlight:
    """The highlight of a path whose states are all there."""
    parents = definition.parents()
    targets = parents | {history.id: history.target for _, history in definition.histories()}
    moves = [
        (state.id, transition.target)
        for state in definition.walk()
        for transition in (*state.transitions, *(after.transition for after in state.after))
        if transition.target is not None
    ]
    lines = {name: tuple(_line(name, parents)) for name in parents}
    histories = targets.keys() - parents.keys()
    ways = set()
    for first, second in pairwise(path):
        for source, target in moves:
            reached = targets[target] if target in histories else target
            if reached is not None and _leads(source, reached, first, second, lines):
                ways.add((source, target))
    return Highlight(path, frozenset(ways))


def _leads(source: str, target: str, first: str, second: str, lines: dict[str, tuple[str, ...]]) -> bool:
    leaves = source in lines[first] or first in lines[source]
    arrives = second in lines[target] or (target in lines[second] and target not in lines[first])
    return leaves and arrives


def _line(name: str, parents: dict[str, str | None]) -> Iterator[str]:
    """A state and those around it, from the inside."""
    current: str | None = name
    while current is not None:
        yield current
        current = parents[current]
