"""Which lines of chat ask for a clip: `clip that`, `!clip`, `someone clip it pls`.

Law: pure, and judged by the words alone. A line counts when it asks for a clip of what happens
now; talk about clips, clip links, quotes and bugs in games (`clip through a wall`) do not.
Who may ask, and how often, is decided elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TOKENS_MAX = 24
"""A longer line tells a story; a call for a clip is short."""

_CLIP_LINK = re.compile(r"(?:clips\.twitch\.tv/|twitch\.tv/\S+/clip/|/clip/)\S*", re.I)
_LINK = re.compile(r"\bhttps?://\S+|\bwww\.\S+", re.I)
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|«[^»]*»|(?<!\w)'[^']*'(?!\w)|`[^`]*`")
_MENTION = re.compile(r"@\w+")
_TOKEN = re.compile(r"[\w']+|\?")
_STRETCHED = re.compile(r"(\w)\1{2,}")
_SOMEONE_APART = re.compile(r"\bsome one\b", re.I)
_COMMAND = re.compile(r"!clip(?:it|that|this)?(?!\w)", re.I)

_THAT = re.compile(r"th[a-z]{0,2}t|dat|taht|tat")
_OBJECTS = frozenset({"it", "itt", "this", "dis", "thsi", "these", "those", "all", "everything"})
_JOINED = re.compile(r"clip(?:it|that|this|dat)")
_BARE = re.compile(r"(?:clip)+")
_EMPHATIC = re.compile(r"\bclip the (?:fuck|hell|shit|crap|heck) out")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEGATIONS = _words(
    "dont don't not never no cant can't cannot wont won't didnt didn't doesnt doesn't "
    "shouldnt shouldn't stop without"
)
_NOUN_MAKERS = _words(
    "a an the that this these those my your his her our their its any every another "
    "paper hair nose nice good great best big clean full sound video audio music twitch money "
    "bull tie favorite favourite old new last next first funny short long same"
)
_CALLED_UPON = _words(
    "someone somebody some1 anyone anybody you u we chat mods mod guys please pls plz lets let's"
)
_TOLD_OF = _words(
    "i im i'm ill i'll id i'd ive i've he hes he's she shes she's they they'll theyll it its "
    "it's who how why when where if was were"
)
_QUESTIONS = _words("did has does how have why who where when hasnt hasn't didnt")
_AFTER_OBJECT_TALK = _words(
    "was is were isnt isn't he she i they has had got shows showed made went came goes through "
    "into onto under thru"
)
_BARE_FILLERS = _words(
    "pls plz please someone somebody some1 mods mod now quick guys chat lol lul lmao omg kappa "
    "kekw pogchamp pog yo oh wow better"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a line asks for a clip, and why, in a word or two."""

    taken: bool
    why: str


def is_clip_command(text: str) -> bool:
    """Return whether a line asks for a clip."""
    return judge(text).taken


def judge(text: str) -> Verdict:
    """Say whether a line asks for a clip, and why."""
    if _CLIP_LINK.search(text):
        return Verdict(False, "clip link")
    plain = _MENTION.sub(" ", _LINK.sub(" ", text.replace("’", "'"))).strip()
    if _COMMAND.match(plain):
        return Verdict(True, "bot command")
    plain = _SOMEONE_APART.sub("someone", _QUOTED.sub(" ", plain))
    tokens = [_squeezed(token) for token in _TOKEN.findall(plain.casefold())]
    if not any(token.startswith("clip") for token in tokens):
        return Verdict(False, "no clip")
    if len(tokens) > TOKENS_MAX:
        return Verdict(False, "long line")
    if _is_bare(tokens):
        return Verdict(True, "bare clip")
    if _EMPHATIC.search(" ".join(tokens)):
        return Verdict(True, "call")
    verdict = Verdict(False, "no object")
    for at, token in enumerate(tokens):
        verdict = _judge_verb(tokens, at, token) or verdict
        if verdict.taken:
            break
    return verdict


def _squeezed(token: str) -> str:
    """Return a token without stretched letters: `cliiiip` and `thaaaat` are as short as usual."""
    return _STRETCHED.sub(r"\1", token)


def _is_bare(tokens: list[str]) -> bool:
    words = [token for token in tokens if token not in _BARE_FILLERS]
    return bool(words) and all(_BARE.fullmatch(word) for word in words)


def _judge_verb(tokens: list[str], at: int, token: str) -> Verdict | None:
    """Judge one token as the verb of a call; None when it is not one at all."""
    if _JOINED.fullmatch(token):
        after = tokens[at + 1 :]
    elif token in {"clip", "clipp"} and at + 1 < len(tokens) and _is_object(tokens[at + 1]):
        after = tokens[at + 2 :]
    else:
        return None
    before = tokens[:at]
    if any(word in _NEGATIONS for word in before[-3:]):
        return Verdict(False, "negated")
    if before and before[-1] in _NOUN_MAKERS:
        return Verdict(False, "a clip as a thing")
    if after and after[0] in _AFTER_OBJECT_TALK:
        return Verdict(False, "talk about a clip")
    if _is_told(before):
        return Verdict(False, "told or asked about")
    return Verdict(True, "call")


def _is_object(token: str) -> bool:
    return token in _OBJECTS or _THAT.fullmatch(token) is not None


def _is_told(before: list[str]) -> bool:
    """Return whether the words before the verb tell of somebody's clip or ask about one.

    The nearest word that names an actor decides: `did anyone clip it` asks about the past,
    `i hope someone clip that` still calls for one.
    """
    if before and before[0] in _QUESTIONS:
        return True
    for word in reversed(before[-5:]):
        if word in _CALLED_UPON:
            return False
        if word in _TOLD_OF:
            return True
    return False
