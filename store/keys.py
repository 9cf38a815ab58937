"""Names of objects.

Law: keys are made here, by the server, and each lies under its tenant; no part of a key comes
from outside without passing `_safe`.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def _safe(part: str) -> str:
    cleaned = _UNSAFE.sub("_", part)
    if cleaned.strip(".") == "":
        raise ValueError(f"an object key cannot be made from {part!r}")
    return cleaned


def _join(tenant_id: str, *parts: str) -> str:
    return "/".join(("tenant", _safe(tenant_id), *(_safe(part) for part in parts)))


def tenant_folder(tenant_id: str) -> str:
    """Return the folder in which all objects of a tenant lie, with its slash."""
    return f"{_join(tenant_id)}/"


def ring_folder(tenant_id: str, session_id: str) -> str:
    """Return the folder of a session's ring: segments and initialisation sections."""
    return _join(tenant_id, "ring", session_id)


def ring_key(tenant_id: str, session_id: str, epoch: int, seq: int, suffix: str) -> str:
    """Return the key of a ring segment; `suffix` is `ts`, `m4s` or `mka`."""
    return _join(tenant_id, "ring", session_id, f"{epoch}-{seq:09d}.{suffix}")


def init_key(tenant_id: str, session_id: str, digest: str) -> str:
    """Return the key of an initialisation section, named by its content's digest."""
    return _join(tenant_id, "ring", session_id, f"init-{digest}.mp4")


def frame_key(tenant_id: str, session_id: str, media_s: float) -> str:
    """Return the key of a sampled frame (JPEG)."""
    return _join(tenant_id, "sessions", session_id, "frames", f"{round(media_s * 1000):012d}.jpg")


def session_key(tenant_id: str, session_id: str, name: str) -> str:
    """Return the key of a whole session's thing: `words.json`, `chat-0001.jsonl.gz`."""
    return _join(tenant_id, "sessions", session_id, name)


def clip_key(tenant_id: str, clip_id: str, name: str) -> str:
    """Return the key of a clip's own file: `source.mp4`, `words.json`."""
    return _join(tenant_id, "clips", clip_id, name)


def render_folder(tenant_id: str, clip_id: str, render_id: str) -> str:
    """Return the folder of an output; what was made under a lease lies below, by its token."""
    return _join(tenant_id, "renders", clip_id, render_id)


def render_key(
    tenant_id: str, clip_id: str, render_id: str, name: str, token: int | None = None
) -> str:
    """Return the key of an output's file: `vertical.mp4`, `thumbnail.jpg`, `captions.vtt`.

    `token`: of the lease under which it is made, so that two workers never write the same key.
    """
    folder = () if token is None else (str(token),)
    return _join(tenant_id, "renders", clip_id, render_id, *folder, name)
