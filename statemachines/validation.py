"""Checking files as ``phasebus validate`` does: definitions and scenarios, whole folders of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from statemachines.errors import DefinitionError, Problem
from statemachines.language import find_definition, load_definition, read_file, traffic
from statemachines.language.composition import compose
from statemachines.language.definition import Definition
from statemachines.language.loading import check_source, read_definition
from statemachines.simulation.examples import check_examples
from statemachines.simulation.library import SUFFIX, loaded_beside
from statemachines.simulation.scenario_file import check_scenario
from statemachines.table.truth import truth_of


@frozen
class Report:
    """What was found in how many files."""

    problems: tuple[Problem, ...]
    files: int

    @property
    def failed(self) -> bool:
        """Whether any problem is an error."""
        return any(problem.severity == "error" for problem in self.problems)

    def summary(self) -> str:
        """One line for people."""
        errors = sum(problem.severity == "error" for problem in self.problems)
        warnings = len(self.problems) - errors
        found = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}" if self.problems else "no problems"
        return f"{_count(self.files, 'file')} checked: {found}"


def validate_paths(paths: Iterable[str | Path]) -> Report:
    """Check every definition and scenario that the paths name: files, folders, names of shipped definitions."""
    problems: list[Problem] = []
    files = 0
    for path in paths:
        try:
            for file in _files(path):
                files += 1
                problems += _check(file)
        except DefinitionError as error:
            problems += error.problems
    # What several files take over from one that is wrong is wrong in one place.
    return Report(tuple(dict.fromkeys(problems)), files)


def _files(path: str | Path) -> Iterator[Path]:
    folder = Path(path)
    if not folder.is_dir():
        yield find_definition(path)
        return
    found = sorted(file for file in folder.rglob("*") if file.suffix in (".yaml", ".yml", ".scxml"))
    if not found:
        raise DefinitionError([Problem(str(path), 1, 1, "error", "no .yaml or .scxml file in this folder")])
    yield from found


def _check(file: Path) -> Iterable[Problem]:
    if file.name.endswith(SUFFIX):
        return check_scenario(read_file(file), loaded_beside(file))[1]
    if file.name.endswith(traffic.SUFFIX):
        return _check_traffic(file)
    source = compose(read_definition(file))
    definition, problems = check_source(source, truth_of)
    return problems if definition is None else [*problems, *check_examples(source, definition)]


def _check_traffic(file: Path) -> Iterable[Problem]:
    source = read_file(file)
    for definition in _definitions_of(file, source.data):
        yield from traffic.check_traffic(source, definition)[1]


def _definitions_of(file: Path, data: object) -> list[Definition]:
    """Whom a traffic file is for: the definition whose folder 'traffic' it lies in, or those in its own folder."""
    beside = loaded_beside(file)
    if beside is not None:
        return [beside]
    named = data.get("definition") if isinstance(data, dict) else None
    found = []
    for other in sorted(file.parent.glob("*.yaml")):
        if not other.name.endswith((SUFFIX, traffic.SUFFIX)):
            with suppress(DefinitionError):  # told of where the definition itself is checked
                found.append(load_definition(other))
    found = [definition for definition in found if named in (None, definition.name)]
    if not found:
        message = "it is checked with its definition, in the same folder or beside its folder 'traffic': there is none"
        raise DefinitionError([Problem(str(file), 1, 1, "error", message)])
    return found


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
