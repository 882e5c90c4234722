"""The page on validation lists the rules that there are, in their words."""

from __future__ import annotations

from pathlib import Path

from statemachines.language.rules import FAMILIES

PAGE = Path(__file__).parent.parent / "docs" / "validation.md"


def rules_in_markdown() -> str:
    """The tables of the page. After changing a rule: ``python -m tests.test_rules_page`` writes them anew."""
    lines: list[str] = []
    for family, rules in FAMILIES.items():
        lines += [f"### {family}", "", "| rule | | what holds | may be ignored |", "|---|---|---|---|"]
        for rule in rules:
            ignorable = "yes" if rule.ignorable else ""
            lines.append(f"| `{rule.name}` | {rule.severity} | {rule.summary} | {ignorable} |")
        lines.append("")
    return "\n".join(lines)


def test_the_page_lists_every_rule_as_it_is() -> None:
    assert PAGE.read_text(encoding="utf-8").endswith(rules_in_markdown())


if __name__ == "__main__":
    before = PAGE.read_text(encoding="utf-8").partition("### ")[0]
    PAGE.write_text(before + rules_in_markdown(), encoding="utf-8")
