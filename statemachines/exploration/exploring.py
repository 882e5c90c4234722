"""Explore a definition: every case that a connection can be in, and what that says about it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from attrs import evolve

from statemachines.exploration.cases import Cases, Shared
from statemachines.exploration.covering import Reached, covering
from statemachines.exploration.events import Alphabet, alphabet
from statemachines.exploration.findings import Findings
from statemachines.exploration.judging import Judge
from statemachines.exploration.moves import Moves, closes_of
from statemachines.exploration.reading import Relevance
from statemachines.exploration.result import Exploration, joined
from statemachines.exploration.search import AnyOrder, Bounds, Graph, Progress, World, search
from statemachines.exploration.together import Together
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
    *,
    cover: bool = False,
) -> Exploration:
    """Try all events in every order, or what some traffic can bring, and judge the definition's properties.

    With ``cover`` it also has ways that cover all that was reached.

    :raises StepNeverSettles: the eventless transitions of the initial states go in a circle
    :raises UnknownDependency: the traffic requires one that the definition does not declare

    >>> explore(load_definition("whatsapp_call")).complete                  # doctest: +SKIP
    True
    """
    world, notes = world_of(definition, traffic)
    found = _explored(world, [definition], notes, bounds, progress, cover=cover)
    if traffic is not None and traffic.dependencies is not None:
        found = evolve(found, registration={"dependencies": list(traffic.dependencies)})
    return evolve(found, by_traffic=traffic is not None)


def explore_together(
    definitions: Sequence[Definition], bounds: Bounds | None = None, progress: Progress | None = None
) -> Exploration:
    """As :func:`explore`, with a connection of each definition on one bus: each hears what any of them publishes.

    States and properties are named as ``definition.name``.
    """
    if len(definitions) == 1:
        return explore(definitions[0], bounds, progress)
    prepared = [prepare(definition, None) for definition in definitions]
    layouts = [steps.layout for steps, _, _ in prepared]
    shared = Shared()
    states: list[int] = []
    listening = [
        (steps, Relevance(steps.layout, required, judged, [other for other in layouts if other is not steps.layout]))
        for steps, required, judged in prepared
    ]
    found = alphabet(listening)
    members = []
    for (steps, relevance), (_, required, _) in zip(listening, prepared, strict=True):
        cases = Cases(steps, relevance, required, len(closes_of(steps.definition.properties)), shared)
        members.append(Moves(steps, relevance, cases, found.symbols, states))
    return _explored(Together(members), definitions, _cut(found), bounds, progress)


def _explored(
    world: World,
    definitions: Sequence[Definition],
    notes: list[str],
    bounds: Bounds | None,
    progress: Progress | None,
    *,
    cover: bool = False,
) -> Exploration:
    began = time.monotonic()
    graph = Graph(world)
    reached = Reached(graph) if cover else None
    search(world, bounds or Bounds(), progress, graph)
    parts = []
    for moves, definition in zip(world.members, definitions, strict=True):
        findings = Findings(world, graph, moves)
        judgements = tuple(Judge(world, graph, moves, findings.entered).all())
        parts.append(findings.exploration(definition, judgements, notes, time.monotonic() - began))
    if reached is not None:
        return evolve(parts[0], covering=covering(graph, reached, (bounds or Bounds()).seconds))
    return parts[0] if len(parts) == 1 else joined(parts)


def world_of(definition: Definition, traffic: Traffic | None = None, *, reduce: bool = True) -> tuple[World, list[str]]:
    """Where a definition's connections can go, and what was left out of it, in words."""
    steps, required, judged = prepare(definition, None if traffic is None else traffic.dependencies)
    relevance = Relevance(steps.layout, required, judged)
    cases = Cases(steps, relevance, required, len(closes_of(definition.properties)))
    if traffic is not None:
        symbols = symbols_of(traffic)
        return Given(Moves(steps, relevance, cases, symbols), traffic, symbols, reduce=reduce), []
    found = alphabet([(steps, relevance)])
    return AnyOrder(Moves(steps, relevance, cases, found.symbols)), _cut(found)


def prepare(definition: Definition, dependencies: tuple[str, ...] | None) -> tuple[Steps, int, tuple[Expression, ...]]:
    """The steps of a definition, the dependencies that its connections require, and what its properties ask."""
    judged = tuple(judged_by(definition))
    # Nothing is ever remembered under these names; they make the layout count the visits that properties ask about.
    watched = {f"judged {number}": Remembered((), expression) for number, expression in enumerate(judged)}
    steps = Steps(evolve(definition, remember={**definition.remember, **watched}))
    if dependencies is None:
        return steps, steps.layout.required_by_default, judged
    return steps, sum({steps.bit(name) for name in dependencies}), judged


def _cut(found: Alphabet) -> list[str]:
    return [f"{event_type} has more payloads than were tried" for event_type in found.cut]


def judged_by(definition: Definition) -> Iterator[Expression]:
    """The expressions of a definition's properties."""
    for wanted in definition.properties.values():
        for expression in (wanted.always, wanted.never, wanted.sometimes):
            if expression is not None:
                yield expression
        yield from wanted.leads_to or ()
