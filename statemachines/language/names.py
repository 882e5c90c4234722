"""The grammar of names, and which names are spoken for."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection
from itertools import islice

from statemachines.errors import suggestion

NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
EVENT = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+", re.ASCII)
PATTERN = re.compile(r"(?:[a-z][a-z0-9_]*\.)+\*|\*", re.ASCII)
MAX_NAME = 200
_MANY, _COMPARED, _FEW = 100, 30, 8

RESERVED = frozenset({"event", "data", "meta", "visits", "all_ready", "any_failed", "In"})

NAME_RULE = "a name begins with a letter a-z and goes on with a-z, 0-9 and _"
EVENT_RULE = "an event name is two or more such tokens joined by dots, as in call.accepted"

# Split at import rather than listed: one word a line would be four screens.
_PAST_WORDS = """
    ready sent lost made got left met begun began done gone went found held kept put set reset cut shut read told won
    broken built out back
    bought brought caught chosen drawn driven fell fallen felt given grown heard hit known laid led let meant
    paid ran run risen rung said seen shown slept sold spent spoken stood taken thrown understood written woken
    came became gave took saw spoke woke broke wrote rose chose drew grew hung rang sang swore threw wore
    up down online offline idle busy available unavailable active inactive open full empty due over alive dead
"""
_PAST = frozenset(_PAST_WORDS.split())


def is_name(text: str) -> bool:
    """Whether ``text`` may name a definition, state, dependency, timeout, remembered fact, property or hook."""
    return len(text) <= MAX_NAME and NAME.fullmatch(text) is not None


def is_event(text: str) -> bool:
    """Whether ``text`` is the name of one event."""
    return len(text) <= MAX_NAME and EVENT.fullmatch(text) is not None


def is_pattern(text: str) -> bool:
    """Whether ``text`` stands for several events: ``name.*`` or ``*``."""
    return len(text) <= MAX_NAME and PATTERN.fullmatch(text) is not None


def covers(wide: str, narrow: str) -> bool:
    """Whether every event that ``narrow`` means is meant by ``wide`` too; both are names or patterns.

    The end of a state is no event of the bus, so that only its own name means it.

    >>> covers("call.*", "call.ended"), covers("call.ended", "call.*"), covers("*", "done.state.call")
    (True, False, False)
    """
    if wide == narrow:
        return True
    if is_done(narrow):
        return False
    return wide == "*" or (wide.endswith(".*") and narrow.startswith(wide[:-1]))


DONE = "done.state."
"""Before a state's id: what happens when a final child of the state, or of each of its regions, was entered."""


def is_done(text: str) -> bool:
    """Whether ``text`` names the end of a state, as in ``done.state.greeting``."""
    return text.startswith(DONE)


def is_reserved(text: str) -> bool:
    """Whether ``text`` already means something in an expression, so that no dependency can be called it."""
    return text in RESERVED or keyword.iskeyword(text)


def nearest(name: str, known: Collection[str]) -> str:
    """`` (did you mean 'ready'?)`` when a known name is near, else nothing.

    Comparing costs some 30 µs a name, so that of very many only those of like length and first letter are compared:
    a file with thousands of wrong names must not take minutes to refuse.
    """
    if len(known) > _MANY:
        like = (other for other in known if other[:1] == name[:1] and abs(len(other) - len(name)) <= 2)
        known = list(islice(like, _COMPARED))
    return suggestion(name, known)


def near(name: str, known: Collection[str]) -> str:
    """The nearest right name, or the right ones if none is near and they are few."""
    hint = nearest(name, known)
    return hint or (f": there is {', '.join(sorted(known))}" if 0 < len(known) <= _FEW else "")


def near_name(text: str) -> str:
    """`` (did you mean 'in_call'?)`` if spelling ``text`` the way names are spelled gives a good one."""
    spelled = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()
    spelled = re.sub(r"[^a-z0-9_.*]+", "_", spelled).strip("_")
    good = is_name(spelled) or is_event(spelled) or is_pattern(spelled)
    return f" (did you mean '{spelled}'?)" if good and spelled != text else ""


def says_what_happened(event: str) -> bool:
    """Whether an event's last token looks like something that has happened (``accepted``, ``greeting_sent``).

    Light on purpose: a regular past tense, or one of the irregular words and states that protocols use.
    """
    word = event.rpartition(".")[2].rpartition("_")[2]
    return word.endswith("ed") or word in _PAST
