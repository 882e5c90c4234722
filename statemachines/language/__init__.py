"""The definition language: reading it, checking it, and the classes that hold what it says."""

from statemachines.errors import DefinitionError, ExpressionError, Problem
from statemachines.language.definition import (
    After,
    Call,
    Definition,
    Dependency,
    Property,
    Publish,
    Remembered,
    State,
    Transition,
    Trigger,
)
from statemachines.language.durations import DurationError, parse_duration
from statemachines.language.expressions import Expression, parse_expression
from statemachines.language.library import find_definition, shipped_definitions
from statemachines.language.loading import check_definition, load_definition, parse_definition
from statemachines.language.source import Source, read_file, read_yaml
from statemachines.language.structuring import Faults, Wrong, strict_converter, structure

__all__ = [
    "After",
    "Call",
    "Definition",
    "DefinitionError",
    "Dependency",
    "DurationError",
    "Expression",
    "ExpressionError",
    "Faults",
    "Problem",
    "Property",
    "Publish",
    "Remembered",
    "Source",
    "State",
    "Transition",
    "Trigger",
    "Wrong",
    "check_definition",
    "find_definition",
    "load_definition",
    "parse_definition",
    "parse_duration",
    "parse_expression",
    "read_file",
    "read_yaml",
    "shipped_definitions",
    "strict_converter",
    "structure",
]
