"""The command. It parses, calls the library and renders; everything heavy is imported by the command that needs it.

Exit status: 0 good, 1 problems found, 2 wrong usage, 130 interrupted. No traceback reaches a user.
"""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from bus import Event, EventBus
    from statemachines import ConnectionLifecycle, Definition
    from statemachines.exploration import Exploration
    from statemachines.explored_scenarios import Files, Written
    from statemachines.lifecycle.sidecar import Input, Sidecar
    from statemachines.rendering.highlight import Highlight
    from statemachines.rendering.json_lines import JsonLines
    from statemachines.rendering.live import LiveStatistics
    from statemachines.rendering.timeline import Timeline

_DEFINITION = click.argument("definition", metavar="DEFINITION")
_CALLS = 1000
_EVENTS_HELP = "JSON lines of events: a file, or - for standard input."


def main() -> None:
    """Run the command and end the process."""
    if hasattr(signal, "SIGPIPE"):
        # Whoever read our output (head, say) has seen enough: end quietly, as other filters do.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(run_command())


def run_command() -> int:
    """Run the command with the arguments of the process; returns the exit status."""
    try:
        return int(cli.main(standalone_mode=False) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:
        return _explain_failure(error)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="phasebus", message="phasebus %(version)s")
def cli() -> None:
    """Declare the phases of a connection in YAML; events drive them, readiness guards them.

    \b
    phasebus show whatsapp_call                     look at a definition that ships with phasebus
    phasebus simulate whatsapp_call happy_call      run one of its scenarios on a virtual clock
    phasebus explore whatsapp_call                  try every order of events
    phasebus reduce whatsapp_call --events …        from a recording to the smallest scenario that shows it
    phasebus diff old.yaml new.yaml                 may this go live: what becomes of the calls that live?
    phasebus test whatsapp_call                     run them all as tests
    phasebus validate calls/my_call.yaml            check one of your own
    phasebus run my_call.yaml < events.jsonl        run it live: events in, lifecycle events out

    DEFINITION is a path to a YAML or SCXML file, or the name of a shipped definition.
    """


@cli.command(short_help="Check definitions and scenarios.")
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--strict", is_flag=True, help="Warnings are a failure too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a problem, nothing else on standard output.")
@click.option("--sarif", is_flag=True, help="SARIF 2.1.0 for code hosts, nothing else on standard output.")
@click.option("--rules", "list_rules", is_flag=True, help="List all rules instead.")
@click.option("--explain", metavar="RULE", help="Explain a rule instead, with an example of each side.")
def validate(
    paths: tuple[str, ...], strict: bool, as_json: bool, sarif: bool, list_rules: bool, explain: str | None
) -> int:
    """Check definitions and scenarios: files, folders of them, or names of shipped definitions.

    Every problem of every file is reported, as path:line:column. Warnings alone are no failure.

    \b
    phasebus validate definitions/
    phasebus validate my_call.yaml --strict
    phasebus validate my_call.yaml --json | jq .message
    phasebus validate --explain dead-end
    """
    from statemachines.validation import validate_paths

    if list_rules or explain is not None:
        return _show_rules(explain)
    if not paths:
        raise click.UsageError("Give a PATH to check, --rules or --explain RULE.")
    if as_json and sarif:
        raise click.UsageError("Give --json or --sarif, and not both.")
    report = validate_paths(paths)
    if sarif:
        from statemachines.rendering.sarif import sarif_log

        click.echo(json.dumps(sarif_log(report.problems), indent=2, ensure_ascii=False))
    else:
        for problem in report.problems:
            click.echo(json.dumps(problem.to_dict()) if as_json else str(problem))
    click.echo(report.summary(), err=True)
    return 1 if report.failed or (strict and report.problems) else 0


def _show_rules(explained: str | None) -> int:
    from statemachines.language.rules import find_rule
    from statemachines.rendering.rules import render_rule, render_rules

    shown = render_rules() if explained is None else render_rule(find_rule(explained))
    _console().print(shown, soft_wrap=explained is None)  # a rule of the list stays on its line
    return 0


