"""Explore a definition: every case that a connection can be in, and what that says about it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from attrs import evolve

from statemachines.exploration.covering import Reached, covering
from statemachines.exploration.findings import Findings
from statemachines.exploration.judging import Judge
from statemachines.exploration.result import Exploration, joined
from statemachines.exploration.search import Bounds, Graph, Progress, search
from statemachines.exploration.worlds import Taught, Worlds
from statemachines.language.definition import Definition
from statemachines.language.traffic import Traffic


def explore(
    definition: Definition,
    bounds: Bounds | None = None,
    progress: Progress | None = None,
    traffic: Traffic | None = None,
    *,
    cover: bool = False,
) -> Exploration:
    """Try all events in every order, or what some traffic can bring, and judge the definition's properties.

    With ``cover`` it also has ways that cover all that was reached; nothing is merged then that has to be learnt.

    :raises StepNeverSettles: the eventless transitions of the initial states go in a circle
    :raises UnknownDependency: the traffic requires one that the definition does not declare

    >>> explore(load_definition("whatsapp_call")).complete                  # doctest: +SKIP
    True
    """
    found = _explored(Worlds([definition], traffic), [definition], bounds, progress, cover=cover)
    if traffic is not None and traffic.dependencies is not None:
        found = evolve(found, registration={"dependencies": list(traffic.dependencies)})
    return evolve(found, by_traffic=traffic is not None)


def explore_together(
    definitions: Sequence[Definition],
    bounds: Bounds | None = None,
    progress: Progress | None = None,
    traffic: Traffic | None = None,
) -> Exploration:
    """As :func:`explore`, with a connection of each definition on one bus: each hears what any of them publishes.

    States and properties are named as ``definition.name``. The traffic's dependencies are those of the first.
    """
    if len(definitions) == 1:
        return explore(definitions[0], bounds, progress, traffic)
    return _explored(Worlds(definitions, traffic), definitions, bounds, progress)


def _explored(
    worlds: Worlds,
    definitions: Sequence[Definition],
    bounds: Bounds | None,
    progress: Progress | None,
    *,
    cover: bool = False,
) -> Exploration:
    began = time.monotonic()
    bounds, reached = bounds or Bounds(), None
    if cover:
        graph = Graph(worlds.make(None))
        reached = Reached(graph)
        search(graph.world, bounds, progress, graph)
    else:
        graph = all_cases(worlds, bounds, progress)
    world = graph.world
    notes = worlds.notes if world.untried is None else [*worlds.notes, world.untried]
    parts = []
    for moves, definition in zip(world.members, definitions, strict=True):
        findings = Findings(world, graph, moves)
        judgements = tuple(Judge(world, graph, moves, findings.entered).all())
        parts.append(findings.exploration(definition, judgements, notes, time.monotonic() - began))
    if reached is not None:
        return evolve(parts[0], covering=covering(graph, reached, bounds.seconds))
    return parts[0] if len(parts) == 1 else joined(parts)


def all_cases(worlds: Worlds, bounds: Bounds, progress: Progress | None = None) -> Graph:
    """Search until nothing was merged that should not have been, each time with what was learnt before."""
    began = time.monotonic()
    lessons: Taught = ()
    while True:
        left = None if bounds.seconds is None else max(0.0, began + bounds.seconds - time.monotonic())
        world = worlds.make(lessons)
        graph = search(world, evolve(bounds, seconds=left), progress)
        if graph.sound == graph.expanded:
            break
        if graph.why_cut is not None:  # no time to learn more: what came before the mistake is right
            sound = search(worlds.make(lessons), Bounds(None, None), most_tried=graph.sound)
            sound.why_cut = graph.why_cut
            graph = sound
            break
        lessons = [member.learnt() for member in world.members]
    if graph.why_cut is not None and bounds.seconds is not None and graph.why_cut.startswith("it took longer"):
        graph.why_cut = f"it took longer than {bounds.seconds:g} s"
    return graph
