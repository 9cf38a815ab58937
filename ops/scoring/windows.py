"""Reads a recorded chat into the windows that the product would have made of it."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

from bus.events import ChatWindow
from ingest.chat.file_chat import FileChat
from ingest.chat.window import ChatWindows


def read_windows(path: Path, name: str) -> tuple[ChatWindow, ...]:
    """Read a chat file of any kind that the product reads as windows of the session `name`.

    Not to be called where an event loop runs.

    Raises:
        ChatFileError: the file is no chat file.
    """
    return asyncio.run(_read(path, name))


async def _read(path: Path, name: str) -> tuple[ChatWindow, ...]:
    chat = FileChat(path)
    windows = ChatWindows(tenant_id="score", channel_id=name, session_id=name)
    await chat.open(wall_start_s=None)
    try:
        batch = await chat.drain(math.inf)
    finally:
        await chat.close()
    if not batch.lines:
        return ()
    return windows.finish(batch, math.floor(batch.lines[-1].t_s) + 1.0).windows