@cli.command(short_help="Draw a definition.")
@_DEFINITION
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
@click.option("-o", "--output", type=click.Path(dir_okay=False, writable=True), help="Write to this file instead.")
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
    loaded = _load(definition)
    lit = None if highlight is None else parse_highlight(highlight, loaded)
    if form == "tree":
        from statemachines.rendering.tree import render_tree

        with click.open_file(output or "-", "w", encoding="utf-8") as file:
            _console(file=file).print(render_tree(loaded, lit))
        return 0
    if form == "html":
        return _write_drawing(form, output, lambda: _page(definition, loaded, lit, scenario))
    return _write_drawing(form, output, lambda: _drawing(loaded, form, lit))


def _write_drawing(form: str, output: str | None, draw: Callable[[], bytes]) -> int:
    """Write a drawing, made before the file is opened: one that fails must leave it as it was."""
    if form == "png" and output is None and sys.stdout.isatty():
        raise click.UsageError("A PNG is nothing for a terminal: name a file with -o.")
    drawn = draw()
    with click.open_file(output or "-", "wb") as target:
        target.write(drawn)
    return 0


def _drawing(definition: Definition, form: str, highlight: Highlight | None) -> bytes:
    """The drawing as the bytes of a whole file."""
    match form:
        case "mermaid":
            from statemachines.rendering.mermaid import render_mermaid

            return render_mermaid(definition, highlight).encode()
        case "dot":
            from statemachines.rendering.dot import render_dot

            return render_dot(definition, highlight).encode()
        case "json":
            if highlight is not None:
                raise click.UsageError("--highlight is for drawings; json is data.")
            from statemachines.rendering.definition_data import render_json

            return render_json(definition).encode()
        case "scxml" | "xstate":
            if highlight is not None:
                raise click.UsageError(f"--highlight is for drawings; {form} is for other interpreters.")
            return _exported(definition, form)
        case "svg" | "png":
            from statemachines.rendering.pictures import render_picture

            return render_picture(definition, form, highlight)
    raise AssertionError(form)


def _page(definition: str, loaded: Definition, highlight: Highlight | None, scenario: str | None) -> bytes:
    from pathlib import Path

    from statemachines.language.library import looks_like_a_path
    from statemachines.rendering.page import render_page
    from statemachines.simulation.library import open_scenario

    opened = None if scenario is None else open_scenario(definition, loaded, scenario)
    called = Path(definition).name if looks_like_a_path(definition) else definition
    with _progress("working the table out"):
        return render_page(loaded, highlight, opened, called).encode()


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


@cli.command(short_help="Print the JSON Schema of definitions, for editors.")
@click.argument("kind", type=click.Choice(["definition", "scenario"]), default="definition")
def schema(kind: str) -> int:
    """Print the JSON Schema of definitions, or that of scenario files, with which editors complete and check them.

    \b
    phasebus schema > phasebus.schema.json
    phasebus schema scenario > scenario.schema.json

    Then write, as the first line of a definition:

    \b
    # yaml-language-server: $schema=phasebus.schema.json
    """
    from statemachines.schemas import schema_text

    click.echo(schema_text(kind), nl=False)
    return 0


