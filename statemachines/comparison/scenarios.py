"""The events that tell two definitions apart as scenario files: what the old definition does with them holds.

Such a scenario passes with the old definition. With the new one it begins anew, and usually fails: a connection that
the new definition has had from the start need not stand where one stands that was carried over.
"""

from __future__ import annotations

from collections import Counter

from statemachines.comparison.result import Comparison
from statemachines.exploration.result import Way
from statemachines.exploration.scenarios import ENDING, scenario_text


def scenarios_of(found: Comparison) -> dict[str, str]:
    """A scenario for each configuration whose future changes, by the name of a file for it."""
    files: dict[str, str] = {}
    phases = Counter(one.phase for one in found.configurations)
    for number, one in enumerate(found.configurations, start=1):
        difference = one.fate.difference
        if difference is not None:
            name = one.phase if phases[one.phase] == 1 else f"{one.phase}_{number}"
            description = f"{one.phase}: before {'; '.join(difference.old)}; now {'; '.join(difference.new)}"
            way = Way((*difference.way, *difference.events), (), "", difference.configuration, difference.replay)
            files[f"{name}{ENDING}"] = scenario_text(found.old_name, description, way)
    return files
