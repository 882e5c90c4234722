"""Outcomes as JUnit XML, which continuous integration reads: a suite for each definition, a case for each scenario.

There is no standard; this is the common core that Jenkins, GitLab and GitHub's reporters read: ``testsuites`` >
``testsuite`` > ``testcase`` with ``failure`` (something did not hold) or ``error`` (it could not be run).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree

from statemachines.simulation.testing import Outcome

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document may hold (XML 1.0, section 2.2), not even escaped."""


def junit_xml(outcomes: Iterable[Outcome]) -> bytes:
    """The document, as UTF-8."""
    suites: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        suites.setdefault(outcome.definition or "phasebus", []).append(outcome)
    everything = [outcome for suite in suites.values() for outcome in suite]
    root = ElementTree.Element("testsuites", {"name": "phasebus", **_counts(everything)})
    for name, suite in suites.items():
        element = ElementTree.SubElement(root, "testsuite", {"name": _text(name), **_counts(suite)})
        for outcome in suite:
            _add_case(element, outcome)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _add_case(suite: ElementTree.Element, outcome: Outcome) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {
            "classname": _text(outcome.definition or "phasebus"),
            "name": _text(outcome.name),
            "file": _text(outcome.path),
            "time": f"{outcome.seconds:.6f}",
        },
    )
    if not outcome.ok:
        told = ElementTree.SubElement(
            case, "error" if outcome.refused else "failure", {"message": _text(outcome.failures[0])}
        )
        told.text = _text("\n".join(outcome.failures))


def _counts(outcomes: Iterable[Outcome]) -> dict[str, str]:
    found = list(outcomes)
    return {
        "tests": str(len(found)),
        "failures": str(sum(not outcome.ok and not outcome.refused for outcome in found)),
        "errors": str(sum(outcome.refused for outcome in found)),
        "time": f"{sum(outcome.seconds for outcome in found):.6f}",
    }


def _text(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