@cli.command(short_help="Run a scenario or a recording on a virtual clock.")
@_DEFINITION
@click.argument("scenario", required=False, metavar="[SCENARIO]")
@click.option("--events", type=click.Path(exists=True, dir_okay=False, allow_dash=True), help=_EVENTS_HELP)
@click.option("--until", metavar="DURATION", help="Go on until this virtual time, as in 60s, so that timers fire.")
@click.option(
    "--traffic", metavar="FILE", help="Draw calls from this traffic file, or from one that ships, by its name."
)
@click.option("--calls", type=click.IntRange(1), help="So many calls of --traffic.  [default: 1000]")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="Another seed draws other calls of --traffic.  [default: 1]"
)
@click.option("--phase", help="The phase whose times --traffic shows.  [default: ready, or what publishes its like]")
@click.option("--csv", type=click.Path(dir_okay=False, writable=True), help="Write a row for each call of --traffic.")
@click.option("--picture", type=click.Path(dir_okay=False, writable=True), help="Draw the times of --traffic as SVG.")
@click.option(
    "--call", type=click.IntRange(1), metavar="NUMBER", help="Show only this call of --traffic, step by step."
)
@click.option("--interactive", is_flag=True, help="Play it step by step, from the start or the end of SCENARIO.")
@click.option("--summary", "brief", is_flag=True, help="No line for each event, only the summary: much faster.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, the summary last.")
@click.option("--payloads", is_flag=True, help="Show personal data in payloads too.")
def simulate(
    definition: str,
    scenario: str | None,
    events: str | None,
    until: str | None,
    interactive: bool,
    brief: bool,
    as_json: bool,
    payloads: bool,
    traffic: str | None,
    **drawn: Any,
) -> int:
    """Run a scenario, or recorded events, on a virtual clock: minutes pass in no time.

    SCENARIO is a path, or the name of an example in the definition, or of a scenario that lies beside it. Status 1 if
    an expectation fails.

    --traffic draws many calls from a file that says who sends what, and how late: how many reach which phase, how long
    that takes, what was waited for last. The same seed draws the same calls. Ctrl-C shows what there is by then.

    \b
    phasebus simulate whatsapp_call happy_call
    phasebus simulate my_call.yaml incident.scenario.yaml --json
    phasebus simulate my_call.yaml --events recording.jsonl --until 60s
    phasebus simulate whatsapp_call --interactive
    phasebus simulate whatsapp_call --traffic busy_hour --calls 10000 --picture ready.svg
    phasebus simulate whatsapp_call --traffic busy_hour --call 17
    """
    if interactive:
        if as_json or brief or events is not None or until is not None or traffic is not None:
            raise click.UsageError(
                "--interactive goes with none of --json, --summary, --events, --until and --traffic."
            )
        return _play(definition, scenario, payloads)
    if traffic is not None:
        if scenario is not None or events is not None:
            raise click.UsageError("Give a SCENARIO, --events or --traffic, and only one of them.")
        end = None if until is None else _duration("--until", until)
        return _draw(definition, traffic, until=end, as_json=as_json, payloads=payloads, **drawn)
    for name, value in drawn.items():
        if value is not None:
            raise click.UsageError(f"--{name} goes with --traffic.")
    from statemachines.simulation.library import open_scenario, scenario_names
    from statemachines.simulation.recording import run_events
    from statemachines.simulation.simulator import Simulation, run_scenario

    loaded = _load(definition)
    if (scenario is None) == (events is None):
        known = ", ".join(scenario_names(definition, loaded))
        hint = f" {definition} comes with the scenarios {known}." if known else ""
        raise click.UsageError(f"Give a SCENARIO, --events or --traffic, and only one of them.{hint}")
    end = None if until is None else _duration("--until", until)
    simulation = Simulation(loaded)
    output = _output(as_json, payloads, simulation.awaited)
    if not brief:
        simulation.tell(output.add)
    problems: list[str] = []
    if scenario is not None:
        summary = run_scenario(simulation, open_scenario(definition, loaded, scenario), end)
    else:
        assert events is not None
        with click.open_file(events, "rb") as lines:
            summary = run_events(simulation, lines, _shown(events), lambda problem: problems.append(str(problem)), end)
    output.close(summary.to_dict())
    for problem in problems:
        click.echo(problem, err=True)
    return 1 if summary.failed_expectations or _errors(problems) else 0


