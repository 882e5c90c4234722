"""What makes sense: small named rules over a loaded definition; all run, and all findings are reported."""

from __future__ import annotations

from collections.abc import Collection

from statemachines.errors import Problem
from statemachines.language.definition import Definition
from statemachines.language.source import Location, Source


def check_rules(definition: Definition, source: Source, faulty: Collection[Location]) -> list[Problem]:
    """The findings of every rule."""
    return []
