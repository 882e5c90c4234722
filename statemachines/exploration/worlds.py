"""The worlds to search: definitions made ready once, and a fresh world of them for each search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attrs import evolve, frozen

from bus.names import matches
from statemachines.connections.consequences import UNKNOWN
from statemachines.exploration.cases import Cases, Shared
from statemachines.exploration.events import alphabet
from statemachines.exploration.life import Life
from statemachines.exploration.making import closes_of
from statemachines.exploration.moves import Lessons, Moves
from statemachines.exploration.reading import DEPENDENCIES, Relevance, fields_read
from statemachines.exploration.search import AnyOrder, World
from statemachines.exploration.together import Together
from statemachines.exploration.traffic import Given, symbols_of
from statemachines.language.definition import Definition, Publish, Remembered
from statemachines.language.expressions import Expression
from statemachines.language.traffic import Traffic
from statemachines.table.layout import Layout
from statemachines.table.step import CREATED, Steps

Taught = Sequence[Lessons] | None
"""What searches before have learnt, by definition; nothing yet if empty. With None all merging that has to be learnt is
off."""


@frozen
class _Ready:
    """A definition's steps, the dependencies that its connections require, and what matters of its facts.

    With ``begins`` its connections begin and are forgotten; with ``asks`` what begins one may require other
    dependencies.
    """

    steps: Steps
    required: int
    relevance: Relevance
    begins: bool = False
    asks: bool = False


class Worlds:
    """Makes the worlds of some definitions, whose tables are filled only once."""

    def __init__(
        self, definitions: Sequence[Definition], traffic: Traffic | None = None, *, reduce: bool = True
    ) -> None:
        """``reduce`` is for tests, which compare with all orders of the traffic."""
        self._traffic = traffic
        self._reduce = reduce
        self._ready = list(_ready(definitions, traffic))
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
            merge = lessons is not None
            cases = Cases(
                one.steps, one.relevance, one.required, pairs, shared, merge=merge, begins=one.begins, asks=one.asks
            )
            taught = None if lessons is None else lessons[number] if lessons else Lessons()
            moves = Moves(one.steps, one.relevance, cases, self._symbols, states, taught)
            if one.begins:
                moves.life = Life(moves, number, None if taught is None else taught.beginning)
            members.append(moves)
        world = AnyOrder(members[0]) if len(members) == 1 else Together(members)
        if self._traffic is not None:
            return Given(world, self._traffic, self._symbols, reduce=self._reduce)
        return world


def _ready(definitions: Sequence[Definition], traffic: Traffic | None) -> Iterator[_Ready]:
    dependencies = None if traffic is None else traffic.dependencies
    several = len(definitions) > 1
    prepared = [prepare(one, dependencies if number == 0 else None) for number, one in enumerate(definitions)]
    layouts = [steps.layout for steps, _, _ in prepared]
    for steps, required, judged in prepared:
        layout = steps.layout
        others = [other for other in layouts if other is not layout]
        begins = several and (bool(layout.definition.starts_on) or any(one.is_named(UNKNOWN) for one in layouts))
        asks = begins and _may_be_asked(layout, others, traffic)
        relevance = Relevance(layout, sum(layout.bits.values()) if asks else required, judged, others, begun=several)
        yield _Ready(steps, required, relevance, begins, asks)


def _may_be_asked(layout: Layout, others: Iterable[Layout], traffic: Traffic | None) -> bool:
    """Whether an event that begins a connection may say which dependencies it requires."""
    types = [] if traffic is None else [s.type for s in symbols_of(traffic) if DEPENDENCIES in s.data]
    layouts = (layout, *others)
    for one in layouts:
        published = [action for action in one.definition.actions() if isinstance(action, Publish)]
        types += [action.event for action in published if DEPENDENCIES in action.data]
        if (DEPENDENCIES,) in {path[:1] for path in fields_read(one.expressions())}:
            return True
    types.append(CREATED)  # which tells of the others'
    return any(matches(trigger.event, name) for trigger in layout.definition.starts_on for name in types)


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
