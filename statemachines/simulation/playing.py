"""A simulation played line by line: what is possible is listed, a line chooses, what it did is told.

The same for a terminal and for a pipe; only where the lines come from differs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from attrs import define, field

from statemachines.errors import suggestion
from statemachines.language.library import called_from
from statemachines.simulation.commands import HELP, Command, NotUnderstood, read_command
from statemachines.simulation.library import SUFFIX
from statemachines.simulation.possibilities import PossibleEvent, PossibleTimer, known_events
from statemachines.simulation.scenario import Mark, Publish, Terminate, Wait
from statemachines.simulation.scenario_writing import seconds_text
from statemachines.simulation.session import PlayedSimulation


@define
class Player:
    """Carries out lines.

    :ivar definition: as the user called it: a saved scenario calls it the same
    :ivar say: prints a line
    :ivar told: called after something happened, when no more follows
    :ivar refused: how many lines were not understood
    """

    played: PlayedSimulation
    definition: str
    say: Callable[[str], None]
    told: Callable[[], None] = lambda: None
    refused: int = 0
    _possible: list[PossibleEvent | PossibleTimer] = field(factory=list)
    _saved: set[Path] = field(factory=set)
    _known: list[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._known = known_events(self.played.definition)

    def play(self, lines: Iterable[str]) -> None:
        """Play until the lines end, or one of them says so."""
        self.told()
        self.show()
        for line in lines:
            try:
                command = read_command(line, self._known)
                if command is not None and not self._carry_out(command):
                    return
            except NotUnderstood as error:
                self.refused += 1
                self.say(f"! {error}")

    def show(self) -> None:
        """List what is possible now, by number."""
        state = self.played.state
        if state is None:
            self.say(f"{self.played.connection} is not registered")
        else:
            self.say(f"+{self.played.now:.3f}s  {state.id} is in {', '.join(state.configuration) or 'no state'}")
            ready = [
                f"{name} {status}" for name, status in state.dependencies.items() if name in state.ready_conditions
            ]
            if ready:
                self.say(f"  readiness: {', '.join(ready)}")
        self._possible = [*self.played.events(), *self.played.timers()]
        for number, possible in enumerate(self._possible, start=1):
            self.say(f"  {number:>2}  {self._words(possible)}")
        if not self._possible:
            self.say("  nothing leads on from here: back, save FILE or quit")

    def _words(self, possible: PossibleEvent | PossibleTimer) -> str:
        if isinstance(possible, PossibleEvent):
            payload = "".join(f" {name}={_written(value)}" for name, value in possible.data.items())
            return f"{possible.type}{payload}  ({possible.does})"
        leads = f" → {possible.target}" if possible.target else ""
        due = seconds_text(max(0.0, possible.due_s - self.played.now))
        return f"timer {possible.name} of {possible.state}, due in {due}{leads}"

    def _carry_out(self, command: Command) -> bool:
        """Do what a command says; False if that is to end."""
        match command.word:
            case "quit":
                return False
            case "help":
                self.say(HELP)
            case "why":
                self.say(str(self.played.why()))
            case "save":
                self._save(Path(command.text))
            case "show":
                self.show()
            case "back":
                if not self.played.back():
                    raise NotUnderstood("this is the beginning: there is nothing to take back")
                self.show()
            case _:
                self._take(command)
                self.told()
                self.show()
        return True

    def _take(self, command: Command) -> None:
        connection = self.played.connection
        match command.word:
            case "choose":
                self._choose(int(command.text))
            case "publish":
                self.played.take(Publish(command.text, connection, command.data))
            case "wait":
                self.played.take(Wait(command.seconds))
            case "mark":
                dependencies = self.played.definition.dependencies
                if command.text not in dependencies:
                    near = suggestion(command.text, dependencies)
                    raise NotUnderstood(f"there is no dependency '{command.text}'{near}")
                self.played.take(Mark(connection, command.text))
            case "terminate":
                self.played.take(Terminate(connection, command.text or None))

    def _choose(self, number: int) -> None:
        if not 1 <= number <= len(self._possible):
            raise NotUnderstood(f"there is no {number} to choose: show lists what there is")
        chosen = self._possible[number - 1]
        if isinstance(chosen, PossibleTimer):
            self.played.wait_for(chosen)
        else:
            self.played.take(Publish(chosen.type, self.played.connection, chosen.data))

    def _save(self, path: Path) -> None:
        if not path.name:
            raise NotUnderstood("'save' needs the name of a file, as in save incident")
        path = path.with_name(path.name.removesuffix(SUFFIX).removesuffix(".yaml") + SUFFIX)
        if path.exists() and path.resolve() not in self._saved:
            raise NotUnderstood(f"{path} exists already: save under another name")
        try:
            self.played.save(path, called_from(self.definition, path.parent))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise NotUnderstood(f"{path} cannot be written: {reason}") from None
        self._saved.add(path.resolve())
        self.say(f"saved {path}: phasebus test {path} runs it")


def _written(value: object) -> str:
    """A value as it can be typed: text bare where nothing else could be meant."""
    if isinstance(value, str) and value.replace("_", "").replace(".", "").isalnum() and not value[0].isdigit():
        return value if value not in ("true", "false", "null") else f"'\"{value}\"'"
    return json.dumps(value) if not isinstance(value, str | list | dict) else f"'{json.dumps(value)}'"
