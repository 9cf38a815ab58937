"""What is known of a session along its media clock: loudness, voice, chat, words and pieces.

Law: pure and compact (a 4-hour session takes a few megabytes). A question is answered from what
lies below `until_s` only, so that later arrivals never change an answer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bus.events import ChatWindow, LoudnessMeasured, SpeechHeard, Word
from clipper.pieces import Piece
from clipper.sound import Sound

HOP_S = 0.1
SILENCE_DB = -90
_NOTHING = -128
_TRIM_S = 60.0
_SEGMENT_MAX_S = 30.0
"""Words lie in segments that begin at most this long before them."""
_EARLY_S = 1.0
"""A word may begin this long before the segment that it is told with."""


class Strip:
    """A row of small numbers on a grid; unknown where nothing was written."""

    def __init__(self, hop_s: float, dtype: type[np.generic], unknown: int) -> None:
        self.hop_s = hop_s
        self._unknown = unknown
        self._first = 0
        self._used = 0
        self._cells: NDArray[np.generic] = np.full(256, unknown, dtype)

    def write(self, start_s: float, values: Sequence[float]) -> None:
        """Write cells from the one that `start_s` lies in; cells that were trimmed are left."""
        if not values:
            return
        first = round(start_s / self.hop_s) - self._first
        skipped = max(0, -first)
        first, end = first + skipped, first + len(values)
        if end <= first:
            return
        if end > len(self._cells):
            grown = np.full(max(end, 2 * len(self._cells)), self._unknown, self._cells.dtype)
            grown[: self._used] = self._cells[: self._used]
            self._cells = grown
        self._cells[first:end] = np.asarray(values[skipped:]).round().astype(self._cells.dtype)
        self._used = max(self._used, end)

    def read(self, start_s: float, end_s: float) -> NDArray[np.float64]:
        """Return the known cells that lie wholly between two times."""
        first = max(0, int(np.ceil(start_s / self.hop_s - 1e-6)) - self._first)
        end = min(self._used, int(np.floor(end_s / self.hop_s + 1e-6)) - self._first)
        cells = self._cells[first : max(first, end)]
        known: NDArray[np.float64] = cells[cells != self._unknown].astype(np.float64)
        return known

    def whole(self, end_s: float) -> NDArray[np.float64]:
        """Return every cell from zero to `end_s`; NaN where nothing is known."""
        cells = np.full(max(0, int(np.ceil(end_s / self.hop_s - 1e-6))), np.nan)
        kept = self._cells[: max(0, min(self._used, len(cells) - self._first))]
        there = cells[self._first : self._first + len(kept)]
        there[:] = np.where(kept == self._unknown, np.nan, kept.astype(np.float64))
        return cells

    def trim(self, before_s: float) -> None:
        """Forget the cells before a time."""
        drop = min(self._used, int(before_s / self.hop_s) - self._first)
        if drop * self.hop_s < _TRIM_S:
            return
        self._cells = self._cells[drop:].copy()
        self._first += drop
        self._used -= drop
        if len(self._cells) == 0:
            self._cells = np.full(256, self._unknown, self._cells.dtype)


class Timeline:
    """One session's features, chat and pieces."""

    def __init__(self) -> None:
        self._loudness = Strip(HOP_S, np.int8, _NOTHING)
        self._voice = Strip(HOP_S, np.int8, -1)
        self._chat = Strip(1.0, np.int32, -1)
        self._speech: list[tuple[float, int, int, str, tuple[Word, ...]]] = []
        self._samples: dict[int, tuple[str, ...]] = {}
        self._pieces: list[Piece] = []
        self._starts: list[float] = []
        self.segments_until_s = 0.0
        self.features_until_s = 0.0
        self.chat_until_s = 0.0

    def add_piece(self, piece: Piece) -> None:
        """Take a segment in; one that is known already is left out."""
        at = bisect_left(self._starts, piece.media_s)
        near = self._pieces[max(0, at - 1) : at + 2]
        if any((each.epoch, each.seq) == (piece.epoch, piece.seq) for each in near):
            return
        self._pieces.insert(at, piece)
        self._starts.insert(at, piece.media_s)
        self.segments_until_s = max(self.segments_until_s, piece.end_s)

    def add_loudness(self, event: LoudnessMeasured) -> None:
        """Take a segment's loudness and voice in."""
        step = max(1, round(HOP_S / event.hop_s)) if event.hop_s > 0 else 1
        if not event.gap:
            self._loudness.write(event.media_s, event.rms_db[::step])
            self._voice.write(event.media_s, event.voice[::step])
        self.features_until_s = max(self.features_until_s, event.end_s)

    def add_speech(self, event: SpeechHeard) -> None:
        """Take words in; the phrase spotter's are no captions and are left out."""
        if event.engine == "phrase_spotter" or not event.words:
            return
        place: tuple[float, int, int, str] = (event.media_s, event.epoch, event.seq, event.engine)
        at = bisect_left(self._speech, place, key=lambda each: each[:4])
        if not any(each[:4] == place for each in self._speech[at : at + 1]):
            self._speech.insert(at, (*place, event.words))

    def add_chat(self, event: ChatWindow) -> None:
        """Take a second of chat in."""
        if not event.gap:
            self._chat.write(event.media_s, [event.messages])
            if event.samples:
                self._samples[int(event.media_s)] = event.samples
        self.chat_until_s = max(self.chat_until_s, event.media_s + event.duration_s)

    def loudness_db(self, start_s: float, end_s: float) -> NDArray[np.float64]:
        """Return dBFS of the hops in a span."""
        return self._loudness.read(start_s, end_s)

    def voice_percent(self, start_s: float, end_s: float) -> NDArray[np.float64]:
        """Return the share of voice, 0 to 100, of the hops in a span."""
        return self._voice.read(start_s, end_s)

    def chat_rate(self, start_s: float, end_s: float) -> NDArray[np.float64]:
        """Return messages of each whole second in a span."""
        return self._chat.read(start_s, end_s)

    def sound(self, end_s: float) -> Sound:
        """Return the whole session's sound up to its end."""
        return Sound(
            hop_s=HOP_S,
            rms_db=self._loudness.whole(end_s),
            voice_percent=self._voice.whole(end_s),
        )

    def words(self, start_s: float, end_s: float) -> list[Word]:
        """Return the words of a recogniser or subtitles that touch a span, in order.

        Where two engines heard the same segment, subtitles count.
        """
        first = bisect_left(self._speech, start_s - _SEGMENT_MAX_S, key=lambda each: each[0])
        end = bisect_left(self._speech, end_s + _EARLY_S, key=lambda each: each[0])
        near = self._speech[first:end]
        subtitled = {each[1:3] for each in near if each[3] == "subtitles"}
        heard = [
            word
            for _, epoch, seq, engine, words in near
            if engine == "subtitles" or (epoch, seq) not in subtitled
            for word in words
            if word.end_s > start_s and word.start_s < end_s
        ]
        return sorted(set(heard), key=lambda word: (word.start_s, word.end_s, word.text))

    def samples(self, start_s: float, end_s: float) -> list[str]:
        """Return chat lines of a span, in order."""
        seconds = sorted(second for second in self._samples if start_s <= second < end_s)
        return [line for second in seconds for line in self._samples[second]]

    def pieces(self, start_s: float, end_s: float) -> list[Piece]:
        """Return the pieces, missing ones too, that touch a span."""
        first = max(0, bisect_right(self._starts, start_s) - 2)
        end = bisect_left(self._starts, end_s)
        return [piece for piece in self._pieces[first:end] if piece.end_s > start_s]

    def trim(self, before_s: float) -> None:
        """Forget what lies before a time."""
        if not self._starts or self._starts[0] > before_s - _TRIM_S:
            return
        self._loudness.trim(before_s)
        self._voice.trim(before_s)
        self._chat.trim(before_s)
        keep = bisect_left(self._starts, before_s)
        self._pieces, self._starts = self._pieces[keep:], self._starts[keep:]
        self._speech = [each for each in self._speech if each[0] >= before_s]
        self._samples = {at: lines for at, lines in self._samples.items() if at >= before_s}
