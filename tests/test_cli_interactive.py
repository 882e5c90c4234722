"""``phasebus simulate --interactive``, with commands from a pipe; and what a terminal's keys do."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from phasebus_commands import simulate_interactive
from statemachines import load_definition
from statemachines.simulation.scenario import Publish
from statemachines.simulation.session import PlayedSimulation
from tests.cli_helpers import Command, Done


def play(phasebus: Command, *lines: str, definition: object = "traffic_light") -> Done:
    return phasebus("simulate", definition, "--interactive", stdin="".join(f"{line}\n" for line in lines))


def places(done: Done) -> list[str]:
    """Where it was, each time that this was said."""
    return [line.partition(" is in ")[2] for line in done.out.splitlines() if " is in " in line]


def test_it_says_what_is_possible_and_what_that_would_do(phasebus: Command) -> None:
    done = play(phasebus)
    assert done.status == 0
    assert "readiness: lamps pending" in done.out
    assert "1  lamp.broken  (→ flashing)" in done.out
    assert "timer walking of red, due in 10s → red_and_amber" in done.out


def test_a_number_chooses_an_event_and_a_timer(phasebus: Command) -> None:
    assert places(play(phasebus, "1")) == ["working, red", "flashing"]
    done = play(phasebus, "wait 4s", "3")
    assert places(done)[-1] == "working, red_and_amber"
    assert "+10.000s  conn_1 is in" in done.out


def test_an_event_comes_with_the_payload_that_was_typed(phasebus: Command) -> None:
    ready = play(phasebus, "webrtc.audio_track_ready track_type=audio", definition="whatsapp_call")
    assert "readiness: webrtc_audio_ready ready" in ready.out
    other = play(phasebus, "webrtc.audio_track_ready track_type=video", definition="whatsapp_call")
    assert "readiness: webrtc_audio_ready ready" not in other.out


def test_an_event_is_offered_with_the_payload_that_its_condition_wants(phasebus: Command) -> None:
    done = play(phasebus, "1", definition="whatsapp_call")
    assert "1  webrtc.audio_track_ready track_type=audio" in done.out
    assert "readiness: webrtc_audio_ready ready" in done.out


def test_back_takes_the_last_step_back_and_time_with_it(phasebus: Command) -> None:
    done = play(phasebus, "wait 4s", "1", "back", "back", "back")
    assert places(done) == ["working, red", "working, red", "flashing", "working, red", "working, red"]
    assert done.out.count("+0.000s  conn_1 is in") == 2
    assert "there is nothing to take back" in done.out


def test_after_back_it_goes_on_and_is_told_of(phasebus: Command) -> None:
    done = play(phasebus, "1", "back", "wait 10s")
    assert places(done)[-1] == "working, red_and_amber"
    assert "red → red_and_amber" in done.out


def test_why_says_what_it_waits_for(phasebus: Command) -> None:
    assert "conn_1 has waited 0.0 s in red for lamps" in play(phasebus, "why").out


def test_mark_and_terminate_act_by_hand(phasebus: Command) -> None:
    assert "readiness: lamps ready" in play(phasebus, "mark lamps").out
    assert play(phasebus, "terminate wanted", definition="whatsapp_call").status == 0


def test_what_was_played_is_saved_as_a_scenario_that_holds(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "broken.scenario.yaml"
    done = play(phasebus, "wait 10s", "wait 1.25s", "lamp.broken", f"save {path}")
    assert done.status == 0
    assert "phase: flashing" in path.read_text()
    assert phasebus("test", path).status == 0
    path.write_text(path.read_text().replace("lamp.broken", "lamp.repaired"))
    assert phasebus("test", path).status == 1


def test_a_definition_of_ones_own_is_found_from_the_saved_scenario(phasebus: Command, tmp_path: Path) -> None:
    definition = tmp_path / "light.yaml"
    definition.write_text("name: light\nstates:\n  red: {initial: true, after: {1s: green}}\n  green: {final: true}\n")
    (tmp_path / "saved").mkdir()
    play(phasebus, "1", f"save {tmp_path}/saved/turned", definition=definition)
    assert phasebus("test", tmp_path / "saved").status == 0


def test_no_file_is_overwritten_but_ones_own(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "kept.scenario.yaml"
    path.write_text("kept")
    assert play(phasebus, f"save {path}").status == 1
    assert path.read_text() == "kept"
    assert play(phasebus, f"save {tmp_path}/new", "1", f"save {tmp_path}/new").status == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lamp.brokn", "did you mean 'lamp.broken'?"),
        ("bak", "did you mean 'back'?"),
        ("99", "there is no 99 to choose"),
        ("9" * 5000, "is neither a command nor an event"),
        ("wait", "needs a duration"),
        ("wait 5", "5s"),
        ("mark lamp", "did you mean 'lamps'?"),
        ("lamp.broken now", "write NAME=VALUE"),
        ("lamp.broken 'now", "no closing quotation"),
        ("save .", "needs the name of a file"),
        ("back now", "stands alone"),
    ],
)
def test_a_line_that_is_none_says_what_would_be_and_changes_nothing(phasebus: Command, line: str, message: str) -> None:
    done = play(phasebus, line)
    assert message in done.out
    assert done.status == 1
    assert places(done) == ["working, red"]


def test_bytes_that_are_no_text_are_no_command(phasebus: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe\n1\n"), encoding="utf-8"))
    done = phasebus("simulate", "traffic_light", "--interactive")
    assert done.status == 1
    assert places(done)[-1] == "flashing"


def test_quit_ends_it_and_help_explains(phasebus: Command) -> None:
    done = play(phasebus, "help", "# a remark", "", "quit", "1")
    assert "save FILE" in done.out
    assert places(done) == ["working, red"]


def test_it_begins_where_a_scenario_ends(phasebus: Command) -> None:
    done = phasebus("simulate", "whatsapp_call", "happy_call", "--interactive", stdin="back\n")
    assert done.out.count("registered") == 1
    assert "nothing to take back" in done.out


@pytest.mark.parametrize("option", [("--json",), ("--until", "5s")])
def test_it_is_no_output_for_programs(phasebus: Command, option: tuple[str, ...]) -> None:
    assert phasebus("simulate", "traffic_light", "--interactive", *option).status == 2


@pytest.mark.parametrize(("key", "status"), [(EOFError, 0), (KeyboardInterrupt, 130)])
def test_the_keys_that_end_a_terminal_end_it_cleanly(
    phasebus: Command, monkeypatch: pytest.MonkeyPatch, key: type[BaseException], status: int
) -> None:
    def press(prompt: str) -> str:
        raise key

    monkeypatch.setattr("builtins.input", press)
    monkeypatch.setattr(simulate_interactive, "scripted_lines", lambda say: simulate_interactive.typed_lines())
    done = play(phasebus)
    assert done.status == status
    assert done.err.strip() == ""


def test_looking_at_what_is_possible_changes_nothing() -> None:
    played = PlayedSimulation(load_definition("whatsapp_call"), lambda entry: None)
    before = played.record
    assert before is not None
    assert played.events()
    assert played.record is before
    assert played.now == 0


def walk(played: PlayedSimulation) -> Iterator[tuple[str, str]]:
    """Take the first possibility again and again: what it was said to do, and what it did."""
    for number in range(12):
        events = played.events()
        if not events:
            return
        chosen = events[number % len(events)]
        played.take(Publish(chosen.type, played.connection, chosen.data))
        assert played.state is not None
        yield chosen.does, played.state.phase


@pytest.mark.parametrize("name", ["traffic_light", "tcp", "sip_dialog", "webrtc_peer"])
def test_an_event_does_what_was_said_of_it(name: str) -> None:
    played = PlayedSimulation(load_definition(name), lambda entry: None)
    leading = [(does.removeprefix("→ "), phase) for does, phase in walk(played) if does.startswith("→")]
    assert leading
    assert [said for said, _ in leading] == [phase for _, phase in leading]
