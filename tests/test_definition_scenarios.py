"""The scenarios that ship tell a right definition from one that lacks any transition, timer, event or action."""

from __future__ import annotations

import pytest

from statemachines.simulation.mutation import first_to_notice, mutants
from tests.protocol_helpers import PROTOCOLS, shipped, shipped_scenarios


@pytest.mark.parametrize("name", PROTOCOLS)
def test_whatever_is_left_out_some_scenario_fails(name: str) -> None:
    scenarios = shipped_scenarios(name)
    left_out = [mutant for mutant in mutants(shipped(name)) if mutant.change == "left out"]
    assert [str(mutant) for mutant in left_out if first_to_notice(mutant.definition, scenarios) is None] == []


@pytest.mark.parametrize("name", PROTOCOLS)
def test_it_says_what_must_hold_and_what_may_happen(name: str) -> None:
    properties = shipped(name).properties.values()
    assert any(wanted.always or wanted.never for wanted in properties)
    assert any(wanted.sometimes for wanted in properties)  # or the others might hold of nothing
    assert any(wanted.always_reachable for wanted in properties)
