"""``phasebus simulate --interactive``: a simulation that is played with lines from a terminal or a pipe."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import click

from phasebus_commands.arguments import load
from phasebus_commands.terminal import make_console


def play(called: str, scenario: str | None, payloads: bool) -> int:
    """Play a simulation with lines from standard input; a script that has a line that is none ends with status 1."""
    from statemachines.rendering.signs import signs_for
    from statemachines.rendering.timeline import Timeline
    from statemachines.simulation.library import open_scenario
    from statemachines.simulation.playing import Player
    from statemachines.simulation.session import PlayedSimulation

    definition = load(called)
    begin = None if scenario is None else open_scenario(called, definition, scenario)
    console = make_console()
    signs = signs_for(console.options)
    # The timeline asks the simulation what is awaited, and the simulation tells the timeline what happens.
    timeline = Timeline(console, lambda found: played.awaited(found) if ready else (), show_payloads=payloads)
    ready = False
    played = PlayedSimulation(definition, timeline.add, begin)
    ready = True

    def say(text: str) -> None:
        for line in text.splitlines():
            console.print(signs.clean(line), soft_wrap=True, markup=False, highlight=False)

    player = Player(played, called, say, timeline.flush)
    terminal = sys.stdin.isatty()
    player.play(typed_lines() if terminal else scripted_lines(say))
    return 1 if player.refused and not terminal else 0


def typed_lines() -> Iterator[str]:
    """Lines from a terminal, with a prompt, and with editing where Python has readline; Ctrl-D ends them."""
    with suppress(ImportError):
        import readline  # noqa: F401 - input() uses it once it is there
    while True:
        try:
            yield input("> ")
        except EOFError:
            click.echo()  # what follows begins on a line of its own
            return


def scripted_lines(say: Callable[[str], None]) -> Iterator[str]:
    """Lines from a pipe, each said before it is carried out, so that what is printed reads as a session."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    for line in sys.stdin:
        say(f"> {line.strip()}")
        yield line
