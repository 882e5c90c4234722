"""Readable names for transitions: the same words as in a definition."""

from __future__ import annotations

from collections.abc import Iterator

from statemachines.language.definition import After, Definition, Transition


def transition_names(definition: Definition) -> list[str]:
    """Every transition in words, in the order of ``Chart.transitions``.

    As in ``created -> ready when all_ready``.
    """
    return list(_names(definition))


def _names(definition: Definition) -> Iterator[str]:
    for state in definition.walk():
        for transition in state.transitions:
            yield _words(state.id, transition, " or ".join(transition.event) or None)
        for after in state.after:
            yield _words(state.id, after.transition, None, after)


def _words(source: str, transition: Transition, event: str | None, after: After | None = None) -> str:
    words = f"{source} -> {transition.target}" if transition.target else source
    if event is not None:
        words += f" on {event}"
    if after is not None:
        words += f" after {after.written}"
    for word, guard in (("when", transition.cond), ("unless", transition.unless)):
        if guard is not None:
            words += f" {word} {' '.join(guard.text.split())}"
    return words
