"""Running the rules: in which order, over what, and which findings count.

A finding does not count if it only follows from a part that is known to be faulty, or if the file ignores its rule
there. Rules that ask how guards come out run when all others found no error; rules about findings run last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from attrs import evolve, frozen

from statemachines.errors import Problem
from statemachines.language.definition import Definition
from statemachines.language.places import Placed
from statemachines.language.rules.catalogue import RULES
from statemachines.language.rules.ignoring import Ignored, ignored_in
from statemachines.language.rules.rule import Finding, Needs, Rule
from statemachines.language.source import Location, Source
from statemachines.language.truth import MakeTruth


def check_rules(
    definition: Definition, source: Source, faulty: Collection[Location], truth: MakeTruth | None = None
) -> list[Problem]:
    """What all rules find, without what only follows from the parts that are known to be ``faulty``.

    With no ``truth`` the rules that ask how guards come out are left out; all of them are warnings.
    """
    placed = Placed(definition, source, ignorable=_IGNORABLE, rules=frozenset(RULES))
    found = _Found(placed, _Faulty.of(faulty))
    if source.fragment:
        found.run("part", _NOT_OF_A_FRAGMENT)
        return found.problems
    found.run("part")
    ran: set[Needs] = {"part"}
    if not faulty:
        found.run("chart")
        ran.add("chart")
    if truth is not None and not faulty and not found.has_errors:
        found.placed = evolve(placed, truth=truth(definition))
        found.run("sound")
        ran.add("sound")
    if not faulty:
        found.placed = evolve(placed, idle_ignores=found.idle_ignores(ran))
        found.run("findings")
    return found.problems


# A fragment may speak of what only those have who include from it.
_NOT_OF_A_FRAGMENT = frozenset(
    {
        "initial-state",
        "unknown-target",
        "unknown-name",
        "unknown-state-of-property",
        "end-never-comes",
    }
)
_IGNORABLE = frozenset(name for name, rule in RULES.items() if rule.ignorable)


class _Found:
    """What has been found so far, and which of the ignored rules would have found something."""

    def __init__(self, placed: Placed, faulty: _Faulty) -> None:
        self.placed = placed
        self.problems: list[Problem] = []
        self._faulty = faulty
        self._ignored = [ignored for ignored in ignored_in(placed) if ignored.rule in _IGNORABLE]
        self._used: set[Ignored] = set()

    @property
    def has_errors(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)

    def run(self, needs: Needs, besides: Collection[str] = ()) -> None:
        """Run the rules that need no more than this, those ``besides`` left out."""
        for rule in RULES.values():
            if rule.needs == needs and rule.name not in besides:
                self._add(rule, rule.check(self.placed))

    def idle_ignores(self, ran: Collection[Needs]) -> tuple[Ignored, ...]:
        """What is ignored although its rule ran and found nothing there."""
        return tuple(one for one in self._ignored if one not in self._used and RULES[one.rule].needs in ran)

    def _add(self, rule: Rule, findings: Iterable[Finding]) -> None:
        source = self.placed.source
        for found in findings:
            if source.is_broken(found.location) or self._faulty.explains(found.location):
                continue
            ignored = next((one for one in self._ignored if one.covers(rule.name, found.location)), None)
            if ignored is not None:
                self._used.add(ignored)
                continue
            problem = source.problem(
                found.location, found.message, severity=rule.severity, key=found.key, offset=found.offset
            )
            self.problems.append(evolve(problem, rule=rule.name))


@frozen
class _Faulty:
    """Which findings only follow from faulty parts: those inside one, and those about what one is missing from."""

    parts: frozenset[Location]
    around: frozenset[Location]

    @classmethod
    def of(cls, parts: Collection[Location]) -> _Faulty:
        around = {
            wrong[:length]
            for wrong in parts
            for length in range(len(wrong) + 1)
            # Siblings are judged together for their `initial` only, whatever else is wrong inside one of them.
            if wrong[length - 1 : length] != ("states",) or wrong[-1] == "initial"
        }
        return cls(frozenset(parts), frozenset(around))

    def explains(self, location: Location) -> bool:
        inside = any(location[:length] in self.parts for length in range(1, len(location) + 1))
        return inside or location in self.around
