"""Scenarios by name: those that a definition carries as its examples, and those that lie beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from statemachines.errors import DefinitionError, Problem, suggestion
from statemachines.language import find_definition, load_definition
from statemachines.language.definition import Definition
from statemachines.simulation.examples import load_example
from statemachines.simulation.scenario import Scenario
from statemachines.simulation.scenario_file import load_scenario

SUFFIX = ".scenario.yaml"


def scenarios_of(definition: str | Path) -> list[str]:
    """The names of the scenarios in the folder ``scenarios`` beside a definition."""
    return sorted(path.name.removesuffix(SUFFIX) for path in _folder(definition).glob(f"*{SUFFIX}"))


def scenario_names(definition: str | Path, loaded: Definition) -> list[str]:
    """The names of all scenarios that come with a definition: its examples, and those beside it."""
    return list(dict.fromkeys([*loaded.examples, *scenarios_of(definition)]))


def open_scenario(definition: str | Path, loaded: Definition, name_or_path: str) -> Scenario:
    """A scenario by its path, or by the name of an example of the definition, or of one that lies beside it.

    :raises DefinitionError: there is none, and the message has the nearest name; or it is wrong
    """
    if name_or_path in loaded.examples and not Path(name_or_path).is_file():
        return load_example(find_definition(definition), loaded, name_or_path)
    return load_scenario(find_scenario(definition, name_or_path, loaded.examples), loaded)


def find_scenario(definition: str | Path, name_or_path: str | Path, examples: Iterable[str] = ()) -> Path:
    """The path of a scenario: a path as it is, or the name of one that lies beside the definition.

    :raises DefinitionError: there is none; the message has the nearest name, that of one of its ``examples`` included
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    beside = _folder(definition) / f"{name_or_path}{SUFFIX}"
    if beside.is_file():
        return beside
    known = [*examples, *scenarios_of(definition)]
    message = f"no such scenario{suggestion(str(name_or_path), known)}"
    if known:
        message += f"; {definition} comes with {', '.join(dict.fromkeys(known))}"
    raise DefinitionError([Problem(str(name_or_path), 1, 1, "error", message)])


def definition_beside(scenario: Path) -> Path | None:
    """The file of the definition in whose folder ``scenarios`` a scenario lies."""
    folder = scenario.resolve().parent.parent
    return next((file for file in (folder / f"{folder.name}.yaml", folder / "definition.yaml") if file.is_file()), None)


def loaded_beside(scenario: Path) -> Definition | None:
    """The definition in whose folder ``scenarios`` a scenario lies, if it can be loaded."""
    file = definition_beside(scenario)
    try:
        return None if file is None else load_definition(file)
    except DefinitionError:
        return None


def _folder(definition: str | Path) -> Path:
    return find_definition(definition).parent / "scenarios"
