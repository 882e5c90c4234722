"""The scenarios that a definition carries under ``examples``, written there or in files that it names.

The language knows only that each is a mapping or a path; here they are scenarios like any other, whose problems are
reported at their lines in the definition's file.
"""

from __future__ import annotations

from pathlib import Path

from statemachines.errors import DefinitionError, Problem
from statemachines.language.composition import compose
from statemachines.language.definition import Definition
from statemachines.language.files import Beside, locate
from statemachines.language.source import Source, read_file
from statemachines.language.structuring import Wrong
from statemachines.simulation.scenario import Scenario
from statemachines.simulation.scenario_file import check_scenario


def check_examples(source: Source, definition: Definition) -> list[Problem]:
    """What is wrong with the examples of a definition that is good itself and was read from ``source``."""
    return [problem for name in definition.examples for problem in _check(source, definition, name)[1]]


def load_example(path: Path, definition: Definition, name: str) -> Scenario:
    """The example ``name`` of the definition that ``path`` holds.

    :raises DefinitionError: with every problem of that example, if one of them is an error
    """
    scenario, problems = _check(compose(read_file(path)), definition, name)
    if scenario is None:
        raise DefinitionError(problems)
    return scenario


def _check(source: Source, definition: Definition, name: str) -> tuple[Scenario | None, list[Problem]]:
    place = ("examples", name)
    written = definition.examples[name]
    if not isinstance(written, str):
        return check_scenario(source.part(place), definition)
    try:
        found = locate(written, None if source.folder is None else Beside.of(source.folder))
    except Wrong as wrong:
        return None, [source.problem(place, wrong.message)]
    return check_scenario(read_file(found.real, called=str(found.shown)), definition)