def _draw(
    definition: str,
    traffic: str,
    *,
    calls: int | None,
    seed: int | None,
    phase: str | None,
    until: float | None,
    csv: str | None,
    picture: str | None,
    call: int | None,
    as_json: bool,
    payloads: bool,
) -> int:
    """Draw calls from a traffic file, and say what became of them; status 130 if that was interrupted."""
    from statemachines.language.traffic import find_traffic, load_traffic
    from statemachines.simulation.calls import CallRunner, find_phase, rates_missing
    from statemachines.simulation.traffic_summary import CallRows, Drawn, summarise

    loaded = _load(definition)
    file = find_traffic(definition, traffic)
    sent = load_traffic(file, loaded)
    drawn = Drawn(loaded, calls or _CALLS, 1 if seed is None else seed, find_phase(loaded, phase))
    runner = CallRunner(loaded, sent, drawn.seed, drawn.phase, until)
    for warning in rates_missing(sent):
        click.echo(f"{file}: warning: {warning}", err=True)
    if call is not None:
        if csv is not None or picture is not None or calls is not None:
            raise click.UsageError("--call shows one call, and goes with none of --calls, --csv and --picture.")
        output = _output(as_json, payloads, runner.simulation.awaited)
        runner.tell(call, output.add)
        output.close(runner.simulation.summary.to_dict())
        return 0
    with ExitStack() as files, _progress("simulating") as status:
        rows = (
            None if csv is None else CallRows(files.enter_context(click.open_file(csv, "w", encoding="utf-8")), loaded)
        )
        say = _nothing if status is None else _calls_so_far(status, drawn.calls)
        summary = summarise(drawn, runner, _nothing if rows is None else rows.add, say)
    if picture is not None:
        from statemachines.rendering.traffic_picture import render_traffic_picture

        with click.open_file(picture, "w", encoding="utf-8") as target:
            target.write(render_traffic_picture(summary))
    if as_json:
        click.echo(json.dumps(summary.to_dict()))
    else:
        from statemachines.rendering.traffic import TrafficReport

        _console().print(TrafficReport(summary))
    return 130 if summary.interrupted else 0


def _calls_so_far(status: Callable[[str], None], calls: int) -> Callable[[int], None]:
    """How far drawing calls is, in words."""
    return lambda done: status(f"{done:,} of {calls:,} calls (Ctrl-C: show what there is)")


def _play(definition: str, scenario: str | None, payloads: bool) -> int:
    """Play a simulation with lines from standard input; a script that has a line that is none ends with status 1."""
    from statemachines.rendering.signs import signs_for
    from statemachines.rendering.timeline import Timeline
    from statemachines.simulation.library import open_scenario
    from statemachines.simulation.playing import Player
    from statemachines.simulation.session import PlayedSimulation

    loaded = _load(definition)
    begin = None if scenario is None else open_scenario(definition, loaded, scenario)
    console = _console()
    signs = signs_for(console.options)
    # The timeline asks the simulation what is awaited, and the simulation tells the timeline what happens.
    timeline = Timeline(console, lambda found: played.awaited(found) if ready else (), show_payloads=payloads)
    ready = False
    played = PlayedSimulation(loaded, timeline.add, begin)
    ready = True

    def say(text: str) -> None:
        for line in text.splitlines():
            console.print(signs.clean(line), soft_wrap=True, markup=False, highlight=False)

    player = Player(played, definition, say, timeline.flush)
    terminal = sys.stdin.isatty()
    player.play(_typed() if terminal else _scripted(say))
    return 1 if player.refused and not terminal else 0


def _typed() -> Iterator[str]:
    """Lines from a terminal, with a prompt, and with editing where Python has readline; Ctrl-D ends them."""
    with suppress(ImportError):
        import readline  # noqa: F401 - input() uses it once it is there
    while True:
        try:
            yield input("> ")
        except EOFError:
            click.echo()  # what follows begins on a line of its own
            return


