"""Works out the rows with which a definition is played elsewhere (:mod:`~statemachines.exploration.rows`).

They are the ones that :class:`~statemachines.exploration.moves.Moves` learns from real steps, so each holds for every
case that agrees in the fields it reads, however the others stand.

The rows of the nearest cases are written, breadth first; a timer is taken to fire wherever its state is active, which
is more than can happen. A row that is not there is beyond the bound, not an event without effect: that has a row too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve

from statemachines.exploration.cases import CONNECTION, Cases
from statemachines.exploration.events import Symbol, alphabet
from statemachines.exploration.reading import Relevance
from statemachines.exploration.row_search import NotingMoves, try_cases
from statemachines.exploration.row_writing import Writer
from statemachines.exploration.rows import Mark, Playable, frozen_event
from statemachines.exploration.worlds import prepare
from statemachines.language.definition import Definition
from statemachines.table.record import Identity, Record
from statemachines.table.step import DEPENDENCY_MARKED

MAX_CASES = 10_000
MAX_ROWS = 30_000
"""At most some 3 MB as text; without events that wait there are rarely more than a few thousand."""


def playable(
    definition: Definition,
    *,
    dependencies: Sequence[str] | None = None,
    timeouts: Mapping[str, float] | None = None,
    metadata: Mapping[str, Any] | None = None,
    also: Iterable[Symbol] = (),
    near: Iterable[Record] = (),
    max_cases: int = MAX_CASES,
    max_rows: int = MAX_ROWS,
) -> Playable:
    """The rows of a definition, for a connection registered like this.

    :param also: events, with their payloads, that are wanted beside those that make a difference
    :param near: connections of this definition from where it is played too: the nearest to these are also tried
    :raises UnknownDependency: one is required that the definition does not declare
    :raises UnknownTimeout: a timeout that it does not have
    :raises StepNeverSettles: the eventless transitions of the initial states go in a circle
    """
    # Properties ask for facts that nothing else reads, and make cases that no step tells apart.
    steps, required, _ = prepare(
        evolve(definition, properties={}), None if dependencies is None else tuple(dependencies)
    )
    steps.check_timeouts(timeouts)
    relevance = Relevance(steps.layout, required, ())
    identity = Identity(CONNECTION, None, None, timeouts, metadata or {}, 0.0)
    symbols = list(alphabet([(steps, relevance)]).symbols)
    known = {frozen_event(symbol) for symbol in symbols}
    symbols += {frozen_event(symbol): symbol for symbol in also if frozen_event(symbol) not in known}.values()
    symbols += [Mark(DEPENDENCY_MARKED, {"dependency": name}) for name in definition.dependencies]
    moves = NotingMoves(steps, relevance, Cases(steps, relevance, required, 0, identity=identity), symbols)
    return Writer(definition, moves, try_cases(moves, near, max_cases, max_rows)).written()
