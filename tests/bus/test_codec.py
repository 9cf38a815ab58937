from __future__ import annotations

import dataclasses
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.codec import VALUE_BYTES_MAX, decode, encode, headers
from bus.errors import MalformedEvent, UnknownEvent
from bus.events import EVENTS, ChatWindow, Event, MomentDetected, SourceRef
from tests.bus.make import any_event, example_of
from tests.bus.world import window

GOLDEN = Path(__file__).parent / "golden"
"""One released value of every event type, every field filled. Files are added and fields are
appended to them; what a file says is never changed or taken away."""

types_by_name = pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: cls.__name__)


def golden(cls: type[Event]) -> Path:
    return GOLDEN / f"{cls.TYPE}.json"


@types_by_name
def test_every_event_type_has_a_released_value(cls: type[Event]) -> None:
    assert golden(cls).is_file(), f"write {encode(example_of(cls))!r} to {golden(cls)}"


@types_by_name
def test_released_values_are_still_read_and_no_field_has_vanished(cls: type[Event]) -> None:
    told = orjson.loads(golden(cls).read_bytes())
    event = decode(golden(cls).read_bytes())
    assert type(event) is cls
    assert_told(told, orjson.loads(encode(event)))


def assert_told(old: object, new: object) -> None:
    """Check that everything that the old value says is said by the new one."""
    if isinstance(old, dict):
        assert isinstance(new, dict)
        assert old.keys() <= new.keys()
        for name, value in old.items():
            assert_told(value, new[name])
    elif isinstance(old, list):
        assert isinstance(new, list)
        assert len(old) == len(new)
        for one, other in zip(old, new, strict=True):
            assert_told(one, other)
    else:
        assert old == new


def test_no_released_type_has_vanished() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {golden(cls).name for cls in EVENTS}


@types_by_name
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_event_survives_the_way(cls: type[Event], data: st.DataObject) -> None:
    event = data.draw(any_event(cls))
    assert decode(encode(event)) == event


@types_by_name
def test_unknown_fields_are_left_out(cls: type[Event]) -> None:
    event = example_of(cls)
    told = orjson.loads(encode(event)) | {"a_field_of_the_future": [1, {"x": None}]}
    assert decode(orjson.dumps(told)) == event


@types_by_name
def test_missing_optional_fields_default_and_missing_required_ones_do_not(
    cls: type[Event],
) -> None:
    told = orjson.loads(encode(example_of(cls)))
    for each in dataclasses.fields(cls):
        less = {name: value for name, value in told.items() if name != each.name}
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            with pytest.raises(MalformedEvent, match=each.name):
                decode(orjson.dumps(less))
        elif each.name != "event_id":
            default = each.default
            if each.default_factory is not dataclasses.MISSING:
                default = each.default_factory()
            assert getattr(decode(orjson.dumps(less)), each.name) == default


@types_by_name
def test_a_field_of_another_type_is_malformed(cls: type[Event]) -> None:
    told = orjson.loads(encode(example_of(cls)))
    for name in told.keys() - {"type"}:
        for wrong in ([{"x": [None]}], {"": [[]]}):
            with pytest.raises(MalformedEvent, match=name):
                decode(orjson.dumps(told | {name: wrong}))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("messages", True),
        ("messages", 1.0),
        ("messages", "1"),
        ("messages", None),
        ("media_s", "1.0"),
        ("media_s", False),
        ("gap", 0),
        ("samples", "text"),
        ("samples", [1]),
        ("commands", [{"user": "u", "text": "t", "at_s": 1.0, "role": "king"}]),
        ("commands", [{"user": "u"}]),
        ("tenant_id", 5),
    ],
)
def test_nothing_is_converted(name: str, wrong: object) -> None:
    told = orjson.loads(encode(window(1))) | {name: wrong}
    with pytest.raises(MalformedEvent, match=name):
        decode(orjson.dumps(told))


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"null", b"{}", b'{"type":1}', b"\xff\xfe"])
def test_what_is_no_event_is_malformed(value: bytes) -> None:
    with pytest.raises(MalformedEvent):
        decode(value)


def test_a_type_of_the_future_is_unknown() -> None:
    with pytest.raises(UnknownEvent, match=r"clipthat\.moon\.landed\.v9"):
        decode(b'{"type":"clipthat.moon.landed.v9","tenant_id":"t"}')


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_clear_error(value: bytes) -> None:
    with pytest.raises((MalformedEvent, UnknownEvent)):
        decode(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_lacks_is_refused_by_the_writer(number: float) -> None:
    with pytest.raises(MalformedEvent):
        encode(dataclasses.replace(window(1), duration_s=number))
    with pytest.raises(MalformedEvent):
        encode(dataclasses.replace(example_of(MomentDetected), evidence={"z": number}))
    with pytest.raises(MalformedEvent):
        encode(
            dataclasses.replace(
                next(example_of(cls) for cls in EVENTS if cls.__name__ == "SegmentStored"),
                source_ref=SourceRef(kind="file", uri="x", start_s=number),
            )
        )


def test_an_event_above_the_limit_is_refused_by_the_writer() -> None:
    large = ChatWindow(
        tenant_id="t", channel_id="c", session_id="s", media_s=0.0, samples=("x" * VALUE_BYTES_MAX,)
    )
    with pytest.raises(MalformedEvent, match="bytes"):
        encode(large)


def test_headers_are_cloud_events() -> None:
    event = window(3)
    told = dict(headers(event, at_s=1_800_000_000.5, traceparent="00-a-b-01"))
    assert told == {
        "ce_specversion": b"1.0",
        "ce_id": event.event_id.encode(),
        "ce_source": b"clipthat",
        "ce_type": b"clipthat.chat.window.v1",
        "ce_subject": b"s",
        "ce_time": b"2027-01-15T08:00:00.500000+00:00",
        "ce_tenantid": b"t",
        "content-type": b"application/json",
        "traceparent": b"00-a-b-01",
    }
    assert "traceparent" not in dict(headers(event, at_s=0.0))
