"""Damage to each shipped definition: a Definition or a DefinitionError, within a second and 100 MB each.

``make soak`` does a thousand to each definition, ``make test`` some. Time is that of the processor, so that a busy
machine fails nobody; memory is what Python allocated at the most, and how much the process grew.
"""

from __future__ import annotations

import os
import resource
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from statemachines import Definition, DefinitionError, parse_definition
from statemachines.language import find_definition, shipped_definitions
from tests.mutations import mutated

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
MUTATIONS = 1_000 if SOAK else 12
MAX_SECONDS, MAX_BYTES = 1.0, 100_000_000
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def loaded(text: str) -> Definition | None:
    """The definition, None if it is refused as it should be. Anything else that is raised is a failure."""
    try:
        definition = parse_definition(text, "mutated.yaml")
    except DefinitionError:
        return None
    assert isinstance(definition, Definition)
    return definition


def seconds_to_load(text: str) -> float:
    begun = time.process_time()
    loaded(text)
    return time.process_time() - begun


def test_mutations_break_most_texts_and_not_all() -> None:
    text = Path(find_definition("whatsapp_call")).read_text()
    good = sum(loaded(mutated(text, seed)) is not None for seed in range(30))
    assert 0 < good < 25


@pytest.mark.parametrize("name", shipped_definitions())
def test_a_mutated_definition_is_loaded_or_refused_within_a_second(name: str) -> None:
    text = Path(find_definition(name)).read_text()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(MUTATIONS):
        took = seconds_to_load(mutated(text, seed))
        if took >= MAX_SECONDS:  # once more, since a processor that is shared is slower for a while
            took = seconds_to_load(mutated(text, seed))
        assert took < MAX_SECONDS, f"mutated({name}, {seed}) took {took:.2f} s"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * _RSS_UNIT
    assert grown < MAX_BYTES, f"mutations of {name} took {grown / 1e6:.0f} MB more at their most"


@pytest.mark.parametrize("name", shipped_definitions())
def test_a_mutated_definition_takes_less_than_100_mb(name: str) -> None:
    text = Path(find_definition(name)).read_text()
    tracemalloc.start()
    try:
        for seed in range(30 if SOAK else 3):  # tracing makes everything many times slower
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            loaded(mutated(text, seed))
            _, most = tracemalloc.get_traced_memory()
            assert most - before < MAX_BYTES, f"mutated({name}, {seed}) took {(most - before) / 1e6:.0f} MB"
    finally:
        tracemalloc.stop()
