"""Twitch's event sockets and the subscriptions to them, with bad days on demand.

Speaks `/ws` and `/helix/eventsub/subscriptions` (and `/helix/users`, when asked to). It holds its
clients to the documented rules: a socket belongs to one user, three sockets a user, 300
subscriptions a socket, a cost of 10, the first subscription within ten seconds of the welcome, and
not a word from the client. What a client does wrong stands in `violations`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import WSMsgType, web

Json = dict[str, Any]

SOCKETS_MAX = 3
SUBSCRIPTIONS_MAX = 300
COST_MAX = 10

_CHAT = "channel.chat."


@dataclass(slots=True)
class Account:
    """A user of Twitch, and what they have allowed the app."""

    user_id: str
    login: str
    token: str
    """The access token that is valid now; empty when they have allowed nothing."""
    scopes: frozenset[str] = frozenset({"user:read:chat"})


@dataclass(eq=False, slots=True)
class Session:
    """One session: subscriptions, and the socket on which it lives now."""

    id: str
    socket: web.WebSocketResponse
    owner: str = ""
    subscriptions: dict[str, Json] = field(default_factory=dict)
    keepalive: asyncio.Task[None] | None = None
    unused: asyncio.TimerHandle | None = None
    former: web.WebSocketResponse | None = None
    """The socket that the session has left, while it is still open."""


class EventSubDouble:
    """Twitch, as far as events go."""

    def __init__(
        self, now_s: Callable[[], float], *, keepalive_s: float = 600.0, users: bool = False
    ) -> None:
        """Know nobody.

        Args:
            now_s: Unix time that stands in its messages.
            keepalive_s: what its welcomes promise.
            users: answer for `/helix/users` too, where nobody else does.
        """
        self._users = users
        self._now_s = now_s
        self.keepalive_s = keepalive_s
        self.sends_keepalives = True
        self.unused_s = 10.0
        """A session without subscriptions is closed after so long."""
        self.accounts: dict[str, Account] = {}
        self.sessions: dict[str, Session] = {}
        self.violations: list[str] = []
        self.answers: list[int] = []
        """Statuses with which the next subscriptions are answered; 0 is the honest answer."""
        self.posts: Counter[int] = Counter()
        """Answers to subscriptions, by status."""
        self.apps: dict[str, str] = {}
        """The app that was named with each token."""
        self.opened = 0
        """Sockets that were ever opened."""
        self.refuses_sockets = False
        self.on_reconnected: Callable[[Session], list[Json]] | None = None
        """Frames for the former socket, sent after the new one's welcome."""
        self._numbers = itertools.count(1)
        self._moves: dict[str, Session] = {}
        self._base = ""
        self._news = asyncio.Condition()

    # --- the cast -----------------------------------------------------------------------------

    def add(self, account: Account) -> Account:
        """Let a user be known."""
        self.accounts[account.login] = account
        return account

    def attach(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/ws", self._on_socket)
        app.router.add_post("/helix/eventsub/subscriptions", self._on_subscribe)
        app.router.add_delete("/helix/eventsub/subscriptions", self._on_unsubscribe)
        app.router.add_get("/helix/eventsub/subscriptions", self._on_list)
        if self._users:
            app.router.add_get("/helix/users", self._on_users)
        app.on_shutdown.append(self._on_shutdown)

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds; looked at whenever something happens here."""
        async with self._news:
            await self._news.wait_for(lambda: bool(holds()))

    def subscribed(self, login: str, kind: str) -> bool:
        """Return whether somebody is subscribed to a type of event of a channel."""
        return bool(self._carrying(login, kind))

    def listeners(self, login: str, kind: str) -> int:
        """Return how many sessions are told a type of event of a channel."""
        return len(self._carrying(login, kind))

    def session_of(self, login: str) -> Session:
        """Return the session of a user; there is just one."""
        (session,) = [s for s in self.sessions.values() if s.owner == self.accounts[login].user_id]
        return session

    # --- events -------------------------------------------------------------------------------

    def chat(self, login: str, text: str, *, message_id: str, by: str = "ana", **more: Any) -> Json:
        """Return the frame of a chat message in `login`'s channel."""
        words = [{"type": "text", "text": text, "cheermote": None, "emote": None, "mention": None}]
        event = {
            **self._broadcaster(login),
            "chatter_user_id": "77",
            "chatter_user_login": by,
            "chatter_user_name": by.title(),
            "message_id": message_id,
            "message": {"text": text, "fragments": words},
            "color": "#FF0000",
            "badges": [],
            "message_type": "text",
            "cheer": None,
            "reply": None,
            "channel_points_custom_reward_id": None,
            "channel_points_animation_id": None,
            "source_broadcaster_user_id": None,
            **more,
        }
        return self.notification(login, "channel.chat.message", event)

    def stream(self, login: str, kind: str) -> Json:
        """Return the frame of `stream.online` or `stream.offline`."""
        return self.notification(login, kind, self._broadcaster(login))

    def notification(self, login: str, kind: str, event: Json) -> Json:
        """Return a notification's frame, with a delivery id of its own."""
        condition = {"broadcaster_user_id": self.accounts[login].user_id}
        subscription = {"id": "s", "type": kind, "version": "1", "condition": condition}
        frame = self._frame("notification", {"subscription": subscription, "event": event})
        frame["metadata"] |= {"subscription_type": kind, "subscription_version": "1"}
        return frame

    async def say(self, login: str, frame: Json) -> None:
        """Send a notification to whoever is subscribed to it."""
        for session in self._carrying(login, frame["metadata"]["subscription_type"]):
            await session.socket.send_str(json.dumps(frame))

    async def send_text(self, login: str, text: str) -> None:
        """Send a user's session anything."""
        await self.session_of(login).socket.send_str(text)

    # --- bad days -----------------------------------------------------------------------------

    async def drop(self, login: str, code: int | None = None) -> None:
        """Close a user's socket with a code, or break the connection off when None."""
        session = self.session_of(login)
        self._forget(session)
        if code is None:
            transport = session.socket._req.transport if session.socket._req else None
            assert transport is not None
            transport.abort()
        else:
            await session.socket.close(code=code)

    async def move(self, login: str, *, url: str | None = None) -> None:
        """Tell a user's session to go on at another address."""
        session = self.session_of(login)
        key = f"move-{next(self._numbers)}"
        self._moves[key] = session
        body = self._session_body(session, "reconnecting")
        body |= {
            "reconnect_url": url or f"{self._base}?move={key}",
            "keepalive_timeout_seconds": None,
        }
        await session.socket.send_str(
            json.dumps(self._frame("session_reconnect", {"session": body}))
        )

    async def revoke(self, login: str, kind: str, status: str = "authorization_revoked") -> None:
        """End a subscription; with the authorization its token goes too."""
        account = self.accounts[login]
        if status == "authorization_revoked":
            account.token = ""
        for session in self._carrying(login, kind):
            subscription = next(
                each
                for each in session.subscriptions.values()
                if each["type"] == kind and self._is_of(each, login)
            )
            del session.subscriptions[subscription["id"]]
            frame = self._frame("revocation", {"subscription": subscription | {"status": status}})
            frame["metadata"] |= {"subscription_type": kind, "subscription_version": "1"}
            await session.socket.send_str(json.dumps(frame))

    # --- the socket ---------------------------------------------------------------------------

    async def _on_socket(self, request: web.Request) -> web.StreamResponse:
        self._base = f"ws://{request.host}{request.path}"
        if self.refuses_sockets:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.opened += 1
        key = request.query.get("move")
        if key is not None and key not in self._moves:
            await socket.close(code=4007)
            return socket
        if key is None:
            session = Session(f"session-{next(self._numbers)}", socket)
            loop = asyncio.get_running_loop()
            session.unused = loop.call_later(self.unused_s, self._close_unused, session)
            self.sessions[session.id] = session
        else:
            session = self._moves.pop(key)
            session.former, session.socket = session.socket, socket
        await self._welcome(session)
        if key is not None:
            await self._leave_former(session)
        await self._tell()
        async for message in socket:
            if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                self.violations.append("the client wrote to the event socket")
                await socket.close(code=4001)
        if session.socket is socket:
            self._forget(session)
        await self._tell()
        return socket

    async def _welcome(self, session: Session) -> None:
        body = self._session_body(session, "connected")
        await session.socket.send_str(json.dumps(self._frame("session_welcome", {"session": body})))
        if session.keepalive is not None:
            session.keepalive.cancel()
        session.keepalive = asyncio.create_task(self._keep_alive(session))

    async def _leave_former(self, session: Session) -> None:
        former = session.former
        assert former is not None
        for frame in self.on_reconnected(session) if self.on_reconnected else []:
            await former.send_str(json.dumps(frame))
        await former.close(code=4004)
        session.former = None

    async def _keep_alive(self, session: Session) -> None:
        while True:
            await asyncio.sleep(self.keepalive_s)
            if self.sends_keepalives:
                await session.socket.send_str(json.dumps(self._frame("session_keepalive", {})))

    def _close_unused(self, session: Session) -> None:
        if not session.subscriptions and session.id in self.sessions:
            self.violations.append("no subscription within ten seconds of the welcome")
            self._forget(session)
            session.keepalive = asyncio.create_task(self._close(session, 4003))

    async def _close(self, session: Session, code: int) -> None:
        await session.socket.close(code=code)

    def _forget(self, session: Session) -> None:
        self.sessions.pop(session.id, None)
        session.subscriptions.clear()
        if session.unused is not None:
            session.unused.cancel()
        if session.keepalive is not None:
            session.keepalive.cancel()

    async def _on_shutdown(self, _: web.Application) -> None:
        for session in list(self.sessions.values()):
            self._forget(session)
            await session.socket.close(code=4000)

    # --- the subscriptions --------------------------------------------------------------------

    async def _on_subscribe(self, request: web.Request) -> web.Response:
        forced = self.answers.pop(0) if self.answers else 0
        answer = _problem(forced, "as you wish") if forced else await self._subscribe(request)
        self.posts[answer.status] += 1
        await self._tell()
        return answer

    async def _subscribe(self, request: web.Request) -> web.Response:
        account = self._who(request)
        if account is None:
            return _problem(401, "Invalid OAuth token")
        body = await request.json()
        kind, condition = body["type"], body["condition"]
        session = self.sessions.get(body["transport"].get("session_id", ""))
        if body["transport"].get("method") != "websocket" or session is None:
            return _problem(400, "websocket transport session does not exist")
        if session.owner not in {"", account.user_id}:
            self.violations.append("two users on one session")
            return _problem(400, "websocket transport session belongs to another user")
        if kind.startswith(_CHAT) and (
            "user:read:chat" not in account.scopes or condition.get("user_id") != account.user_id
        ):
            return _problem(403, "subscription missing proper authorization")
        if any(_same(each, kind, condition) for each in session.subscriptions.values()):
            return _problem(409, "subscription already exists")
        owner = self._by_id(condition["broadcaster_user_id"])
        if owner is None:
            return _problem(400, "invalid broadcaster")
        cost = 0 if owner.token else 1
        mine = [s for s in self.sessions.values() if s.owner == account.user_id]
        if session not in mine and len(mine) >= SOCKETS_MAX:
            return self._too_many("number of websocket transports limit exceeded")
        if len(session.subscriptions) >= SUBSCRIPTIONS_MAX:
            return self._too_many("number of subscriptions limit exceeded")
        if cost + sum(e["cost"] for s in mine for e in s.subscriptions.values()) > COST_MAX:
            return self._too_many("total cost limit exceeded")
        session.owner = account.user_id
        subscription = {
            "id": f"sub-{next(self._numbers)}",
            "status": "enabled",
            "type": kind,
            "version": body["version"],
            "condition": condition,
            "created_at": self._now(),
            "transport": body["transport"],
            "cost": cost,
        }
        session.subscriptions[subscription["id"]] = subscription
        totals = {"total": 1, "total_cost": cost, "max_total_cost": COST_MAX}
        return web.json_response({"data": [subscription], **totals}, status=202)

    async def _on_unsubscribe(self, request: web.Request) -> web.Response:
        account = self._who(request)
        if account is None:
            return _problem(401, "Invalid OAuth token")
        for session in self.sessions.values():
            if session.owner == account.user_id:
                found = session.subscriptions.pop(request.query.get("id", ""), None)
                if found is not None:
                    await self._tell()
                    return web.Response(status=204)
        return _problem(404, "subscription not found")

    async def _on_list(self, request: web.Request) -> web.Response:
        account = self._who(request)
        if account is None:
            return _problem(401, "Invalid OAuth token")
        mine = [s for s in self.sessions.values() if s.owner == account.user_id]
        data = [each for session in mine for each in session.subscriptions.values()]
        cost = sum(each["cost"] for each in data)
        body = {"data": data, "total": len(data), "total_cost": cost, "max_total_cost": COST_MAX}
        return web.json_response(body | {"pagination": {}})

    async def _on_users(self, request: web.Request) -> web.Response:
        if self._who(request) is None:
            return _problem(401, "Invalid OAuth token")
        known = [self.accounts.get(login) for login in request.query.getall("login", [])]
        data = [{"id": each.user_id, "login": each.login} for each in known if each is not None]
        return web.json_response({"data": data})

    # --- within -------------------------------------------------------------------------------

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _who(self, request: web.Request) -> Account | None:
        if not request.headers.get("Client-ID"):
            self.violations.append("a request without Client-ID")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.apps[token] = request.headers.get("Client-ID", "")
        return next(
            (each for each in self.accounts.values() if token and each.token == token), None
        )

    def _by_id(self, user_id: str) -> Account | None:
        return next((each for each in self.accounts.values() if each.user_id == user_id), None)

    def _too_many(self, message: str) -> web.Response:
        self.violations.append(message)
        return _problem(429, message)

    def _carrying(self, login: str, kind: str) -> list[Session]:
        return [
            session
            for session in self.sessions.values()
            if any(
                each["type"] == kind and self._is_of(each, login)
                for each in session.subscriptions.values()
            )
        ]

    def _is_of(self, subscription: Json, login: str) -> bool:
        user_id: str = subscription["condition"]["broadcaster_user_id"]
        return user_id == self.accounts[login].user_id

    def _broadcaster(self, login: str) -> Json:
        account = self.accounts[login]
        return {
            "broadcaster_user_id": account.user_id,
            "broadcaster_user_login": login,
            "broadcaster_user_name": login.title(),
        }

    def _session_body(self, session: Session, status: str) -> Json:
        return {
            "id": session.id,
            "status": status,
            "keepalive_timeout_seconds": self.keepalive_s,
            "reconnect_url": None,
            "connected_at": self._now(),
        }

    def _frame(self, kind: str, payload: Json) -> Json:
        metadata = {
            "message_id": f"delivery-{next(self._numbers)}",
            "message_type": kind,
            "message_timestamp": self._now(),
        }
        return {"metadata": metadata, "payload": payload}

    def _now(self) -> str:
        moment = datetime.fromtimestamp(self._now_s(), UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "249Z"


def _same(subscription: Json, kind: str, condition: Json) -> bool:
    return bool(subscription["type"] == kind and subscription["condition"] == condition)


def _problem(status: int, message: str) -> web.Response:
    reasons = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 429: "Too Many Requests"}
    body = {"error": reasons.get(status, "Error"), "status": status, "message": message}
    return web.json_response(body, status=status)
