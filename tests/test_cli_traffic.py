"""``phasebus simulate --traffic``: a report, JSON, CSV, a picture, one call step by step; and ``--summary``."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from rich.console import Console

from statemachines import load_definition, parse_definition
from statemachines.language.traffic import find_traffic, load_traffic, read_traffic
from statemachines.rendering.traffic import TrafficReport, time_words
from statemachines.rendering.traffic_picture import render_traffic_picture
from statemachines.simulation.calls import CallRunner
from statemachines.simulation.traffic_summary import Drawn, TrafficSummary, summarise
from tests.cli_helpers import Command

RECORDING = Path(__file__).parent.parent / "definitions/whatsapp_call/recordings/webrtc_call.jsonl"
DRAW = ("simulate", "whatsapp_call", "--traffic", "busy_hour", "--calls", 60)


def drawn(calls: int = 60) -> TrafficSummary:
    definition = load_definition("whatsapp_call")
    traffic = load_traffic(find_traffic("whatsapp_call", "busy_hour"), definition)
    runner = CallRunner(definition, traffic, 1, "ready")
    return summarise(Drawn(definition, calls, 1, "ready"), runner, lambda call: None, lambda number: None)


def test_a_report_tells_phases_times_and_what_was_last(phasebus: Command) -> None:
    done = phasebus(*DRAW)
    assert done.status == 0
    assert done.out.startswith("whatsapp_call: 60 calls drawn with seed 1, arriving within ")
    lines = done.out.splitlines()
    heading = next(line for line in lines if line.startswith("phase"))
    assert heading.split() == ["phase", "calls", "p50", "p95", "p99", "longest", "last", "there"]
    ended = next(line.split() for line in lines if line.startswith("terminated"))
    assert (ended[1], ended[-1]) == ("60", "60")
    assert any("█" in line and line.endswith("p50") for line in lines)
    assert "last to be ready" in done.out
    assert "\x1b" not in done.out


def test_a_report_in_ascii_has_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with open(tmp_path / "report.txt", "w", encoding="ascii") as file:
        Console(file=file, width=80).print(TrafficReport(drawn()))
    text = (tmp_path / "report.txt").read_text(encoding="ascii")
    assert "###" in text
    assert max(map(len, text.splitlines())) <= 80


def test_json_is_one_object_with_the_figures_of_the_report(phasebus: Command) -> None:
    (summary,) = phasebus(*DRAW, "--json").lines
    assert (summary["calls"], summary["seed"], summary["phase"]) == (60, 1, "ready")
    assert summary["reached"]["ready"]["calls"] == sum(each["count"] for each in summary["histogram"])
    assert sum(summary["last_dependency"].values()) == summary["reached"]["ready"]["calls"]


def test_the_same_seed_gives_the_same_and_another_seed_another(phasebus: Command) -> None:
    first, again, other = (phasebus(*DRAW, "--seed", seed, "--json").out for seed in (5, 5, 6))
    assert first == again != other


def test_csv_has_a_row_for_each_call_and_more_calls_add_rows(phasebus: Command, tmp_path: Path) -> None:
    few, many = tmp_path / "few.csv", tmp_path / "many.csv"
    assert phasebus(*DRAW, "--csv", few).status == 0
    phasebus(*DRAW[:-1], 90, "--csv", many)
    assert many.read_text().startswith(few.read_text())
    rows = list(csv.DictReader(few.read_text(encoding="utf-8").splitlines()))
    (summary,) = phasebus(*DRAW, "--json").lines
    assert [row["call"] for row in rows] == [f"call_{number}" for number in range(1, 61)]
    assert sum(row["ready_s"] != "" for row in rows) == summary["reached"]["ready"]["calls"]
    assert sum(int(row["events"]) for row in rows) == summary["events"]["came"]


def test_a_picture_is_svg_with_the_figures(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "ready.svg"
    done = phasebus(*DRAW, "--picture", path)
    assert done.status == 0
    root = ET.parse(path).getroot()
    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "whatsapp_call: time until ready" in texts
    p50 = drawn().times.quantile(0.5)
    assert p50 is not None
    assert f"p50 {time_words(p50)}" in texts
    assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) == len(drawn().times.bins())


def test_a_picture_of_a_phase_that_nobody_reached_says_so() -> None:
    definition = parse_definition(
        "name: gate\nstates: {a: {initial: true, transitions: [{event: it.came, target: b}]}, b: {final: true}}"
    )
    traffic = read_traffic("sources: {x: [it.went]}", "<traffic>", definition)
    runner = CallRunner(definition, traffic, 1, "b")
    summary = summarise(Drawn(definition, 3, 1, "b"), runner, lambda call: None, lambda number: None)
    assert "0 of 3 calls (0.0 %)" in render_traffic_picture(summary)
    ET.fromstring(render_traffic_picture(summary))


def test_one_call_is_told_step_by_step(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    phasebus(*DRAW, "--csv", path)
    row = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))[16]
    done = phasebus("simulate", "whatsapp_call", "--traffic", "busy_hour", "--call", 17, "--json")
    assert done.status == 0
    *entries, summary = done.lines
    assert {entry["connection"] for entry in entries} == {"call_17"}
    assert summary["connections"]["call_17"]["phase"] == row["phase"]
    ready = next(entry["at"] for entry in entries if entry.get("type") == "connection.ready")
    assert ready == float(row["ready_s"])


def test_counts_of_faults_are_warned_of(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "explored.traffic.yaml"
    path.write_text("sources: {phone: [whatsapp.call_accepted]}\nfaults: {lose: 1, duplicate: 0.5}\n")
    done = phasebus("simulate", "whatsapp_call", "--traffic", path, "--calls", 5, "--json")
    assert done.status == 0
    assert done.err == (
        f"{path}: warning: 'lose: 1' is how many explore tries in a run, and no rate: "
        "write 'lose: 0.01' to simulate with\n"
    )


def test_a_wrong_traffic_file_is_told_of_at_its_place(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "wrong.traffic.yaml"
    path.write_text("sources: {phone: [{publish: call.accepted, after: {exponental: 2s}}]}\n")
    done = phasebus("simulate", "whatsapp_call", "--traffic", path)
    assert done.status == 1
    assert done.err.startswith(f"{path}:1:51: error: 'after' must be")
    assert "did you mean 'exponential'" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["happy_call", "--traffic", "busy_hour"], "only one of them"),
        (["--traffic", "busy_hour", "--events", RECORDING], "only one of them"),
        (["happy_call", "--seed", "3"], "--seed goes with --traffic"),
        (["--interactive", "--seed", "3"], "--seed goes with --traffic"),
        (["--traffic", "busy_hour", "--interactive"], "--interactive goes with none of"),
        (["--traffic", "busy_hour", "--call", "3", "--csv", "x.csv"], "--call shows one call"),
        (["--traffic", "busy_hour", "--calls", "0"], "--calls"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(phasebus: Command, arguments: list[object], words: str) -> None:
    done = phasebus("simulate", "whatsapp_call", *arguments)
    assert done.status == 2
    assert words in done.err


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--traffic", "busy_our", "did you mean 'busy_hour'"), ("--phase", "redy", "did you mean 'ready'")],
)
def test_a_name_that_is_not_there_is_told_with_the_nearest(
    phasebus: Command, option: str, value: str, words: str
) -> None:
    done = phasebus(*DRAW, option, value)
    assert done.status == 1
    assert words in done.err


def test_a_summary_alone_says_the_same_at_the_end(phasebus: Command) -> None:
    *_, last = phasebus("simulate", "whatsapp_call", "--events", RECORDING, "--json").lines
    (alone,) = phasebus("simulate", "whatsapp_call", "--events", RECORDING, "--json", "--summary").lines
    assert alone == last
    text = phasebus("simulate", "whatsapp_call", "happy_call", "--summary").out
    assert "+0." not in text
    assert "connection.ready ×1" in text


PAGE = (Path(__file__).parent.parent / "docs/traffic.md").read_text(encoding="utf-8")


def test_the_page_shows_what_is_printed(phasebus: Command) -> None:
    done = phasebus("simulate", "whatsapp_call", "--traffic", "busy_hour", "--calls", 2000, width=110)
    printed = "\n".join(line.rstrip() for line in done.out.splitlines())
    assert f"```\n{printed}\n```" in PAGE


def test_the_file_on_the_page_is_traffic() -> None:
    text = PAGE.partition("```yaml\n")[2].partition("```")[0]
    traffic = read_traffic(text, "docs/traffic.md", load_definition("whatsapp_call"))
    assert set(traffic.faults) == {"lose", "duplicate", "reorder"}


def test_the_page_names_every_option_and_column(phasebus: Command, tmp_path: Path) -> None:
    for option in ("--csv", "--picture", "--call ", "--seed", "--phase", "--json", "--until", "--summary"):
        assert option in PAGE
    path = tmp_path / "calls.csv"
    phasebus("simulate", "whatsapp_call", "--traffic", "busy_hour", "--calls", 2, "--csv", path)
    columns = path.read_text().partition("\n")[0].split(",")
    assert [name for name in columns if f"`{name}`" not in PAGE and not name.endswith("_s")] == []
    (summary,) = phasebus(*DRAW, "--json").lines
    assert [key for key in summary if key not in ("kind", "definition", "asked") and f"`{key}`" not in PAGE] == []
