"""What is typed while playing a simulation, read into commands; a line that is none says what would be.

2                                              the possibility with that number
webrtc.audio_track_ready track_type=audio      an event, with its payload
wait 5s                                        and so on: see HELP
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection
from typing import Any, Literal

from attrs import Factory, frozen

from bus.errors import PhasebusError
from statemachines.errors import suggestion
from statemachines.language.durations import DurationError, parse_duration
from statemachines.language.names import is_event

Word = Literal["choose", "publish", "wait", "mark", "terminate", "back", "why", "save", "show", "help", "quit"]

HELP = """\
NUMBER                 let that event come, or wait for that timer
EVENT [NAME=VALUE …]   let an event come, with a payload: call.accepted call_id=wa_7 tries=2
publish EVENT …        the same, for an event that the definition does not know
wait 5s                let time pass; timers that are due fire
mark DEPENDENCY        mark a dependency ready by hand
terminate [REASON]     end the connection by hand
back                   take the last step back
why                    say what it waits for
save FILE              write this as a scenario that expects what is there now
show                   say again what is possible
help, quit             this, and the end (Ctrl-D too)"""

MAX_DIGITS = 9

_ALONE = ("back", "why", "show", "help", "quit")
_WITH_ONE = {"wait": "a duration, as in wait 5s", "mark": "a dependency", "save": "a file"}
COMMANDS = (*_ALONE, *_WITH_ONE, "publish", "terminate")


class NotUnderstood(PhasebusError):
    """A line that is no command, or one that cannot be carried out; says what would be."""


@frozen
class Command:
    """One command. ``text`` is its number, event, duration, dependency, reason or file."""

    word: Word
    text: str = ""
    data: dict[str, Any] = Factory(dict)
    seconds: float = 0.0


def read_command(line: str, events: Collection[str]) -> Command | None:
    """The command that a line holds, or None if it is blank. ``events`` are those that the definition knows.

    :raises NotUnderstood: it is none

    >>> read_command("call.accepted tries=2", ["call.accepted"])
    Command(word='publish', text='call.accepted', data={'tries': 2}, seconds=0.0)
    """
    try:
        first, *rest = shlex.split(line, comments=True) or [""]
    except ValueError as error:
        raise NotUnderstood(f"{error}: put a value with spaces between two quotes".lower()) from None
    if not first:
        return None
    if first.isdecimal() and len(first) < MAX_DIGITS:
        return Command("choose", first)
    if first in _ALONE or first in _WITH_ONE or first in ("terminate", "publish"):
        return _with_word(first, rest)
    if first not in events:
        near = suggestion(first, [*events, *COMMANDS])
        send = f"; publish {first} sends it all the same" if is_event(first) else ""
        raise NotUnderstood(f"'{first}' is neither a command nor an event of this definition{near}{send}")
    return Command("publish", first, _payload(rest))


def _with_word(word: str, rest: list[str]) -> Command:
    if word in _ALONE:
        if rest:
            raise NotUnderstood(f"'{word}' stands alone")
        return Command(word)  # type: ignore[arg-type]  # the two tuples of words hold words
    if word == "terminate":
        return Command("terminate", " ".join(rest))
    if word == "publish":
        if not rest or not is_event(rest[0]):
            raise NotUnderstood("'publish' needs an event, as in publish call.accepted call_id=wa_7")
        return Command("publish", rest[0], _payload(rest[1:]))
    if len(rest) != 1:
        raise NotUnderstood(f"'{word}' needs {_WITH_ONE[word]}")
    return Command(word, rest[0], seconds=_seconds(rest[0]) if word == "wait" else 0.0)  # type: ignore[arg-type]


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except DurationError as error:
        raise NotUnderstood(str(error)) from None


def _payload(words: list[str]) -> dict[str, Any]:
    """``NAME=VALUE`` words as a payload: a value that is JSON is read as JSON, any other is text."""
    data = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise NotUnderstood(f"'{word}' is no field of a payload: write NAME=VALUE, as in track_type=audio")
        data[name] = _value(value)
    return data


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
