"""Definitions in other notations: SCXML (W3C) and XState machine configurations."""

from __future__ import annotations

from collections.abc import Iterator

from statemachines.language.definition import Definition


def lost_elsewhere(definition: Definition) -> Iterator[str]:
    """What a definition says that no other interpreter does, so that there it would go another way."""
    for state in definition.walk():
        if state.defer:
            yield f"state '{state.id}' defers events, and elsewhere they are lost when they find no transition"
        if state.invoke:
            yield f"state '{state.id}' invokes a coroutine, and elsewhere nobody runs it unless you do"
        if state.parallel and _mixed(definition, state.id):
            yield (
                f"the regions of '{state.id}' are states and parallel states in turn: SCXML takes them as written, "
                "python-statemachine's reader the states first"
            )


def _mixed(definition: Definition, parallel: str) -> bool:
    regions = next(state.states for state in definition.walk() if state.id == parallel)
    kinds = [region.parallel for region in regions]
    return kinds != sorted(kinds)
