"""What the tests of the shipped definitions share: their scenarios, run in process, and their pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from statemachines import load_definition, shipped_definitions
from statemachines.simulation.library import find_scenario, scenarios_of
from statemachines.simulation.scenario import Scenario
from statemachines.simulation.scenario_file import load_scenario
from statemachines.simulation.trial import Trial, run_trial

PAGES = Path(__file__).parent.parent / "docs" / "definitions"
SCENARIOS = [(name, scenario) for name in shipped_definitions() for scenario in scenarios_of(name)]


@cache
def scenario_of(definition: str, name: str) -> Scenario:
    """A shipped scenario."""
    return load_scenario(find_scenario(definition, name), load_definition(definition))


@cache
def run_shipped(definition: str, name: str) -> Trial:
    """Run a shipped scenario with its definition, once for all tests."""
    return run_trial(load_definition(definition), scenario_of(definition, name))


def page_of(definition: str) -> str:
    """The page of a shipped definition; nothing if there is none."""
    page = PAGES / f"{definition}.md"
    return page.read_text(encoding="utf-8") if page.exists() else ""


def blocks(text: str, language: str) -> Iterator[str]:
    """The fenced blocks of a language in a page."""
    return (match.group(1) for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
