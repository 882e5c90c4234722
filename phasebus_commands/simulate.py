"""``phasebus simulate``: a scenario or a recording; what is drawn and what is played have modules of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from phasebus_commands.arguments import (
    EVENTS_HELP,
    INPUT,
    LINES_HELP,
    OUTPUT,
    definition_argument,
    duration,
    input_name,
    load,
)
from phasebus_commands.problems import Problems
from phasebus_commands.simulate_interactive import play
from phasebus_commands.simulate_traffic import draw
from phasebus_commands.terminal import make_timeline

if TYPE_CHECKING:
    from statemachines import Definition


@click.command(short_help="Run a scenario or a recording on a virtual clock.")
@definition_argument
@click.argument("scenario", required=False, metavar="[SCENARIO]")
@click.option("--events", type=INPUT, help=EVENTS_HELP)
@click.option("--until", metavar="DURATION", help="Go on until this virtual time, as in 60s, so that timers fire.")
@click.option(
    "--traffic", metavar="FILE", help="Draw calls from this traffic file, or from one that ships, by its name."
)
@click.option("--calls", type=click.IntRange(1), help="So many calls of --traffic.  [default: 1000]")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="Another seed draws other calls of --traffic.  [default: 1]"
)
@click.option("--phase", help="The phase whose times --traffic shows.  [default: ready, or what publishes its like]")
@click.option("--csv", type=OUTPUT, help="Write a row for each call of --traffic.")
@click.option("--picture", type=OUTPUT, help="Draw the times of --traffic as SVG.")
@click.option(
    "--call", type=click.IntRange(1), metavar="NUMBER", help="Show only this call of --traffic, step by step."
)
@click.option("--interactive", is_flag=True, help="Play it step by step, from the start or the end of SCENARIO.")
@click.option("--summary", "brief", is_flag=True, help="No line for each event, only the summary: much faster.")
@click.option("--json", "as_json", is_flag=True, help=LINES_HELP)
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
    if traffic is None and (name := next((name for name, value in drawn.items() if value is not None), None)):
        raise click.UsageError(f"--{name} goes with --traffic.")
    if interactive:
        if as_json or brief or events is not None or until is not None or traffic is not None:
            raise click.UsageError(
                "--interactive goes with none of --json, --summary, --events, --until and --traffic."
            )
        return play(definition, scenario, payloads)
    if traffic is not None:
        if scenario is not None or events is not None:
            raise click.UsageError("Give a SCENARIO, --events or --traffic, and only one of them.")
        end = None if until is None else duration("--until", until)
        return draw(definition, traffic, until=end, as_json=as_json, payloads=payloads, **drawn)
    return _run(definition, scenario, events, until, brief=brief, as_json=as_json, payloads=payloads)


def _run(
    called: str,
    scenario: str | None,
    events: str | None,
    until: str | None,
    *,
    brief: bool,
    as_json: bool,
    payloads: bool,
) -> int:
    """Run a scenario, or recorded events."""
    from statemachines.simulation.library import open_scenario
    from statemachines.simulation.recording import run_events
    from statemachines.simulation.simulator import Simulation, run_scenario

    definition = load(called)
    if (scenario is None) == (events is None):
        raise _not_one_of_them(called, definition)
    end = None if until is None else duration("--until", until)
    simulation, problems = Simulation(definition), Problems()
    timeline = make_timeline(as_json, payloads, simulation.awaited)
    if not brief:
        simulation.tell(timeline.add)
    if scenario is not None:
        summary = run_scenario(simulation, open_scenario(called, definition, scenario), end)
    else:
        assert events is not None
        with click.open_file(events, "rb") as lines:
            summary = run_events(simulation, lines, input_name(events), problems.add, end)
    timeline.close(summary.to_dict())
    problems.tell()
    return 1 if summary.failed_expectations or problems.failed else 0


def _not_one_of_them(called: str, definition: Definition) -> click.UsageError:
    from statemachines.simulation.library import scenario_names

    known = ", ".join(scenario_names(called, definition))
    hint = f" {called} comes with the scenarios {known}." if known else ""
    return click.UsageError(f"Give a SCENARIO, --events or --traffic, and only one of them.{hint}")
