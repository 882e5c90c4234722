"""What a definition says beside its states, for the note in a picture."""

from __future__ import annotations

from collections.abc import Iterator

from statemachines.language.definition import Definition, Dependency
from statemachines.rendering.dot_labels import NOTE_WIDTH, bold, lines
from statemachines.rendering.words import (
    Part,
    Phrase,
    duration_words,
    joined,
    property_words,
    remembered_words,
    trigger_words,
)


def fact_lines(definition: Definition) -> Iterator[str]:
    """The lines of the note, as markup: sections with a title each."""
    yield from _section("begins and ends", _beginning_and_end(definition))
    yield from _section(
        "dependencies", (line for name, one in definition.dependencies.items() for line in _dependency(name, one))
    )
    yield from _section(
        "timeouts", (_named(name, (Part(duration_words(s), "time"),)) for name, s in definition.timeouts.items())
    )
    yield from _section(
        "remembered", (_named(f"meta.{name}", remembered_words(one)) for name, one in definition.remember.items())
    )
    yield from _section("keys", (_named(name, remembered_words(one)) for name, one in definition.keys.items()))
    yield from _section("properties", (_named(name, property_words(p)) for name, p in definition.properties.items()))


def _section(title: str, phrases: Iterator[Phrase]) -> Iterator[str]:
    for number, phrase in enumerate(phrases):
        if not number:
            yield bold(title, 11)
        yield lines(phrase, NOTE_WIDTH)


def _beginning_and_end(definition: Definition) -> Iterator[Phrase]:
    if definition.starts_on:
        yield _named("starts on", joined((trigger_words(trigger) for trigger in definition.starts_on), " or "))
    yield _named("early events wait", (Part(duration_words(definition.early), "time"),))
    yield _named("kept after the end", (Part(duration_words(definition.retain), "time"),))


def _dependency(name: str, dependency: Dependency) -> Iterator[Phrase]:
    required = "" if dependency.required else " (not required)"
    outcomes = (
        (Part(f"{word} on "), *joined((trigger_words(trigger) for trigger in triggers), " or "))
        for word, triggers in (
            ("ready", dependency.ready_on),
            ("lost", dependency.lost_on),
            ("failed", dependency.failed_on),
        )
        if triggers
    )
    yield _named(f"{name}{required}", joined(outcomes, "; "))


def _named(name: str, phrase: Phrase) -> Phrase:
    return (Part(f"{name}: ", "state"), *phrase)
