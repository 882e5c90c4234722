"""Traffic files say who sends what, how late and how likely; what is wrong with one is told at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from statemachines import DefinitionError, load_definition
from statemachines.language.library import shipped_definitions
from statemachines.language.traffic import Traffic, find_traffic, load_traffic, read_traffic, traffic_of
from statemachines.validation import validate_paths

CALL = load_definition("whatsapp_call")
SHIPPED = [(definition, name) for definition in shipped_definitions() for name in traffic_of(definition)]


def read(item: str, more: str = "") -> Traffic:
    return read_traffic(f"sources:\n  phone:\n    - {item}\n{more}", "my.traffic.yaml", CALL)


def problem(item: str, more: str = "") -> str:
    with pytest.raises(DefinitionError) as caught:
        read(item, more)
    assert len(caught.value.problems) == 1
    return str(caught.value.problems[0])


@pytest.mark.parametrize(
    ("after", "meant"),
    [
        ("2s", 2.0),
        ("{constant: 2s}", 2.0),
        ("{exponential: 1m}", ("exponential", (60.0,))),
        ("{uniform: [200ms, 2s]}", ("uniform", (0.2, 2.0))),
        ("{lognormal: {median: 4s, p99: 20s}}", ("lognormal", (4.0, 20.0))),
    ],
)
def test_a_delay_is_a_duration_or_a_distribution(after: str, meant: object) -> None:
    assert read(f"{{publish: call.accepted, after: {after}}}").sources["phone"][0].after == meant


@pytest.mark.parametrize(
    ("after", "column", "words"),
    [
        ("{constant: 2}", 50, "'constant' must be a duration with a unit, as in 2s or 2ms"),
        ("{exponential: [1s]}", 53, "'exponential' must be a duration"),
        ("{uniform: [1s, 2]}", 54, "item 2 of 'uniform' must be a duration with a unit"),
        ("{uniform: [1s]}", 49, "'uniform' takes two durations, as in [200ms, 2s]"),
        ("{uniform: [2s, 1s]}", 49, "'uniform' takes the shorter duration first"),
        ("{lognormal: {median: 4s, p99: 20}}", 69, "'p99' must be a duration with a unit"),
        ("{lognormal: {median: 4s}}", 51, "'lognormal' takes median and p99"),
        ("{lognormal: {median: 4s, p99: 3s}}", 51, "a p99 that is not shorter"),
        ("{lognormall: 4s}", 39, "(did you mean 'lognormal'?)"),
        ("{constant: 1s, uniform: [1s, 2s]}", 39, "must be a duration or one of"),
        ("soon", 39, "'soon' is not a duration"),
    ],
)
def test_a_wrong_delay_is_refused_where_it_is_wrong(after: str, column: int, words: str) -> None:
    told = problem(f"{{publish: call.accepted, after: {after}}}")
    assert told.startswith(f"my.traffic.yaml:3:{column}: error: ")
    assert words in told


@pytest.mark.parametrize("rate", ["-0.1", "1.5", ".nan", ".inf", "often"])
@pytest.mark.parametrize("fault", ["lose", "duplicate", "reorder"])
def test_a_fault_is_a_rate_or_a_whole_number(fault: str, rate: str) -> None:
    assert problem("call.accepted", f"faults: {{{fault}: {rate}}}").startswith("my.traffic.yaml:4:")
    for good in ("0", "0.25", "1", "3"):
        assert read("call.accepted", f"faults: {{{fault}: {good}}}").faults == {fault: float(good)}


@pytest.mark.parametrize(("rate", "hertz"), [("5/s", 5.0), ("30/m", 0.5), ("7200/h", 2.0)])
def test_a_rate_is_a_number_in_some_time(rate: str, hertz: float) -> None:
    assert read("call.accepted", f"connections: {{rate: {rate}}}").rate_hz == hertz


@pytest.mark.parametrize("rate", ["5", "5/d", "0/s", "nan/s", "-1/s"])
def test_a_wrong_rate_is_refused(rate: str) -> None:
    assert "'rate' must be" in problem("call.accepted", f"connections: {{rate: {rate}}}")


def test_a_traffic_file_is_found_by_its_name() -> None:
    assert find_traffic("whatsapp_call", "busy_hour").name == "busy_hour.traffic.yaml"
    with pytest.raises(DefinitionError, match="did you mean 'busy_hour'"):
        find_traffic("whatsapp_call", "busy_our")


def test_four_definitions_ship_with_traffic() -> None:
    assert len({definition for definition, _ in SHIPPED}) >= 4


@pytest.mark.parametrize(("definition", "name"), SHIPPED)
def test_shipped_traffic_is_described_and_has_rates_of_faults(definition: str, name: str) -> None:
    loaded = load_definition(definition)
    traffic = load_traffic(find_traffic(definition, name), loaded)
    assert traffic.definition == definition
    assert all(0 < rate < 1 for rate in traffic.faults.values())
    assert "\ndescription: " in find_traffic(definition, name).read_text(encoding="utf-8")


def test_validate_checks_traffic_with_the_definition_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "whatsapp_call"
    (folder / "traffic").mkdir(parents=True)
    (folder / "whatsapp_call.yaml").write_bytes(
        find_traffic("whatsapp_call", "busy_hour").parent.parent.joinpath("whatsapp_call.yaml").read_bytes()
    )
    file = folder / "traffic" / "wrong.traffic.yaml"
    file.write_text("sources: {phone: [call.accepted]}\nconnections: {dependencies: [webrtc_audio]}\n")
    (problem,) = validate_paths([folder]).problems
    assert (problem.path, problem.line, problem.severity) == (str(file), 2, "error")
    assert "did you mean 'webrtc_audio_ready'" in problem.message


def test_traffic_without_a_definition_beside_it_is_told_of(tmp_path: Path) -> None:
    file = tmp_path / "lonely.traffic.yaml"
    file.write_text("sources: {phone: [call.accepted]}\n")
    (problem,) = validate_paths([file]).problems
    assert "is checked with its definition" in problem.message


def test_traffic_is_checked_with_the_definitions_in_its_folder(tmp_path: Path) -> None:
    gate = "name: gate\ndependencies: {media: media.connected}\nstates: {open: {final: true, initial: true}}\n"
    (tmp_path / "gate.yaml").write_text(gate)
    (tmp_path / "other.yaml").write_text(gate.replace("name: gate", "name: other").replace("media: ", "medium: "))
    file = tmp_path / "calls.traffic.yaml"
    file.write_text("sources: {phone: [call.accepted]}\nconnections: {dependencies: [media]}\n")
    assert "other declares no dependency 'media'" in str([p.message for p in validate_paths([file]).problems])
    file.write_text(f"definition: gate\n{file.read_text()}")
    assert validate_paths([file]).problems == ()
