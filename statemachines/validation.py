"""Checking files as ``phasebus validate`` does: definitions and scenarios, whole folders of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import frozen

from statemachines.errors import DefinitionError, Problem
from statemachines.language import find_definition, read_file, traffic
from statemachines.language.composition import compose
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
    definition = loaded_beside(file)
    if definition is None:
        message = "it is checked with its definition, beside whose folder 'traffic' it lies: here is none"
        return [Problem(str(file), 1, 1, "error", message)]
    return traffic.check_traffic(read_file(file), definition)[1]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