def _scripted(say: Callable[[str], None]) -> Iterator[str]:
    """Lines from a pipe, each said before it is carried out, so that what is printed reads as a session."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    for line in sys.stdin:
        say(f"> {line.strip()}")
        yield line


@cli.command(short_help="Try every order of events, and judge the properties.")
@click.argument("definitions", nargs=-1, required=True, metavar="DEFINITION...")
@click.option("--traffic", metavar="FILE", help="Try only what the sources of this file send.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, nothing else on standard output.")
@click.option(
    "--scenarios",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Write scenarios there: each counterexample, and few that cover all that was reached.",
)
@click.option("--cases", default=1_000_000, show_default=True, type=click.IntRange(1), help="Stop at so many cases.")
@click.option("--time", "longest", default="30s", show_default=True, metavar="DURATION", help="Stop after that long.")
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
    from statemachines.exploration import Bounds, explore_together
    from statemachines.exploration import explore as explore_one

    loaded = [_load(definition) for definition in definitions]
    if len(loaded) > 1 and scenarios is not None:
        raise click.UsageError("--scenarios goes with one DEFINITION: a scenario plays one.")
    bounds = Bounds(cases, _duration("--time", longest))
    sent = None
    if traffic is not None:
        from statemachines.language.traffic import find_traffic, load_traffic

        sent = load_traffic(find_traffic(definitions[0], traffic), loaded[0])
    with _progress("exploring") as status:
        progress = None if status is None else _so_far(status)
        if len(loaded) == 1:
            found = explore_one(loaded[0], bounds, progress, sent, cover=scenarios is not None)
        else:
            found = explore_together(loaded, bounds, progress, sent)
    written, kept = (None, False) if scenarios is None else _write_found(loaded[0], definitions[0], found, scenarios)
    if as_json:
        click.echo(json.dumps({**found.to_dict(), **({} if written is None else {"scenarios": written})}))
    else:
        from statemachines.rendering.exploration import ExplorationReport
        from statemachines.rendering.outcomes import OutcomeLines

        wanted = {name: one for definition in loaded for name, one in definition.properties.items()}
        if len(loaded) > 1:
            wanted = {f"{d.name}.{name}": one for d in loaded for name, one in d.properties.items()}
        _console().print(ExplorationReport(found, wanted))
        if written is not None:
            OutcomeLines(_console()).add(written)
    return 1 if found.failed or kept else 0


def _write_found(definition: Definition, called: str, found: Exploration, folder: str) -> tuple[dict[str, Any], bool]:
    """Write what exploring found as scenarios; returns what they cover, and whether a file was in the way."""
    from statemachines.explored_scenarios import counterexamples, covering_suite

    suite = covering_suite(definition, found)
    files = _write_scenarios([*counterexamples(definition, found), *suite.scenarios], folder, called)
    return {**suite.to_dict(), "written": [str(path) for path in files.written]}, bool(files.kept)


def _write_scenarios(scenarios: Sequence[Written], folder: str, called: str) -> Files:
    """Write scenarios into a folder, and say of each file what became of it."""
    from pathlib import Path

    from statemachines.explored_scenarios import write_scenarios

    files = write_scenarios(scenarios, Path(folder), called)
    for words, paths in files.told():
        for path in paths:
            click.echo(words.format(path), err=True)
    return files


def _so_far(status: Callable[[str], None]) -> Callable[[int, int, int], None]:
    """How far a search is, in words."""
    return lambda found, tried, moves: status(
        f"{found:,} cases found, {found - tried:,} still to try, {moves:,} moves tried (Ctrl-C: show what there is)"
    )


@cli.command(short_help="Compare two versions of a definition: is it safe to deploy?")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option(
    "--connections",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="JSON lines of the connections that live: a file, or - for standard input.",
)
@click.option("--strict", is_flag=True, help="Changed and undecided are a failure too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, nothing else on standard output.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "dot", "svg", "png"]),
    default="tree",
    show_default=True,
    help="tree says and decides; the others only draw both versions as one picture.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, writable=True), help="Write to this file instead.")
@click.option(
    "--scenarios",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Write the events that tell them apart there, as scenarios that hold with OLD.",
)
@click.option("--cases", default=1_000_000, show_default=True, type=click.IntRange(1), help="Stop at so many cases.")
@click.option("--time", "longest", default="30s", show_default=True, metavar="DURATION", help="Stop after that long.")
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
    before, after = _load(old), _load(new)
    if form != "tree":
        if as_json or strict or connections is not None or scenarios is not None:
            raise click.UsageError(f"--format {form} only draws: it goes with none of --json, --connections, ….")
        return _write_drawing(form, output, lambda: _drawing_of_both(before, after, form))
    from statemachines.comparison import compare, read_living
    from statemachines.exploration import Bounds
    from statemachines.rendering.comparison import ComparisonReport, comparison_data
    from statemachines.table.layout import Layout

    bounds = Bounds(cases, _duration("--time", longest))
    living = None
    if connections is not None:
        with click.open_file(connections, "rb") as lines:
            living = read_living(lines, _shown(connections), Layout(before))
    with _progress("comparing") as status:
        found = compare(before, after, living, bounds, None if status is None else _so_far(status))
    with click.open_file(output or "-", "w", encoding="utf-8") as file:
        if as_json:
            click.echo(json.dumps(comparison_data(found, before, after)), file=file)
        else:
            _console(file if output else None).print(ComparisonReport(found, before, after))
    kept = False
    if scenarios is not None:
        from statemachines.explored_scenarios import differences

        kept = bool(_write_scenarios(differences(before, found), scenarios, old).kept)
    verdicts = found.verdicts()
    return 1 if kept or verdicts["gone"] or (strict and (verdicts["changed"] or verdicts["undecided"])) else 0


def _drawing_of_both(before: Definition, after: Definition, form: str) -> bytes:
    from statemachines.comparison import changes
    from statemachines.rendering.changes import marked
    from statemachines.rendering.dot import render_dot
    from statemachines.rendering.pictures import draw

    both, marks = marked(before, after, tuple(changes(before, after)))
    drawn = render_dot(both, marks=marks)
    return drawn.encode() if form == "dot" else draw(drawn, "svg" if form == "svg" else "png")


@cli.command(short_help="Run scenarios as tests.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--coverage", is_flag=True, help="Say which states, transitions and guard outcomes were covered.")
@click.option("--mutation", is_flag=True, help="Change one part of the definition at a time: is it noticed?")
@click.option("--junit", type=click.Path(dir_okay=False, writable=True), help="Write JUnit XML to this file too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, the summary last.")
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

    tell = JsonLines(sys.stdout).write if as_json else OutcomeLines(_console()).add
    outcomes: list[Outcome] = []
    with _progress("testing") as status:
        for told in run_scenarios(paths, coverage=coverage, mutation=mutation, progress=status or _nothing):
            if isinstance(told, Outcome):
                outcomes.append(told)
            tell(told.to_dict())
    summary = summary_of(outcomes)
    tell(summary)
    if junit is not None:
        from statemachines.simulation.junit import junit_xml

        with click.open_file(junit, "wb") as file:
            file.write(junit_xml(outcomes))
    return 0 if summary["passed"] == summary["scenarios"] else 1


@cli.command(short_help="From a recording of an incident to the smallest scenario that shows it.")
@_DEFINITION
@click.option(
    "--events", required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True), help=_EVENTS_HELP
)
@click.option("--until", required=True, metavar="EXPR", help="What came true in the incident, for some connection.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, writable=True), help="Write the scenario to this file.")
@click.option("--time", "longest", default="60s", show_default=True, metavar="DURATION", help="Stop after that long.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, nothing else on standard output.")
def reduce(definition: str, events: str, until: str, output: str | None, longest: str, as_json: bool) -> int:
    """From recorded events, thousands perhaps, to the smallest scenario in which EXPR still comes true.

    Connections, events, fields of payloads and waits are left out as long as EXPR comes true without them; ids, numbers
    and texts that need not be what they were become neutral ones. EXPR is asked after each step of each connection:
    what a guard may ask, the event of the step included, and 'connection.ready' in published. Status 1 if it never
    comes true. Ctrl-C writes what is smallest so far.

    \b
    phasebus reduce whatsapp_call --events calls.jsonl --until "In('reconnecting')" -o incident.scenario.yaml
    phasebus reduce my_call.yaml --events calls.jsonl --until "In('ready') and not all_ready"
    phasebus reduce my_call.yaml --events - --until "visits.trying > 3 and 'call.billed' in published" < calls.jsonl
    """
    from pathlib import Path

    from statemachines.errors import ExpressionError
    from statemachines.language.library import called_from
    from statemachines.simulation.recording import recorded_events
    from statemachines.simulation.reduction import reduce_recording
    from statemachines.simulation.until import Until

    loaded = _load(definition)
    try:
        asked = Until(until, loaded)
    except ExpressionError as error:
        raise click.BadParameter(error.message, param_hint="--until") from None
    seconds = _duration("--time", longest)
    problems: list[str] = []
    with click.open_file(events, "rb") as lines:
        recording = list(recorded_events(lines, _shown(events), lambda problem: problems.append(str(problem))))
    for problem in problems:
        click.echo(problem, err=True)
    with _progress("reducing") as status:
        reduced = reduce_recording(loaded, recording, asked, status or _nothing, seconds)
    text = reduced.text(called_from(definition, Path(output or "").parent))
    if output is not None:
        with click.open_file(output, "w", encoding="utf-8") as file:
            file.write(text)
    if as_json:
        click.echo(json.dumps({**reduced.to_dict(), **({"path": output} if output else {"scenario": text})}))
    elif output is None:
        click.echo(text, nl=False)
    click.echo(f"{reduced}{f': wrote {output}' if output else ''}", err=True)
    return 1 if _errors(problems) else 0


@contextmanager
def _progress(what: str) -> Iterator[Callable[[str], None] | None]:
    """A line on standard error that says how far something is; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with _console(sys.stderr).status(what) as status:
        yield status.update


