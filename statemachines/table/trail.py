"""How connections came to where they are: the last moves of each, shared by all that came the same way."""

from __future__ import annotations

from attrs import define, field, frozen

MAX_MOVES = 3
MAX_SHARED = 10_000


@frozen
class Move:
    """How a connection came into a phase: by which event, or which timer of which state."""

    event_type: str
    timer: str
    phase: str


@define(eq=False)
class _Shared:
    """The trails of one definition that are shared, and how many ways lead from one to another."""

    trails: dict[tuple[Move, ...], Trail] = field(factory=dict)
    ways: int = 0


class Trail:
    """The last moves of a connection, the latest last. Never changed: :meth:`then` leads to another.

    A million calls go a handful of ways, so each way is kept once, and a connection only points to it. Beyond so many
    different ones (types of events may come from outside) a connection has its own.
    """

    __slots__ = ("_following", "_shared", "moves")

    def __init__(self, moves: tuple[Move, ...] = (), shared: _Shared | None = None) -> None:
        self.moves = moves
        self._shared = shared or _Shared()
        self._following: dict[tuple[str, str, str], Trail] = {}

    def then(self, event_type: str, timer: str, phase: str) -> Trail:
        """The trail after one more move."""
        found = self._following.get((event_type, timer, phase))
        return self._then(event_type, timer, phase) if found is None else found

    def _then(self, event_type: str, timer: str, phase: str) -> Trail:
        moves = (*self.moves, Move(event_type, timer, phase))[-MAX_MOVES:]
        shared = self._shared
        following = shared.trails.get(moves) or Trail(moves, shared)
        if shared.ways < MAX_SHARED:
            shared.ways += 1
            shared.trails[moves] = self._following[event_type, timer, phase] = following
        return following
