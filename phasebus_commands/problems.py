"""What was wrong with the lines of an input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from statemachines import Problem


class Problems:
    """Collects problems, to be told when all else is, and judges the whole: warnings alone are no failure."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(self, problem: Problem) -> None:
        """Take one more."""
        self._found.append(problem)

    def tell(self) -> None:
        """Write them to standard error."""
        for problem in self._found:
            click.echo(str(problem), err=True)

    @property
    def failed(self) -> bool:
        """Whether one of them is an error."""
        return any(problem.severity == "error" for problem in self._found)
