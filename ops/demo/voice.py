"""A synthetic voice: espeak-ng as the wheel `espeakng-loader` ships it, called in this process."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from ops.errors import OpsError

_AUDIO_SYNCHRONOUS = 2
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_UTF8 = 1
_CHUNK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)

Sound = NDArray[np.float32]


class Voice:
    """Speaks text into an array. The library keeps one state for the whole process."""

    def __init__(self) -> None:
        """Load the library.

        Raises:
            OpsError: it is not installed.
        """
        try:
            import espeakng_loader
        except ImportError as error:
            raise OpsError(
                "the demo's voice needs espeakng-loader, which comes with `make setup`"
            ) from error
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_Initialize.argtypes = [
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
        ]
        data = espeakng_loader.get_data_path().encode()
        self.rate_hz: int = self._library.espeak_Initialize(_AUDIO_SYNCHRONOUS, 0, data, 0)
        if self.rate_hz <= 0:
            raise OpsError("the demo's voice cannot be started: espeak-ng finds no voices")
        self._spoken: list[Sound] = []
        self._callback = _CHUNK(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, *, words_per_minute: int, pitch: int, liveliness: int) -> Sound:
        """Return the spoken text as samples between -1 and 1 at `rate_hz`.

        Args:
            text: what to say.
            words_per_minute: speed, 80 to 450.
            pitch: 0 to 99.
            liveliness: how much the pitch moves, 0 to 100.
        """
        library = self._library
        self._spoken.clear()
        library.espeak_SetVoiceByName(b"en-us+f2")
        for parameter, value in (
            (_RATE, words_per_minute),
            (_VOLUME, 100),
            (_PITCH, pitch),
            (_RANGE, liveliness),
        ):
            library.espeak_SetParameter(parameter, value, 0)
        body = text.encode() + b"\0"
        library.espeak_Synth(body, len(body), 0, 0, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        if not self._spoken:
            raise OpsError(f"the demo's voice said nothing for {text!r}")
        return np.concatenate(self._spoken)

    def _take(self, samples: object, count: int, _events: object) -> int:
        if count > 0:
            chunk = np.ctypeslib.as_array(samples, (count,))
            self._spoken.append(chunk.astype(np.float32) / 32768.0)
        return 0
