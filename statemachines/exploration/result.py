"""What exploring found, as values: for people (:mod:`statemachines.rendering.exploration`) and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from statemachines.language.definition import Definition, Property
from statemachines.table.coverage import Goal

Step = str | dict[str, Any]
"""A step of a counterexample: an event's name, or the step as a scenario has it."""


@frozen
class Way:
    """A way from the start: its steps, and the phase after each.

    :ivar end: what the end of it means, in words
    :ivar replay: the steps as a scenario plays them: what is lost is left out, what comes twice or late is published
    :ivar configuration: the states that are active when all is done that follows from it at once
    """

    steps: tuple[Step, ...]
    phases: tuple[str, ...]
    end: str = ""
    configuration: tuple[str, ...] = ()
    replay: tuple[Step, ...] = ()


@frozen
class Judgement:
    """What became of a property. ``holds`` is None if the bound did not let it be decided."""

    name: str
    holds: bool | None
    counterexample: Way | None = None
    witness: Way | None = None
    vacuous: bool = False
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The property in the JSON of ``phasebus explore``."""
        return {
            "holds": self.holds,
            "counterexample": None if self.counterexample is None else list(self.counterexample.steps),
            "witness": None if self.witness is None else list(self.witness.steps),
            "vacuous": self.vacuous,
        }


@frozen
class Covering:
    """Ways that together take every transition and see every guard outcome that was reached.

    :ivar reached: what was reached while exploring, whether or not a way covers it
    :ivar interrupted: the ways are not all there are
    """

    ways: tuple[Way, ...]
    reached: frozenset[Goal]
    interrupted: bool = False


@frozen
class Exploration:
    """All that can happen to a connection, or as much of it as the bounds allowed.

    :ivar configurations: distinct sets of active states
    :ivar cases: those with their facts, histories and timers
    :ivar transitions: the moves that were tried, those that change nothing included
    :ivar depths: how many cases are 0, 1, 2, … moves away from the start
    :ivar left_out: the facts that nothing reads, which are therefore no part of a case
    :ivar why_cut: why it is not complete; None if it is
    :ivar notes: what was assumed, in words
    """

    name: str
    configurations: int
    cases: int
    transitions: int
    unreachable_states: tuple[str, ...]
    dead_ends: tuple[str, ...]
    unfired_transitions: tuple[str, ...]
    conflicts: tuple[str, ...]
    livelocks: tuple[str, ...]
    properties: tuple[Judgement, ...]
    depths: tuple[int, ...]
    seconds: float
    untried: int = 0
    left_out: tuple[str, ...] = ()
    why_cut: str | None = None
    notes: tuple[str, ...] = ()
    registration: Mapping[str, Any] = field(factory=dict)
    """How the connection was registered, as a scenario has it."""
    only_by_hand: frozenset[str] = field(factory=frozenset)
    """The unreachable states that ``terminate_connection`` leads to."""
    covering: Covering | None = None
    """If it was asked for."""
    by_traffic: bool = False
    """Whether only what some traffic can bring was tried."""

    @property
    def complete(self) -> bool:
        """Whether all was tried."""
        return self.why_cut is None

    @property
    def failed(self) -> bool:
        """Whether a property does not hold."""
        return any(judgement.holds is False for judgement in self.properties)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``phasebus explore``."""
        return {
            "definition": self.name,
            "configurations": self.configurations,
            "cases": self.cases,
            "transitions": self.transitions,
            "unreachable_states": list(self.unreachable_states),
            "dead_ends": list(self.dead_ends),
            "unfired_transitions": list(self.unfired_transitions),
            "conflicts": list(self.conflicts),
            "livelocks": list(self.livelocks),
            "properties": {judgement.name: judgement.to_dict() for judgement in self.properties},
            "complete": self.complete,
            "why_cut": self.why_cut,
            "depths": list(self.depths),
            "left_out": list(self.left_out),
            "notes": list(self.notes),
        }


def properties_of(definitions: Sequence[Definition]) -> dict[str, Property]:
    """The properties that an exploration of these judges, by the names that it has for them."""
    if len(definitions) == 1:
        return dict(definitions[0].properties)
    return {f"{each.name}.{name}": one for each in definitions for name, one in each.properties.items()}


def joined(parts: Sequence[Exploration]) -> Exploration:
    """What was found about definitions explored together, their names before those of states and properties."""

    def named(attribute: str) -> tuple[str, ...]:
        return tuple(f"{part.name}.{item}" for part in parts for item in getattr(part, attribute))

    return evolve(
        parts[0],
        name=" + ".join(part.name for part in parts),
        unreachable_states=named("unreachable_states"),
        dead_ends=named("dead_ends"),
        unfired_transitions=named("unfired_transitions"),
        conflicts=named("conflicts"),
        livelocks=named("livelocks"),
        left_out=named("left_out"),
        only_by_hand=frozenset(f"{part.name}.{state}" for part in parts for state in part.only_by_hand),
        properties=tuple(evolve(one, name=f"{part.name}.{one.name}") for part in parts for one in part.properties),
        seconds=max(part.seconds for part in parts),
    )
