"""Explore a definition: every case that a connection can be in, and what that says about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from attrs import evolve

from statemachines.exploration.cases import Cases, Shared
from statemachines.exploration.events import Alphabet, alphabet
from statemachines.exploration.findings import Findings
from statemachines.exploration.judging import Judge
from statemachines.exploration.liveness import Live
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
) -> Exploration:
    """Try all events in every order, or what some traffic can bring, and judge the definition's properties.

    :raises StepNeverSettles: the eventless transitions of the initial states go in a circle
    :raises UnknownDependency: the traffic requires one that the definition does not declare

    >>> explore(load_definition("whatsapp_call")).complete                  # doctest: +SKIP
    True
    """
    found = _explored(lambda live: world_of(definition, traffic, live=live), [definition], bounds, progress)
    if traffic is not None and traffic.dependencies is not None:
        return evolve(found, registration={"dependencies": list(traffic.dependencies)})
    return found


def explore_together(
    definitions: Sequence[Definition], bounds: Bounds | None = None, progress: Progress | None = None
) -> Exploration:
    """As :func:`explore`, with a connection of each definition on one bus: each hears what any of them publishes.

    States and properties are named as ``definition.name``.
    """
    if len(definitions) == 1:
        return explore(definitions[0], bounds, progress)
    return _explored(lambda live: together(definitions, live=live), definitions, bounds, progress)


Lives = Sequence[Live] | None
MakeWorld = Callable[[Lives], tuple[World, list[str]]]


def _explored(
    make: MakeWorld, definitions: Sequence[Definition], bounds: Bounds | None, progress: Progress | None
) -> Exploration:
    began = time.monotonic()
    graph, notes = all_cases(make, bounds or Bounds(), progress)
    world = graph.world
    parts = []
    for moves, definition in zip(world.members, definitions, strict=True):
        findings = Findings(world, graph, moves)
        judgements = tuple(Judge(world, graph, moves, findings.entered).all())
        parts.append(findings.exploration(definition, judgements, notes, time.monotonic() - began))
    return parts[0] if len(parts) == 1 else joined(parts)


def all_cases(make: MakeWorld, bounds: Bounds, progress: Progress | None = None) -> tuple[Graph, list[str]]:
    """Search until no fact is read that was taken for dead, each time with what was learnt before."""
    began = time.monotonic()
    lives: Lives = ()
    while True:
        left = None if bounds.seconds is None else max(0.0, began + bounds.seconds - time.monotonic())
        world, notes = make(lives)
        graph = search(world, evolve(bounds, seconds=left), progress)
        if graph.sound == graph.expanded:
            break
        if graph.why_cut is not None:  # no time to learn more: what came before the mistake is right
            world, notes = make(lives)
            sound = search(world, Bounds(None, None), None, graph.sound)
            sound.why_cut = graph.why_cut
            graph = sound
            break
        lives = [member.dead.known() for member in world.members]
    if graph.why_cut is not None and bounds.seconds is not None and graph.why_cut.startswith("it took longer"):
        graph.why_cut = f"it took longer than {bounds.seconds:g} s"
    return graph, notes


def world_of(
    definition: Definition, traffic: Traffic | None = None, *, reduce: bool = True, live: Lives = None
) -> tuple[World, list[str]]:
    """Where a definition's connections can go, and what was left out of it, in words.

    ``live`` is what was learnt about facts in a search before; with None, no fact is ever taken for dead.
    """
    steps, required, judged = _prepared(definition, None if traffic is None else traffic.dependencies)
    relevance = Relevance(steps.layout, required, judged)
    cases = Cases(steps, relevance, required, len(closes_of(definition.properties)))
    known = _of(live, 0)
    if traffic is not None:
        symbols = symbols_of(traffic)
        return Given(Moves(steps, relevance, cases, symbols, live=known), traffic, symbols, reduce=reduce), []
    found = alphabet([(steps, relevance)])
    return AnyOrder(Moves(steps, relevance, cases, found.symbols, live=known)), _cut(found)


def together(definitions: Sequence[Definition], *, live: Lives = None) -> tuple[World, list[str]]:
    """As :func:`world_of`, with a connection of each definition."""
    prepared = [_prepared(definition, None) for definition in definitions]
    layouts = [steps.layout for steps, _, _ in prepared]
    shared = Shared()
    states: list[int] = []
    listening = [
        (steps, Relevance(steps.layout, required, judged, [other for other in layouts if other is not steps.layout]))
        for steps, required, judged in prepared
    ]
    found = alphabet(listening)
    members = []
    for number, ((steps, relevance), (_, required, _)) in enumerate(zip(listening, prepared, strict=True)):
        cases = Cases(steps, relevance, required, len(closes_of(steps.definition.properties)), shared)
        members.append(Moves(steps, relevance, cases, found.symbols, states, _of(live, number)))
    return Together(members), _cut(found)


def _of(live: Lives, number: int) -> Live | None:
    return None if live is None else live[number] if number < len(live) else {}


def _prepared(
    definition: Definition, dependencies: tuple[str, ...] | None
) -> tuple[Steps, int, tuple[Expression, ...]]:
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
