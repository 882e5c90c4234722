"""The changes between two definitions in words: as lines of a tree, as JSON, and as one picture of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from statemachines.comparison.changes import Change, Merged, Stand, changes, inside_of, merged
from statemachines.language.definition import After, Definition, Dependency, State, Transition
from statemachines.rendering.dot import render_dot
from statemachines.rendering.dot_labels import NOTE_WIDTH, lines
from statemachines.rendering.marks import MARKS, Mark, Marks
from statemachines.rendering.words import (
    Part,
    Phrase,
    actions_words,
    duration_words,
    event_words,
    history_words,
    invoke_words,
    joined,
    plain,
    property_words,
    remembered_words,
    timer_words,
    transition_words,
    trigger_words,
    words,
)

Timeouts = Mapping[str, float]
_LEGEND = "+ came, − went, ~ changed"


def change_phrases(change: Change, old: Timeouts, new: Timeouts) -> tuple[Phrase | None, Phrase | None]:
    """What a part was and what it is; None if there was or is none."""
    return (
        None if change.old is None else _phrase(change, change.old, old),
        None if change.new is None else _phrase(change, change.new, new),
    )


def change_data(change: Change, old: Timeouts, new: Timeouts) -> dict[str, Any]:
    """One of ``changes`` in the JSON of ``phasebus diff``."""
    before, after = change_phrases(change, old, new)
    return {
        "kind": change.kind,
        "what": change.what,
        "state": change.state or None,
        "name": change.name or None,
        "old": None if before is None else plain(before),
        "new": None if after is None else plain(after),
    }


def _phrase(change: Change, part: Any, timeouts: Timeouts) -> Phrase:
    if change.name == "order":
        return joined((_target(one) for one in part), ", then ")
    match part:
        case Transition():
            return (*_target(part), *words(" "), *transition_words(part, on="on "))
        case After():
            return (*_target(part), *words(" "), *transition_words(part.transition, timer_words(part, timeouts), "on "))
        case State():
            return _stand(Stand(None, part.initial, part.final, part.parallel))
        case Stand():
            return _stand(part)
        case Dependency():
            return _dependency(part)
    match change.what:
        case "action":
            return actions_words(part)
        case "defer":
            return event_words(part)
        case "history":
            return history_words(part)
        case "invoke":
            return invoke_words(part)
        case "remember" | "key":
            return remembered_words(part)
        case "timeout":
            return (Part(duration_words(part), "time"),)
        case "property":
            return property_words(part)
    if change.name == "starts_on":
        return joined((trigger_words(trigger) for trigger in part), " or ") or words("nothing")
    if change.name in ("early", "retain"):
        return (Part(duration_words(part), "time"),)
    return words(str(part))


def _target(part: Transition | After | Any) -> Phrase:
    transition = part.transition if isinstance(part, After) else part
    if not isinstance(transition, Transition):
        return words(getattr(part, "call", str(part)))
    return words("stays") if transition.target is None else (Part("→ "), Part(transition.target, "state"))


def _stand(stand: Stand) -> Phrase:
    said = [
        text
        for text, is_so in (
            (f"inside {stand.inside}", stand.inside is not None),
            ("initial", stand.initial),
            ("final", stand.final),
            ("its states all at once", stand.parallel),
        )
        if is_so
    ]
    return words(", ".join(said)) if said else ()


def _dependency(dependency: Dependency) -> Phrase:
    told = [
        (Part(f"{word} on "), *joined((trigger_words(trigger) for trigger in triggers), " or "))
        for word, triggers in (
            ("ready", dependency.ready_on),
            ("lost", dependency.lost_on),
            ("failed", dependency.failed_on),
        )
        if triggers
    ]
    return joined([*told, words("required" if dependency.required else "not required")], ", ")


# -- by state --


def by_state(changes: tuple[Change, ...]) -> dict[str, list[Change]]:
    """The changes of each state, those of the whole definition under the empty name.

    A state that came or went is followed by all that it holds.
    """
    found: dict[str, list[Change]] = {}
    for change in changes:
        found.setdefault(change.state, []).append(change)
        if change.what == "state" and change.kind != "changed":
            found[change.state] += inside_of(change)
    return found


# -- both in one picture --


def render_both(old: Definition, new: Definition) -> str:
    """Both versions as one graph, what came, went and changed marked in it."""
    both, marks = marked(old, new, tuple(changes(old, new)))
    return render_dot(both, marks=marks)


def marked(old: Definition, new: Definition, changes: tuple[Change, ...]) -> tuple[Definition, Marks]:
    """Old and new as one definition to draw, with the marks that tell them apart."""
    both = merged(old, new)
    return both.definition, Marks(
        {state: MARKS[kind] for state, kind in both.states.items()},
        {number: MARKS[kind] for number, kind in both.transitions.items()},
        dict(_was(both, old.timeouts)),
        {state: list(_said_inside(inside, old, new)) for state, inside in by_state(changes).items() if state},
        [lines(line, NOTE_WIDTH) for line in _facts(changes, old, new)],
        f"{new.name}, version {old.version}" + (f" → {new.version}" if new.version != old.version else ""),
    )


def _was(both: Merged, timeouts: Timeouts) -> Iterator[tuple[int, Phrase]]:
    for number, part in both.was.items():
        if isinstance(part, After):
            said = transition_words(part.transition, timer_words(part, timeouts))
        else:
            said = transition_words(part)
        transition = part.transition if isinstance(part, After) else part
        led = () if transition.target is None else words(f" to {transition.target}")
        yield number, (*words(" (was "), *said, *led, *words(")"))


def _said_inside(changes: list[Change], old: Definition, new: Definition) -> Iterator[Phrase]:
    if changes and changes[0].what == "state" and changes[0].kind != "changed":
        return  # all that it holds is drawn, and it is marked itself
    for change in changes:
        if change.what not in ("transition", "timer"):
            yield line_of(change, MARKS[change.kind], old, new)


def _facts(changes: tuple[Change, ...], old: Definition, new: Definition) -> Iterator[Phrase]:
    yield words(_LEGEND)
    for change in changes:
        if not change.state and change.name != "version":
            yield line_of(change, MARKS[change.kind], old, new)


def line_of(change: Change, mark: Mark, old: Definition, new: Definition) -> Phrase:
    """A change on one line: ``~ dependency audio: ready on …, was …``."""
    before, after = change_phrases(change, old.timeouts, new.timeouts)
    name = " ".join(part for part in (_what(change), change.name) if part)
    told = (Part(f"{mark.sign} "), Part(name, "state"))
    if before and after:
        return (*told, *words(": "), *after, *words(", was "), *before)
    said = after or before
    return (*told, *words(": "), *said) if said else told


def _what(change: Change) -> str:
    if change.name == "order":
        return f"{change.what}s in another"
    return "" if change.what in ("action", "definition", "state") else change.what
