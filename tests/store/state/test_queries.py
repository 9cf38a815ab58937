"""What pages read, and that no tenant reads another's."""

from __future__ import annotations

import pytest

from bus import events as ev
from store.state.apply import record
from store.state.queries import list_sessions, read_clip, read_session
from store.state.state import State
from tests.store.state.story import ids, records, story


async def test_a_session_with_all_that_belongs_to_it(state: State) -> None:
    await record(state, records(story()))
    detail = await read_session(state, "acme", "s1")
    assert detail is not None
    session = detail.session
    assert (session.stored_s, session.missing_s) == (112.0, {"ad": 8.0})
    assert (session.moments, session.clips, session.clips_open) == (4, 2, 0)
    assert (session.renders_open, session.clips_ready) == (1, 1)
    assert session.lag_s == 0
    assert not session.done
    assert [one.status for one in detail.moments] == ["taken", "taken", "passed", "taken"]
    assert [(one.start_s, one.end_s, one.reason) for one in detail.gaps] == [(20.0, 28.0, "ad")]
    assert [one.reason for one in detail.troubles] == ["stalled"]
    assert len(detail.curves["chat"]) == 120
    assert detail.curves["chat"][6] == 6
    assert detail.curves["loudness"][7] == -3.0
    clip, failed = detail.clips
    assert [one.layout for one in clip.renders] == ["vertical_blur", "landscape"]
    assert clip.renders[0].notes == ["no words, so no captions"]
    assert (failed.status, failed.renders) == ("failed", [])
    assert await read_clip(state, "acme", clip.id) == clip


async def test_done_when_the_last_render_is(state: State) -> None:
    last = ev.RenderFailed(
        **ids(), render_id="s1-clip-1-l", clip_id="s1-clip-1", layout="landscape", reason="killed"
    )
    await record(state, records([*story(), last]))
    (session,) = await list_sessions(state, "acme")
    assert session.done


async def test_lag_is_what_detectors_have_not_seen(state: State) -> None:
    events = [
        one
        for one in story()
        if not isinstance(one, ev.SessionEnded)
        and not (isinstance(one, ev.MomentsSettled) and one.final)
    ]
    await record(state, records(events))
    (session,) = await list_sessions(state, "acme")
    assert (session.status, session.lag_s) == ("live", 40.0)


async def test_sessions_live_first_then_newest(state: State) -> None:
    begun = [
        ev.SessionStarted(
            **ids(session_id=name), kind="vod", title=name, source="x", started_at_s=at_s
        )
        for name, at_s in (("old", 1.0), ("new", 9.0), ("live", 5.0))
    ]
    ended = [
        ev.SessionEnded(
            **ids(session_id=name),
            media_s=1,
            chat_until_s=0,
            stored_s=1,
            missing_s=0,
            reason="ended",
        )
        for name in ("old", "new")
    ]
    await record(state, records([*begun, *ended]))
    assert [one.id for one in await list_sessions(state, "acme")] == ["live", "new", "old"]
    assert [one.id for one in await list_sessions(state, "acme", limit=1)] == ["live"]


async def test_a_moment_that_joined_speaks_for_its_clip(state: State) -> None:
    await record(state, records([*story(), *story(tenant_id="other")]))
    clip = await read_clip(state, "acme", "s1-clip-1")
    assert clip is not None
    assert list(clip.kinds) == ["chat_spike", "excitement"]
    assert [one["kind"] for one in clip.evidence] == ["chat_spike", "excitement"]
    detail = await read_session(state, "acme", "s1")
    assert detail is not None
    assert [len(one.kinds) for one in detail.clips] == [2, 1]
    (joined,) = [one for one in detail.moments if one.kind == "excitement"]
    assert (joined.status, joined.clip_id) == ("taken", "s1-clip-1")


@pytest.mark.parametrize("tenant", ["other", "", "%", "acme' OR 1=1 --"])
async def test_tenants_are_fenced(state: State, tenant: str) -> None:
    await record(state, records(story()))
    assert await list_sessions(state, tenant) == []
    assert await read_session(state, tenant, "s1") is None
    assert await read_clip(state, tenant, "s1-clip-1") is None


async def test_one_session_id_in_two_tenants_stays_two_sessions(state: State) -> None:
    await record(state, records([*story(), *story(tenant_id="other")[:3]]))
    ours, theirs = (
        (await list_sessions(state, "acme"))[0],
        (await list_sessions(state, "other"))[0],
    )
    assert (ours.stored_s, theirs.stored_s) == (112.0, 8.0)
    assert (ours.clips, theirs.clips) == (2, 0)


async def test_a_moment_that_is_only_spoken_of_is_not_shown(state: State) -> None:
    passed = ev.MomentPassed(**ids(), moment_id="m", media_s=3.0, reason="too soon")
    await record(state, records([passed]))
    detail = await read_session(state, "acme", "s1")
    assert detail is not None
    assert detail.moments == []
    assert detail.session.kind is None


async def test_a_muted_span_is_shown_but_not_missing(state: State) -> None:
    own = ids(tenant_id="acme", session_id="s2")
    events = [
        ev.SessionStarted(**own, kind="vod", title="", source="", started_at_s=1.0),
        *(
            ev.SegmentStored(
                **own,
                epoch=0,
                seq=n,
                disc=0,
                media_s=n * 10.0,
                duration_s=10.0,
                container="ts",
                muted=n in (3, 4),
            )
            for n in range(10)
        ),
    ]
    await record(state, records(events))
    detail = await read_session(state, "acme", "s2")
    assert detail is not None
    assert (detail.session.stored_s, detail.session.missing_s) == (100.0, {})
    assert [(one.start_s, one.end_s, one.reason) for one in detail.gaps] == [(30.0, 50.0, "muted")]
