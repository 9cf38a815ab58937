"""What happens in the demo's stream, and when: what is seen, said and written in chat.

Law: pure and always the same, so that a test can say where clips must fall.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from ingest.chat.line import Role

DURATION_S = 120.0
FPS = 30
SEGMENT_S = 2.0

Mood = Literal["calm", "excited", "command"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """Something that is worth a clip."""

    at_s: float
    """When it happens in the picture."""
    banner: str
    """What the game writes across the picture."""
    is_called: bool
    """The streamer says the phrase afterwards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Say:
    """Something that the streamer says."""

    at_s: float
    text: str
    mood: Mood = "calm"


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """Something that a viewer writes."""

    at_s: float
    user: str
    text: str
    role: Role = "viewer"


MOMENTS = (
    Moment(at_s=34.0, banner="TRIPLE COMBO", is_called=True),
    Moment(at_s=66.0, banner="OH NO", is_called=False),
    Moment(at_s=96.0, banner="BOSS DOWN", is_called=True),
)

SPEECH = (
    Say(at_s=1.5, text="hello everybody, welcome to the stream"),
    Say(at_s=6.0, text="today we run through the valley and see how far we get"),
    Say(at_s=14.0, text="nice and easy here, a few more coins"),
    Say(at_s=22.0, text="I think there is something behind that hill"),
    Say(at_s=29.0, text="wait, wait, here it comes"),
    Say(
        at_s=33.6, text="oh my god! did you see this! three in a row! unbelievable!", mood="excited"
    ),
    Say(at_s=38.0, text="clip that!", mood="command"),
    Say(at_s=46.0, text="all right, we go on, slowly now"),
    Say(at_s=54.0, text="my hands are still shaking"),
    Say(at_s=61.0, text="this jump is not a problem at all"),
    Say(at_s=66.4, text="no! no! why! ha ha ha!", mood="excited"),
    Say(at_s=74.0, text="well, that was embarrassing"),
    Say(at_s=82.0, text="there is the big one, one more try"),
    Say(at_s=90.0, text="come on, come on"),
    Say(at_s=95.6, text="yes! yes! we did it! what a fight! what a fight!", mood="excited"),
    Say(at_s=100.0, text="clip that!", mood="command"),
    Say(at_s=108.0, text="thank you all for watching"),
    Say(at_s=113.0, text="see you next time"),
)

_REGULARS = (
    *("mira", "tobi", "lena_92", "quietfox", "nordlicht", "pixelpaul", "sunnyday", "oakley"),
    *("brunomars42", "yuki", "sam_the_cat", "dragonfly", "moonpie", "kettle", "rivet", "juno"),
)
_CROWD = (*_REGULARS, *(f"viewer{number:02d}" for number in range(1, 61)))
_SMALL_TALK = (
    "hi from Hamburg",
    "what game is this?",
    "nice music",
    "is this the second world?",
    "coffee time",
    "the hat is new",
    "first time here, hello",
    "how long is the run today",
    "I like the background",
    "that jump looked easy",
    "good luck with the boss",
    "brb",
    "nice clip yesterday",
    "lurking while I cook",
)
_REACTIONS = {
    "TRIPLE COMBO": ("PogChamp", "OMG", "POG", "WHAT", "no way", "INSANE", "PogChamp PogChamp"),
    "OH NO": ("LUL", "KEKW", "LUL LUL", "hahaha", "OMEGALUL", "F", "lol what"),
    "BOSS DOWN": ("GG", "LETS GO", "PogChamp", "YES!!!", "holy", "WOW", "gg wp"),
}
_CALLS: tuple[tuple[float, str, str, Role], ...] = (
    (6.6, "mod_anna", "clip that", "moderator"),
    (7.4, "tobi", "CLIP IT", "viewer"),
    (8.3, "lena_92", "someone clip that lol", "subscriber"),
)
_REACTION_LAG_S = 5.2
_REACTION_S = 8.0
_REACTION_POSTS = 55
_TALK_EVERY_S = 2.4
_LULLS = ((44.0, 60.0), (78.0, 92.0))
_SEED = 20


def chat() -> tuple[Post, ...]:
    """Return everything that is written in chat, in the order of time.

    Small talk with lulls, and after each moment, when viewers have seen it, a burst.
    """
    dice = random.Random(_SEED)
    posts = _small_talk(dice)
    for moment in MOMENTS:
        posts += _burst(dice, moment)
    return tuple(sorted(posts, key=lambda post: (post.at_s, post.user)))


def _small_talk(dice: random.Random) -> list[Post]:
    posts = []
    at_s = 1.0
    while at_s < DURATION_S - 1.0:
        posts.append(
            Post(at_s=round(at_s, 2), user=dice.choice(_REGULARS), text=dice.choice(_SMALL_TALK))
        )
        is_lull = any(begin_s <= at_s < end_s for begin_s, end_s in _LULLS)
        at_s += dice.uniform(0.5, 1.5) * _TALK_EVERY_S * (2.5 if is_lull else 1.0)
    return posts


def _burst(dice: random.Random, moment: Moment) -> list[Post]:
    """Return the reaction to a moment: a steep rise, a slow fall, and some who ask for a clip."""
    begin_s = moment.at_s + _REACTION_LAG_S
    posts = [
        Post(
            at_s=round(begin_s + _REACTION_S * dice.betavariate(1.6, 3.0), 2),
            user=user,
            text=dice.choice(_REACTIONS[moment.banner]),
        )
        for user in dice.sample(_CROWD, k=_REACTION_POSTS)
    ]
    calls = _CALLS if moment.is_called else _CALLS[1:]
    posts += [
        Post(at_s=moment.at_s + lag_s, user=user, text=text, role=role)
        for lag_s, user, text, role in calls
    ]
    return posts
