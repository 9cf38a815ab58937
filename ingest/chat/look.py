"""What a line of chat looks like: emotes, shouts, its words stripped for comparison and display.

Law: pure, and from the text alone; a log without tags is judged like a live channel.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

SAMPLE_CHARS_MAX = 80


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KNOWN_EMOTES = _words(
    "LUL LULW OMEGALUL KEKW KEKL KEKWait Kappa KappaPride Keepo PogChamp Pog POGGERS PogU Poggers "
    "POG Pogey POGGIES PauseChamp monkaS monkaW monkaHmm monkaGIGA monkaX Pepega PepeHands "
    "Sadge FeelsBadMan FeelsGoodMan FeelsStrongMan EZ Clap Jebaited ResidentSleeper BibleThump "
    "WutFace NotLikeThis Kreygasm 4Head 4HEAD TriHard CoolCat VoHiYo HeyGuys SeemsGood SwiftRage "
    "BabyRage FailFish DansGame MingLee PJSalt cmonBruh ANELE HYPERS HYPERCLAP Hypers gachiBASS "
    "gachiHYPER widepeepoHappy widepeepoSad peepoHappy peepoSad peepoClap catJAM forsenCD AYAYA "
    "weirdChamp WeirdChamp 5Head 3Head Kapp PepeLaugh PepoThink WeSmart TheIlluminati SourPls "
    "NaM modCheck COPIUM HOPIUM Bedge Madge Copege ICANT xdd LETSGO LETSGOO Wokege Aware Susge "
    "Clueless NOOOO NODDERS NOPERS DonoWall BatChest GIGACHAD KKona DatSheffy OpieOP SMOrc "
    "StinkyCheese riPepperonis D: <3 xqcL GlitchCat"
)
_CAMEL = re.compile(r"(?:[A-Z][a-z0-9]+){2,}")
_CHANNEL_EMOTE = re.compile(r"[a-z][a-z0-9]{2,9}[A-Z][A-Za-z0-9]{1,20}")
_NOT_EMOTES = re.compile(r"(?:Mc|Mac|De|Le|Du|O)[A-Z][a-z]+|YouTube|JavaScript|PlayStation|GitHub")

_LAUGH_OR_AWE = re.compile(
    r"\b(?:l+u+l+|l+o+l+|l+m+f*a+o+|rofl|kek[wl]?|omegalul|o+m+f*g+|w+t+f+|w+o+w+|p+o+g+\w*|"
    r"holy|(?:a*ha){2,}h?|x+d+|no+ wa+y+|let'?s go+|insane|sheesh+)\b|!!!|\?\?\?",
    re.I,
)
_LETTER = re.compile(r"[^\W\d_]")
_LINK = re.compile(r"(?:https?://|www\.)\S+", re.I)
_NOT_WORDY = re.compile(r"[^\w\s]+")
_STRETCHED = re.compile(r"(\w)\1{2,}")
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff\U0001f300-\U0001f64f\U0001f680-\U0001f6ff"
    "\U0001f900-\U0001f9ff\U0001fa70-\U0001faff☀-➿]"
)


def emote_count(tokens: Collection[str], told: Collection[str]) -> int:
    """Return how many emotes and emoji stand in a line.

    Args:
        tokens: the line's words, split at spaces.
        told: emote codes that the source has tagged; the rest is judged by look.
    """
    told_codes = frozenset(told)
    count = 0
    for token in tokens:
        if token in told_codes or looks_like_emote(token):
            count += 1
        else:
            count += len(_EMOJI.findall(token))
    return count


def looks_like_emote(token: str) -> bool:
    """Return whether a word is a known emote, or is written like one: `PogChamp`, `d69Spicy`."""
    if token in _KNOWN_EMOTES:
        return True
    if _NOT_EMOTES.fullmatch(token):
        return False
    return bool(_CAMEL.fullmatch(token) or _CHANNEL_EMOTE.fullmatch(token))


def is_shout(text: str) -> bool:
    """Return whether a line is in capitals, or laughs or wonders aloud."""
    if _LAUGH_OR_AWE.search(text):
        return True
    letters = _LETTER.findall(text)
    return len(letters) >= 4 and sum(letter.isupper() for letter in letters) >= 0.8 * len(letters)


def normalised(text: str) -> str:
    """Return a text in the form in which repeats are equal: `LUUUUL!!` and `luul` are."""
    flat = _NOT_WORDY.sub(" ", text.casefold())
    return " ".join(_STRETCHED.sub(r"\1", flat).split())


def sample(text: str) -> str:
    """Return a text fit to be shown: no links, no control characters, 80 characters at most."""
    plain = _LINK.sub(" ", text)
    visible = "".join(" " if unicodedata.category(c) in _HIDDEN else c for c in plain)
    return " ".join(visible.split())[:SAMPLE_CHARS_MAX].rstrip()


_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
