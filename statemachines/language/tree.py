"""A file as a tree in which every value carries its own place, so that parts can be moved and keep it.

:class:`~statemachines.language.source.Source` finds places by location, which is what rules need. What takes parts from
other files needs the opposite: a part that changes its location and not its place. Trees are never changed, only made
anew from the parts of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from statemachines.errors import Problem
from statemachines.language.source import Location, Place, Source


@frozen
class Node:
    """A value: a scalar, a dict or a list of nodes. ``key`` is where the key that leads to it stands."""

    value: Any
    place: Place
    key: Place | None = None
    broken: bool = False

    def child(self, name: str) -> Node | None:
        """What a mapping holds under ``name``."""
        return self.value.get(name) if isinstance(self.value, dict) else None

    def children(self) -> Iterable[Node]:
        """The nodes directly inside."""
        if isinstance(self.value, dict):
            return self.value.values()
        return self.value if isinstance(self.value, list) else ()

    def with_children(self, changed: Mapping[str, Node]) -> Node:
        """This mapping with some of its values changed, or added after the others."""
        return evolve(self, value={**self.value, **changed})

    def without(self, *names: str) -> Node:
        """This mapping without some of its keys."""
        return evolve(self, value={name: part for name, part in self.value.items() if name not in names})

    def walk(self) -> Iterator[Node]:
        """This node and all inside it."""
        yield self
        for child in self.children():
            yield from child.walk()

    def depth(self) -> int:
        """How many mappings and lists lie inside each other here."""
        if not isinstance(self.value, dict | list):
            return 0
        return 1 + max((child.depth() for child in self.children()), default=0)

    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {name: part.plain() for name, part in self.value.items()}
        return [part.plain() for part in self.value] if isinstance(self.value, list) else self.value

    def taken_by(self, taker: str) -> Node:
        """A copy, every place of which remembers that the line ``taker`` asked for it."""

        def noted(place: Place) -> Place:
            return evolve(place, takers=(*place.takers, taker))

        value = self.value
        if isinstance(value, dict):
            value = {name: part.taken_by(taker) for name, part in value.items()}
        elif isinstance(value, list):
            value = [part.taken_by(taker) for part in value]
        return Node(value, noted(self.place), self.key and noted(self.key), self.broken)


def tree_of(source: Source) -> Node:
    """The tree of a file that could be read; every place in it names that file."""

    def named(place: Place) -> Place:
        return place if place.path is not None else evolve(place, path=source.path)

    def grow(data: Any, at: Location, key: Place | None) -> Node:
        if isinstance(data, dict):
            inside = {}
            for name, part in data.items():
                there = (*at, name)
                inside[name] = grow(part, there, named(source.place(there, key=True)))
            data = inside
        elif isinstance(data, list):
            data = [grow(part, (*at, index), None) for index, part in enumerate(data)]
        return Node(data, named(source.place(at)), key, at in source.broken)

    return grow(source.data, (), None)


def source_of(tree: Node, source: Source, problems: Iterable[Problem], *, complete: bool, fragment: bool) -> Source:
    """The tree as what ``source`` says when the parts from other files are in it."""
    values: dict[Location, Place] = {}
    keys: dict[Location, Place] = {}
    broken: set[Location] = set()

    def visit(node: Node, at: Location) -> None:
        values[at] = node.place
        if node.key is not None:
            keys[at] = node.key
        if node.broken:
            broken.add(at)
        steps = node.value.items() if isinstance(node.value, dict) else enumerate(node.children())
        for step, child in steps:
            visit(child, (*at, step))

    visit(tree, ())
    return evolve(
        source,
        data=tree.plain(),
        problems=tuple(problems),
        broken=frozenset(broken),
        complete=complete,
        fragment=fragment,
        values=values,
        keys=keys,
    )
