"""Plain data into attrs classes, strictly, with every fault found and each at its place.

Built on a cattrs converter of our own: cattrs builds the objects and says on which path an error lies; the hooks here
decide what is right and word what is wrong. Nothing is coerced: the text '5' is no integer, nor is ``true``.
A class's unknown and missing keys are reported beside the faults inside its values, not instead of them.

A loader for other files (scenarios, traffic) calls :func:`strict_converter`, registers hooks for its shorthands, which
raise :class:`Wrong` (or gather several in :class:`Faults`), and then calls :func:`structure`.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.errors import AttributeValidationNote, BaseValidationError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn, override

from statemachines.errors import ExpressionError, Problem
from statemachines.language.durations import DurationError, parse_duration
from statemachines.language.expressions import Expression, parse_expression
from statemachines.language.names import nearest
from statemachines.language.scalars import describe
from statemachines.language.source import Location, Source

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]

# The key under which a caller hands a class hook the value of a field that the file does not write as a key.
GIVEN = "\0given"


class Wrong(Exception):
    """One fault in a value.

    ``at`` leads from the value to the wrong part; ``key`` points at that part's key and not at what it holds;
    ``offset`` counts characters into a text. The message follows the quoted name of the part, unless ``whole``.
    """

    def __init__(
        self, message: str, *at: str | int, key: bool = False, offset: int | None = None, whole: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.key = key
        self.offset = offset
        self.whole = whole


class WrongParts(Exception):
    """Several faults, each with the way to it."""

    def __init__(self, parts: Collection[tuple[Location, Exception]]) -> None:
        super().__init__(f"{len(parts)} faults")
        self.parts = tuple(parts)


class Faults:
    """Gathers the faults of a value's parts, so that one does not hide the others.

    >>> faults = Faults()
    >>> with faults.at("name"):
    ...     raise Wrong("must be text")
    >>> len(faults.parts)
    1
    """

    def __init__(self) -> None:
        self.parts: list[tuple[Location, Exception]] = []

    @contextmanager
    def at(self, *way: str | int) -> Iterator[None]:
        """Note what goes wrong inside the block as a fault of the part that ``way`` leads to."""
        try:
            yield
        except (Wrong, WrongParts, BaseValidationError, DurationError, ExpressionError) as error:
            self.parts.append((way, error))

    def add(self, message: str, *at: str | int, key: bool = False, whole: bool = False) -> None:
        """Note a fault without raising it."""
        self.parts.append(((), Wrong(message, *at, key=key, whole=whole)))

    def check(self) -> None:
        """:raises WrongParts: if anything was noted."""
        if self.parts:
            raise WrongParts(self.parts)


@attrs.frozen
class Fault:
    """A fault at its location in the whole file."""

    location: Location
    message: str
    key: bool = False
    offset: int | None = None

    def problem(self, source: Source) -> Problem:
        return source.problem(self.location, self.message, key=self.key, offset=self.offset)


def strict_converter() -> Converter:
    """A converter that coerces nothing, knows durations and expressions, and refuses unknown keys of attrs classes."""
    converter = Converter(detailed_validation=True, forbid_extra_keys=False)
    converter.register_structure_hook(str, structure_text)
    converter.register_structure_hook(int, structure_integer)
    converter.register_structure_hook(bool, structure_boolean)
    converter.register_structure_hook(float, structure_number)
    converter.register_structure_hook(Expression, structure_expression)
    converter.register_structure_hook_factory(attrs.has, lambda cls: class_hook(converter, cls))
    converter.register_structure_hook_func(_is_mapping_of_names, _mapping_hook(converter))
    return converter


def structure(source: Source, cls: type[T], converter: Converter) -> tuple[T | None, tuple[Problem, ...]]:
    """``source`` as a ``cls``, and everything wrong with it, the reader's problems included, by line.

    The value is there only if nothing is wrong.
    """
    if not source.readable:
        return None, tuple(sorted(source.problems))
    value, faults = attempt(source.data, cls, converter)
    problems = sorted({*source.problems, *problems_of(faults, source)})
    return (None if problems else value), tuple(problems)


def attempt(data: object, cls: type[T], converter: Converter) -> tuple[T | None, list[Fault]]:
    """``data`` as a ``cls``, or all that is wrong with it."""
    try:
        return converter.structure(data, cls), []
    except (Wrong, WrongParts, BaseValidationError, DurationError, ExpressionError) as error:
        return None, list(flatten(error, ()))


def problems_of(faults: Collection[Fault], source: Source) -> list[Problem]:
    """The faults as problems of the file, without those at places that the reader has refused already."""
    return [fault.problem(source) for fault in faults if not source.is_broken(fault.location)]


def flatten(error: Exception, base: Location) -> Iterator[Fault]:
    """Each single fault inside ``error``, cattrs' groups included, with its location."""
    match error:
        case WrongParts():
            for way, inner in error.parts:
                yield from flatten(inner, base + way)
        case BaseValidationError():
            for inner in error.exceptions:
                yield from flatten(inner, base + _way(inner))
        case Wrong():
            location = base + error.at
            message = error.message if error.whole else f"{_subject(location)} {error.message}"
            yield Fault(location, message, error.key, error.offset)
        case ExpressionError():
            yield Fault(base, error.message, offset=error.offset)
        case DurationError():
            yield Fault(base, str(error))
        case _:  # what cattrs itself refuses, such as a kind of value that no hook foresaw
            yield Fault(base, f"{_subject(base)} has a value of the wrong kind")


