"""The pytest plugin: every ``NAME.scenario.yaml`` below the tested folders is a test.

pytest finds it by itself once phasebus is installed; ``-p no:phasebus`` leaves it out. A scenario is run as by
``phasebus test``, with the definition that it names or beside whose folder it lies. It is a module of its own, outside
the packages, so that a run of pytest that has no scenario imports nothing of phasebus.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from statemachines.simulation.collecting import Case, Refused

_ENDING = ".scenario.yaml"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """A scenario file is collected; all others are for somebody else."""
    return ScenarioFile.from_parent(parent, path=file_path) if file_path.name.endswith(_ENDING) else None


class ScenarioFile(pytest.File):
    """A file with one scenario."""

    def collect(self) -> Iterator[ScenarioItem]:
        """Its one test."""
        yield ScenarioItem.from_parent(self, name=self.path.name.removesuffix(_ENDING))


class ScenarioFailed(Exception):
    """What did not hold, each in one line: shown as it is, with no traceback."""


class ScenarioItem(pytest.Item):
    """A scenario as a test."""

    def runtest(self) -> None:
        """Run it, and judge what it expects."""
        from statemachines.simulation.collecting import Case, collect
        from statemachines.simulation.trial import run_trial

        found: Case | Refused
        for found in collect([self.path]):
            failures = (
                run_trial(found.definition, found.scenario).failures
                if isinstance(found, Case)
                else map(str, found.problems)
            )
            if said := "\n".join(failures):
                raise ScenarioFailed(said)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """What did not hold; a traceback only of what nobody expected."""
        if isinstance(excinfo.value, ScenarioFailed):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it stands."""
        return self.path, 0, f"scenario: {self.name}"
