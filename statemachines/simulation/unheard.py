"""What follows from a step, where nobody is told of it and none of it comes back: then it is counted, and not built.

Most steps of a simulation are such: their events are news for others. What an outcome leads to is asked once of the
same function that the live lifecycle asks, and remembered with the outcome, which the step table hands out again and
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define

from statemachines.connections.consequences import Consequence, HookCall, InvokeCall, News, Publication
from statemachines.table.table import Outcome


@define
class Unheard:
    """What follows from an outcome, and how often it did.

    :ivar outcome: whose it is; kept, so that no other takes its place in memory
    :ivar heard: it has to be carried out after all: somebody waits for one of its events
    """

    outcome: Outcome
    heard: bool = False
    published: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    times: int = 0


def unheard_of(outcome: Outcome, found: Iterable[Consequence], is_awaited: Callable[[str], bool]) -> Unheard:
    """What the consequences of an outcome are; ``is_awaited`` tells which event types come back."""
    published, called = [], []
    for consequence in found:
        match consequence:
            case Publication(event_type=event_type):
                if is_awaited(event_type):
                    return Unheard(outcome, heard=True)
                published.append(event_type)
            case News(event=event, own_registration=True):
                published.append(event.type)
            case HookCall(name=name):
                called.append(name)
            case InvokeCall():
                pass
            case _:
                return Unheard(outcome, heard=True)
    return Unheard(outcome, published=tuple(published), called=tuple(called))
