"""The scenarios that ship tell a right definition from one that lacks any transition, timer, event or action."""

from __future__ import annotations

import pytest

from tests.protocol_helpers import PROTOCOLS, shipped, shipped_scenarios, some_scenario_fails, without_each_part


@pytest.mark.parametrize("name", PROTOCOLS)
def test_whatever_is_left_out_some_scenario_fails(name: str) -> None:
    scenarios = shipped_scenarios(name)
    unseen = [what for what, spoilt in without_each_part(shipped(name)) if not some_scenario_fails(spoilt, scenarios)]
    assert unseen == []


@pytest.mark.parametrize("name", PROTOCOLS)
def test_it_says_what_must_hold_and_what_may_happen(name: str) -> None:
    properties = shipped(name).properties.values()
    assert any(wanted.always or wanted.never for wanted in properties)
    assert any(wanted.sometimes for wanted in properties)  # or the others might hold of nothing
    assert any(wanted.always_reachable for wanted in properties)