@cli.command(short_help="Run a definition live: events in, lifecycle events out.")
@_DEFINITION
@click.option(
    "--events",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    default="-",
    show_default=True,
    help=_EVENTS_HELP,
)
@click.option("--timeline", is_flag=True, help="Show a timeline for people instead of JSON lines.")
@click.option("--stats", is_flag=True, help="Show live on standard error what the bus and the connections do.")
@click.option("--paced", is_flag=True, help="Publish each event at its recorded time instead of at once.")
@click.option(
    "--linger", metavar="DURATION", default="0s", show_default=True, help="After the last event, wait so long for ends."
)
@click.option("--payloads", is_flag=True, help="Show personal data in the timeline too.")
def run(definition: str, events: str, timeline: bool, stats: bool, paced: bool, linger: str, payloads: bool) -> int:
    """Run a definition live: events in as JSON lines, what follows from them out as JSON lines.

    A sidecar for a gateway in any language. An event connection.created registers its connection. A line that is no
    event is reported on standard error; the run goes on, and ends with status 1.

    --stats keeps a table on the terminal: events by type, connections by phase, and how long handlers take. Where
    standard error is no terminal, it is written once, at the end. Standard output stays what it is.

    \b
    my_gateway | phasebus run my_call.yaml | my_gateway_control
    phasebus run whatsapp_call --events call.jsonl --timeline --paced
    my_gateway | phasebus run my_call.yaml --stats > out.jsonl
    """
    import anyio

    from statemachines.lifecycle.sidecar import Sidecar

    loaded = _load(definition)
    linger_s = _duration("--linger", linger)
    problems: list[str] = []
    lives: list[ConnectionLifecycle] = []
    table, shared = _live_statistics() if stats else (None, False)

    def refuse(problem: object) -> None:
        problems.append(str(problem))
        if table is None:
            click.echo(str(problem), err=True)
        else:
            table.say(str(problem))

    def started(bus: EventBus, lifecycle: ConnectionLifecycle) -> None:
        lives.append(lifecycle)
        if table is not None:
            table.show(lambda: (bus.stats(), lifecycle.phases(), _counts(lifecycle)))

    above = table.above if table and shared else None
    output = _output(False, payloads, lambda found: _awaited(lives[0], found), above) if timeline else None
    sidecar = Sidecar(
        loaded,
        published=_nothing if output else _event_writer(table.say if table and shared else click.echo),
        entry=output.add if output else _nothing,
        refused=refuse,
        settled=output.flush if output else None,
        started=started,
        ending=table.finish if table else lambda: None,
        paced=paced,
        linger_s=linger_s,
    )
    with table or nullcontext():
        finished = anyio.run(_until_signalled, sidecar, events, refuse, table)
        if output is not None:
            output.close(None)
    if not finished:
        return 130
    return 1 if _errors(problems) else 0


