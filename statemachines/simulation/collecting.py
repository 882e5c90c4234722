"""Which scenarios there are to test: in files, in folders, and with definitions, each with its definition.

Every definition is loaded once, however many scenarios it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import define, field, frozen

from statemachines.errors import DefinitionError, Problem
from statemachines.language import find_definition, load_definition, read_file
from statemachines.language.definition import Definition
from statemachines.language.library import looks_like_a_path, shipped_file
from statemachines.simulation.library import SUFFIX, definition_beside, open_scenario, scenario_names
from statemachines.simulation.scenario import Scenario
from statemachines.simulation.scenario_file import definition_file, load_scenario

_YAML = (".yaml", ".yml")


@frozen
class Case:
    """A scenario to be run, by its name, with its definition."""

    name: str
    definition: Definition
    scenario: Scenario


@frozen
class Refused:
    """A scenario or definition that cannot be run, and everything that is wrong with it."""

    name: str
    problems: tuple[Problem, ...]


def collect(paths: Iterable[str | Path]) -> Iterator[Case | Refused]:
    """The scenarios that paths name, each once: scenario files, definitions with all of theirs, and folders of both.

    A scenario file is run with the definition that it names, or else with the one beside whose folder it lies.
    """
    collector = _Collector()
    for path in paths:
        yield from collector.collect(path)


@define
class _Collector:
    _definitions: dict[Path, Definition] = field(factory=dict)
    _seen: set[str] = field(factory=set)

    def collect(self, path: str | Path) -> Iterator[Case | Refused]:
        if Path(path).is_dir() and (looks_like_a_path(str(path)) or shipped_file(str(path)) is None):
            yield from self._folder(Path(path))
        elif str(path).endswith(SUFFIX):
            yield from self._file(Path(path))
        else:
            yield from self._definition(path)

    def _folder(self, folder: Path) -> Iterator[Case | Refused]:
        found = False
        for file in sorted(folder.rglob("*")):
            if file.name.endswith(SUFFIX):
                found = True
                yield from self._file(file)
            elif file.suffix in _YAML and _has_examples(file):
                found = True
                yield from self._definition(file)
        if not found:
            message = f"no scenario in this folder: neither a file NAME{SUFFIX} nor a definition with examples"
            yield Refused(str(folder), (Problem(str(folder), 1, 1, "error", message),))

    def _file(self, file: Path) -> Iterator[Case | Refused]:
        if self._is_new(str(file.resolve())):
            name = file.name.removesuffix(SUFFIX)
            try:
                definition = self._definition_of(file)
                yield Case(name, definition, load_scenario(file, definition))
            except DefinitionError as error:
                yield Refused(str(file), error.problems)

    def _definition_of(self, file: Path) -> Definition:
        data = read_file(file).data
        named = data.get("definition") if isinstance(data, dict) else None
        # What cannot be a name is reported with the scenario's other problems.
        beside = definition_file(named, str(file)) if isinstance(named, str) and named else definition_beside(file)
        if beside is None:
            load_scenario(file)  # what else is wrong with it comes first
            message = "it does not say which definition it is for: add 'definition: NAME' at its top"
            raise DefinitionError([Problem(str(file), 1, 1, "error", message)])
        return self._load(beside)

    def _definition(self, name_or_path: str | Path) -> Iterator[Case | Refused]:
        try:
            file = find_definition(name_or_path)
            definition = self._load(file)
            names = scenario_names(file, definition)
            if not names:
                message = f"it comes with no scenarios: add examples, or files scenarios/NAME{SUFFIX} beside it"
                raise DefinitionError([Problem(str(name_or_path), 1, 1, "error", message)])
        except DefinitionError as error:
            yield Refused(str(name_or_path), error.problems)
            return
        for name in names:
            yield from self._named(file, definition, name)

    def _named(self, file: Path, definition: Definition, name: str) -> Iterator[Case | Refused]:
        try:
            scenario = open_scenario(file, definition, name)
        except DefinitionError as error:
            yield Refused(f"{definition.name} {name}", error.problems)
            return
        inside = name in definition.examples and not isinstance(definition.examples[name], str)
        place = f"{file.resolve()} {name}" if inside else str(Path(scenario.path).resolve())
        if self._is_new(place):
            yield Case(name, definition, scenario)

    def _load(self, file: Path) -> Definition:
        place = file.resolve()
        if place not in self._definitions:
            self._definitions[place] = load_definition(file)
        return self._definitions[place]

    def _is_new(self, place: str) -> bool:
        if place in self._seen:
            return False
        self._seen.add(place)
        return True


def _has_examples(file: Path) -> bool:
    data = read_file(file).data
    return isinstance(data, dict) and "examples" in data
