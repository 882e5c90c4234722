"""The smallest part of some things of which something still holds: delta debugging.

``minimal`` is ddmin of Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (2002): it tries
halves, then quarters, then their complements, and so on down to single things. What it returns is 1-minimal: with any
one thing less it does not hold any more. It need not be the smallest there is; to find that takes all subsets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")


def minimal(items: Sequence[Item], holds: Callable[[list[Item]], bool]) -> list[Item]:
    """A part of ``items``, in their order, of which ``holds`` is true, and of no part with one item less.

    ``holds`` must be true of all of them, which is not asked again.

    >>> minimal(range(100), lambda some: {3, 70} <= set(some))
    [3, 70]
    """
    left = list(items)
    if not left or holds([]):
        return []
    parts = 2
    while len(left) > 1:
        chunks = _split(left, parts)
        smaller = _first_that_holds(chunks, holds)
        if smaller is not None:
            left, parts = smaller, 2
            continue
        # Of two parts, each is the other's complement.
        smaller = _first_that_holds(_complements(chunks), holds) if parts > 2 else None
        if smaller is not None:
            left, parts = smaller, max(parts - 1, 2)
        elif parts >= len(left):
            break
        else:
            parts = min(2 * parts, len(left))
    return left


def _split(items: list[Item], parts: int) -> list[list[Item]]:
    bounds = [len(items) * number // parts for number in range(parts + 1)]
    return [items[low:high] for low, high in pairwise(bounds)]


def _complements(chunks: list[list[Item]]) -> list[list[Item]]:
    return [
        [item for other, chunk in enumerate(chunks) if other != number for item in chunk]
        for number in range(len(chunks))
    ]


def _first_that_holds(candidates: list[list[Item]], holds: Callable[[list[Item]], bool]) -> list[Item] | None:
    return next((candidate for candidate in candidates if holds(candidate)), None)