async def _until_signalled(
    sidecar: Sidecar, events: str, refuse: Callable[[object], None], table: LiveStatistics | None
) -> bool:
    """Run to the end of the events; an interrupt ends it in order. Returns whether the end was reached."""
    import anyio

    finished = False

    async def stop_on_signal(scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop_on_signal, tasks.cancel_scope)
        if table is not None:
            tasks.start_soon(table.keep_up_to_date)
        with click.open_file(events, "rb") as file:
            await sidecar.run(_inputs(file, _shown(events), refuse))
        finished = True
        tasks.cancel_scope.cancel()
    return finished


async def _inputs(file: IO[bytes], path: str, refuse: Callable[[object], None]) -> AsyncIterator[Input]:
    """Read events line by line, without ever blocking the run; tell of lines that are none."""
    from statemachines.lifecycle.sidecar import Input
    from statemachines.simulation.event_lines import EventLine, EventLineReader

    reader = EventLineReader(path)
    async for line in _lines(file):
        for read in reader.read(line):
            if isinstance(read, EventLine):
                yield Input(read.event, read.at, f"{path}:{read.line}")
            else:
                refuse(read)


async def _lines(file: IO[bytes]) -> AsyncIterator[bytes]:
    """The lines of a file, a pipe or a terminal. Waiting for a pipe can be cancelled, unlike a thread that reads."""
    import anyio
    from anyio.lowlevel import checkpoint

    from statemachines.simulation.event_lines import MAX_LINE_BYTES

    descriptor = file.fileno()
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        for line in file:
            yield line
            await checkpoint()
        return
    rest = b""
    while True:
        await anyio.wait_readable(descriptor)
        read = os.read(descriptor, 65536)
        if not read:
            break
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            yield line
        # A line without end is refused as too long, and its parts as no events, instead of filling the memory.
        if len(rest) > MAX_LINE_BYTES:
            yield rest
            rest = b""
    if rest:
        yield rest


