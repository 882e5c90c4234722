"""What is wrong with a text that is no YAML, in words that say what to do about it."""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen
from ruamel.yaml.error import MarkedYAMLError, YAMLError

# What YAML 1.2 (5.1) allows in a stream, so that ruamel need not be asked about the rest.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INDENT = re.compile(r"[ ]*\t[ \t]*(?=[^ \t\r\n#])")

# The beginning or a part of ruamel's message, and ours. The first that is contained in it is used.
_CURES = (
    ("'\\t' that cannot start any token", "a tab is used as indentation: use spaces"),
    ("mapping values are not allowed", "a ':' is not expected here: check the indentation, or quote the text"),
    ("but found '<block mapping start>'", "the indentation does not fit: align this line with those it belongs to"),
    ("but found '<block sequence start>'", "the indentation does not fit: align this line with those it belongs to"),
    ("expected <block end>", "the indentation does not fit: align this line with those it belongs to"),
    ("expected ',' or ']'", "a list '[' is not closed: add a ',' or the missing ']'"),
    ("expected ',' or '}'", "a mapping '{' is not closed: add a ',' or the missing '}'"),
    ("unexpected end of stream", "a quoted text is not closed: add the missing quote"),
    ("could not find expected ':'", "a ':' is missing: write 'key: value', with a space after the ':'"),
    ("unknown escape character", "an unknown escape in double quotes: use single quotes, or double the backslash"),
    ("escape sequence", "an incomplete escape in double quotes: use single quotes, or double the backslash"),
    ("found undefined tag handle", "tags are refused: remove it, and quote what is text"),
    ("undefined alias", "aliases are refused: write the value out"),
    ("that cannot start any token", "this character cannot begin a value: put the value in quotes"),
    (
        "<document start>",
        "this does not belong to what is above: check the indentation, and that there is one document",
    ),
    ("document separator", "a document separator inside quoted text: close the quote before it"),
    ("sequence entries are not allowed", "a '-' is not expected here: put the list on lines of its own below its key"),
    ("block sequence entries", "a '-' is not expected here: put the list on lines of its own below its key"),
    ("mapping keys are not allowed", "a '?' is not expected here: write 'key: value'"),
    ("expected a comment or a line break", "nothing may follow '|' or '>' on its line: begin the text on the next"),
)


@frozen
class WrongText:
    """The first place where a text cannot be YAML."""

    line: int
    column: int
    message: str


def read_text(content: str | bytes) -> tuple[str, WrongText | None]:
    """The text of UTF-8 bytes, without a byte order mark."""
    if isinstance(content, str):
        return content.removeprefix("\ufeff"), None
    try:
        return content.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        if b"\0" in content[:1024]:
            return "", WrongText(*line_and_column(before, len(before)), "this is binary, not text: name a YAML file")
        return "", WrongText(*line_and_column(before, len(before)), "this is not UTF-8: save the file as UTF-8")


def misplaced_character(text: str) -> WrongText | None:
    """The first control character, if there is one."""
    found = _UNPRINTABLE.search(text)
    if found is None:
        return None
    code = f"U+{ord(found.group()):04X}"
    if found.group() == "\0":
        message = f"the character {code} makes this binary, not text: name a YAML file"
    else:
        message = f"the character {code} is not allowed in YAML: remove it"
    return WrongText(*line_and_column(text, found.start()), message)


def syntax_problem(error: YAMLError, text: str) -> tuple[int, int, str]:
    """Line, column and message for what ruamel could not parse."""
    if not isinstance(error, MarkedYAMLError):
        return 1, 1, "this cannot be read as YAML: check the text"
    mark = _place_of(error)
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    tab = _tab_indent(text, line)
    if tab is not None:
        return line, tab, "a tab is used as indentation: use spaces"
    problem = error.problem or error.context or ""
    message = next((cure for part, cure in _CURES if part in problem), f"not YAML: {_one_line(problem)}")
    return line, column, message


def _place_of(error: MarkedYAMLError) -> Any:
    """The mark that helps: of what was never closed or finished, its beginning, and else where reading failed."""
    found, opened = error.problem_mark, error.context_mark
    if found is None or opened is None:
        return found or opened
    problem = error.problem or ""
    unfinished = any(part in problem for part in ("unexpected end of stream", "could not find expected ':'"))
    unclosed = "expected ',' or" in problem and opened.line != found.line
    return opened if unfinished or unclosed else found


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a character of ``text``."""
    begin = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - begin + 1


def _tab_indent(text: str, line: int) -> int | None:
    lines = text.split("\n")
    match = _INDENT.match(lines[line - 1]) if line <= len(lines) else None
    return match.group().index("\t") + 1 if match else None


def _one_line(message: str) -> str:
    return " ".join(message.split())
