"""XML read strictly into elements that know their line and column.

Document types are refused, and with them every entity but the five that XML itself knows: nothing is ever expanded,
fetched or included. Size and depth are limited. Reading never raises: what is wrong is a :class:`Problem`.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.parsers import expat

from attrs import Factory, define

from statemachines.errors import Problem
from statemachines.language.syntax import line_and_column, read_text

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 60
MAX_ELEMENTS = 50_000
_SEPARATOR = " "


@define(eq=False)
class Element:
    """One element: namespace, tag and attributes (with their namespace in braces), and where it begins."""

    namespace: str
    tag: str
    attributes: dict[str, str]
    line: int
    column: int
    children: list[Element] = Factory(list)
    text: str = ""

    def get(self, name: str) -> str | None:
        """An attribute without namespace."""
        return self.attributes.get(name)

    def named(self, *tags: str) -> Iterator[Element]:
        """The children of these tags."""
        return (child for child in self.children if child.tag in tags)


class _Refused(Exception):
    def __init__(self, message: str, place: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place


def read_xml(content: bytes, path: str) -> Element | Problem:
    """The root element of an XML file, or what is wrong with it."""
    if len(content) > MAX_BYTES:
        return Problem(path, 1, 1, "error", f"the file is larger than the limit of 1 MiB ({MAX_BYTES} bytes): split it")
    text, wrong = read_text(content)
    if wrong is not None:
        return Problem(path, wrong.line, wrong.column, "error", wrong.message.replace("YAML", "XML"))
    reader = _Reader(text)
    try:
        reader.parser.Parse(text, True)
    except _Refused as refused:
        return Problem(path, *(refused.place or reader.place()), "error", refused.message)
    except expat.ExpatError as error:
        message = f"not XML: {expat.ErrorString(error.code)}; check the tags and quotes around here"
        return Problem(path, error.lineno, error.offset + 1, "error", message)
    assert reader.root is not None, "expat refuses a document without element"
    return reader.root


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.root: Element | None = None
        self.stack: list[Element] = []
        self.elements = 0

    def place(self) -> tuple[int, int]:
        return self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1

    def _doctype(self, *_: object) -> None:
        # The parser tells of it at its end, people look for its beginning.
        read = self.text.encode()[: self.parser.CurrentByteIndex].decode("utf-8", "replace")
        message = "a document type (<!DOCTYPE …>) is refused, since its entities could expand without end: remove it"
        raise _Refused(message, line_and_column(self.text, max(read.rfind("<!DOCTYPE"), 0)))

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        if len(self.stack) >= MAX_DEPTH:
            raise _Refused(f"nested more than {MAX_DEPTH} levels deep: flatten this part")
        if self.elements > MAX_ELEMENTS:
            raise _Refused(f"more than {MAX_ELEMENTS} elements: split the file")
        namespace, _, tag = name.rpartition(_SEPARATOR)
        made = Element(namespace, tag, {_attribute(key): value for key, value in attributes.items()}, *self.place())
        if self.stack:
            self.stack[-1].children.append(made)
        else:
            self.root = made
        self.stack.append(made)

    def _end(self, _: str) -> None:
        self.stack.pop()

    def _text(self, text: str) -> None:
        self.stack[-1].text += text


def _attribute(name: str) -> str:
    namespace, _, local = name.rpartition(_SEPARATOR)
    return f"{{{namespace}}}{local}" if namespace else local
