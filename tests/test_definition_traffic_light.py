"""The traffic light shows what the convention's article 23 allows, in its order, whatever happens."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol_helpers import Driven

FOLLOWS = {
    "show_red": {"show_red_and_amber", "flash_amber"},
    "show_red_and_amber": {"show_green", "flash_amber"},
    "show_green": {"show_amber", "flash_amber"},
    "show_amber": {"show_red", "flash_amber"},
    "flash_amber": {"stop_flashing"},
    "stop_flashing": {"show_red"},
}
"""What may be shown after what."""

HAPPENINGS = st.one_of(
    st.sampled_from(["button.pressed", "lamp.broken", "lamp.repaired"]), st.floats(0, 30, allow_nan=False)
)


@settings(max_examples=100, deadline=None)
@given(st.lists(HAPPENINGS, max_size=25))
def test_the_lights_follow_each_other_in_order(happenings: list[str | float]) -> None:
    driven = Driven.of("traffic_light")
    for happening in happenings:
        if isinstance(happening, str):
            driven.hear(happening)
        else:
            driven.wait(happening)
    shown = driven.calls
    assert shown[0] == "show_red"
    assert all(after in FOLLOWS[before] for before, after in pairwise(shown))


def test_green_waits_for_somebody_who_wants_to_cross() -> None:
    assert Driven.of("traffic_light").wait(24 * 3600).state == "yielding"


def test_a_button_pressed_all_the_time_gives_a_cycle_of_22_seconds() -> None:
    driven = Driven.of("traffic_light")
    for _ in range(1000):
        driven.wait(0.1).hear("button.pressed")
    reds = [at for at, light in driven.timed_calls if light == "show_red"]
    assert [round(second - first, 1) for first, second in pairwise(reds)] == [22.0] * 4
