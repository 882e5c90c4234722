"""Every benchmark runs and compares the same work; how fast it is belongs to ``make bench``."""

from __future__ import annotations

import math

import pytest

from benchmarks.__main__ import NAMES, run
from benchmarks.measuring import Scale


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_yields_ratios(name: str) -> None:
    found = run(name, Scale(quick=True))
    assert found
    for report in found:
        assert report.ratios
        assert all(math.isfinite(ratio.median) and ratio.median > 0 for ratio in report.ratios)
