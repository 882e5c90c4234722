"""Which of the events that came early make no difference, so that they need not be kept.

Any event may come early, again and again; of two types alone there are more orders than can be tried. But most do the
same. What came early matters when a connection begins: each event that begins one leads, with the early ones after it,
to one outcome. An early event is *needless* if each of these outcomes is the same without it, now and whenever some of
the events before it have waited long enough and are gone; of those that came at the same time, all go together. As
early events are processed one after the other, words of the same outcomes have the same outcomes with one event more
after both, too (a right congruence: Nerode, Linear automaton transformations, 1958). So a needless event may be left
out at once, with its timer.

The events that begin a connection are found while searching. Where a new one tells apart what was taken for the same,
the search begins anew and knows it from the start, as for dead facts (:mod:`~statemachines.exploration.liveness`).

Weak spot: a needless event that is left out takes no place of the 64. So that so many come that the oldest of them goes
is only tried if none was needless.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

Word = tuple[int, ...]
"""Events by number, the oldest first."""

Outcome = Callable[[Word, int], Hashable]
"""What tells apart how a connection stands that one event begins, after those of a word."""


class Waiting:
    """Leaves out needless events."""

    def __init__(self, outcome: Outcome, beginning: Iterable[int]) -> None:
        self.grown = False
        """Whether an event was left out that is not needless."""
        self.beginning = list(beginning)
        """The events that begin a connection, by number."""
        self._outcome = outcome
        self._known: dict[tuple[Word, int], Hashable] = {}
        self._left_out: dict[tuple[Word, int, tuple[int, ...]], None] = {}
        """Words, the place in each of what was needless, and where each may begin once others are gone."""

    def needed(self, word: Word, times: Sequence[int]) -> tuple[int, ...]:
        """The places of the events that are not needless; ``times`` tells which of them came at the same time."""
        places, at = list(range(len(word))), 0
        while at < len(places):
            left = tuple(word[place] for place in places)
            firsts = tuple(n for n in range(at + 1) if n == 0 or times[places[n]] != times[places[n - 1]])
            if self._is_needless(left, at, firsts, self.beginning):
                self._left_out[left, at, firsts] = None
                del places[at]
                at = 0
            else:
                at += 1
        return tuple(places)

    def begins(self, event: int) -> None:
        """An event begins a connection; it may be a new one."""
        if event not in self.beginning:
            self.beginning.append(event)
            self.grown |= not all(self._is_needless(*left_out, [event]) for left_out in self._left_out)

    def _is_needless(self, word: Word, at: int, firsts: Sequence[int], beginning: Iterable[int]) -> bool:
        return all(
            self._after(word[first:], event) == self._after(word[first:at] + word[at + 1 :], event)
            for event in beginning
            for first in firsts
        )

    def _after(self, word: Word, event: int) -> Hashable:
        found = self._known.get((word, event))
        if found is None:
            found = self._known[word, event] = self._outcome(word, event)
        return found
