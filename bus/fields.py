"""Builds a strict decoder from a type annotation, once, so that decoding itself is fast.

Law: a decoder takes what JSON gives (None, bool, int, float, str, list, dict) and returns a value
of exactly the annotated type, or raises Misfit; it never guesses and never converts text.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

Decode = Callable[[object], Any]

_KINDS: Mapping[type, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    float: (float, int),
    bool: (bool,),
    types.NoneType: (types.NoneType,),
}


class Misfit(ValueError):
    """A value does not fit its annotation; the message says where and why."""


def decoder_of(annotation: Any) -> Decode:
    """Return the decoder of a type.

    Raises:
        TypeError: the annotation is none that an event may carry.
    """
    origin = get_origin(annotation)
    if annotation in _KINDS:
        return _plain(annotation)
    if dataclasses.is_dataclass(annotation):
        return dataclass_decoder(typing.cast(type, annotation))
    if origin is Literal:
        return _literal(get_args(annotation))
    if origin is tuple:
        inner, *rest = get_args(annotation)
        if rest == [Ellipsis]:
            return _sequence(decoder_of(inner))
    if origin is collections.abc.Mapping:
        key, value = get_args(annotation)
        if key is str:
            return _mapping(decoder_of(value))
    if origin in (Union, types.UnionType):
        return _union(get_args(annotation))
    raise TypeError(f"events cannot carry {annotation!r}")


def dataclass_decoder(cls: type) -> Decode:
    """Return the decoder of a dataclass: unknown fields are left out, missing ones default."""
    hints = typing.get_type_hints(cls)
    decoders: list[tuple[str, Decode]] = []
    required: set[str] = set()
    for each in dataclasses.fields(cls):
        decoders.append((each.name, decoder_of(hints[each.name])))
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            required.add(each.name)

    def decode(value: object) -> Any:
        if type(value) is not dict:
            raise Misfit(f"{cls.__name__} is {_shown(value)}, not an object")
        given: dict[str, Any] = {}
        for name, decode_field in decoders:
            if name in value:
                try:
                    given[name] = decode_field(value[name])
                except Misfit as misfit:
                    raise Misfit(f"{name}: {misfit}") from None
        if not required <= given.keys():
            raise Misfit(f"{cls.__name__} lacks {', '.join(sorted(required - given.keys()))}")
        return cls(**given)

    return decode


def _plain(kind: type) -> Decode:
    accepted = _KINDS[kind]
    if kind is float:

        def decode_float(value: object) -> float:
            if type(value) is float or type(value) is int:
                return float(value)
            raise Misfit(f"{_shown(value)} is not a number")

        return decode_float

    def decode(value: object) -> Any:
        if type(value) in accepted:
            return value
        raise Misfit(f"{_shown(value)} is not {kind.__name__}")

    return decode


def _literal(choices: tuple[object, ...]) -> Decode:
    known = {(type(choice), choice) for choice in choices}

    def decode(value: object) -> Any:
        if type(value) is not list and type(value) is not dict and (type(value), value) in known:
            return value
        raise Misfit(f"{_shown(value)} is none of {choices}")

    return decode


def _sequence(decode_inner: Decode) -> Decode:
    def decode(value: object) -> tuple[Any, ...]:
        if type(value) is not list:
            raise Misfit(f"{_shown(value)} is not a list")
        return tuple([decode_inner(inner) for inner in value])

    return decode


def _mapping(decode_inner: Decode) -> Decode:
    def decode(value: object) -> dict[str, Any]:
        if type(value) is not dict:
            raise Misfit(f"{_shown(value)} is not an object")
        return {name: decode_inner(inner) for name, inner in value.items()}

    return decode


def _union(choices: tuple[Any, ...]) -> Decode:
    """Decode by the first choice that fits; JSON's own type decides among plain ones."""
    exact = frozenset(choice for choice in choices if choice in _KINDS)
    others = [decoder_of(choice) for choice in choices if choice not in _KINDS]
    if float in exact:
        others.append(decoder_of(float))

    def decode(value: object) -> Any:
        if type(value) in exact:
            return value
        for decode_choice in others:
            try:
                return decode_choice(value)
            except Misfit as misfit:
                reason = str(misfit)
        raise Misfit(reason if len(others) == 1 else f"{_shown(value)} fits no choice")

    return decode


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
