"""``phasebus test``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from phasebus_commands.arguments import LINES_HELP, OUTPUT
from phasebus_commands.terminal import make_console, nothing, progress

if TYPE_CHECKING:
    from statemachines.simulation.testing import Outcome


@click.command(short_help="Run scenarios as tests.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--coverage", is_flag=True, help="Say which states, transitions and guard outcomes were covered.")
@click.option("--mutation", is_flag=True, help="Change one part of the definition at a time: is it noticed?")
@click.option("--junit", type=OUTPUT, help="Write JUnit XML to this file too.")
@click.option("--json", "as_json", is_flag=True, help=LINES_HELP)
def test(paths: tuple[str, ...], coverage: bool, mutation: bool, junit: str | None, as_json: bool) -> int:
    """Run scenarios, and judge what they expect, and the properties of their definitions on the way.

    PATH is a scenario file, a definition (all scenarios that come with it), or a folder of both. Status 1 if anything
    did not hold or could not be run. What is not covered or not noticed is no failure.

    \b
    phasebus test calls/ --junit results.xml
    phasebus test whatsapp_call --coverage
    phasebus test my_call.yaml --mutation
    """
    from statemachines.rendering.json_lines import JsonLines
    from statemachines.rendering.outcomes import OutcomeLines
    from statemachines.simulation.testing import Outcome, run_scenarios, summary_of

    tell = JsonLines(sys.stdout).write if as_json else OutcomeLines(make_console()).add
    outcomes: list[Outcome] = []
    with progress("testing") as status:
        for told in run_scenarios(paths, coverage=coverage, mutation=mutation, progress=status or nothing):
            if isinstance(told, Outcome):
                outcomes.append(told)
            tell(told.to_dict())
    summary = summary_of(outcomes)
    tell(summary)
    if junit is not None:
        _write_junit(outcomes, junit)
    return 0 if summary["passed"] == summary["scenarios"] else 1


def _write_junit(outcomes: list[Outcome], path: str) -> None:
    from statemachines.simulation.junit import junit_xml

    with click.open_file(path, "wb") as file:
        file.write(junit_xml(outcomes))
