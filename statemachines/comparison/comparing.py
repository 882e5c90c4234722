"""Compare two definitions: what changed, and what becomes of the connections that live when the new one comes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import define, evolve, field

from statemachines.comparison.changes import Change, changes
from statemachines.comparison.deployment import FAR, Deployment, Limits, Registration
from statemachines.comparison.living import Living
from statemachines.comparison.overlaying import Overlay, renamed, values_of
from statemachines.comparison.result import (
    Comparison,
    ConfigurationFate,
    ConnectionFate,
    Difference,
    Fate,
    Verdict,
)
from statemachines.comparison.ways import apart_at_once
from statemachines.exploration.search import Bounds, Progress
from statemachines.language.definition import Definition
from statemachines.language.sameness import behaviour
from statemachines.table.step import Steps

MOST_REASONS = 5
"""So many reasons are told why connections of a configuration are gone."""


def compare(
    old: Definition,
    new: Definition,
    living: Sequence[Living] | None = None,
    bounds: Bounds | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """What changed between two definitions, and what becomes of every connection that the old one can have.

    :param living: connections that live, to be judged one by one
    :raises StepNeverSettles: the eventless transitions of the initial states go in a circle

    >>> compare(load_definition("tcp"), load_definition("tcp")).verdicts()                  # doctest: +SKIP
    Counter({'same': 12})
    """
    began = time.monotonic()
    bounds = bounds or Bounds()
    limits = Limits(bounds.cases, None if bounds.seconds is None else began + bounds.seconds, progress)
    found = list(changes(old, new))
    return _Comparing(Steps(old), Steps(new), list(living or ()), limits).all(
        old, new, found, judges=living is not None, began=began
    )


@define(eq=False)
class _Told:
    """What becomes of one kind of connections, while it is gathered."""

    cases: Counter[Verdict] = field(factory=Counter)
    nearest: tuple[int, int, int] | None = None
    """Of those that change the one told apart soonest: by how many moves, its number, and its pair."""
    why: dict[str, None] = field(factory=dict)

    def add(self, deployment: Deployment, carried: int | tuple[str, ...], number: int) -> None:
        if isinstance(carried, tuple):
            self.cases["gone"] += 1
            self.why.update(dict.fromkeys(carried))
            return
        self.cases[deployment.verdict(carried)] += 1
        distance = deployment.distance(carried)
        if distance != FAR and (self.nearest is None or (distance, number) < self.nearest[:2]):
            self.nearest = (distance, number, carried)

    def fate(self, deployment: Deployment, *, certain: bool, has_way: bool = True) -> Fate:
        """``certain``: there are no other cases than these."""
        if not certain:
            self.cases["undecided"] += self.cases.pop("same", 0)
        difference = None
        if self.nearest is not None:
            difference = deployment.difference(self.nearest[2], self.nearest[1] if has_way else None)
        return Fate(self.cases, difference, tuple(list(self.why)[:MOST_REASONS]))


@define(eq=False)
class _Comparing:
    old: Steps
    new: Steps
    living: list[Living]
    limits: Limits
    deployments: list[Deployment] = field(factory=list)

    def all(self, old: Definition, new: Definition, found: list[Change], *, judges: bool, began: float) -> Comparison:
        usual = Registration(self.old.layout.required_by_default)
        groups: dict[Registration, list[Living]] = {usual: []}
        for one in self.living:
            groups.setdefault(Registration(one.required, one.timeouts), []).append(one)
        fates: dict[int, ConnectionFate] = {}
        for registration, group in groups.items():
            deployment = self._deploy(registration, group, fates)
            self.deployments.append(deployment)
        first = self.deployments[0]
        registered = self._registered(first)
        cuts = [why for one in self.deployments for why in one.why_cut()]
        return Comparison(
            old.name,
            old.version,
            new.name,
            new.version,
            tuple(found),
            tuple(_warnings(old, new, found)),
            tuple(self._configurations(first)),
            registered,
            tuple(fates[id(one)] for one in self.living if not one.ended) if judges else None,
            sum(len(one.graph.cases) for one in self.deployments),
            sum(max(0, len(one.pair_graph.cases) - 1) for one in self.deployments),
            time.monotonic() - began,
            cuts[0] if cuts else None,
            tuple(dict.fromkeys(note for one in self.deployments for note in one.notes)),
        )

    @property
    def is_same(self) -> bool:
        """Whether the two say the same of whatever decides what a connection does."""
        return bool(behaviour(self.old.definition) == behaviour(self.new.definition))

    # -- the connections that there can be --

    def _deploy(self, registration: Registration, group: list[Living], fates: dict[int, ConnectionFate]) -> Deployment:
        alive = [renamed(one, self.old, self.new) for one in group if not one.ended]
        deployment = Deployment(self.old, self.new, registration, values_of(alive, self.old.layout), alike=self.is_same)
        deployment.explore(self.limits)
        overlay = Overlay(deployment)
        spread = [overlay.carried(one) for one in alive]
        others = {pair for carried in spread for pair in carried if isinstance(pair, int)}
        first = not self.deployments
        move = deployment.at_registration() if first and self._registers_alike(registration) else None
        if move is not None and move.same:
            others.add(move.after)
        deployment.compare(self.limits, others)
        told: dict[tuple[int | tuple[str, ...], ...], Fate] = {}
        for one, was, carried in zip(alive, (one for one in group if not one.ended), spread, strict=True):
            fate = told.get(carried)
            if fate is None:
                fate = told[carried] = self._fate_of(deployment, carried, certain=overlay.is_certain(one))
            fates[id(was)] = ConnectionFate(one.connection_id, overlay.configuration(one), self._keyed(one, fate))
        return deployment

    def _fate_of(self, deployment: Deployment, carried: Sequence[int | tuple[str, ...]], *, certain: bool) -> Fate:
        told = _Told()
        for one in carried:
            told.add(deployment, one, 0)
        return told.fate(deployment, certain=certain or self.is_same, has_way=False)

    def _keyed(self, one: Living, fate: Fate) -> Fate:
        lost = [name for name in one.keys if name not in self.new.definition.keys]
        if not lost:
            return fate
        why = tuple(f"it is known by the key '{name}', which is not declared any more" for name in lost)
        return Fate(Counter({"gone": 1}), None, (*fate.why, *why))

    def _configurations(self, deployment: Deployment) -> Iterator[ConfigurationFate]:
        found: dict[tuple[int, ...], _Told] = {}
        for number, carried in enumerate(deployment.carried):
            if carried is not None:
                states = deployment.cases.states(deployment.graph.cases[number])
                found.setdefault(states, _Told()).add(deployment, carried, number)
        certain = deployment.graph.complete or self.is_same
        for states, told in found.items():
            situation = self.old.table.situation(states)
            yield ConfigurationFate(situation.configuration, situation.phase, told.fate(deployment, certain=certain))

    # -- new connections --

    def _registers_alike(self, usual: Registration) -> bool:
        """Whether a new connection requires what those that live go on to require."""
        return self.new.layout.required_by_default == self._goes_on_to_require(usual.required)

    def _goes_on_to_require(self, bits: int) -> int:
        names = self.old.layout.named(bits)
        return sum(bit for name, bit in self.new.layout.bits.items() if name in names)

    def _registered(self, deployment: Deployment) -> Fate:
        usual = Registration(self.old.layout.required_by_default)
        if not self._registers_alike(usual):
            anew = evolve(usual, required_anew=self.new.layout.required_by_default)
            deployment = Deployment(self.old, self.new, anew)
            self.deployments.append(deployment)
            move = deployment.at_registration()
            deployment.compare(self.limits, [move.after] if move is not None and move.same else [])
        else:
            move = deployment.at_registration()
        if move is None:
            return Fate(Counter({"undecided": 1}))
        if not move.same:
            return Fate(Counter({"changed": 1}), apart_at_once(deployment.pairs, move))
        verdict = deployment.verdict(move.after)
        difference: Difference | None = None
        if verdict == "changed":
            difference = deployment.difference(move.after, None)
        return Fate(Counter({verdict: 1}), difference)


def _warnings(old: Definition, new: Definition, found: Sequence[Change]) -> Iterator[str]:
    changed = [change for change in found if change.name != "version" and change.what != "property"]
    if changed and new.version <= old.version:
        raised = f"write version: {old.version + 1}"
        versions = f"{old.version} before, {new.version} now"
        yield f"the definition changed, and its version did not rise ({versions}): {raised}"
    if old.name != new.name:
        yield f"the name was '{old.name}' and is '{new.name}': connections are kept by the name of their definition"
    for name in old.keys.keys() - new.keys.keys():
        yield f"the key '{name}' is gone: events that find their connection by it alone find none any more"
