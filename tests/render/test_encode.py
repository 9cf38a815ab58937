"""The child process: limits, drained output, a broken pipe, and death with its caller."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import psutil
import pytest

from render.encode import Limits, run_encoder
from render.errors import EncodeFailed, EncodeTimedOut
from store.errors import StorageFull
from tests.paths import REPOSITORY

LIMITS = Limits(wall_s=20, cpu_s=20, memory_bytes=1 << 30, file_bytes=1 << 20, nice=0)


async def python(
    source: str, limits: Limits = LIMITS, frames: Iterator[bytes] | None = None
) -> str:
    return await run_encoder(["-c", source], limits, frames=frames, program=sys.executable)


async def test_what_it_prints_comes_back_bounded() -> None:
    said = await python(
        "import sys; print('x' * 10 + '\\n' * 3, file=sys.stderr); "
        "[print(n, file=sys.stderr) for n in range(20000)]"
    )
    assert said.splitlines()[-1] == "19999"
    assert len(said) < 10_000


async def test_an_error_carries_what_was_said() -> None:
    with pytest.raises(EncodeFailed, match="no such codec"):
        await python("import sys; sys.exit('no such codec')")


async def test_no_space_is_no_fault_of_the_render() -> None:
    with pytest.raises(StorageFull):
        await python("import sys; sys.exit('av_write: No space left on device')")


async def test_the_wall_limit_kills() -> None:
    limits = Limits(wall_s=0.3, cpu_s=20, memory_bytes=1 << 30, file_bytes=1 << 20, nice=0)
    with pytest.raises(EncodeTimedOut):
        await python("import time; time.sleep(60)", limits)


async def test_memory_and_file_size_are_bounded() -> None:
    with pytest.raises(EncodeFailed, match="MemoryError"):
        await python("bytearray(4 << 30)")
    with pytest.raises(EncodeFailed):
        await python(
            "import tempfile; f = tempfile.TemporaryFile(); f.write(b'x' * (4 << 20)); f.flush()"
        )


async def test_a_child_that_stops_reading_is_no_error_of_the_pipe() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 16)

    await python("import sys; sys.stdin.buffer.read(10)", frames=endless())


async def test_frames_arrive_whole() -> None:
    frames = iter([bytes([number]) * 100_000 for number in range(20)])
    said = await python(
        "import sys; body = sys.stdin.buffer.read(); print(len(body), sum(body), file=sys.stderr)",
        frames=frames,
    )
    assert said == f"2000000 {sum(range(20)) * 100_000}"


async def test_a_painter_that_fails_fails_the_render() -> None:
    def broken() -> Iterator[bytes]:
        yield b"one"
        raise ValueError("cannot paint")

    with pytest.raises(EncodeFailed, match="captions"):
        await python("import sys; sys.stdin.buffer.read()", frames=broken())


async def test_progress_is_told() -> None:
    told: list[int] = []

    async def on_frame(frame: int) -> None:
        told.append(frame)

    await run_encoder(
        ["-c", "print('frame=5'); print('fps=3'); print('frame= 9')"],
        LIMITS,
        on_frame=on_frame,
        program=sys.executable,
    )
    assert told == [5, 9]


async def test_cancelling_leaves_no_process() -> None:
    started = asyncio.Event()
    others = psutil.Process().children()

    async def on_frame(frame: int) -> None:
        started.set()

    running = asyncio.create_task(
        run_encoder(
            ["-u", "-c", "print('frame=1'); import time; time.sleep(60)"],
            LIMITS,
            on_frame=on_frame,
            program=sys.executable,
        )
    )
    await started.wait()
    encoders = [child for child in psutil.Process().children() if child not in others]
    assert encoders
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not [child for child in encoders if child.is_running()]


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel to end the child")
async def test_a_killed_service_leaves_no_encoder() -> None:
    source = (
        "import asyncio, sys\n"
        "from render.encode import Limits, run_encoder\n"
        "async def told(frame): print(frame, flush=True)\n"
        "limits = Limits(wall_s=60, cpu_s=60, memory_bytes=1 << 30, file_bytes=1 << 20, nice=0)\n"
        "sleeper = 'print(\"frame=1\", flush=True); import time; time.sleep(60)'\n"
        "asyncio.run(run_encoder(['-c', sleeper], limits, on_frame=told, program=sys.executable))\n"
    )
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY
    )
    assert service.stdout is not None
    assert await service.stdout.readline() == b"1\n"
    encoders = psutil.Process(service.pid).children()
    assert len(encoders) == 1
    service.kill()
    await service.wait()
    gone, alive = await asyncio.to_thread(psutil.wait_procs, encoders, 10)
    assert gone
    assert not alive
