"""``phasebus diff``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from phasebus_commands.arguments import (
    FOLDER,
    INPUT,
    OBJECT_HELP,
    OUTPUT,
    OUTPUT_HELP,
    bounds,
    cases_option,
    input_name,
    load,
    time_option,
)
from phasebus_commands.files import write_drawing, write_scenarios
from phasebus_commands.terminal import make_console, search_progress

if TYPE_CHECKING:
    from statemachines import Definition
    from statemachines.comparison import Comparison
    from statemachines.comparison.living import Living


@click.command(short_help="Compare two versions of a definition: is it safe to deploy?")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option(
    "--connections",
    type=INPUT,
    help="JSON lines of the connections that live: a file, or - for standard input.",
)
@click.option("--strict", is_flag=True, help="Changed and undecided are a failure too.")
@click.option("--json", "as_json", is_flag=True, help=OBJECT_HELP)
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "dot", "svg", "png"]),
    default="tree",
    show_default=True,
    help="tree says and decides; the others only draw both versions as one picture.",
)
@click.option("-o", "--output", type=OUTPUT, help=OUTPUT_HELP)
@click.option(
    "--scenarios",
    metavar="DIR",
    type=FOLDER,
    help="Write the events that tell them apart there, as scenarios that hold with OLD.",
)
@cases_option
@time_option
def diff(
    old: str,
    new: str,
    connections: str | None,
    strict: bool,
    as_json: bool,
    form: str,
    output: str | None,
    scenarios: str | None,
    cases: int,
    longest: str,
) -> int:
    """Compare two versions of a definition: what changed, and what becomes of the connections that live.

    For each configuration that a connection of OLD can be in it is decided whether its future is the same with NEW,
    changed (with the shortest events that tell them apart), or whether it is gone: NEW has no place for it. Status 1 if
    one would be gone, of those in --connections if they are given.

    \b
    phasebus diff live/my_call.yaml my_call.yaml
    phasebus diff live/my_call.yaml my_call.yaml --connections alive.jsonl --strict
    phasebus diff live/my_call.yaml my_call.yaml --format svg -o changes.svg
    """
    before, after = load(old), load(new)
    if form != "tree":
        if as_json or strict or connections is not None or scenarios is not None:
            raise click.UsageError(f"--format {form} only draws: it goes with none of --json, --connections, ….")
        return write_drawing(form, output, lambda: _drawing_of_both(before, after, form))
    from statemachines.comparison import compare

    limits = bounds(cases, longest)
    living = None if connections is None else _read_living(connections, before)
    with search_progress("comparing") as progress:
        found = compare(before, after, living, limits, progress)
    _report(found, before, after, output, as_json)
    kept = scenarios is not None and _write_differences(found, before, old, scenarios)
    verdicts = found.verdicts()
    return 1 if kept or verdicts["gone"] or (strict and (verdicts["changed"] or verdicts["undecided"])) else 0


def _drawing_of_both(before: Definition, after: Definition, form: str) -> bytes:
    from statemachines.rendering.changes import render_both
    from statemachines.rendering.pictures import draw

    drawn = render_both(before, after)
    return drawn.encode() if form == "dot" else draw(drawn, "svg" if form == "svg" else "png")


def _read_living(connections: str, definition: Definition) -> list[Living]:
    from statemachines.comparison import read_living
    from statemachines.table.layout import Layout

    with click.open_file(connections, "rb") as lines:
        return read_living(lines, input_name(connections), Layout(definition))


def _report(found: Comparison, before: Definition, after: Definition, output: str | None, as_json: bool) -> None:
    from statemachines.rendering.comparison import ComparisonReport, comparison_data

    with click.open_file(output or "-", "w", encoding="utf-8") as file:
        if as_json:
            click.echo(json.dumps(comparison_data(found, before, after)), file=file)
        else:
            make_console(file if output else None).print(ComparisonReport(found, before, after))


def _write_differences(found: Comparison, before: Definition, called: str, folder: str) -> bool:
    """Write the events that tell the versions apart as scenarios; returns whether a file was in the way."""
    from statemachines.explored_scenarios import differences

    return bool(write_scenarios(differences(before, found), folder, called).kept)
