"""The rules of ``phasebus validate``, for people: a list of all, and one with its examples."""

from __future__ import annotations

from textwrap import indent

from rich.console import Group, RenderableType
from rich.text import Text

from statemachines.language.rules import FAMILIES, Rule

_STYLES = {"error": "bold red", "warning": "bold yellow"}


def render_rules() -> Text:
    """Every rule with its first sentence, by family."""
    width = max(len(rule.name) for rules in FAMILIES.values() for rule in rules)
    lines = Text()
    for family, rules in FAMILIES.items():
        lines.append(f"\n{family}\n" if lines else f"{family}\n", "bold")
        for rule in rules:
            lines.append(f"  {rule.name:<{width}}  ").append(f"{rule.severity:<7}", _STYLES[rule.severity])
            lines.append(f"  {rule.summary}\n")
    lines.append("\nphasebus validate --explain RULE shows one with an example of each side.")
    return lines


def render_rule(rule: Rule) -> RenderableType:
    """A rule: what it says and why, what is wrong, what is right, and how a file may ignore it."""
    head = Text(rule.name, "bold").append("  ").append(rule.severity, _STYLES[rule.severity])
    parts: list[RenderableType] = [head, Text(), Text(rule.explanation)]
    if rule.source:
        parts += [Text(), Text(rule.source, "italic")]
    for title, style, example in (("Wrong", "red", rule.wrong), ("Right", "green", rule.right)):
        parts += [Text(f"\n{title}", style), Text(indent(example.rstrip(), "  "), no_wrap=True, overflow="ignore")]
    if rule.ignorable:
        how = f"Where it is meant, in the state or at the top of the file:\n  ignore: {{{rule.name}: why}}"
    else:
        how = "It cannot be ignored: without it a definition could not run."
    return Group(*parts, Text(f"\n{how}"))
