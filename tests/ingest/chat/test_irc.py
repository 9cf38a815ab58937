"""Live chat over IRC: the parsers agree, and addresses are understood."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chat.errors import ChatAddressError
from ingest.chat.irc_joins import JoinBudget
from ingest.chat.irc_lines import Lines
from ingest.chat.irc_parse import parse_address, parse_message, said_of
from ingest.chat.irc_said import said_in
from ingest.chat.line import ChatLine, hashed


def line_of(raw: str) -> ChatLine | None:
    heard = said_in(raw)
    if heard is not None:
        return heard[1].line(7.0)
    message = parse_message(raw)
    said = None if message is None else said_of(message)
    return None if said is None else said.line(7.0)


def test_a_line_of_twitch() -> None:
    raw = (
        "@badges=subscriber/12,moderator/1;display-name=Ana;emotes=25:0-4/425618:11-13;"
        "id=m-1;tmi-sent-ts=1700000012500;system-msg=a\\sb\\:c "
        ":ana!ana@ana.tmi.twitch.tv PRIVMSG #demo :Kappa what LUL: yes"
    )
    message = parse_message(raw)
    assert message is not None
    assert message.tags["system-msg"] == "a b;c"
    heard = said_in(raw)
    assert heard is not None
    assert heard[0] == "demo"
    assert heard[1].line(12.5) == ChatLine(
        t_s=12.5,
        user=hashed("ana"),
        text="Kappa what LUL: yes",
        role="moderator",
        emotes=("Kappa", "LUL"),
        message_id="m-1",
        sent_s=1_700_000_012.5,
    )


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (":bo!bo@x PRIVMSG #demo :\x01ACTION waves\x01", "waves"),
        (":bo!bo@x  PRIVMSG  #demo  :two spaces", "two spaces"),
        (":bo!bo@x PRIVMSG #demo word", "word"),
        ("@id=1 :bo!bo@x privmsg #demo :low", "low"),
        ("@id=1 :bo!bo@x PRIVMSG #demo :", ""),
    ],
)
def test_other_forms_of_a_line(raw: str, text: str) -> None:
    line = line_of(raw)
    assert line is not None
    assert line.text == text


@pytest.mark.parametrize(
    "raw",
    [
        "",
        " ",
        "@",
        "@id=1",
        ":",
        ":a!b",
        ":tmi.twitch.tv PRIVMSG #demo :the server speaks",
        ":!x PRIVMSG #demo :nobody",
        "PRIVMSG #demo :no prefix",
        ":a!b PRIVMSG #demo",
        ":a!b PRIVMSG # :no channel",
        ":a!b PRIVMSG demo :no channel",
        "@id=1 :a!b NOTICE #demo : PRIVMSG #demo :inside",
    ],
)
def test_what_is_no_line_of_chat(raw: str) -> None:
    assert line_of(raw) is None


def test_emotes_are_counted_in_code_points() -> None:
    line = line_of("@emotes=25:2-6 :a!b PRIVMSG #x :😀 Kappa")
    assert line is not None
    assert line.emotes == ("Kappa",)


_VALUES = st.text(
    st.one_of(st.sampled_from("\\:sn;=/,-0123456789@! é😀"), st.characters()), max_size=12
)
_KEYS = st.sampled_from(
    ["id", "tmi-sent-ts", "badges", "emotes", "room-id", "reply-parent-msg-id", "a", ""]
)
_VALUE_OF = st.one_of(
    _VALUES,
    st.sampled_from(
        ["1700000012500", "moderator/1,vip/1", "25:0-4,6-8/x:1-2", "a\\sb\\", "\\", "\\\\s"]
    ),
)
_TAGS = st.lists(
    st.builds(lambda key, eq, value: key + eq + value, _KEYS, st.sampled_from(["=", ""]), _VALUE_OF)
).map(";".join)
_SPACES = st.sampled_from([" ", " ", " ", "  ", ""])


@st.composite
def _messages(draw: st.DrawFn) -> str:
    prefix = draw(st.sampled_from([":ana!ana@x", ":ana", ":!x", "", ":a b!c", ":ana!b!c"]))
    command = draw(st.sampled_from(["PRIVMSG", "PRIVMSG", "PRIVMSG", "NOTICE", "privmsg"]))
    channel = draw(st.sampled_from(["#demo", "#demo", "demo", "#", "#a\tb", "#a :b"]))
    text = draw(
        st.one_of(st.text(max_size=40), st.sampled_from([" PRIVMSG #x :y", "\x01ACTION hi\x01"]))
    )
    tags = draw(st.one_of(st.none(), _TAGS, _VALUES))
    head = "" if tags is None else "@" + tags + draw(_SPACES)
    return (
        "".join((head, prefix, draw(_SPACES), command, draw(_SPACES), channel, draw(_SPACES)))
        + draw(st.sampled_from([":", ""]))
        + text
    )


@given(st.one_of(_messages(), st.text(max_size=200)))
@settings(max_examples=500)
def test_the_fast_way_says_what_the_slow_way_says(raw: str) -> None:
    message = parse_message(raw)
    slow = None if message is None else said_of(message)
    fast = said_in(raw)
    if fast is not None:
        assert message is not None
        assert slow is not None
        assert fast[0] == message.params[0][1:]
        assert fast[1].message_id == slow.message_id
        assert fast[1].sent_s == slow.sent_s
        assert fast[1].login == slow.login
        assert fast[1].line(7.0) == slow.line(7.0)


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n"), min_size=1, max_size=30)), st.data()
)
def test_lines_are_whole_wherever_they_are_cut(lines: list[str], data: st.DataObject) -> None:
    text = "".join(line + "\r\n" for line in lines)
    cut = Lines(20)
    heard: list[str] = []
    while text:
        count = data.draw(st.integers(1, len(text)))
        heard += cut.feed(text[:count])
        text = text[count:]
    # One that is cut before its end may be skipped for its \r, one longer than the limit always.
    assert [line for line in heard if len(line) < 19] == [line for line in lines if len(line) < 19]
    assert all(len(line) <= 20 for line in heard)


@given(st.lists(st.floats(0, 5), max_size=120))
def test_no_window_has_more_joins_than_allowed(waits: list[float]) -> None:
    budget = JoinBudget(20, 10.0)
    now_s = 0.0
    spent: list[float] = []
    for wait_s in waits:
        now_s += wait_s
        if budget.wait_s(now_s) <= 0.0:
            budget.spend(now_s)
            spent.append(now_s)
    for first_s in spent:
        assert sum(first_s <= time_s < first_s + 10.0 - 1e-6 for time_s in spent) <= 20


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("#Demo", ("wss", "irc-ws.chat.twitch.tv", 443, "demo")),
        ("demo", ("wss", "irc-ws.chat.twitch.tv", 443, "demo")),
        ("irc://127.0.0.1:6000/#demo", ("irc", "127.0.0.1", 6000, "demo")),
        ("irc://host/demo", ("irc", "host", 6667, "demo")),
        ("ws://localhost:80/#a_b", ("ws", "localhost", 80, "a_b")),
    ],
)
def test_addresses(address: str, expected: tuple[str, str, int, str]) -> None:
    parsed = parse_address(address, "wss://irc-ws.chat.twitch.tv:443")
    assert (parsed.scheme, parsed.host, parsed.port, parsed.channel) == expected


@pytest.mark.parametrize("address", ["", "http://x/#a", "irc://host:99999/#a", "#a b", "irc:///#a"])
def test_a_wrong_address_says_what_is_expected(address: str) -> None:
    with pytest.raises(ChatAddressError, match="expected"):
        parse_address(address, "wss://irc-ws.chat.twitch.tv:443")
