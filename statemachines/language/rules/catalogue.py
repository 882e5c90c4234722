"""All rules, in the order in which a page or a list shows them, and how one is found by its name."""

from __future__ import annotations

from statemachines.errors import UnknownRule
from statemachines.language.names import near
from statemachines.language.rules import events, flow, guards, ignoring, naming, references, structure
from statemachines.language.rules.rule import Rule

FAMILIES: dict[str, tuple[Rule, ...]] = {
    "Ways through the chart": flow.RULES,
    "Guards and dependencies": guards.RULES,
    "Events": events.RULES,
    "How the chart is put together": structure.RULES,
    "What is named elsewhere": references.RULES,
    "Names": naming.RULES,
    "Ignoring rules": ignoring.RULES,
}

RULES: dict[str, Rule] = {rule.name: rule for family in FAMILIES.values() for rule in family}


def find_rule(name: str) -> Rule:
    """The rule of a name.

    :raises UnknownRule: with the nearest right name

    >>> find_rule("dead-end").severity
    'error'
    """
    if name not in RULES:
        raise UnknownRule(f"there is no rule '{name}'{near(name, RULES)}: phasebus validate --rules lists them all")
    return RULES[name]
