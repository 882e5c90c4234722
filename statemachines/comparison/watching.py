"""The moves of :mod:`statemachines.exploration`, with what an onlooker sees of each.

Seen are, in order: events published and their data, hooks called, what is invoked and what is cancelled, and the phase,
the active states and whether it is the end, each time these change. Not seen is what a definition keeps to itself:
facts, timers that fire for nothing, counts of visits, which transition it was.

An onlooker's view is one more part of a case, empty before every move, so that the memory of moves holds it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from statemachines.exploration.cases import CONNECTION, Cases, Shared
from statemachines.exploration.events import Symbol
from statemachines.exploration.made import Made
from statemachines.exploration.moves import Chart, Moved, Moves
from statemachines.exploration.packing import Part
from statemachines.exploration.reading import Reads, Relevance, reads_event
from statemachines.exploration.regions import Concern
from statemachines.exploration.values import frozen_value
from statemachines.language.definition import Action, Publish
from statemachines.language.expressions import Expression
from statemachines.table.layout import Layout, expressions_in
from statemachines.table.record import Timer
from statemachines.table.step import Step, Steps
from statemachines.table.table import CallEffect, Situation


@frozen
class Sight:
    """One thing that an onlooker sees: ``publish``, ``call``, ``invoke``, ``cancel``, ``phase`` or ``cut``."""

    kind: str
    name: str
    data: Any = None

    @property
    def key(self) -> Any:
        """What tells it from others."""
        return (self.kind, self.name, frozen_value(self.data))


Sights = tuple[Sight, ...]


def looks_of(situation: Situation) -> Sight:
    """What is seen of where a connection is. The order of the states in the file is nothing to see."""
    data = {"configuration": sorted(situation.configuration), "ended": situation.final}
    return Sight("phase", situation.phase, data)


class WatchedRelevance(Relevance):
    """What can change what is seen: the data of everything that is published, too."""

    def __init__(self, layout: Layout, required: int) -> None:
        self._beside: WatchedRelevance | None = None
        super().__init__(layout, required, ())

    def heard_of(self, action: Action) -> Iterator[Expression]:
        """All that it publishes is heard by somebody."""
        if isinstance(action, Publish):
            yield from expressions_in(action.data)

    def unwatched(self) -> Relevance:
        """The same facts, with nobody who looks at what is published."""
        found = Relevance(self.layout, self.reader.required, ())
        found.facts = self.facts
        return found

    def shaded(self) -> set[str]:
        """The events that are published with something of the event that led to it."""
        return {
            action.event
            for action in self.layout.definition.actions()
            if isinstance(action, Publish) and any(reads_event(one.tree) for one in expressions_in(action.data))
        }

    def serve(self, other: WatchedRelevance) -> None:
        """Keep what matters to another definition too, since connections are carried there."""
        self._beside = other
        theirs, layout = other.facts, self.layout
        meta = {other.layout.remembered[number] for number in theirs.remembered}
        visited = {other.layout.visited[number] for number in theirs.visits}
        names = {other.layout.ids[state] for state in visited}
        self.facts = self._closed(
            self.facts
            | Reads(
                sum(layout.bits[name] for name in other.layout.named(theirs.dependencies) if name in layout.bits),
                frozenset(number for number, name in enumerate(layout.remembered) if name in meta),
                frozenset(number for number, state in enumerate(layout.visited) if layout.ids[state] in names),
            )
        )

    def most_visits(self, number: int) -> int | None:
        """The count beyond which one more changes nothing here or there."""
        mine = super().most_visits(number)
        other = self._beside
        state = self.layout.ids[self.layout.visited[number]]
        if other is None or other.layout.index.get(state) not in other.layout.visit_number or mine is None:
            return mine
        theirs = other.most_visits(other.layout.visit_number[other.layout.index[state]])
        return None if theirs is None else max(mine, theirs)


class WatchedMoves(Moves):
    """The moves of one definition; each leaves what was seen of it in the case."""

    def __init__(
        self,
        steps: Steps,
        relevance: Relevance,
        cases: Cases,
        symbols: Sequence[Symbol],
        states: list[int],
        seen: Part[Sights],
    ) -> None:
        super().__init__(steps, relevance, cases, symbols, states)
        self.seen = seen
        self.closes = ()  # no property is judged here
        # Carried timers were never armed here.
        self.making.timers = {spec.number: Timer(0.0, 0, CONNECTION, spec) for spec in steps.layout.timers}

    def sights(self, case: int) -> Sights:
        """What was seen of the last move."""
        return self.seen.of(case)

    def _result(self, made: Made, case: int) -> tuple[int, int]:
        after, change = super()._result(made, case)
        return after | self._number([sight for step in made.steps for sight in _seen(step)]), change

    def _let_move(self, chart: Chart, case: int, middle: int, label: int) -> Moved | None:
        moved = super()._let_move(chart, case, middle, label)
        return (False, self._number([Sight("cut", "")]), 0, 0, 0, None) if moved is None else moved

    def _number(self, sights: list[Sight]) -> int:
        return self.seen.number(tuple(sights), tuple(sight.key for sight in sights))

    def _chart_mask(self, concern: Concern) -> int:
        return super()._chart_mask(concern) | self.seen.mask

    def _chart(self, label: int, case: int) -> tuple[Chart, bool]:
        # A carried connection may be where a transition without event can be taken as soon as anything comes.
        return super()._chart(label, case)[0], False


def _seen(step: Step) -> Iterator[Sight]:
    layout, outcome = step.layout, step.outcome
    for state in outcome.cancels:
        yield from (Sight("cancel", spec.invoke.call) for spec in layout.invokes_of[state])
    for effect in outcome.effects:
        if isinstance(effect, CallEffect):
            yield Sight("call", effect.name)
        else:
            yield Sight("publish", effect.event_type, effect.data(step.during, step.event))
    for spec in outcome.invokes:
        yield Sight("invoke", spec.invoke.call, {"done": spec.invoke.done, "failed": spec.invoke.failed})
    if step.before is None or step.changed_configuration:
        yield looks_of(step.after.situation)


class WatchedCases(Cases):
    """Cases of connections that were registered with timeouts of their own."""

    def __init__(
        self, steps: Steps, relevance: Relevance, required: int, shared: Shared, timeouts: Mapping[str, float]
    ) -> None:
        super().__init__(steps, relevance, required, 0, shared)
        self._identity = evolve(self._identity, timeouts=dict(timeouts) or None)
