"""``phasebus explore``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from phasebus_commands.arguments import (
    FOLDER,
    OBJECT_HELP,
    bounds,
    cases_option,
    load,
    time_option,
)
from phasebus_commands.files import write_scenarios
from phasebus_commands.terminal import make_console, search_progress

if TYPE_CHECKING:
    from statemachines import Definition
    from statemachines.exploration import Exploration
    from statemachines.language.traffic import Traffic


@click.command(short_help="Try every order of events, and judge the properties.")
@click.argument("definitions", nargs=-1, required=True, metavar="DEFINITION...")
@click.option("--traffic", metavar="FILE", help="Try only what the sources of this file send.")
@click.option("--json", "as_json", is_flag=True, help=OBJECT_HELP)
@click.option(
    "--scenarios",
    metavar="DIR",
    type=FOLDER,
    help="Write scenarios there: each counterexample, and few that cover all that was reached.",
)
@cases_option
@time_option
def explore(
    definitions: tuple[str, ...], traffic: str | None, as_json: bool, scenarios: str | None, cases: int, longest: str
) -> int:
    """Try all events in every order, time-outs included, and judge the definition's properties.

    A property that does not hold comes with the shortest way into it. Status 1 if there is one. Ctrl-C ends the search
    and shows what it has found.

    With --scenarios, what was reached is covered by as few scenarios as were found to do: every state, transition and
    guard outcome, with expectations that phasebus test DIR judges. A file in the way that somebody else wrote is kept,
    and is status 1.

    \b
    phasebus explore whatsapp_call
    phasebus explore my_call.yaml --traffic busy_hour.yaml
    phasebus explore call.yaml billing.yaml               two definitions on one bus
    phasebus explore my_call.yaml --scenarios found/      then: phasebus test found/ --coverage
    """
    from statemachines import exploration

    loaded = [load(definition) for definition in definitions]
    if len(loaded) > 1 and scenarios is not None:
        raise click.UsageError("--scenarios goes with one DEFINITION: a scenario plays one.")
    limits = bounds(cases, longest)
    sent = None if traffic is None else _load_traffic(traffic, definitions[0], loaded[0])
    with search_progress("exploring") as progress:
        if scenarios is None:
            found = exploration.explore_together(loaded, limits, progress, sent)
        else:
            found = exploration.explore(loaded[0], limits, progress, sent, cover=True)
    written, kept = (None, False) if scenarios is None else _write_found(loaded[0], definitions[0], found, scenarios)
    if as_json:
        click.echo(json.dumps({**found.to_dict(), **({} if written is None else {"scenarios": written})}))
    else:
        _report(found, loaded, written)
    return 1 if found.failed or kept else 0


def _load_traffic(name_or_path: str, called: str, definition: Definition) -> Traffic:
    from statemachines.language.traffic import find_traffic, load_traffic

    return load_traffic(find_traffic(called, name_or_path), definition)


def _write_found(definition: Definition, called: str, found: Exploration, folder: str) -> tuple[dict[str, Any], bool]:
    """Write what exploring found as scenarios; returns what they cover, and whether a file was in the way."""
    from statemachines.explored_scenarios import counterexamples, covering_suite

    suite = covering_suite(definition, found)
    files = write_scenarios([*counterexamples(definition, found), *suite.scenarios], folder, called)
    return {**suite.to_dict(), "written": [str(path) for path in files.written]}, bool(files.kept)


def _report(found: Exploration, definitions: Sequence[Definition], written: dict[str, Any] | None) -> None:
    """Tell people what was found, and what the scenarios cover that were written."""
    from statemachines.exploration.result import properties_of
    from statemachines.rendering.exploration import ExplorationReport
    from statemachines.rendering.outcomes import OutcomeLines

    console = make_console()
    console.print(ExplorationReport(found, properties_of(definitions)))
    if written is not None:
        OutcomeLines(console).add(written)
