"""``phasebus show`` writes SCXML and XState, and every command takes an ``.scxml`` file for a definition."""

from __future__ import annotations

import json
import re
from pathlib import Path

from statemachines import load_definition, parse_definition
from statemachines.interchange.scxml import render_scxml
from statemachines.language.loading import check_source
from statemachines.language.scxml import read_scxml
from tests.cli_helpers import Command

PAGE = (Path(__file__).parent.parent / "docs" / "interchange.md").read_text(encoding="utf-8")


def test_show_writes_a_document_that_every_command_takes(phasebus: Command, tmp_path: Path) -> None:
    file = tmp_path / "call.scxml"
    shown = phasebus("show", "whatsapp_call", "--format", "scxml", "-o", file)
    assert shown.status == 0
    assert "warning: state 'restarting_ice' invokes a coroutine" in shown.err
    assert load_definition(str(file)) == load_definition("whatsapp_call")
    assert phasebus("validate", file).status == 0
    assert phasebus("validate", tmp_path).err == "1 file checked: no problems\n"
    assert phasebus("show", file).out == phasebus("show", "whatsapp_call").out
    scenario = Path(__file__).parent.parent / "definitions/whatsapp_call/scenarios/happy_call.scenario.yaml"
    assert phasebus("simulate", file, scenario, "--json").status == 0


def test_show_writes_a_machine_configuration(phasebus: Command) -> None:
    shown = phasebus("show", "whatsapp_call", "--format", "xstate")
    assert json.loads(shown.out)["initial"] == "live"
    assert '"name": "start_audio"' in shown.out


def test_what_cannot_be_exported_is_said_and_nothing_is_written(phasebus: Command, tmp_path: Path) -> None:
    file, out = tmp_path / "odd.yaml", tmp_path / "odd.scxml"
    file.write_text(
        "name: x\nstates: {a: {initial: true, transitions: [{event: a.heard, target: a, internal: true}]}}\n"
    )
    shown = phasebus("show", file, "--format", "scxml", "-o", out)
    assert shown.status == 1
    assert "remove 'internal: true'" in shown.err
    assert not out.exists()


def test_problems_of_a_document_have_their_place(phasebus: Command, tmp_path: Path) -> None:
    file = tmp_path / "bad.scxml"
    file.write_text(
        '<scxml name="x">\n  <state id="a">\n    <transition event="a.heard" target="b"/>\n  </state>\n</scxml>'
    )
    assert f"{file}:3:5: error: target 'b' does not exist" in phasebus("validate", file).out


def test_the_page_shows_what_is_written_and_read() -> None:
    yaml, written = (re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("yaml", "xml"))
    assert yaml is not None
    assert written is not None
    document = render_scxml(parse_definition(yaml[1]))
    squeezed = re.sub(r"\s+", " ", document)
    for line in written[1].splitlines():
        assert re.sub(r"\s+", " ", line.strip()) in squeezed
    foreign = re.findall(r"```xml\n(.*?)```", PAGE, re.DOTALL)[1]
    definition, problems = check_source(read_scxml(foreign.encode(), "page"))
    assert definition is not None, problems
