"""The worlds to search: definitions made ready once, and a fresh world of them for each search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import evolve, frozen

from statemachines.exploration.cases import Cases, Shared
from statemachines.exploration.events import alphabet
from statemachines.exploration.making import closes_of
from statemachines.exploration.moves import Lessons, Moves
from statemachines.exploration.reading import Relevance
from statemachines.exploration.search import AnyOrder, World
from statemachines.exploration.together import Together
from statemachines.exploration.traffic import Given, symbols_of
from statemachines.language.definition import Definition, Remembered
from statemachines.language.expressions import Expression
from statemachines.language.traffic import Traffic
from statemachines.table.step import Steps

Taught = Sequence[Lessons] | None
"""What searches before have learnt, by definition; nothing yet if empty. With None all merging that has to be learnt is
off."""


@frozen
class _Ready:
    """A definition's steps, the dependencies that its connections require, and what matters of its facts."""

    steps: Steps
    required: int
    relevance: Relevance


class Worlds:
    """Makes the worlds of some definitions, whose tables are filled only once."""

    def __init__(
        self, definitions: Sequence[Definition], traffic: Traffic | None = None, *, reduce: bool = True
    ) -> None:
        """``reduce`` is for tests, which compare with all orders of the traffic."""
        self._traffic = traffic
        self._reduce = reduce
        self._ready = list(_ready(definitions, None if traffic is None else traffic.dependencies))
        found = alphabet([(one.steps, one.relevance) for one in self._ready])
        self._symbols = list(found.symbols) if traffic is None else symbols_of(traffic)
        self.notes = [f"{event_type} has more payloads than were tried" for event_type in found.cut if traffic is None]
        """What was left out, in words."""

    def make(self, lessons: Taught) -> World:
        """A world in which nothing was tried yet."""
        shared = Shared()
        states: list[int] = []
        members = []
        for number, one in enumerate(self._ready):
            pairs = len(closes_of(one.steps.definition.properties))
            cases = Cases(one.steps, one.relevance, one.required, pairs, shared, merge=lessons is not None)
            taught = None if lessons is None else lessons[number] if lessons else Lessons()
            members.append(Moves(one.steps, one.relevance, cases, self._symbols, states, taught))
        world = AnyOrder(members[0]) if len(members) == 1 else Together(members)
        if self._traffic is not None:
            return Given(world, self._traffic, self._symbols, reduce=self._reduce)
        return world


def _ready(definitions: Sequence[Definition], dependencies: tuple[str, ...] | None) -> Iterator[_Ready]:
    prepared = [prepare(one, dependencies if number == 0 else None) for number, one in enumerate(definitions)]
    layouts = [steps.layout for steps, _, _ in prepared]
    for steps, required, judged in prepared:
        others = [other for other in layouts if other is not steps.layout]
        yield _Ready(steps, required, Relevance(steps.layout, required, judged, others))


def prepare(definition: Definition, dependencies: tuple[str, ...] | None) -> tuple[Steps, int, tuple[Expression, ...]]:
    """The steps of a definition, the dependencies that its connections require, and what its properties ask."""
    judged = tuple(judged_by(definition))
    # Nothing is ever remembered under these names; they make the layout count the visits that properties ask about.
    watched = {f"judged {number}": Remembered((), expression) for number, expression in enumerate(judged)}
    steps = Steps(evolve(definition, remember={**definition.remember, **watched}))
    if dependencies is None:
        return steps, steps.layout.required_by_default, judged
    return steps, sum({steps.bit(name) for name in dependencies}), judged


def judged_by(definition: Definition) -> Iterator[Expression]:
    """The expressions of a definition's properties."""
    for wanted in definition.properties.values():
        for expression in (wanted.always, wanted.never, wanted.sometimes):
            if expression is not None:
                yield expression
        yield from wanted.leads_to or ()
