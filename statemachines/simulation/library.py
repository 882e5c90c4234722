"""Scenarios by name: those that lie beside their definition."""

from __future__ import annotations

from pathlib import Path

from statemachines.errors import DefinitionError, Problem, suggestion
from statemachines.language import find_definition

SUFFIX = ".scenario.yaml"


def scenarios_of(definition: str | Path) -> list[str]:
    """The names of the scenarios in the folder ``scenarios`` beside a definition."""
    return sorted(path.name.removesuffix(SUFFIX) for path in _folder(definition).glob(f"*{SUFFIX}"))


def find_scenario(definition: str | Path, name_or_path: str | Path) -> Path:
    """The path of a scenario: a path as it is, or the name of one that lies beside the definition.

    :raises DefinitionError: there is none; the message has the nearest name
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    beside = _folder(definition) / f"{name_or_path}{SUFFIX}"
    if beside.is_file():
        return beside
    known = scenarios_of(definition)
    message = f"no such scenario{suggestion(str(name_or_path), known)}"
    if known:
        message += f"; {definition} comes with {', '.join(known)}"
    raise DefinitionError([Problem(str(name_or_path), 1, 1, "error", message)])


def _folder(definition: str | Path) -> Path:
    return find_definition(definition).parent / "scenarios"
