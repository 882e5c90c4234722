"""``phasebus simulate``, on a virtual clock; and ``phasebus show``."""

from __future__ import annotations

from pathlib import Path

import pytest

from statemachines.simulation.library import scenarios_of
from tests.cli_helpers import Command

RECORDING = Path(__file__).parent.parent / "definitions/whatsapp_call/recordings/webrtc_call.jsonl"


@pytest.mark.parametrize("scenario", scenarios_of("whatsapp_call"))
def test_every_shipped_scenario_holds(phasebus: Command, scenario: str) -> None:
    done = phasebus("simulate", "whatsapp_call", scenario, "--json")
    assert done.status == 0, [line for line in done.lines if line["kind"] == "expect" and not line["ok"]]
    assert done.lines[-1]["failed_expectations"] == 0


def test_there_are_at_least_five_scenarios() -> None:
    assert len(scenarios_of("whatsapp_call")) >= 5


def test_lines_have_time_connection_and_kind_and_the_last_is_the_summary(phasebus: Command) -> None:
    *lines, summary = phasebus("simulate", "whatsapp_call", "happy_call", "--json").lines
    assert all(list(line)[:3] == ["at", "connection", "kind"] for line in lines)
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    assert set(summary) == {"kind", "connections", "published", "failed_expectations"}
    assert set(next(iter(summary["connections"].values()))) == {"phase", "configuration", "dependencies"}
    assert summary["published"]["connection.ready"] == 1


def test_a_failed_expectation_ends_with_status_1(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "wrong.scenario.yaml"
    path.write_text("steps:\n  - expect: {phase: ready}\n")
    done = phasebus("simulate", "whatsapp_call", path, "--json")
    assert done.status == 1
    assert done.lines[-1]["failed_expectations"] == 1


def test_timers_after_the_last_step_fire_only_with_until(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "short.scenario.yaml"
    path.write_text("steps:\n  - publish: whatsapp.call_accepted\n    data: {call_id: wa_7}\n")

    def phase(*more: str) -> str:
        summary = phasebus("simulate", "whatsapp_call", path, "--json", *more).lines[-1]
        return str(summary["connections"]["conn_1"]["phase"])

    assert (phase(), phase("--until", "29s"), phase("--until", "60s")) == ("initializing", "initializing", "terminated")


def test_a_changed_guard_changes_the_simulation(phasebus: Command, tmp_path: Path) -> None:
    shipped = Path(__file__).parent.parent / "definitions/whatsapp_call/whatsapp_call.yaml"
    copy = tmp_path / "my_call.yaml"
    copy.write_text(shipped.read_text().replace("data.track_type == 'audio'", "data.track_type == 'video'"))
    scenario = shipped.parent / "scenarios/happy_call.scenario.yaml"
    assert phasebus("simulate", copy, scenario, "--json").status == 1


def test_a_recording_runs_at_its_times(phasebus: Command) -> None:
    done = phasebus("simulate", "whatsapp_call", "--events", RECORDING, "--json")
    assert done.status == 0
    assert done.lines[-1]["published"]["connection.ready"] == 1
    assert next(iter(done.lines[-1]["connections"].values()))["phase"] == "terminated"


def test_connections_are_registered_if_nothing_else_does(phasebus: Command, tmp_path: Path) -> None:
    definition = tmp_path / "light.yaml"
    definition.write_text(
        "name: light\nstates:\n  red: {initial: true, transitions: [{event: lamp.switched, target: green}]}\n"
        "  green: {transitions: [{event: lamp.switched, target: red}]}\n"
    )
    events = tmp_path / "events.jsonl"
    events.write_text('{"type": "lamp.switched", "connection_id": "l1", "at": 1}\n')
    done = phasebus("simulate", definition, "--events", events, "--json")
    assert done.lines[-1]["connections"]["l1"]["phase"] == "green"


def test_a_bad_line_is_told_of_and_the_rest_runs(phasebus: Command, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    lines = RECORDING.read_text().splitlines()
    events.write_text("\n".join([lines[0], "no json", *lines[1:]]))
    done = phasebus("simulate", "whatsapp_call", "--events", events, "--json")
    assert done.status == 1
    assert f"{events}:2:1: error:" in done.err
    assert done.lines[-1]["published"]["connection.ready"] == 1


def test_an_ignored_event_is_seen(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "odd.scenario.yaml"
    path.write_text("steps:\n  - publish: weather.changed\n")
    done = phasebus("simulate", "whatsapp_call", path, "--json")
    assert [line["type"] for line in done.lines if line["kind"] == "ignored"] == ["weather.changed"]


@pytest.mark.parametrize("arguments", [(), ("happy_call", "--events", RECORDING)])
def test_a_scenario_or_events_but_not_both(phasebus: Command, arguments: tuple[object, ...]) -> None:
    done = phasebus("simulate", "whatsapp_call", *arguments)
    assert done.status == 2
    assert "happy_call" in done.err


def test_a_bad_duration_is_wrong_usage(phasebus: Command) -> None:
    done = phasebus("simulate", "whatsapp_call", "happy_call", "--until", "60")
    assert done.status == 2
    assert "60s" in done.err or "30s" in done.err


def test_an_unknown_scenario_names_the_nearest(phasebus: Command) -> None:
    done = phasebus("simulate", "whatsapp_call", "hapy_call")
    assert done.status == 1
    assert "did you mean 'happy_call'?" in done.err


def test_the_timeline_tells_the_story_in_plain_text(phasebus: Command) -> None:
    done = phasebus("simulate", "whatsapp_call", "happy_call")
    assert "\x1b" not in done.out
    for told in (
        "webrtc.audio_track_ready",
        "connection.ready",
        "start_audio",
        "initializing",
        "openai_connection_ready",
    ):
        assert told in done.out
    assert "+12025550142" not in done.out


def test_mermaid_goes_to_a_file(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "call.mmd"
    done = phasebus("show", "whatsapp_call", "--format", "mermaid", "-o", path)
    assert (done.status, done.out) == (0, "")
    assert path.read_text().startswith("stateDiagram-v2")


def test_the_tree_has_no_colour_codes_in_a_pipe(phasebus: Command) -> None:
    done = phasebus("show", "whatsapp_call")
    assert "\x1b" not in done.out
    assert "restarting_ice" in done.out
