"""A mapping as an object of a class, by cattrs; nothing is turned into something else, and all that is wrong is told.

``"5"`` is no number, and ``"abc"`` no list of letters. These are no coercion: a list (all that JSON has) for a tuple
or a set, a member's value for a member of an enumeration, a whole number for a ``float``. An object that is of the
class already is taken as it is, whatever the class. A converter of an attrs field gets what was sent: it is the class's
own wish.

Weak spot: of a union of classes, none of which fits, it is not told why each does not.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections import abc
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.cols import list_structure_factory, mapping_structure_factory
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
    IterableValidationNote,
    StructureHandlerNotFoundError,
)

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]

_COLLECTIONS: dict[Any, type] = {
    list: list,
    abc.Sequence: list,
    abc.MutableSequence: list,
    abc.Collection: list,
    tuple: tuple,
    set: set,
    abc.MutableSet: set,
    frozenset: frozenset,
    abc.Set: frozenset,
}
_MODULES = re.compile(r"([\w<>]+\.)+")
_MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)


MAX_TOLD = 10
"""Problems that an error tells of; a list of a million wrong values has a million."""


class Misfit(ValueError):
    """A mapping does not fit a class.

    :ivar path: where the first problem is, as in ``caller.numbers[1]``; empty if it is the whole
    :ivar problem: what is wrong there, and then the other problems with their paths
    """

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        (self.path, problem), *others = problems
        words = [problem, *(f"{path}: {fault}" if path else fault for path, fault in others[: MAX_TOLD - 1])]
        if len(problems) > MAX_TOLD:
            words.append(f"and {len(problems) - MAX_TOLD} more")
        self.problem = "; ".join(words)
        super().__init__(f"{self.path}: {self.problem}" if self.path else self.problem)


def structure(data: Any, cls: type[T]) -> T:
    """``data`` as a ``cls``.

    :raises Misfit: it does not fit, or the class refused it. Values, which may be anybody's phone number, are repeated
        only where a message of the class itself does
    """
    try:
        return _converter().structure(data, cls)
    except Exception as error:
        raise Misfit(list(_problems(error, ""))) from error


def prepare(cls: type) -> None:
    """Make :func:`structure` ready for a class.

    :raises TypeError: its annotations cannot be resolved, as where a name is imported for type checkers only
    """
    try:
        _converter().get_structure_hook(cls)
    except Exception as error:
        raise TypeError(f"{cls.__qualname__} cannot be made from a mapping: {error}") from error


class _Wrong(Exception):
    """Something is not what its annotation says."""


@lru_cache(maxsize=1)
def _converter() -> Converter:
    converter = Converter(
        forbid_extra_keys=True,
        prefer_attrib_converters=True,
        structure_fallback_factory=_instance_hook,
    )
    for kind in (str, bytes, bool, int, Path):
        converter.register_structure_hook(kind, _take_instance)
    converter.register_structure_hook(float, _take_number)
    converter.register_structure_hook_func(_is_enum, _take_member)
    converter.register_structure_hook_func(lambda cls: _plain(cls) is Literal, _take_literal)
    converter.register_structure_hook_factory(_is_class_of_fields, lambda cls: _class_hook(cls, converter))
    converter.register_structure_hook_factory(lambda cls: _plain(cls) in _COLLECTIONS, _collection_hook(converter))
    converter.register_structure_hook_factory(lambda cls: _plain(cls) in _MAPPINGS, _mapping_hook(converter))
    converter.register_structure_hook_factory(
        lambda cls: _plain(cls) in (Union, types.UnionType), lambda cls: _union_hook(cls, converter)
    )
    return converter


# -- what may stand for what ------------------------------------------------------------------------------------------


def _instance_hook(cls: Any) -> Hook:
    if not isinstance(cls, type):
        raise StructureHandlerNotFoundError(f"whether something is a {_words(cls)} cannot be found out", cls)
    return _take_instance


def _take_instance(value: Any, cls: Any) -> Any:
    if not isinstance(value, cls) or (cls is int and isinstance(value, bool)):
        raise _Wrong(_must_be(cls, value))
    return value


def _take_number(value: Any, _: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _Wrong(_must_be(float, value))
    return float(value)


def _take_member(value: Any, cls: type[Enum]) -> Enum:
    for member in cls:
        if member is value or (type(member.value) is type(value) and member.value == value):
            return member
    raise _Wrong(f"must be one of {', '.join(repr(member.value) for member in cls)}")


def _take_literal(value: Any, literal: Any) -> Any:
    choices = get_args(literal)
    for choice in choices:
        if isinstance(value, type(choice)) and value == choice and isinstance(value, bool) == isinstance(choice, bool):
            return choice
    raise _Wrong(f"must be one of {', '.join(map(repr, choices))}")


def _union_hook(union: Any, converter: Converter) -> Hook:
    # A whole number is a float only where it cannot be what it is.
    arms = sorted((arm for arm in get_args(union) if arm is not type(None)), key=lambda arm: arm is float)
    for arm in arms:
        with suppress(RecursionError):  # a class that has fields of its own kind
            converter.get_structure_hook(arm)

    def take(value: Any, _: Any) -> Any:
        if value is None and type(None) in get_args(union):
            return None
        if len(arms) == 1:
            return converter.structure(value, arms[0])
        for arm in arms:
            with suppress(Exception):  # one of the others may do
                return converter.structure(value, arm)
        raise _Wrong(_must_be(union, value))

    return take


def _class_hook(cls: type, converter: Converter) -> Hook:
    build: Hook = converter.gen_structure_attrs_fromdict(cls)

    def take(value: Any, _: Any) -> Any:
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise _Wrong(f"must be a mapping or {_words(cls)}, not {_kind(value)}")
        return build(value, cls)

    return take


def _collection_hook(converter: Converter) -> Callable[[Any], Hook]:
    def make(cls: Any) -> Hook:
        target, of = _COLLECTIONS[_plain(cls)], get_args(cls)
        lengths = len(of) if target is tuple and of and of[-1] is not Ellipsis else None
        item: Any = of[0] if of else Any
        build: Hook = (
            list_structure_factory(list[item], converter)
            if lengths is None
            else converter.gen_structure_hetero_tuple(cls)
        )

        def take(value: Any, _: Any) -> Any:
            if not isinstance(value, list | tuple | abc.Set):
                raise _Wrong(_must_be(cls, value))
            if lengths not in (None, len(value)):
                raise _Wrong(f"must have {lengths} items, not {len(value)}")
            return target(build(value, cls))

        return take

    return make


def _mapping_hook(converter: Converter) -> Callable[[Any], Hook]:
    def make(cls: Any) -> Hook:
        key, value_type = get_args(cls) or (Any, Any)
        build: Hook = mapping_structure_factory(cls, converter, dict, key, value_type)

        def take(value: Any, _: Any) -> Any:
            if not isinstance(value, Mapping):
                raise _Wrong(_must_be(cls, value))
            return build(value, cls)

        return take

    return make


def _plain(cls: Any) -> Any:
    return get_origin(cls) or cls


def _is_enum(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Enum)


def _is_class_of_fields(cls: Any) -> bool:
    return isinstance(cls, type) and (attrs.has(cls) or dataclasses.is_dataclass(cls))


# -- what is wrong ----------------------------------------------------------------------------------------------------


def _problems(error: BaseException, path: str, annotation: Any = None) -> Iterator[tuple[str, str]]:
    match error:
        case BaseValidationError():
            for inner in error.exceptions:
                yield from _problems_of_part(inner, path)
        case ForbiddenExtraKeysError():
            fields = _init_fields(error.cl)
            for name in sorted(map(str, error.extra_fields)):
                yield _under(path, name), f"unknown field; the fields are {', '.join(fields)}"
        case _Wrong():
            yield path, str(error)
        case _ if annotation is not None:
            yield path, f"does not fit {_words(annotation)}"
        case _:
            yield _refused_by_class(error, path)


def _problems_of_part(error: Exception, path: str) -> Iterator[tuple[str, str]]:
    notes = getattr(error, "__notes__", ())
    match next((note for note in notes if isinstance(note, AttributeValidationNote | IterableValidationNote)), None):
        case AttributeValidationNote(name=name) if isinstance(error, KeyError) and error.args == (name,):
            yield _under(path, name), "is missing"
        case AttributeValidationNote(name=name, type=annotation):
            yield from _problems(error, _under(path, name), annotation)
        case IterableValidationNote(index=index, type=annotation):
            yield from _problems(error, f"{path}[{index!r:.40}]", annotation)
        case _:
            yield from _problems(error, path)


def _refused_by_class(error: BaseException, path: str) -> tuple[str, str]:
    """What a validator or converter of the class raised. Those of attrs tell the words first, and some the field."""
    said = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    about = next((part.name for part in error.args[1:] if isinstance(part, attrs.Attribute)), None)
    return (path if about is None else _under(path, about)), said or type(error).__name__


def _init_fields(cls: type) -> list[str]:
    fields: Any = attrs.fields(cls) if attrs.has(cls) else dataclasses.fields(cls)
    return [field.name for field in fields if field.init]


def _under(path: str, name: str) -> str:
    return f"{path}.{name:.40}" if path else f"{name:.40}"


def _must_be(annotation: Any, value: Any) -> str:
    return f"must be {_words(annotation)}, not {_kind(value)}"


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__qualname__


def _words(annotation: Any) -> str:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return _MODULES.sub("", str(annotation))
