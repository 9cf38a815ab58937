"""The phrase spotter: pocketsphinx in worker processes.

Law: a session's sound always goes to the same process, in order; a process that dies or does not
answer is replaced, and costs the phrases it was listening to, never the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import signal
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from bus.ports import Meter
from bus.turns import Turns
from detectors.errors import SpotterFailed
from detectors.listener import Listener, check_phrases
from detectors.settings import PhraseSettings
from detectors.sound import Hit, Piece

_LOG = logging.getLogger(__name__)


def serve(line: Connection, phrases: Sequence[str], threshold: float) -> None:
    """Answer over `line` until it is closed: (session, pieces) → hits; no pieces: forget it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listeners: dict[str, Listener] = {}
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            session_id, pieces = line.recv()
            hits: list[Hit] = []
            if pieces is None:
                listeners.pop(session_id, None)
            else:
                if session_id not in listeners:
                    listeners[session_id] = Listener(phrases, threshold)
                for piece in pieces:
                    hits += listeners[session_id].hear(piece)
            line.send(hits)


class _Worker:
    """One process and the line to it."""

    def __init__(self, settings: PhraseSettings) -> None:
        self._settings = settings
        self._process: multiprocessing.process.BaseProcess | None = None
        self._line: Connection | None = None
        self.turns = Turns(1)
        self.idle: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def ask(self, session_id: str, pieces: Sequence[Piece] | None) -> list[Hit]:
        """Put one question and wait for its answer; blocks, so it is called in a thread.

        Raises:
            SpotterFailed: the process died or did not answer in time; it has been ended.
        """
        line = self._line or self._start()
        try:
            line.send((session_id, pieces))
            if not line.poll(self._settings.answer_timeout_s):
                raise SpotterFailed("a phrase spotter process does not answer")
            hits: list[Hit] = line.recv()
        except (EOFError, OSError) as error:
            self.stop()
            raise SpotterFailed("a phrase spotter process died") from error
        except SpotterFailed:
            self.stop()
            raise
        return hits

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=serve,
            args=(theirs, self._settings.phrases, self._settings.threshold),
            name="clipthat-phrase",
            daemon=True,
        )
        process.start()
        theirs.close()
        self._process, self._line = process, ours
        return ours

    def stop(self) -> None:
        """End the process; nothing it knows is worth waiting for."""
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        self._process = self._line = None


class PhraseSpotter:
    """Listens to many sessions for the phrases of the settings."""

    def __init__(self, settings: PhraseSettings, meter: Meter) -> None:
        """Nothing is started before there is something to hear.

        Raises:
            PhraseUnknown: a phrase holds a word that cannot be spotted.
        """
        if settings.enabled:
            check_phrases(settings.phrases)
        self._settings = settings
        self._meter = meter
        self._workers = tuple(_Worker(settings) for _ in range(max(1, settings.processes)))
        self._sessions: set[str] = set()
        self._threads = ThreadPoolExecutor(len(self._workers), thread_name_prefix="phrase")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            if worker.idle is not None:
                worker.idle.cancel()
            await asyncio.to_thread(worker.stop)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hear(
        self, session_id: str, pieces: Sequence[Piece], *, live: bool = True
    ) -> list[Hit]:
        """Return the phrases heard by the end of these pieces; empty when the spotter failed."""
        if not self._settings.enabled or not pieces:
            return []
        if session_id not in self._sessions:
            if len(self._sessions) >= self._settings.sessions_max:
                self._meter.count("clipthat_phrase_refused_total")
                return []
            self._sessions.add(session_id)
        hits = await self._ask(session_id, pieces, live=live)
        if hits:
            self._meter.count("clipthat_phrase_hits_total", len(hits))
        return hits

    async def forget(self, session_id: str) -> None:
        """Let a session's decoder go."""
        if session_id in self._sessions:
            self._sessions.discard(session_id)
            if self._worker_of(session_id).is_running:
                await self._ask(session_id, None, live=True)

    def _worker_of(self, session_id: str) -> _Worker:
        return self._workers[zlib.crc32(session_id.encode()) % len(self._workers)]

    async def _ask(
        self, session_id: str, pieces: Sequence[Piece] | None, *, live: bool
    ) -> list[Hit]:
        worker = self._worker_of(session_id)
        loop = asyncio.get_running_loop()
        async with worker.turns.turn(live=live):
            if worker.idle is not None:
                worker.idle.cancel()
            try:
                return await loop.run_in_executor(self._threads, worker.ask, session_id, pieces)
            except SpotterFailed as error:
                self._meter.count("clipthat_phrase_restarts_total")
                _LOG.warning("phrase spotter lost", extra={"why": str(error)})
                return []
            finally:
                worker.idle = loop.call_later(self._settings.idle_s, self._stop_idle, worker)

    def _stop_idle(self, worker: _Worker) -> None:
        if worker.turns.is_free:
            worker.stop()
