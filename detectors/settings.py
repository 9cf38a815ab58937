"""What can be set about senses and detectors.

Law: seconds are media seconds, scores run from 0 to 1; nothing here reads the environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class HostSettings:
    """How features and chat are merged before detectors see them."""

    settle_live_s: float = 1.0
    """Live: least media time between two words on how far moments are settled."""
    settle_replay_s: float = 5.0
    """The same for a VOD or a file, which nobody is waiting for second by second."""
    waiting_max: int = 50_000
    """Events held while one topic is behind the other; beyond it the oldest go on alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenPhraseSettings:
    """When a spoken phrase makes a moment."""

    enabled: bool = True
    """Make moments of the spoken phrase."""
    phrases: tuple[str, ...] = ("clip that", "clip it", "clip this")
    """What the streamer says; small slips of a recogniser are forgiven."""
    negatives: tuple[str, ...] = (
        "paper clip",
        "video clip",
        "clip through",
        "don't clip",
        "do not clip",
        "not clip",
        "never clip",
        "he said clip",
        "she said clip",
        "they said clip",
        "who said clip",
    )
    """Word sequences in which the phrase means something else."""
    refractory_s: float = 25.0
    """After a moment, the same phrase is not heard again for this long."""
    before_s: float = 25.0
    """How far before the phrase the moment begins."""
    peak_before_s: float = 4.0
    """How far before the phrase the thing itself is taken to have happened."""
    spotter_score: float = 0.5
    """Score of a phrase that only the phrase spotter has heard."""
    transcript_score: float = 0.9
    """Score of a phrase that stands in a transcript or in subtitles, at full confidence."""
    confidence_min: float = 0.4
    """Words that a recogniser is less sure of are not taken."""
    hold_s: float = 1.0
    """How long the next word is waited for: it may give the phrase a different meaning."""
    context_s: float = 2.0
    """Words this far around the phrase are looked at for a different meaning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExcitementSettings:
    """When a raised voice makes a moment."""

    enabled: bool = True
    """Make moments of a raised voice."""
    baseline_s: float = 180.0
    """How much of the past the channel's usual loudness is taken from."""
    warmup_s: float = 30.0
    """Media seconds that must have been heard before anything counts as loud."""
    spread_min_db: float = 2.0
    """Least spread that the usual loudness is taken to have."""
    rise_min_db: float = 6.0
    """Least rise above the usual loudness."""
    deviations_min: float = 2.5
    """Least rise in robust standard deviations of the usual loudness."""
    sustained_s: float = 1.0
    """How long the smoothed rise must last."""
    voice_min: float = 0.4
    """Least share of voice, 0 to 1, while it is loud."""
    hold_s: float = 3.0
    """A burst is over, and decided, when it has been calm for this long."""
    burst_max_s: float = 20.0
    """A burst that lasts longer is decided at this length."""
    refractory_s: float = 15.0
    """Least time between two peaks."""
    before_s: float = 12.0
    """How far before the burst the moment begins."""
    score_max: float = 0.8
    """Score of the strongest burst: loudness alone never proves a moment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRateSettings:
    """How the pace of chat is measured against the channel's own."""

    stretch_s: int = 15
    """Whole seconds that are taken together as chat's pace now."""
    apart_s: int = 0
    """Seconds between that stretch and the one it is compared with."""
    before_s: int = 20
    """Length of the stretch that it is compared with."""
    before_weight: float = 0.3
    """Share of that stretch in the comparison; the rest is the channel's usual pace."""
    memory_s: float = 300.0
    """How long the channel's usual pace is remembered."""
    warmup_s: float = 30.0
    """Seconds of chat that must be known before anything counts as a burst."""
    burst_bound: float = 4.0
    """A second of a burst lifts the usual pace no more than this many usual seconds would."""
    noise_bound: float = 3.0
    """A surge teaches how choppy this chat is only up to this many deviations."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatSpikeSettings:
    """When a burst of chat makes a moment."""

    enabled: bool = True
    """Make moments of chat bursts."""
    rate: ChatRateSettings = field(default_factory=ChatRateSettings)
    surge_min: float = 2.0
    """Least surge, in deviations of this channel's chat, with which a burst begins."""
    messages_min: int = 4
    """Least messages in the stretch. One viewer counts three times at most, so one is no burst."""
    fall: float = 0.8
    """A burst is over when its surge has fallen to this share of its peak."""
    hold_s: float = 6.0
    """A burst is decided when no higher peak has come for this long."""
    burst_max_s: float = 60.0
    """A burst that lasts longer is decided at this length."""
    refractory_s: float = 15.0
    """Least time between the peaks of two bursts."""
    reaction_s: float = 12.0
    """From what happened to the end of chat's liveliest stretch, where chat is as slow as usual;
    what is learned of a channel's own delay (`reaction`) is added or taken off."""
    before_s: float = 15.0
    """How far before what happened the moment begins."""
    after_min_s: float = 5.0
    """How far after what happened the moment ends at the least."""
    surge_even: float = 2.5
    """Surge whose score is one half: half of such bursts follow a real highlight."""
    slope: float = 0.5
    """How fast the score rises with the surge."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipCommandSettings:
    """When viewers' commands (`!clip`, `clip that`) make a moment."""

    enabled: bool = True
    """Make moments of viewers' clip commands."""
    who: Literal["everyone", "subscribers", "moderators"] = "everyone"
    """Whose commands count; the streamer's and the moderators' always do."""
    user_cooldown_s: float = 30.0
    """A user's next command counts after this long."""
    channel_cooldown_s: float = 30.0
    """After a moment's first command, the next moment can be asked for after this long."""
    gather_s: float = 6.0
    """Commands within this time after the first ask for the same moment."""
    reaction_s: float = 12.0
    """From what happened to the command, where chat is as slow as usual; what is learned of a
    channel's own delay (`reaction`) is added or taken off."""
    before_s: float = 18.0
    """How far before what happened the moment begins."""
    after_s: float = 5.0
    """How far after what happened the moment ends."""
    score_one: float = 0.55
    """Score when one viewer asks."""
    doubt_left: float = 0.7
    """Each further viewer leaves this share of what the score lacks to one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReactionSettings:
    """How a channel's own delay is learned: from a sharp sound to the middle of chat's answer."""

    enabled: bool = True
    """Learn it; otherwise each channel's chat is taken to be as slow as usual."""
    usual_s: float = 5.0
    """Delay that is assumed at first. The middle of a burst lies 7 s before the end of its
    liveliest stretch (median of 562 bursts), which is taken to come 12 s after what happened."""
    delay_min_s: float = 1.0
    """No delay is taken to be shorter."""
    delay_max_s: float = 32.0
    """No delay is taken to be longer."""
    command_after_s: float = 5.0
    """Clip commands come so much later than the middle of the same answer (40 in real chat)."""
    prior_answers: float = 3.0
    """What is assumed at first counts as much as so many answers."""
    prior_spread_s: float = 4.0
    """How far off what is assumed at first may well be."""
    answers_min: float = 5.0
    """Least answers, faded by their age, that agree on a delay before it is believed."""
    stands_out_min: float = 3.5
    """Least rise of those answers above chance, in deviations."""
    smooth_s: float = 1.5
    """Answers that differ by about this much agree."""
    half_life_s: float = 1800.0
    """After this much media an answer counts half."""
    step_s: float = 0.5
    """The estimate is told again when it has moved by this much, or rests on twice as much."""
    answer_apart_s: float = 15.0
    """Commands closer than this belong to the same answer."""
    onset_apart_s: float = 5.0
    """Onsets closer than this are one event."""
    calm_s: float = 2.0
    """Before an onset it was calm for at least this long."""
    rise_min_db: float = 6.0
    """Least rise above the usual loudness."""
    deviations_min: float = 2.0
    """Least rise in robust standard deviations of the usual loudness."""
    baseline_s: float = 180.0
    """How much of the past the channel's usual loudness is taken from."""
    warmup_s: float = 30.0
    """Media seconds that must have been heard before anything counts as an onset."""
    spread_min_db: float = 2.0
    """Least spread that the usual loudness is taken to have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorsSettings:
    """All detectors and their host."""

    host: HostSettings = field(default_factory=HostSettings)
    chat_spike: ChatSpikeSettings = field(default_factory=ChatSpikeSettings)
    clip_command: ClipCommandSettings = field(default_factory=ClipCommandSettings)
    spoken_phrase: SpokenPhraseSettings = field(default_factory=SpokenPhraseSettings)
    excitement: ExcitementSettings = field(default_factory=ExcitementSettings)
    reaction: ReactionSettings = field(default_factory=ReactionSettings)


@dataclass(frozen=True, kw_only=True, slots=True)
class PhraseSettings:
    """The phrase spotter: pocketsphinx, in processes of its own."""

    enabled: bool = True
    """Listen for the phrases in the sound itself; a thirtieth of a core during voice."""
    phrases: tuple[str, ...] = ("clip that",)
    """English words of its dictionary; each phrase is spotted as a whole."""
    threshold: float = 1e-15
    """Smaller hears more, right and wrong: 1e-30 to 1."""
    processes: int = 2
    """Worker processes; a session stays with one of them."""
    sessions_max: int = 64
    """Decoders (28 MB each) in all processes together; further sessions are not listened to."""
    idle_s: float = 120.0
    """A worker process without sound for this long is ended; the next sound starts it again."""
    answer_timeout_s: float = 60.0
    """A worker process that does not answer for this long is taken to be dead."""
    padding_s: float = 0.4
    """Sound kept before and after a voice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShedSettings:
    """What a live session leaves out when it falls behind; a replay waits instead."""

    pressed_after_s: float = 20.0
    """A live session this far behind: replays are read only `ingest.ahead_pressed_s` ahead."""
    tell_every_s: float = 20.0
    """How often that is told again while it lasts."""
    frames_after_s: float = 60.0
    """Further behind than this, no frames are kept."""
    phrases_after_s: float = 120.0
    """Further behind than this, nothing is searched for spoken phrases, the dearest sense."""
    segments_after_s: float = 300.0
    """A segment that has waited longer is told as a gap; the ring lets go of it at that age too."""
    back_share: float = 0.5
    """What is left out comes back once the lag has fallen to this share of where it began."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SensesSettings:
    """How segments become features."""

    threads: int = 2
    """Segments that are opened at the same time."""
    in_hand_max: int = 4096
    """Segments known and not yet opened, all sessions together; live ones among them go first."""
    frame_every_s: float = 30.0
    """A frame of the picture is kept this often."""
    frame_width_max: int = 640
    """Width of a kept frame, in pixels, at the most."""
    frame_quality: int = 80
    """JPEG quality, 1 to 95."""
    voice_floor_db: float = -50.0
    """Sound below this is never a voice, whatever the voice detector says."""
    object_timeout_s: float = 20.0
    """A read or write of the object store that takes longer is tried again."""
    sessions_max: int = 512
    """Sessions whose sound is followed at the same time; the longest silent one goes first."""
    known_session_timeout_s: float = 10.0
    """How long a segment waits for its session's start to be read from the bus."""
    phrase: PhraseSettings = field(default_factory=PhraseSettings)
    """The phrase spotter."""
    shed: ShedSettings = field(default_factory=ShedSettings)
    """What is left out when it cannot keep up."""
