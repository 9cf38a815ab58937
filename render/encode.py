"""Runs the encoder as a child process under limits.

Law: the child dies with its caller, whatever happens: cancelled, drained, timed out or killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from render.errors import EncodeFailed, EncodeTimedOut
from store.errors import StorageFull

_LAUNCHER = Path(__file__).with_name("limited.py")
_PIPE_BYTES = 1 << 20
_LINES_KEPT = 60
_LINE_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a child process may use."""

    wall_s: float
    cpu_s: float
    memory_bytes: int
    file_bytes: int
    nice: int


def encoder_path() -> str:
    """Return the path of the encoder that comes with the package."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


async def run_encoder(
    arguments: Sequence[str],
    limits: Limits,
    *,
    frames: Iterable[bytes] | None = None,
    on_frame: Callable[[int], Awaitable[None]] | None = None,
    program: str | None = None,
) -> str:
    """Run the encoder and return the end of what it printed.

    `frames` is written to its standard input from a thread; `on_frame` is told the number of
    frames encoded so far, about twice a second.

    Raises:
        EncodeFailed: it ended with an error.
        EncodeTimedOut: it ran past `limits.wall_s`.
        StorageFull: it could not write for want of space.
    """
    feed_read, feed_write = os.pipe() if frames is not None else (None, None)
    try:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_LAUNCHER)),
            str(limits.memory_bytes),
            str(max(1, round(limits.cpu_s))),
            str(limits.file_bytes),
            str(limits.nice),
            program or encoder_path(),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL if feed_read is None else feed_read,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_MAX_BYTES,
            start_new_session=True,
        )
    except BaseException:
        if feed_write is not None:
            os.close(feed_write)
        raise
    finally:
        if feed_read is not None:
            os.close(feed_read)
    feeder = _Feeder(feed_write, frames) if feed_write is not None and frames is not None else None
    printed: deque[str] = deque(maxlen=_LINES_KEPT)
    try:
        async with asyncio.timeout(limits.wall_s), asyncio.TaskGroup() as group:
            group.create_task(_drain(child.stderr, printed))
            group.create_task(_follow(child.stdout, on_frame))
            status = await child.wait()
    except TimeoutError:
        raise EncodeTimedOut(f"killed after {limits.wall_s:.0f} s") from None
    finally:
        await _kill(child)
        if feeder is not None:
            await asyncio.shield(asyncio.to_thread(feeder.join))
    said = "\n".join(printed)
    if status != 0:
        if "No space left on device" in said:
            raise StorageFull(f"no space for the encoder's output: {said[-300:]}")
        raise EncodeFailed(f"encoder ended with {status}: {said[-1500:]}")
    if feeder is not None and feeder.error is not None:
        raise EncodeFailed("captions could not be drawn") from feeder.error
    return said


class _Feeder:
    """Writes frames into the child's standard input from a thread of its own."""

    def __init__(self, descriptor: int, frames: Iterable[bytes]) -> None:
        self.error: Exception | None = None
        self._descriptor = descriptor
        self._frames = frames
        # A pipe that holds whole frames saves most of the switching between the two processes.
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._thread = threading.Thread(target=self._write, name="captions", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the thread; the child is gone, so a write in progress has failed."""
        self._thread.join()

    def _write(self) -> None:
        try:
            with os.fdopen(self._descriptor, "wb", buffering=0) as pipe:
                for frame in self._frames:
                    view = memoryview(frame)
                    while view:
                        view = view[pipe.write(view) :]
        except BrokenPipeError:
            pass  # The child has all the frames it wants, or is dead: its status tells which.
        except (OSError, ValueError, ArithmeticError, LookupError) as error:
            self.error = error


async def _drain(stream: asyncio.StreamReader | None, printed: deque[str]) -> None:
    """Read all that the child says, so that it never waits for a reader."""
    assert stream is not None
    rest = b""
    while chunk := await stream.read(_LINE_MAX_BYTES):
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        rest = rest[-_LINE_MAX_BYTES:]
        printed.extend(line.decode("utf-8", "replace")[:500] for line in lines if line)
    if rest:
        printed.append(rest.decode("utf-8", "replace")[:500])


async def _follow(
    stream: asyncio.StreamReader | None, on_frame: Callable[[int], Awaitable[None]] | None
) -> None:
    assert stream is not None
    async for line in stream:
        name, _, value = line.decode("ascii", "replace").strip().partition("=")
        if name == "frame" and value.strip().isdigit() and on_frame is not None:
            await on_frame(int(value))


async def _kill(child: asyncio.subprocess.Process) -> None:
    """Kill the child's whole process group, if it still runs, and reap it."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await asyncio.shield(child.wait())
