"""``phasebus diff``: its words, its JSON, its pictures, and the exit status that a deployment waits for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli_helpers import Command

OLD = """
name: call
version: 3
dependencies: {audio: {ready_on: {event: webrtc.audio_track_ready, when: data.track_type == 'audio'}}}
states:
  created: {initial: true, transitions: [{event: whatsapp.call_started, target: ringing}]}
  ringing:
    enter: [ring]
    after: {30s: terminated}
    transitions: [{cond: all_ready, target: ready}]
  ready: {transitions: [{event: whatsapp.call_terminated, target: terminated}, {event: call.held, target: held}]}
  held: {transitions: [{event: call.resumed, target: ready}], after: {60s: terminated}}
  terminated: {final: true}
"""
CHANGED = OLD.replace("version: 3", "version: 4").replace("30s: terminated", "20s: terminated")
LOSES = CHANGED.replace("  held: {transitions: [{event: call.resumed, target: ready}], after: {60s: terminated}}\n", "")
LOSES = LOSES.replace(", {event: call.held, target: held}", ", {event: call.muted, target: muted}").replace(
    "  terminated:", "  muted: {enter: [mute], transitions: [{event: call.unmuted, target: ready}]}\n  terminated:"
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {}
    for name, text in (("old", OLD), ("changed", CHANGED), ("loses", LOSES), ("same", f"# as it was\n{OLD}")):
        paths[name] = tmp_path / f"{name}.yaml"
        paths[name].write_text(text, encoding="utf-8")
    return paths


def test_the_same_ends_with_status_0_and_says_so(phasebus: Command, files: dict[str, Path]) -> None:
    done = phasebus("diff", files["old"], files["same"], "--strict")
    assert done.status == 0
    assert "Nothing changed." in done.out
    assert "✓ same       ringing" in done.out
    assert "That is all of it." in done.out


def test_changed_is_status_0_and_with_strict_1(phasebus: Command, files: dict[str, Path]) -> None:
    assert phasebus("diff", files["old"], files["changed"]).status == 0
    assert phasebus("diff", files["old"], files["changed"], "--strict").status == 1


def test_gone_is_status_1_and_is_told_first(phasebus: Command, files: dict[str, Path]) -> None:
    done = phasebus("diff", files["old"], files["loses"])
    assert done.status == 1
    assert done.out.index("✗ gone       held") < done.out.index("~ changed    created")
    assert "there is no state 'held' any more" in done.out


def test_people_see_what_came_went_and_changed_and_the_events_that_show_it(
    phasebus: Command, files: dict[str, Path]
) -> None:
    out = phasebus("diff", files["old"], files["loses"]).out
    for line in (
        "call, version 3 → 4",
        "~ timer  → terminated after 20s",
        "was    → terminated after 30s",
        "- held",
        "+ muted",
        "+ transition  → muted on call.muted",
        "then            call.held",
        "before          is in held [held]",
        "now             stays in ready",
    ):
        assert line in out
    assert max(map(len, out.splitlines())) <= 120


def test_the_json_has_all_of_it(phasebus: Command, files: dict[str, Path]) -> None:
    done = phasebus("diff", files["old"], files["loses"], "--json")
    assert done.status == 1
    (found,) = done.lines
    assert (found["old"], found["new"]) == ({"name": "call", "version": 3}, {"name": "call", "version": 4})
    assert found["complete"] is True
    assert found["connections"] is None
    by_phase = {one["phase"]: one for one in found["configurations"]}
    assert {phase: one["verdict"] for phase, one in by_phase.items()} == {
        "created": "changed",
        "ringing": "changed",
        "ready": "changed",
        "held": "gone",
    }
    assert found["summary"] == {"same": 0, "changed": 3, "gone": 1, "undecided": 0}
    assert by_phase["ready"]["events"] == ["call.held"]
    assert by_phase["held"]["why"] == ["there is no state 'held' any more"]
    assert {"kind": "added", "what": "state", "state": "muted", "name": "muted", "old": None, "new": ""} in found[
        "changes"
    ]
    assert [one["old"] for one in found["changes"] if one["what"] == "timer" and one["kind"] == "changed"] == [
        "→ terminated after 30s"
    ]


def test_only_the_living_count_if_they_are_named(phasebus: Command, files: dict[str, Path], tmp_path: Path) -> None:
    alive = tmp_path / "alive.jsonl"
    alive.write_text('{"connection_id": "conn_1", "configuration": ["ready"]}\n')
    done = phasebus("diff", files["old"], files["loses"], "--connections", alive, "--json")
    assert done.status == 0
    (one,) = done.lines[0]["connections"]
    assert (one["connection_id"], one["verdict"], one["events"]) == ("conn_1", "changed", ["call.held"])
    assert phasebus("diff", files["old"], files["loses"], "--connections", alive, "--strict").status == 1
    line = '{"connection_id": "conn_2", "configuration": ["held"]}\n'
    done = phasebus("diff", files["old"], files["loses"], "--connections", "-", stdin=line)
    assert done.status == 1
    assert "1 connection alive: 1 gone" in done.out
    assert "✗ gone       conn_2" in done.out


def test_a_wrong_line_of_connections_is_told_with_its_place(
    phasebus: Command, files: dict[str, Path], tmp_path: Path
) -> None:
    alive = tmp_path / "alive.jsonl"
    alive.write_text('\n{"connection_id": "conn_1", "configuration": ["readi"]}\n')
    done = phasebus("diff", files["old"], files["loses"], "--connections", alive)
    assert done.status == 1
    assert f"{alive}:2:1: error: call has no state 'readi' (did you mean 'ready'?)" in done.err


def test_a_bound_is_told_honestly(phasebus: Command, files: dict[str, Path]) -> None:
    done = phasebus("diff", files["old"], files["changed"], "--cases", 3, "--json")
    assert done.status == 0
    (found,) = done.lines
    assert found["complete"] is False
    assert found["summary"]["undecided"] > 0
    assert phasebus("diff", files["old"], files["changed"], "--cases", 3, "--strict").status == 1
    assert (
        "Not all of it: cases: there are more than 3 cases."
        in phasebus("diff", files["old"], files["changed"], "--cases", 3).out
    )


def test_the_events_are_scenarios_that_hold_with_the_old_and_fail_with_the_new(
    phasebus: Command, files: dict[str, Path], tmp_path: Path
) -> None:
    done = phasebus("diff", files["old"], files["loses"], "--scenarios", tmp_path / "told")
    assert "wrote " in done.err
    scenarios = sorted((tmp_path / "told").iterdir())
    assert [path.name for path in scenarios] == [f"{phase}.scenario.yaml" for phase in ("created", "ready", "ringing")]
    for path in scenarios:
        assert phasebus("simulate", files["old"], path).status == 0
    assert phasebus("simulate", files["loses"], tmp_path / "told" / "ready.scenario.yaml").status == 1


def test_both_are_drawn_in_one_picture(phasebus: Command, files: dict[str, Path], tmp_path: Path) -> None:
    done = phasebus("diff", files["old"], files["loses"], "--format", "dot")
    assert done.status == 0
    for text in ("− held", "+ muted", "version 3 → 4", "+ came, − went, ~ changed", "(was "):
        assert text in done.out
    picture = tmp_path / "both.svg"
    assert phasebus("diff", files["old"], files["loses"], "--format", "svg", "-o", picture).status == 0
    texts = "".join(ElementTree.fromstring(picture.read_text(encoding="utf-8")).itertext())
    assert "held" in texts
    assert "muted" in texts
    png = tmp_path / "both.png"
    assert phasebus("diff", files["old"], files["loses"], "--format", "png", "-o", png).status == 0
    assert png.read_bytes().startswith(b"\x89PNG")


def test_the_report_goes_to_a_file(phasebus: Command, files: dict[str, Path], tmp_path: Path) -> None:
    done = phasebus("diff", files["old"], files["loses"], "--json", "-o", tmp_path / "found.json")
    assert (done.status, done.out) == (1, "")
    assert json.loads((tmp_path / "found.json").read_text())["summary"]["gone"] == 1
    phasebus("diff", files["old"], files["loses"], "-o", tmp_path / "found.txt")
    assert "✗ gone" in (tmp_path / "found.txt").read_text(encoding="utf-8")


def test_a_version_that_did_not_rise_is_warned_of(phasebus: Command, files: dict[str, Path]) -> None:
    files["changed"].write_text(CHANGED.replace("version: 4", "version: 3"))
    done = phasebus("diff", files["old"], files["changed"])
    assert done.status == 0
    assert (
        "warning: the definition changed, and its version did not rise (3 before, 3 now): write version: 4" in done.out
    )


def test_the_page_shows_what_the_command_prints(
    phasebus: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parent.parent / "docs" / "diff.md").read_text(encoding="utf-8")
    old, new = re.findall(r"^```yaml\n(name: .*?)^```", page, re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "live.yaml").write_text(old, encoding="utf-8")
    (tmp_path / "voice_call.yaml").write_text(new, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = phasebus("diff", "live.yaml", "voice_call.yaml")
    assert done.status == 1

    def words(text: str) -> list[str]:
        return re.sub(r"in \d+\.\d s", "in 0.0 s", text).split()

    assert words(done.out) == words(shown)


def test_wrong_use_ends_with_status_2(phasebus: Command, files: dict[str, Path]) -> None:
    assert phasebus("diff", files["old"]).status == 2
    assert phasebus("diff", files["old"], files["same"], "--time", "long").status == 2
    assert phasebus("diff", files["old"], files["same"], "--format", "svg", "--json").status == 2
    assert phasebus("diff", files["old"], files["same"], "--connections", "nowhere.jsonl").status == 2


def test_a_definition_that_is_wrong_is_told_with_its_place(phasebus: Command, files: dict[str, Path]) -> None:
    files["changed"].write_text(CHANGED.replace("target: ready", "target: redy"))
    done = phasebus("diff", files["old"], files["changed"])
    assert done.status == 1
    assert f"{files['changed']}:" in done.err
    assert "redy" in done.err
