"""The timers of a case: how long each still runs, in a form in which equal futures are equal.

Events come at once or just before a timer is due, by a time too short to matter except for the order of what is armed
then. Such instants are counted, not measured: what remains is a number of nanoseconds and a rank, and of the ranks only
the order is kept. That is the region equivalence of timed automata (Alur and Dill, A theory of timed automata, 1994,
section 4.3): whole parts and the order of the fractions decide all that can happen. So there are finitely many.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

NANOSECONDS = 1_000_000_000
LONGEST = 1 << 62
"""In nanoseconds, 146 years: whatever runs longer is never due."""

EARLY = 1 << 30
"""The timers from this number on are no state's: at each an event that came early has waited long enough."""

_RANKS = 1 << 12
"""Room for the rank beside the nanoseconds: far more than there can be timers at once."""

Running = tuple[int, int]
"""What remains (nanoseconds and rank in one number), and which timer it is."""
Timers = tuple[Running, ...]
"""The timers of a connection, the next that is due first; of those due together the one that was armed first."""


def remaining(seconds: float) -> int:
    """How long a timer armed just now has to run."""
    return min(round(min(seconds, LONGEST / NANOSECONDS) * NANOSECONDS), LONGEST) * _RANKS


def whole(left: int) -> int:
    """The nanoseconds of what remains, without the rank."""
    return (left + _RANKS // 2) // _RANKS


def rank(left: int) -> int:
    """The rank of what remains: 0 is on time with now, 1 the first instant after."""
    return left - whole(left) * _RANKS


def canonical(timers: Iterable[Running]) -> Timers:
    """The timers in order, their ranks as small as they can be."""
    running = sorted(timers, key=_due)
    ranks = sorted({0, *(rank(left) for left, _ in running)})
    now = ranks.index(0)
    places = {found: place - now for place, found in enumerate(ranks)}
    return tuple((whole(left) * _RANKS + places[rank(left)], spec) for left, spec in running)


def fired(timers: Timers) -> Timers:
    """The other timers when the next is due."""
    first = timers[0][0]
    return canonical((left - first, spec) for left, spec in timers[1:])


def just_before(timers: Timers) -> Timers | None:
    """All timers an instant before the next is due, and later than anything yet; None if that is now."""
    first = timers[0][0]
    if whole(first) <= 0:
        return None
    return canonical(
        ((whole(left) - whole(first)) * _RANKS + 2 * (rank(left) - rank(first)) + 1, spec) for left, spec in timers
    )


def is_due(timers: Timers) -> bool:
    """Whether the next timer is due now, so that no event can come before it."""
    return timers[0][0] <= 0


@frozen
class Change:
    """What steps do to the timers: those of the states in ``disarms`` end, those in ``arms`` begin.

    Those from :data:`EARLY` on end one by one: their own numbers stand in ``disarms``.

    :ivar owners: the state of each timer in ``arms``
    """

    disarms: frozenset[int] = frozenset()
    arms: Timers = ()
    owners: tuple[int, ...] = ()

    def applied(self, timers: Timers, state_of: list[int]) -> Timers:
        """The timers after it. ``state_of`` tells the state of each timer."""
        kept = [running for running in timers if _owner(running[1], state_of) not in self.disarms]
        return canonical((*kept, *self.arms))

    def then(self, other: Change) -> Change:
        """Both, one directly after the other."""
        lasting = [both for both in zip(self.arms, self.owners, strict=True) if both[1] not in other.disarms]
        return Change(
            self.disarms | other.disarms,
            (*(timer for timer, _ in lasting), *other.arms),
            (*(owner for _, owner in lasting), *other.owners),
        )


def _owner(timer: int, state_of: list[int]) -> int:
    return timer if timer >= EARLY else state_of[timer]


def _due(running: Running) -> tuple[int, bool]:
    """Of what is due together, early events go last: as in ``Connections.fire_next``."""
    return running[0], running[1] >= EARLY
