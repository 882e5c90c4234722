"""The marks that the drawings use, and text made safe to print: nothing from a file or the wire moves the cursor."""

from __future__ import annotations

from attrs import frozen
from rich.console import ConsoleOptions


@frozen
class Signs:
    """One set of marks; ``ascii_only`` also says that nothing else may be printed."""

    arrow: str
    initial: str
    state: str
    final: str
    good: str
    bad: str
    lost: str
    more: str
    hidden: str
    times: str
    here: str
    ascii_only: bool = False

    def clean(self, text: str) -> str:
        """``text`` on one line, with control characters, and what cannot be printed here, written as escapes.

        >>> UNICODE.clean("red \\x1b[31m alert")
        'red \\\\x1b[31m alert'
        """
        if text.isprintable() and (text.isascii() or not self.ascii_only):
            return text
        return "".join(self._clean_character(character) for character in text)

    def _clean_character(self, character: str) -> str:
        if character.isprintable() and (character.isascii() or not self.ascii_only):
            return character
        return character.encode("unicode_escape").decode("ascii")


UNICODE = Signs("→", "●", "○", "◉", "✓", "✗", "!", "…", "•••", "×", "◀")
ASCII = Signs("->", "*", "o", "@", "+", "x", "!", "...", "***", "x", "<", ascii_only=True)


def signs_for(options: ConsoleOptions) -> Signs:
    """The marks that an output can show."""
    return ASCII if options.ascii_only or options.legacy_windows else UNICODE
