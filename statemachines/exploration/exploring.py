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
from statemachines.exploration.search import AnyOrder, Bounds, Progress, World, search
from statemachines.exploration.traffic import Given, symbols_of
from statemachines.language.definition import Definition, Remembered
from statemachines.language.expressions import Expression
from statemachines.language.traffic import Traffic
from statemachines.table.step import Steps


def explore(
    definition: Definition,
    bounds: Bounds | None = None,
    progress: Progress | None = None,
    traffic: Traffic | None = None,
) -> Exploration:
    """Try all events in every order, or what some traffic can bring, and judge the definition's properties.

    :raises StepNeverSettles: the eventless transitions of the initial states go in a circle
    :raises UnknownDependency: the traffic requires one that the definition does not declare

    >>> explore(load_definition("whatsapp_call")).complete                  # doctest: +SKIP
    True
    """
    began = time.monotonic()
    world, notes = world_of(definition, traffic)
    graph = search(world, bounds or Bounds(), progress)
    findings = Findings(world, graph)
    judgements = tuple(Judge(world, graph, findings.entered).all())
    found = findings.exploration(definition, judgements, notes, time.monotonic() - began)
    if traffic is not None and traffic.dependencies is not None:
        return evolve(found, registration={"dependencies": list(traffic.dependencies)})
    return found


def world_of(definition: Definition, traffic: Traffic | None = None, *, reduce: bool = True) -> tuple[World, list[str]]:
    """Where a definition's connections can go, and what was left out of it, in words."""
    judged = tuple(judged_by(definition))
    # Nothing is ever remembered under these names; they make the layout count the visits that properties ask about.
    watched = {f"judged {number}": Remembered((), expression) for number, expression in enumerate(judged)}
    steps = Steps(evolve(definition, remember={**definition.remember, **watched}))
    required = steps.layout.required_by_default
    if traffic is not None and traffic.dependencies is not None:
        required = sum({steps.bit(name) for name in traffic.dependencies})
    relevance = Relevance(steps.layout, required, judged)
    cases = Cases(steps, relevance, required, len(closes_of(definition.properties)))
    if traffic is not None:
        symbols = symbols_of(traffic)
        return Given(Moves(steps, relevance, cases, symbols), traffic, symbols, reduce=reduce), []
    found = alphabet([(steps, relevance)])
    notes = [f"{event_type} has more payloads than were tried" for event_type in found.cut]
    return AnyOrder(Moves(steps, relevance, cases, found.symbols)), notes


def judged_by(definition: Definition) -> Iterator[Expression]:
    """The expressions of a definition's properties."""
    for wanted in definition.properties.values():
        for expression in (wanted.always, wanted.never, wanted.sometimes):
            if expression is not None:
                yield expression
        yield from wanted.leads_to or ()
