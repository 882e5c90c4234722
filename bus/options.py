"""What a subscriber may ask for, checked when it subscribes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from attrs import field, frozen

from bus.event import Event
from bus.names import is_pattern, matches

if TYPE_CHECKING:
    from bus.middleware.retry import Retry

Overflow = Literal["wait", "drop_oldest", "drop_newest", "error"]
"""What a full queue does: make the publisher wait, throw away an event, or raise to the publisher."""


class SubscribeOptions(TypedDict, total=False):
    """The keywords of :meth:`EventBus.subscribe`."""

    connection_id: str | None
    timeout: float | None
    inline: bool
    thread: bool
    concurrency: int
    queue_size: int
    overflow: Overflow
    priorities: Mapping[str, int] | None
    retry: Retry | None
    replay_last: bool


def _at_least_1(_: Any, attribute: Any, value: int) -> None:
    if value < 1:
        raise ValueError(f"{attribute.name} must be at least 1, not {value}")


def _overflow(_: Any, attribute: Any, value: str) -> None:
    if value not in get_args(Overflow):
        raise ValueError(f"overflow must be one of {', '.join(get_args(Overflow))}, not {value!r}")


def _priorities(_: Any, attribute: Any, value: Mapping[str, int] | None) -> None:
    for pattern, number in dict(value or {}).items():
        if not is_pattern(pattern):
            raise ValueError(f"priorities: {pattern!r} is no event name or pattern")
        if not isinstance(number, int):
            raise ValueError(f"priorities: how urgent {pattern} is, is an integer, not {number!r}")


def _retry(_: Any, attribute: Any, value: Retry | None) -> None:
    if value is not None and not hasattr(value, "wrap"):
        raise ValueError(f"retry is a bus.middleware.Retry, not {value!r}")


@frozen
class Options:
    """See :meth:`EventBus.subscribe`.

    :raises ValueError: a value, or two that exclude each other
    """

    connection_id: str | None = None
    timeout: float | None = None
    inline: bool = False
    thread: bool = False
    concurrency: int = field(default=1, validator=_at_least_1)
    queue_size: int = field(default=1024, validator=_at_least_1)
    overflow: Overflow = field(default="wait", validator=_overflow)
    priorities: Mapping[str, int] | None = field(default=None, validator=_priorities)
    retry: Retry | None = field(default=None, validator=_retry)
    replay_last: bool = False

    def __attrs_post_init__(self) -> None:
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {self.timeout}")
        if self.inline and self.replay_last:
            raise ValueError("replay_last needs a queue: an inline handler runs inside publish only")
        if self.inline and self.priorities:
            raise ValueError("priorities order a queue, and an inline handler has none")

    def priority(self) -> Callable[[Event], int]:
        """How urgent an event is: the highest number of the patterns that match its type, 0 if none does."""
        priorities = dict(self.priorities or {})
        known: dict[str, int] = {}

        def priority(event: Event) -> int:
            found = known.get(event.type)
            if found is None:
                found = max((number for p, number in priorities.items() if matches(p, event.type)), default=0)
                if len(known) < 10_000:
                    known[event.type] = found
            return found

        return priority
