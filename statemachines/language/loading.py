"""From a name, a path or a text to a checked :class:`Definition`, or to every problem that it has.

Four steps follow each other: the text is YAML (``source``) or SCXML (``scxml``), what it takes from other files is put
in (``composition``), its values have the right shape (``vocabulary``), and what they say makes sense (``rules``). A
fault in one part does not hide those in others: the wrong parts are taken out, and the rules run over what remains.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from statemachines.errors import DefinitionError, Problem
from statemachines.language.composition import compose
from statemachines.language.definition import Definition
from statemachines.language.library import find_definition
from statemachines.language.rules import check_rules
from statemachines.language.salvage import salvage
from statemachines.language.scxml import is_scxml, read_scxml
from statemachines.language.source import Source, read_content, read_file, read_yaml
from statemachines.language.structuring import attempt, problems_of
from statemachines.language.truth import MakeTruth
from statemachines.language.vocabulary import definition_converter


def load_definition(source: str | Path) -> Definition:
    """Load a definition by the name of a shipped one, or by its path.

    What it extends or includes is read from its own folder and below, or from what ships with phasebus.

    :raises DefinitionError: with every problem of the file, if one of them is an error.

    >>> load_definition("whatsapp_call").name
    'whatsapp_call'
    """
    return _only_if_good(*check_source(_no_fragment(compose(read_definition(find_definition(source))))))


def read_definition(path: str | Path) -> Source:
    """A definition's file as plain data with places, from YAML or, by its suffix, from SCXML."""
    if not is_scxml(str(path)):
        return read_file(path)
    content = read_content(path, str(path))
    return content if isinstance(content, Source) else read_scxml(content, str(path))


def parse_definition(text: str, path: str = "<text>") -> Definition:
    """Load a definition from its text; ``path`` is what its problems call it, and is not looked at.

    A text is nowhere, so that it can extend and include only what ships with phasebus.

    :raises DefinitionError: with every problem of the text, if one of them is an error.
    """
    return _only_if_good(*check_source(_no_fragment(compose(read_yaml(text, path)))))


def check_definition(content: str | bytes, path: str) -> tuple[Definition | None, list[Problem]]:
    """A definition, if it has no errors, and all its errors and warnings by line. Never raises on bad input."""
    return check_source(read_yaml(content, path))


def check_source(source: Source, truth: MakeTruth | None = None) -> tuple[Definition | None, list[Problem]]:
    """As :func:`check_definition`, for a file that has been read; ``truth`` answers the rules that ask about guards.

    A fragment is checked, and is no definition.
    """
    source = compose(source)
    if not source.readable:
        return None, sorted(source.problems)
    converter = definition_converter()
    definition, faults = attempt(source.data, Definition, converter)
    if source.fragment or not source.complete:  # what it lacks is a matter of others, or was in a file that is missing
        definition, faults = None, [fault for fault in faults if fault.location]
    problems = {*source.problems, *problems_of(faults, source)}
    rest = salvage(source.data, faults, converter) if definition is None and source.complete else definition
    if rest is not None:
        problems.update(check_rules(rest, source, [*(fault.location for fault in faults), *source.broken], truth))
    good = definition is not None and all(problem.severity == "warning" for problem in problems)
    return (definition if good else None), sorted(problems)


def _only_if_good(definition: Definition | None, problems: list[Problem]) -> Definition:
    if definition is None:
        raise DefinitionError(problems)
    return definition


def _no_fragment(source: Source) -> Source:
    """The source, with one problem more if it is a fragment."""
    if not source.fragment:
        return source
    message = "this is a fragment, which holds parts for definitions: include its states in one"
    return evolve(source, problems=(*source.problems, source.problem((), message)))
