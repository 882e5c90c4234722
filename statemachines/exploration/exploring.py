"""Explore a definition: every case that a connection can be in, and what that says about it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from attrs import evolve

from statemachines.exploration.cases import Cases
from statemachines.exploration.events import alphabet
from statemachines.exploration.findings import Findings
from statemachines.exploration.judging import Judge
from statemachines.exploration.moves import Moves, closes_of
from statemachines.exploration.reading import Relevance
from statemachines.exploration.result import Exploration
from statemachines.exploration.search import AnyOrder, Bounds, Progress, search
from statemachines.language.definition import Definition, Remembered
from statemachines.language.expressions import Expression
from statemachines.table.step import Steps


def explore(definition: Definition, bounds: Bounds | None = None, progress: Progress | None = None) -> Exploration:
    """Try all events in every order, and judge the definition's properties.

    :raises StepNeverSettles: the eventless transitions of the initial states go in a circle

    >>> explore(load_definition("whatsapp_call")).complete                  # doctest: +SKIP
    True
    """
    began = time.monotonic()
    moves, notes = moves_of(definition)
    world = AnyOrder(moves)
    graph = search(world, bounds or Bounds(), progress)
    findings = Findings(world, graph)
    judge = Judge(world, graph, findings.entered)
    return findings.exploration(definition, tuple(judge.all()), notes, time.monotonic() - began)


def moves_of(definition: Definition, required: int | None = None) -> tuple[Moves, tuple[str, ...]]:
    """The moves of a definition's connections, and what was assumed, in words."""
    judged = tuple(judged_by(definition))
    # Nothing is ever remembered under these names; they make the layout count the visits that properties ask about.
    watched = {f"judged {number}": Remembered((), expression) for number, expression in enumerate(judged)}
    steps = Steps(evolve(definition, remember={**definition.remember, **watched}))
    required = steps.layout.required_by_default if required is None else required
    relevance = Relevance(steps.layout, required, judged)
    found = alphabet(steps, relevance)
    cases = Cases(steps, relevance, required, len(closes_of(definition.properties)))
    notes = tuple(f"{event_type} has more payloads than were tried" for event_type in found.cut)
    return Moves(steps, relevance, cases, found.symbols), notes


def judged_by(definition: Definition) -> Iterator[Expression]:
    """The expressions of a definition's properties."""
    for wanted in definition.properties.values():
        for expression in (wanted.always, wanted.never, wanted.sometimes):
            if expression is not None:
                yield expression
        yield from wanted.leads_to or ()
