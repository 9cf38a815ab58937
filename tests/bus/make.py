"""One full example of every event type, and strategies that make any."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st

from bus.events import Event


def example(annotation: Any, name: str = "value") -> Any:
    """Return a value of this type that differs from every default."""
    origin = get_origin(annotation)
    simple: Mapping[type, object] = {str: f"a {name}", int: 7, float: 2.5, bool: True}
    if annotation in simple:
        return simple[annotation]
    if dataclasses.is_dataclass(annotation):
        return example_of(typing.cast(type, annotation))
    if origin is Literal:
        return get_args(annotation)[-1]
    if origin is tuple:
        return (example(get_args(annotation)[0], name),)
    if origin in (Union, types.UnionType):
        return example(get_args(annotation)[0], name)
    return {"text": "x", "whole": 3, "share": 0.25}


def example_of(cls: type) -> Any:
    """Return a dataclass with every field filled."""
    hints = typing.get_type_hints(cls)
    return cls(
        **{each.name: example(hints[each.name], each.name) for each in dataclasses.fields(cls)}
    )


def any_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Return a strategy of this type's values."""
    origin = get_origin(annotation)
    simple: Mapping[type, st.SearchStrategy[Any]] = {
        str: st.text(max_size=8),
        int: st.integers(min_value=-(2**53), max_value=2**53),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        types.NoneType: st.none(),
    }
    if annotation in simple:
        return simple[annotation]
    if dataclasses.is_dataclass(annotation):
        return any_dataclass(typing.cast(type, annotation))
    if origin is Literal:
        return st.sampled_from(get_args(annotation))
    if origin is tuple:
        return st.lists(any_of(get_args(annotation)[0]), max_size=3).map(tuple)
    if origin in (Union, types.UnionType):
        return st.one_of([any_of(choice) for choice in get_args(annotation)])
    return st.dictionaries(st.text(max_size=4), any_of(get_args(annotation)[1]), max_size=3)


def any_dataclass(cls: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    return st.builds(
        cls, **{each.name: any_of(hints[each.name]) for each in dataclasses.fields(cls)}
    )


def any_event(cls: type[Event]) -> st.SearchStrategy[Event]:
    return any_dataclass(cls)
