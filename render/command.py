"""The encoder's command line: graph, streams, codecs.

Law: pure; a list of arguments follows from the plan alone. Nothing from outside stands inside the
graph: titles and words come as pictures, paths as arguments of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from render.captions import StripArea
from render.settings import RenderSettings

STANDARD_FPS: Sequence[Fraction] = (
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60000, 1001),
    Fraction(60),
)
EARLY_S = 0.001
"""A frame that stands this little before the in point belongs to the clip: timestamps are
rounded to as little as a millisecond."""
_TAIL_S = 1.0
"""A last frame may be held this long; a source that ends earlier shows in the frame count."""
_TAGS = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
_TONE_MAP = (
    "zscale=transfer=linear:npl=100,format=gbrpf32le,zscale=primaries=bt709,"
    "tonemap=hable:desat=0,zscale=transfer=bt709:matrix=bt709:range=tv,format=yuv420p"
)


def output_fps(source: Fraction, fps_max: float) -> Fraction:
    """Return the constant rate of an output: the nearest standard one, halved down to the limit."""
    rate = min(STANDARD_FPS, key=lambda standard: abs(standard - source))
    while rate > Fraction(fps_max) + Fraction(1, 100) and rate > 24:
        rate /= 2
    return rate


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodePlan:
    """All that the encoder's command line says."""

    source: Path
    output: Path
    in_s: float
    fps: Fraction
    frames: int
    width: int
    height: int
    layout_graph: str
    """From `[source]` to `[framed]`; empty for a source without a picture."""
    has_audio: bool
    level: str
    """Filters that set the loudness; empty leaves it."""
    hdr: bool = False
    interlaced: bool = False
    strips: StripArea | None = None
    """Captions come on the standard input, when there are any."""
    card: Path | None = None
    """Still picture of the canvas's size, for a source without one."""
    title: Path | None = None
    """Transparent picture of the canvas's size, shown at the beginning."""
    title_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """Length of the output: whole frames."""
        return float(self.frames / self.fps)


def encode_arguments(plan: EncodePlan, settings: RenderSettings) -> list[str]:
    """Return the encoder's arguments, program left out."""
    inputs = ["-copyts", *_source_input(plan.source, settings)]
    chains = [_card_chain(plan) if plan.card else _picture_chain(plan)]
    last = "framed"
    number = 1
    if plan.card is not None:
        inputs += ["-loop", "1", "-framerate", str(plan.fps), *_local_input(plan.card)]
        number += 1
    if plan.strips is not None:
        area = plan.strips
        inputs += ["-f", "rawvideo", "-pixel_format", "yuva420p"]
        inputs += ["-video_size", f"{area.width}x{area.height}", "-framerate", str(plan.fps)]
        inputs += ["-blocksize", str(1 << 20), "-protocol_whitelist", "file,pipe", "-i", "pipe:0"]
        chains.append(
            f"[{last}]{_TAGS}[under];[{number}:v]{_TAGS}[words];"
            f"[under][words]overlay={area.x}:{area.y}:format=yuv420:eof_action=pass[worded]"
        )
        last = "worded"
        number += 1
    if plan.title is not None:
        inputs += ["-loop", "1", "-framerate", str(plan.fps), *_local_input(plan.title)]
        chains.append(
            f"[{number}:v]scale=out_color_matrix=bt709:out_range=tv,format=yuva420p,{_TAGS},"
            f"trim=end={plan.title_s:.3f}[title];[{last}]{_TAGS}[plain];"
            f"[plain][title]overlay=0:0:format=yuv420:eof_action=pass[titled]"
        )
        last = "titled"
    chains.append(f"[{last}]trim=end_frame={plan.frames},format=yuv420p,setsar=1,{_TAGS}[picture]")
    chains.append(_sound_chain(plan))
    return [
        *_quiet(settings),
        *inputs,
        "-filter_complex",
        ";".join(chains),
        *("-map", "[picture]", "-map", "[sound]"),
        *_codecs(plan, settings),
        str(plan.output),
    ]


def measure_arguments(plan: EncodePlan, level: str, settings: RenderSettings) -> list[str]:
    """Return the arguments that print the loudness of the plan's sound after `level` filters."""
    after = f"{level}," if level else ""
    return [
        *_quiet(settings, level="info"),
        *("-copyts", "-vn"),
        *_source_input(plan.source, settings),
        "-filter_complex",
        f"{_trimmed_sound(plan)},{after}ebur128=peak=true:framelog=quiet[sound]",
        *("-map", "[sound]", "-f", "null", "-"),
    ]


