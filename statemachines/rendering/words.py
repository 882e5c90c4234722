"""Guards, triggers, timers, actions and transitions in short words, the same in every drawing.

A phrase is a tuple of parts, each with a role: the tree colours by role, a diagram takes the text alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from attrs import frozen

from statemachines.language.definition import (
    Action,
    After,
    Call,
    History,
    Invoke,
    Property,
    Publish,
    Remembered,
    Transition,
    Trigger,
)
from statemachines.language.expressions import Expression

Role = Literal["word", "event", "guard", "time", "action", "state"]


@frozen
class Part:
    """A piece of a phrase."""

    text: str
    role: Role = "word"


Phrase = tuple[Part, ...]


def plain(phrase: Phrase) -> str:
    """The phrase as text."""
    return "".join(part.text for part in phrase)


def words(text: str) -> Phrase:
    """A phrase of words that no role sets apart."""
    return (Part(text),)


def joined(phrases: Iterable[Phrase], between: str) -> Phrase:
    """One phrase of several, with ``between`` between them."""
    result: Phrase = ()
    for phrase in phrases:
        result += (Part(between), *phrase) if result else phrase
    return result


def duration_words(seconds: float) -> str:
    """Seconds as the language writes them, in the largest unit that leaves a whole number.

    >>> duration_words(30), duration_words(0.5), duration_words(90), duration_words(300), duration_words(1.5)
    ('30s', '500ms', '90s', '5m', '1.5s')
    """
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    if 0 < seconds < 1:
        return f"{_decimal(seconds * 1000)}ms"
    return f"{_decimal(seconds)}s"


def _decimal(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")


def expression_words(expression: Expression) -> str:
    """The expression as the file writes it, on one line."""
    return re.sub(r"\s*\n\s*", " ", expression.text)


def event_words(events: Iterable[str]) -> Phrase:
    """``webrtc.* or ai.*``."""
    return joined(((Part(event, "event"),) for event in events), " or ")


def guard_words(cond: Expression | None, unless: Expression | None = None) -> Phrase:
    """``when all_ready``, ``unless all_ready``, both, or nothing."""
    phrases = []
    for word, guard in (("when ", cond), ("unless ", unless)):
        if guard is not None:
            phrases.append((Part(word), Part(expression_words(guard), "guard")))
    return joined(phrases, " ")


def trigger_words(trigger: Trigger) -> Phrase:
    """``webrtc.audio_track_ready when data.track_type == 'audio'``."""
    return _spaced((Part(trigger.event, "event"),), guard_words(trigger.when))


def timer_words(after: After, timeouts: Mapping[str, float]) -> Phrase:
    """``after 5s``, or ``after 30s (setup)`` when the delay has a name."""
    if isinstance(after.delay, str):
        seconds = timeouts.get(after.delay)
        text = after.delay if seconds is None else f"{duration_words(seconds)} ({after.delay})"
    else:
        text = after.written
    if after.backoff != 1:
        longest = "" if after.max_delay is None else f", at most {duration_words(after.max_delay)}"
        text += f" ×{after.backoff:g} each time{longest}"
    return (Part("after "), Part(text, "time"))


def action_words(action: Action) -> Phrase:
    """``publish connection.ready`` or ``call start_audio``."""
    match action:
        case Call(name=name):
            return (Part("call "), Part(name, "action"))
        case Publish(event=event, data=data):
            payload = (Part(f" {data_words(data)}"),) if data else ()
            return (Part("publish "), Part(event, "event"), *payload)


def invoke_words(invoke: Invoke) -> Phrase:
    """``restart_ice, publishes webrtc.restarted when done, webrtc.restart_failed if it fails``."""
    outcomes = [
        (Part(f"{word} "), Part(event, "event"), Part(end))
        for word, event, end in (("publishes", invoke.done, " when done"), ("publishes", invoke.failed, " if it fails"))
        if event is not None
    ]
    return joined([(Part(invoke.call, "action"),), *outcomes], ", ")


def history_words(history: History) -> Phrase:
    """``deep history, first playing``."""
    return (Part(f"{history.type} history, first "), Part(history.target, "state"))


def actions_words(actions: Iterable[Action]) -> Phrase:
    """``publish connection.ready, call start_audio``."""
    return joined((action_words(action) for action in actions), ", ")


def data_words(data: Any) -> str:
    """A payload as the language means it: expressions bare, literals as JSON.

    >>> data_words({"kind": "greeting", "tries": 3})
    '{kind: "greeting", tries: 3}'
    """
    match data:
        case Expression():
            return expression_words(data)
        case Mapping():
            return "{" + ", ".join(f"{key}: {data_words(value)}" for key, value in data.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(data_words(value) for value in data) + "]"
        case _:
            return json.dumps(data, ensure_ascii=False, default=str)


def transition_words(transition: Transition, timer: Phrase = (), on: str = "") -> Phrase:
    """What it takes to take a transition, and what it then does; its target is not named.

    ``timer`` is the phrase of the timer whose transition it is. ``on`` stands before its events.
    """
    events = event_words(transition.event)
    taken = _spaced(
        timer,
        (Part(on), *events) if on and events else events,
        guard_words(transition.cond, transition.unless),
    ) or words("at once")
    if transition.internal:
        taken += words(" (internal)")
    return _spaced(taken, (Part("/ "), *actions_words(transition.on)) if transition.on else ())


def remembered_words(remembered: Remembered) -> Phrase:
    """``data.phone_number on whatsapp.call_started``."""
    events = joined((trigger_words(trigger) for trigger in remembered.on), " or ")
    return (Part(expression_words(remembered.value), "guard"), Part(" on "), *events)


def property_words(checked: Property) -> Phrase:
    """What a property promises, as a sentence."""
    within = words(f" within {duration_words(checked.within)}") if checked.within is not None else ()
    for word, expression in (
        ("always ", checked.always),
        ("never ", checked.never),
        ("sometimes ", checked.sometimes),
    ):
        if expression is not None:
            return (Part(word), Part(expression_words(expression), "guard"), *within)
    if checked.always_reachable is not None:
        return (Part(checked.always_reachable, "state"), Part(" can always be reached"), *within)
    if checked.leads_to is not None:
        first, then = (Part(expression_words(expression), "guard") for expression in checked.leads_to)
        return (first, Part(" leads to "), then, *within)
    pairs = (
        (Part("each "), Part(first, "action"), Part(" is followed by "), Part(second, "action"))
        for first, second in (checked.closes or {}).items()
    )
    return joined(pairs, ", ") + within


def _spaced(*phrases: Phrase) -> Phrase:
    return joined((phrase for phrase in phrases if phrase), " ")
