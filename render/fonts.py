"""Font files: which characters they have, and how wide words are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from render.captions import Shown
from render.errors import SourceUnusable
from render.settings import CaptionSettings

_MEASURED_AT_PX = 100
_ABSENT = "\U0010ffff"
"""A noncharacter: what a font draws for it is its sign for a missing character."""
_WEIGHTS = {"thin": 100, "light": 300, "medium": 500, "bold": 700, "black": 900, "heavy": 900}


class Face:
    """One font file."""

    def __init__(self, path: Path) -> None:
        try:
            self._font = ImageFont.truetype(str(path), _MEASURED_AT_PX)
        except OSError as error:
            raise FontUnusable(f"{path}: {error}") from error
        self.path = path
        family, style = self._font.getname()
        self.family = family or path.stem
        self.weight = next(
            (weight for word, weight in _WEIGHTS.items() if word in (style or "").lower()), 400
        )
        self._absent = self._look(_ABSENT)
        self.has = lru_cache(maxsize=4096)(self._has)

    def _look(self, sign: str) -> tuple[tuple[int, int], bytes]:
        mask = self._font.getmask(sign)
        return mask.size, bytes(mask)

    def _has(self, sign: str) -> bool:
        return sign.isspace() or self._look(sign) != self._absent

    def width(self, text: str, size_px: float) -> float:
        """Return the advance width of a text in pixels."""
        return self._font.getlength(text) * size_px / _MEASURED_AT_PX


class FontUnusable(SourceUnusable):
    """A font file of the settings is missing or broken; it is never replaced in silence."""

    reason = "font_unusable"


class Fonts:
    """The caption font and what stands in where it lacks a character."""

    def __init__(self, faces: Sequence[Face]) -> None:
        self.faces = tuple(faces)
        self._widths: dict[Shown, float] = {}

    @classmethod
    def of(cls, style: CaptionSettings) -> Fonts:
        """Open the fonts of a caption style.

        Raises:
            FontUnusable: a file is missing or is no font.
        """
        from font_roboto import RobotoBlack

        first = style.font_path or RobotoBlack
        return cls([Face(Path(path)) for path in (first, *style.fallback_fonts)])

    def shown(self, text: str) -> Shown | None:
        """Return the text in the first font that has all of it, else what the first ones have."""
        for number, face in enumerate(self.faces):
            if all(face.has(sign) for sign in text):
                return Shown(text, number)
        for number, face in enumerate(self.faces):
            kept = "".join(sign for sign in text if face.has(sign)).strip()
            if any(sign.isalnum() for sign in kept):
                return Shown(kept, number)
        return None

    def width(self, shown: Shown, size_px: float) -> float:
        """Return the advance width in pixels."""
        if shown not in self._widths:
            self._widths[shown] = self.faces[shown.face].width(shown.text, 1.0)
        return self._widths[shown] * size_px