def _way(error: Exception) -> Location:
    """The step that cattrs noted on ``error``: an attribute's name, an index or a key."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return (note.name,)
        if isinstance(note, IterableValidationNote):
            return (note.index,)
    return ()


def _subject(location: Location) -> str:
    if not location:
        return "the file"
    last = location[-1]
    if isinstance(last, str):
        return f"'{last}'"
    around = next((step for step in reversed(location) if isinstance(step, str)), None)
    return f"item {last + 1} of '{around}'" if around else f"item {last + 1}"


def structure_text(value: Any, _: Any = None) -> str:
    """``value`` if it is text."""
    if isinstance(value, str):
        return value
    cure = " (put it in quotes)" if isinstance(value, int | float) else ""
    raise Wrong(f"must be text, not {describe(value)}{cure}")


def structure_integer(value: Any, _: Any = None) -> int:
    """``value`` if it is an integer; a boolean is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise Wrong(f"must be an integer, not {describe(value)}{_unquote(value)}")


def structure_number(value: Any, _: Any = None) -> float:
    """``value`` if it is a number; a boolean is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise Wrong(f"must be a number, not {describe(value)}{_unquote(value)}")


def structure_boolean(value: Any, _: Any = None) -> bool:
    """``value`` if it is true or false; YAML 1.2 knows no other booleans."""
    if isinstance(value, bool):
        return value
    raise Wrong(f"must be true or false, not {describe(value)}")


def structure_duration(value: Any, _: Any = None) -> float:
    """Seconds, from a duration such as ``30s``."""
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise Wrong(f"must be a duration with a unit, as in {value}s or {value}ms, not {describe(value)}")
    raise Wrong(f"must be a duration, as in 500ms, 30s or 5m, not {describe(value)}")


def structure_expression(value: Any, _: Any = None) -> Expression:
    """A parsed guard or value."""
    if isinstance(value, str):
        return parse_expression(value)
    raise Wrong(f"must be an expression in text, as in \"data.kind == 'audio'\", not {describe(value)}")


def _unquote(value: object) -> str:
    return " (without the quotes)" if isinstance(value, str) and value.strip("+-").isdigit() else ""


def class_hook(
    converter: Converter,
    cls: type[Any],
    *,
    unknown: Callable[[str], str | None] = lambda key: None,
    hooks: Mapping[str, Hook] | None = None,
    given: str | None = None,
    also: Collection[str] = (),
) -> Hook:
    """A hook for an attrs class: a mapping with that class's keys, none missing and none unknown.

    ``unknown`` may word the refusal of a key better than "unknown key"; ``hooks`` structure single fields their
    own way. The field ``given`` is no key of the file: its value comes as ``GIVEN``, as a state's name does. Keys that
    the file may have ``also`` are for others to read, and are passed by here.
    """
    overrides: dict[str, Any] = {name: override(struct_hook=hook) for name, hook in (hooks or {}).items()}
    build = make_dict_structure_fn(
        cls, converter, _cattrs_forbid_extra_keys=False, _cattrs_detailed_validation=True, **overrides
    )
    every = {field.name: field.default is attrs.NOTHING for field in attrs.fields(cls) if field.init}
    fields = {name: required for name, required in every.items() if name != given}
    # Left empty, a guard would be no guard: cattrs takes null for the None that only a missing key stands for.
    attrs.resolve_types(cls)
    optional = [field.name for field in attrs.fields(cls) if NoneType in get_args(field.type)]

    def hook(value: Any, _: Any = None) -> Any:
        check_is_mapping(value, fields)
        known = {given: value[GIVEN]} if given else {}
        value = {key: part for key, part in value.items() if key != GIVEN}
        faults = Faults()
        check_keys(value, (*fields, *also), faults, unknown)
        missing = [name for name, required in fields.items() if required and name not in value]
        for name in missing:
            faults.add(f"the key '{name}' is missing", key=True, whole=True)
        empty = [key for key in value if key in optional and value[key] is None]
        for key in empty:
            faults.add("is empty: give it a value, or remove it", key)
        known |= {key: part for key, part in value.items() if key in fields and key not in empty}
        if missing:
            _check_parts(cls, known, faults, converter, hooks or {})
            faults.check()
        with faults.at():
            built = build(known, cls)
        faults.check()
        return built

    return hook


def _check_parts(
    cls: type[Any], value: Mapping[str, Any], faults: Faults, converter: Converter, hooks: Mapping[str, Hook]
) -> None:
    """Find the faults in the values of a mapping that lacks a key, so that it cannot be built."""
    for field in attrs.fields(cls):
        if field.name in value:
            with faults.at(field.name):
                hook = hooks.get(field.name)
                part = value[field.name]
                _ = hook(part, field.type) if hook else converter.structure(part, field.type)


def check_is_mapping(value: object, keys: Collection[str]) -> None:
    """:raises Wrong: if ``value`` is no mapping; the message names some of its ``keys``."""
    if not isinstance(value, dict):
        some = ", ".join(list(keys)[:5])
        raise Wrong(f"must be a mapping with keys such as {some}, not {describe(value)}")


def check_keys(
    value: Mapping[str, Any],
    known: Collection[str],
    faults: Faults,
    unknown: Callable[[str], str | None] = lambda key: None,
) -> None:
    """Note each key of ``value`` that is not among ``known``, with the nearest right one."""
    for key in value:
        if key not in known:
            hint = nearest(key, known) or f": the keys here are {', '.join(known)}"
            faults.add(unknown(key) or f"unknown key '{key}'{hint}", key, key=True, whole=True)


def _is_mapping_of_names(cls: Any) -> bool:
    return get_origin(cls) in (abc.Mapping, dict)


def _mapping_hook(converter: Converter) -> Hook:
    """A hook for ``Mapping[str, X]``: every entry is tried, so that every wrong one is found."""

    def hook(value: Any, cls: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Wrong(f"must be a mapping of names, not {describe(value)}")
        inner = cls.__args__[1]
        faults = Faults()
        built: dict[str, Any] = {}
        for key, part in value.items():
            with faults.at(key):
                built[key] = part if inner is Any else converter.structure(part, inner)
        faults.check()
        return built

    return hook
