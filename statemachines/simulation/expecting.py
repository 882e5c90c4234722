"""What a scenario expects of a connection, held against what there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from statemachines.connections.state import ConnectionState
from statemachines.simulation.scenario import Expect


def judged(
    expected: Expect, state: ConnectionState | None, published: Sequence[str], called: Sequence[str]
) -> dict[str, Any]:
    """For each thing expected whether it holds, what was expected, and what was found.

    ``state`` is the connection as last seen; ``published`` and ``called`` is what it did by now, in order.
    """
    details: dict[str, Any] = {}
    if expected.phase is not None:
        found = state.phase if state else None
        inside = state is not None and expected.phase in (state.phase, *state.configuration)
        details["phase"] = _judged(expected.phase, found, inside)
    if expected.configuration is not None:
        configuration = list(state.configuration) if state else None
        details["configuration"] = _judged(list(expected.configuration), configuration)
    if expected.dependencies is not None:
        statuses = {name: state.dependencies.get(name) if state else None for name in expected.dependencies}
        details["dependencies"] = _judged(dict(expected.dependencies), statuses)
    for name, wanted, happened in (
        ("published", expected.published, published),
        ("called", expected.called, called),
    ):
        if wanted:
            details[name] = _judged(list(wanted), list(happened), _is_subsequence(wanted, happened))
    for name, unwanted, happened in (
        ("not_published", expected.not_published, published),
        ("not_called", expected.not_called, called),
    ):
        if unwanted:
            found_unwanted = [one for one in unwanted if one in happened]
            details[name] = _judged(list(unwanted), found_unwanted, not found_unwanted)
    return details


def _judged(expected: Any, found: Any, ok: bool | None = None) -> Mapping[str, Any]:
    return {"ok": expected == found if ok is None else ok, "expected": expected, "found": found}


def _is_subsequence(wanted: Iterable[str], happened: Iterable[str]) -> bool:
    remaining = iter(happened)
    return all(one in remaining for one in wanted)
