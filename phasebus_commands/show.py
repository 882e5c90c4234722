"""``phasebus show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from phasebus_commands.arguments import OUTPUT, OUTPUT_HELP, definition_argument, load
from phasebus_commands.files import write_drawing
from phasebus_commands.terminal import make_console, progress

if TYPE_CHECKING:
    from statemachines import Definition
    from statemachines.rendering.highlight import Highlight

_NO_DRAWINGS = {
    "json": "json is data",
    "scxml": "scxml is for other interpreters",
    "xstate": "xstate is for other interpreters",
}


@click.command(short_help="Draw a definition.")
@definition_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "mermaid", "dot", "svg", "png", "html", "json", "scxml", "xstate"]),
    default="tree",
    show_default=True,
    help="How to draw it. svg, png and html need pip install 'phasebus[pictures]'.",
)
@click.option("--highlight", metavar="STATE[,STATE...]", help="Set a phase apart, or a path of them.")
@click.option(
    "--scenario", metavar="SCENARIO", help="Let the html open with the steps of this scenario: a path or name."
)
@click.option("-o", "--output", type=OUTPUT, help=OUTPUT_HELP)
def show(definition: str, form: str, highlight: str | None, scenario: str | None, output: str | None) -> int:
    """Draw a definition: its states, real event names, guards, timers, dependencies, what is published.

    html is one file that plays it, in any browser and with no network: click an event, let time pass, undo.
    scxml and xstate are no drawings: other interpreters run them, and phasebus reads scxml again.

    \b
    phasebus show whatsapp_call
    phasebus show my_call.yaml --format mermaid -o my_call.mmd
    phasebus show whatsapp_call --format svg --highlight created,initializing,ready -o call.svg
    phasebus show whatsapp_call --format html -o call.html
    phasebus show my_call.yaml --format html --scenario found/setup_ends.scenario.yaml -o trouble.html
    phasebus show whatsapp_call --format json | jq .states
    phasebus show my_call.yaml --format scxml -o my_call.scxml
    """
    from statemachines.rendering.highlight import parse_highlight

    if scenario is not None and form != "html":
        raise click.UsageError("--scenario goes with --format html.")
    loaded = load(definition)
    lit = None if highlight is None else parse_highlight(highlight, loaded)
    if form == "tree":
        return _write_tree(loaded, lit, output)
    if form == "html":
        return write_drawing(form, output, lambda: _page(definition, loaded, lit, scenario))
    return write_drawing(form, output, lambda: _drawing(loaded, form, lit))


def _write_tree(definition: Definition, highlight: Highlight | None, output: str | None) -> int:
    from statemachines.rendering.tree import render_tree

    with click.open_file(output or "-", "w", encoding="utf-8") as file:
        make_console(file).print(render_tree(definition, highlight))
    return 0


def _page(called: str, definition: Definition, highlight: Highlight | None, scenario: str | None) -> bytes:
    from pathlib import Path

    from statemachines.language.library import looks_like_a_path
    from statemachines.rendering.page import render_page
    from statemachines.simulation.library import open_scenario

    opened = None if scenario is None else open_scenario(called, definition, scenario)
    title = Path(called).name if looks_like_a_path(called) else called
    with progress("working the table out"):
        return render_page(definition, highlight, opened, title).encode()


def _drawing(definition: Definition, form: str, highlight: Highlight | None) -> bytes:
    """The drawing as the bytes of a whole file."""
    if highlight is not None and form in _NO_DRAWINGS:
        raise click.UsageError(f"--highlight is for drawings; {_NO_DRAWINGS[form]}.")
    match form:
        case "mermaid":
            from statemachines.rendering.mermaid import render_mermaid

            return render_mermaid(definition, highlight).encode()
        case "dot":
            from statemachines.rendering.dot import render_dot

            return render_dot(definition, highlight).encode()
        case "json":
            from statemachines.rendering.definition_data import render_json

            return render_json(definition).encode()
        case "svg" | "png":
            from statemachines.rendering.pictures import render_picture

            return render_picture(definition, form, highlight)
        case "scxml" | "xstate":
            return _exported(definition, form)
    raise AssertionError(form)


def _exported(definition: Definition, form: str) -> bytes:
    """The definition in another notation; what goes missing there is told on standard error."""
    from statemachines.interchange import lost_elsewhere

    for lost in lost_elsewhere(definition):
        click.echo(f"warning: {lost}", err=True)
    if form == "scxml":
        from statemachines.interchange.scxml import render_scxml

        return f"{render_scxml(definition).rstrip()}\n".encode()
    from statemachines.interchange.xstate import render_xstate

    return f"{render_xstate(definition)}\n".encode()
