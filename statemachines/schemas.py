"""The JSON Schemas that ship with phasebus, for editors: of definitions, and of scenario files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from statemachines.language.schema import Schema, definition_schema
from statemachines.simulation.scenario_schema import scenario_body, scenario_parts, scenario_schema


def schema_of_definitions() -> Schema:
    """The schema of a definition, its examples included."""
    return definition_schema(scenario_body(), scenario_parts())


SCHEMAS: Mapping[str, Callable[[], Schema]] = {"definition": schema_of_definitions, "scenario": scenario_schema}
FILES = {"definition": "phasebus.schema.json", "scenario": "scenario.schema.json"}
"""Where each lies in the folder of the shipped definitions."""


def schema_text(kind: str) -> str:
    """The schema of a ``definition`` or ``scenario`` as the text of its file."""
    return json.dumps(SCHEMAS[kind](), indent=1, ensure_ascii=False) + "\n"
