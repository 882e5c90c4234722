"""What comparing two definitions found, as values; :mod:`statemachines.rendering.comparison` tells people of it."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from attrs import frozen

from statemachines.comparison.changes import Change
from statemachines.exploration.result import Step

Verdict = Literal["same", "changed", "gone", "undecided"]
VERDICTS: tuple[Verdict, ...] = ("same", "changed", "gone", "undecided")
WORST_FIRST: tuple[Verdict, ...] = ("gone", "changed", "undecided", "same")


def worst(verdicts: Counter[Verdict]) -> Verdict:
    """The verdict of several cases together: same only if all of them are."""
    return next((one for one in WORST_FIRST if verdicts[one]), "undecided")


@frozen
class Difference:
    """The shortest events that tell two definitions apart.

    :ivar way: the steps that lead a connection of the old definition to where it is when the new one comes
    :ivar events: the steps after that; none if they are apart at once
    :ivar old: what the old definition does on the last of them, in words
    :ivar new: what the new one does
    :ivar replay: ``way`` and ``events`` as a scenario plays them
    :ivar configuration: the states that are active at the end of it under the old definition
    """

    way: tuple[Step, ...]
    events: tuple[Step, ...]
    old: tuple[str, ...]
    new: tuple[str, ...]
    replay: tuple[Step, ...] = ()
    configuration: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields that the JSON of ``phasebus diff`` has of it."""
        return {
            "way": list(self.way),
            "events": list(self.events),
            "old": list(self.old),
            "new": list(self.new),
        }


_NO_DIFFERENCE = {"way": None, "events": None, "old": None, "new": None}


@frozen
class Fate:
    """What becomes of connections that are alike.

    :ivar cases: how many of their cases have each verdict
    :ivar difference: what tells old and new apart, if the verdict is ``changed``
    :ivar why: why they are gone
    """

    cases: Counter[Verdict]
    difference: Difference | None = None
    why: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst that becomes of one of them."""
        return worst(self.cases)

    def to_dict(self) -> dict[str, Any]:
        """The fields that all fates have in the JSON."""
        told = _NO_DIFFERENCE if self.difference is None else self.difference.to_dict()
        return {
            "verdict": self.verdict,
            "cases": {verdict: self.cases[verdict] for verdict in VERDICTS},
            **told,
            "why": list(self.why),
        }


@frozen
class ConfigurationFate:
    """What becomes of all connections in one configuration."""

    configuration: tuple[str, ...]
    phase: str
    fate: Fate

    def to_dict(self) -> dict[str, Any]:
        """One of ``configurations`` in the JSON."""
        return {"configuration": list(self.configuration), "phase": self.phase, **self.fate.to_dict()}


@frozen
class ConnectionFate:
    """What becomes of one living connection."""

    connection_id: str
    configuration: tuple[str, ...]
    fate: Fate

    def to_dict(self) -> dict[str, Any]:
        """One of ``connections`` in the JSON."""
        return {
            "connection_id": self.connection_id,
            "configuration": list(self.configuration),
            **self.fate.to_dict(),
        }


@frozen
class Comparison:
    """All of it.

    :ivar configurations: what becomes of the connections of the old definition, by where they can be
    :ivar registered: what becomes of a connection that is registered anew
    :ivar connections: what becomes of those that live; None if nobody named any
    :ivar cases: the cases that a connection of the old definition can be in, as far as tried
    :ivar pairs: the pairs of cases that were compared
    :ivar why_cut: why it is not complete; None if it is
    """

    old_name: str
    old_version: int
    new_name: str
    new_version: int
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    configurations: tuple[ConfigurationFate, ...]
    registered: Fate
    connections: tuple[ConnectionFate, ...] | None
    cases: int
    pairs: int
    seconds: float
    why_cut: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all was tried."""
        return self.why_cut is None

    def verdicts(self) -> Counter[Verdict]:
        """How many have each verdict: of the living connections, if they are known, else of the configurations."""
        judged = self.configurations if self.connections is None else self.connections
        return Counter(one.fate.verdict for one in judged)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``phasebus diff``, without the changes: how those are said is for who draws them."""
        verdicts = self.verdicts()
        return {
            "old": {"name": self.old_name, "version": self.old_version},
            "new": {"name": self.new_name, "version": self.new_version},
            "warnings": list(self.warnings),
            "configurations": [one.to_dict() for one in self.configurations],
            "registered": self.registered.to_dict(),
            "connections": None if self.connections is None else [one.to_dict() for one in self.connections],
            "summary": {verdict: verdicts[verdict] for verdict in VERDICTS},
            "cases": self.cases,
            "pairs": self.pairs,
            "complete": self.complete,
            "why_cut": self.why_cut,
            "notes": list(self.notes),
        }