def check_arguments(output: Path, settings: RenderSettings) -> list[str]:
    """Return the arguments that print the loudness of a finished file."""
    return [
        *_quiet(settings, level="info"),
        *("-vn", *_local_input(output)),
        *("-af", "ebur128=peak=true:framelog=quiet", "-f", "null", "-"),
    ]


def _quiet(settings: RenderSettings, level: str = "warning") -> list[str]:
    return [
        *("-hide_banner", "-nostdin", "-nostats", "-y", "-loglevel", level),
        *("-progress", "pipe:1", "-stats_period", "0.5"),
        *("-filter_complex_threads", str(settings.threads)),
    ]


def _local_input(path: Path) -> list[str]:
    return ["-protocol_whitelist", "file,pipe", "-i", f"file:{path}"]


def _source_input(path: Path, settings: RenderSettings) -> list[str]:
    # A change of size midway must not build the graph anew, which would forget its frame count;
    # `scale` follows it by itself.
    return ["-threads", str(settings.threads), "-reinit_filter", "0", *_local_input(path)]


def _picture_chain(plan: EncodePlan) -> str:
    """Return the exact frames of the clip, at a constant rate, framed by the layout."""
    start_s = plan.in_s - EARLY_S
    end_s = plan.in_s + plan.duration_s - EARLY_S
    steps = [f"[0:v:0]trim=start={start_s:.6f}:end={end_s:.6f}"]
    if plan.interlaced:
        steps.append("bwdif=mode=send_frame:deint=interlaced")
    steps += [
        f"setpts=PTS-{plan.in_s:.6f}/TB",
        f"fps=fps={plan.fps}:start_time=0",
        f"tpad=stop_mode=clone:stop_duration={_TAIL_S}",
        f"trim=end_frame={plan.frames}",
    ]
    if plan.hdr:
        steps.append(_TONE_MAP)
    return f"{','.join(steps)}[source];{plan.layout_graph}"


def _card_chain(plan: EncodePlan) -> str:
    """Return a still picture with the sound's waveform in its lower middle."""
    wave_w, wave_h = plan.width * 3 // 8 * 2, plan.height // 12 * 2
    x, y = (plan.width - wave_w) // 4 * 2, plan.height * 45 // 200 * 2
    return (
        f"[0:a:0]atrim=start={plan.in_s:.6f}:end={plan.in_s + plan.duration_s:.6f},"
        f"asetpts=PTS-{plan.in_s:.6f}/TB,aresample=48000:async=1:first_pts=0,"
        f"showwaves=size={wave_w}x{wave_h}:mode=cline:rate={plan.fps}:colors=0xFFE600:scale=sqrt:draw=full,"
        f"scale=out_color_matrix=bt709:out_range=tv,format=yuva420p,{_TAGS}[wave];"
        f"[1:v]scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,{_TAGS}[card];"
        f"[card][wave]overlay={x}:{y}:format=yuv420:eof_action=repeat[framed]"
    )


def _trimmed_sound(plan: EncodePlan) -> str:
    """Return the exact sound of the clip: gaps filled with silence, as long as the picture."""
    end_s = plan.in_s + plan.duration_s
    return (
        f"[0:a:0]atrim=start={plan.in_s:.6f}:end={end_s:.6f},asetpts=PTS-{plan.in_s:.6f}/TB,"
        "aresample=48000:async=1:first_pts=0,aformat=sample_fmts=fltp:channel_layouts=stereo,"
        f"apad=whole_dur={plan.duration_s:.6f},atrim=end={plan.duration_s:.6f}"
    )


def _sound_chain(plan: EncodePlan) -> str:
    if not plan.has_audio:
        return f"anullsrc=r=48000:cl=stereo,atrim=end={plan.duration_s:.6f}[sound]"
    level = f",{plan.level}" if plan.level else ""
    return f"{_trimmed_sound(plan)}{level},atrim=end={plan.duration_s:.6f}[sound]"


def _codecs(plan: EncodePlan, settings: RenderSettings) -> list[str]:
    level = "4.2" if plan.fps > 31 else "4.1"
    group = round(plan.fps * 2)
    return [
        *("-threads", str(settings.threads), "-c:v", "libx264", "-preset", settings.preset),
        *("-crf", str(settings.crf), "-profile:v", "high", "-level:v", level),
        *("-maxrate", f"{settings.maxrate_kbps}k", "-bufsize", f"{2 * settings.maxrate_kbps}k"),
        *("-g", str(group), "-bf", "2", "-r", str(plan.fps), "-fps_mode", "cfr"),
        *("-c:a", "aac", "-b:a", f"{settings.audio_kbps}k", "-ar", "48000", "-ac", "2"),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-movflags", "+faststart"),
        *("-f", "mp4"),
    ]