def _load(definition: str) -> Definition:
    from statemachines.language import load_definition

    return load_definition(definition)


def _duration(option: str, text: str) -> float:
    from statemachines.language import DurationError, parse_duration

    try:
        return parse_duration(text)
    except DurationError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def _console(file: IO[str] | None = None) -> Console:
    from rich.console import Console

    # Piped output gets all the width it needs: a line must not be broken for a program that reads it.
    width = None if (file or sys.stdout).isatty() or "COLUMNS" in os.environ else 120
    return Console(file=file, width=width, highlight=False)


def _output(
    as_json: bool, payloads: bool, awaited: Callable[[str], Sequence[str]], console: Console | None = None
) -> JsonLines | Timeline:
    if as_json:
        from statemachines.rendering.json_lines import JsonLines

        return JsonLines(sys.stdout)
    from statemachines.rendering.timeline import Timeline

    return Timeline(console or _console(), awaited, show_payloads=payloads)


def _live_statistics() -> tuple[LiveStatistics, bool]:
    """The table for standard error, and whether standard output is the same terminal, so that they must take turns."""
    from statemachines.rendering.live import LiveStatistics

    shared = sys.stderr.isatty() and os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    return LiveStatistics(_console(sys.stdout if shared else sys.stderr)), shared


def _counts(lifecycle: ConnectionLifecycle) -> dict[str, int]:
    """What a lifecycle did with events, by the words of its statistics."""
    stats = lifecycle.stats()
    words = ("processed", "ignored", "early", "expired", "unknown", "foreign", "finished", "unevaluated")
    return {word: getattr(stats, word) for word in words}


def _awaited(lifecycle: ConnectionLifecycle, connection_id: str) -> list[str]:
    from statemachines import UnknownConnection

    try:
        state = lifecycle.get_connection_state(connection_id)
    except UnknownConnection:
        return []
    return [] if state.ended else [name for name, ready in state.ready_conditions.items() if not ready]


def _event_writer(write: Callable[[str], None]) -> Callable[[Event], None]:
    from bus import event_to_json

    return lambda event: write(event_to_json(event))


def _nothing(_: object) -> None:
    pass


def _shown(path: str) -> str:
    return "<stdin>" if path == "-" else path


def _errors(problems: list[str]) -> bool:
    return any(": error: " in problem for problem in problems)


def _explain_failure(error: Exception) -> int:
    """Say what went wrong, in words; returns the exit status."""
    from bus.errors import PhasebusError

    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, PhasebusError):
        click.echo(str(error), err=True)
        return 1
    if isinstance(error, OSError):
        click.echo(f"phasebus: {error.filename or ''}: {error.strerror or error}", err=True)
        return 1
    click.echo(f"phasebus: unexpected {type(error).__name__}: {error} (PHASEBUS_TRACEBACK=1 shows where)", err=True)
    if os.environ.get("PHASEBUS_TRACEBACK"):
        import traceback

        traceback.print_exception(error)
    return 1


if __name__ == "__main__":
    main()
