"""Calls are drawn as the traffic file says: its distributions and rates hold, and the same seed draws the same calls.

A share is judged at five standard deviations; seeds are fixed, so nothing here fails by luck.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import islice
from math import log, sqrt
from pathlib import Path
from statistics import NormalDist, mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachines.language.traffic import FAULTS, Item, Traffic
from statemachines.simulation.drawing import Coming, Drawing, DrawnCall

MANY = 4000
ROOT = Path(__file__).parent.parent


def drawn(traffic: Traffic, calls: int = MANY, seed: int = 1) -> list[DrawnCall]:
    return list(islice(Drawing(traffic, seed).calls(), calls))


def delays(after: object, calls: int = MANY) -> list[float]:
    traffic = Traffic({"one": (Item("call.accepted", after=after),)})  # type: ignore[arg-type]
    return [call.coming[0].at for call in drawn(traffic, calls)]


def is_share(count: int, of: int, share: float) -> bool:
    """Whether so many of so many are the share, give or take five standard deviations."""
    return abs(count - of * share) <= 5 * sqrt(of * share * (1 - share))


def lognormal_quantile(part: float) -> float:
    spread = log(20 / 4) / NormalDist().inv_cdf(0.99)
    return 4 * float(2.718281828459045 ** (spread * NormalDist().inv_cdf(part)))


@pytest.mark.parametrize("part", [0.05, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    ("after", "quantile"),
    [
        (("exponential", (60.0,)), lambda part: -60 * log(1 - part)),
        (("uniform", (0.2, 2.0)), lambda part: 0.2 + 1.8 * part),
        (("lognormal", (4.0, 20.0)), lognormal_quantile),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_so_many_delays_are_below_each_quantile(after: object, quantile: object, part: float) -> None:
    found = delays(after)
    assert is_share(sum(delay <= quantile(part) for delay in found), MANY, part)  # type: ignore[operator]


def test_the_lognormal_has_the_median_and_the_p99_that_it_is_named_by() -> None:
    assert lognormal_quantile(0.5) == pytest.approx(4.0)
    assert lognormal_quantile(0.99) == pytest.approx(20.0)


def test_a_constant_is_one() -> None:
    assert set(delays(2.5, 50)) == {2.5}


def test_calls_arrive_at_their_rate_and_not_evenly() -> None:
    calls = drawn(Traffic({"one": (Item("call.accepted"),)}, rate_hz=5.0))
    arrivals = [call.arrival for call in calls]
    gaps = [later - earlier for earlier, later in zip([0.0, *arrivals], arrivals, strict=False)]
    assert arrivals == sorted(arrivals)
    assert mean(gaps) == pytest.approx(0.2, rel=5 / sqrt(MANY))
    assert is_share(sum(gap <= 0.2 for gap in gaps), MANY, 1 - 1 / 2.718281828459045)  # as of a Poisson process


def test_an_item_comes_with_its_chance() -> None:
    found = drawn(Traffic({"one": (Item("call.accepted", chance=0.9),)}))
    assert is_share(sum(len(call.coming) for call in found), MANY, 0.9)
    assert not any(call.faults for call in found)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_comes_at_its_rate(fault: str) -> None:
    two = (Item("call.started"), Item("call.accepted", after=1.0))
    found = drawn(Traffic({"one": two}, faults={fault: 0.05}))
    chances = MANY * (1 if fault == "reorder" else 2)  # the last of a source has none behind it to change places with
    assert is_share(sum(len(call.faults) for call in found), chances, 0.05)
    assert {name for call in found for name, _ in call.faults} == {fault}


THREE = (Item("a.came", after=1.0), Item("b.came", after=1.0), Item("c.came", after=("uniform", (1.0, 2.0))))


def only(fault: str, event_type: str) -> list[Coming]:
    """What comes of a call that has this fault and no other."""
    calls = islice(Drawing(Traffic({"one": THREE}, faults={fault: 0.2}), 3).calls(), 2000)
    return next(call.coming for call in calls if call.faults == [(fault, event_type)])


def types(coming: list[Coming]) -> list[str]:
    return [one.item.type for one in coming]


def test_what_is_lost_never_comes_and_its_time_passes() -> None:
    coming = only("lose", "b.came")
    assert types(coming) == ["a.came", "c.came"]
    assert coming[1].at >= 3.0


def test_what_is_doubled_comes_again_after_its_own_delay() -> None:
    coming = only("duplicate", "b.came")
    assert types(coming)[:2] == ["a.came", "b.came"]
    assert sorted(one.at for one in coming if one.item.type == "b.came") == [2.0, 3.0]


def test_what_is_overtaken_changes_places_with_the_next_of_its_source() -> None:
    coming = only("reorder", "b.came")
    assert types(coming) == ["a.came", "c.came", "b.came"]
    assert coming[1].at == 2.0
    assert types(only("reorder", "a.came")) == ["b.came", "a.came", "c.came"]


def test_whole_numbers_of_faults_are_for_exploring_and_no_rates() -> None:
    found = drawn(Traffic({"one": THREE}, faults=dict.fromkeys(FAULTS, 1)), 100)
    assert not any(call.faults for call in found)


def test_at_one_time_events_come_in_the_order_of_the_file() -> None:
    traffic = Traffic({"b": (Item("b.came"), Item("b.went")), "a": (Item("a.came"),)})
    assert types(drawn(traffic, 1)[0].coming) == ["b.came", "b.went", "a.came"]


ITEMS = st.builds(
    Item,
    st.sampled_from(["a.came", "b.came", "c.came"]),
    after=st.one_of(
        st.floats(0, 100),
        st.builds(lambda mean: ("exponential", (mean,)), st.floats(0.001, 100)),
        st.builds(lambda low, more: ("uniform", (low, low + more)), st.floats(0, 10), st.floats(0, 10)),
        st.builds(lambda median, more: ("lognormal", (median, median + more)), st.floats(0.001, 10), st.floats(0, 10)),
    ),
    chance=st.floats(0, 1),
)
TRAFFICS = st.builds(
    Traffic,
    st.dictionaries(st.sampled_from(["x", "y", "z"]), st.lists(ITEMS, max_size=4).map(tuple), min_size=1),
    rate_hz=st.floats(0.1, 100),
    faults=st.fixed_dictionaries({fault: st.floats(0, 0.9) for fault in FAULTS}),
)


def plain(calls: list[DrawnCall]) -> list[object]:
    return [(c.number, c.arrival, [(one.at, one.item.type) for one in c.coming], c.faults) for c in calls]


@settings(max_examples=60)
@given(TRAFFICS, st.integers(0, 2**63 - 1), st.integers(1, 20))
def test_a_call_is_the_same_however_many_are_drawn(traffic: Traffic, seed: int, calls: int) -> None:
    assert plain(drawn(traffic, calls, seed)) == plain(drawn(traffic, 20, seed))[:calls]


@settings(max_examples=60)
@given(TRAFFICS, st.integers(0, 1000))
def test_what_comes_is_in_order_and_each_item_comes_twice_at_most(traffic: Traffic, seed: int) -> None:
    sent = sum(len(items) for items in traffic.sources.values())
    for call in drawn(traffic, 10, seed):
        times = [one.at for one in call.coming]
        assert times == sorted(times)
        assert all(time >= 0 for time in times)
        doubled = sum(fault == "duplicate" for fault, _ in call.faults)
        lost = sum(fault == "lose" for fault, _ in call.faults)
        assert len(times) <= sent - lost + doubled


@settings(max_examples=30)
@given(TRAFFICS)
def test_other_rates_of_loss_change_nothing_but_what_is_lost(traffic: Traffic) -> None:
    """Common random numbers: what comes with a loss comes at the same time without."""
    calm = Traffic(traffic.sources, rate_hz=traffic.rate_hz)
    lossy = Traffic(traffic.sources, rate_hz=traffic.rate_hz, faults={"lose": 0.5})
    for without, with_loss in zip(drawn(calm, 10), drawn(lossy, 10), strict=True):
        assert without.arrival == with_loss.arrival
        left = [(one.at, one.item.type) for one in without.coming]
        for one in with_loss.coming:
            left.remove((one.at, one.item.type))
        assert sorted(name for _, name in left) == sorted(name for _, name in with_loss.faults)


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed() -> None:
    def run(hash_seed: str) -> bytes:
        command = ["simulate", "whatsapp_call", "--traffic", "busy_hour", "--calls", "40", "--json"]
        script = f"import sys, cli; sys.argv[1:] = {command}; cli.main()"
        return subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
        ).stdout

    assert run("1") == run("2") != b""


def test_these_numbers_were_drawn_before() -> None:
    """The same on every machine and every Python: a change here changes what everybody's seeds mean."""
    one = Item("a.came", after=("lognormal", (4.0, 20.0)))
    two = Item("b.came", after=("exponential", (60.0,)))
    calls = drawn(Traffic({"one": (one, two)}, rate_hz=5.0, faults=dict.fromkeys(FAULTS, 0.3)), 3, seed=7)
    assert plain(calls) == [
        (
            1,
            0.452726,
            [(2.837136, "a.came"), (3.134294, "b.came"), (4.29381, "a.came"), (16.370916, "b.came")],
            [("duplicate", "a.came"), ("duplicate", "b.came")],
        ),
        (2, 0.710882, [], [("lose", "a.came"), ("lose", "b.came")]),
        (3, 0.848747, [(1.136001, "a.came"), (5.290902, "a.came")], [("duplicate", "a.came"), ("lose", "b.came")]),
    ]
