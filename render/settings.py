"""Settings of the render room."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionSettings:
    """How the words look on a 1080 × 1920 canvas; a smaller canvas scales them down."""

    enabled: bool = True
    """Draw captions when words are known."""
    layouts: tuple[str, ...] = ("vertical_blur", "vertical_crop")
    """Layouts that carry captions."""
    font_path: str = ""
    """A TrueType or OpenType file; Roboto Black when empty. A missing file is an error."""
    fallback_fonts: tuple[str, ...] = ()
    """Font files tried in order for words with characters that the first font lacks."""
    size_px: float = 84.0
    """Letter size; a page that does not fit is drawn smaller."""
    size_min_px: float = 30.0
    """The smallest letters that a long word may shrink to; a longer word is cut."""
    uppercase: bool = True
    """Show capitals only."""
    fill_color: str = "#FFFFFF"
    """Colour of the words."""
    active_color: str = "#FFE600"
    """Colour of the word that is being said."""
    outline_color: str = "#000000"
    """Colour of the outline."""
    outline_px: float = 8.0
    """Width of the outline around a letter."""
    shadow_alpha: float = 0.55
    """Strength of the soft shadow, 0 to 1."""
    pop: bool = True
    """The active word grows from 88 over 106 to 100 % of its size."""
    pop_s: float = 0.25
    """How long that growing takes."""
    words_max: int = 4
    """Words on a page, at most."""
    lines_max: int = 2
    """Lines on a page, at most."""
    pause_s: float = 0.6
    """A silence of this length begins a new page."""
    hold_s: float = 0.35
    """How long a page stays after its last word."""
    box_left_px: int = 90
    """Left edge of the safe box, which no platform covers with its buttons."""
    box_right_px: int = 900
    """Right edge of the safe box."""
    box_top_px: int = 270
    """Upper edge of the safe box."""
    box_bottom_px: int = 1460
    """Lower edge of the safe box."""
    center_y_px: int = 1200
    """Middle of the words, where the layout does not know better."""
    masked_words: tuple[str, ...] = ()
    """Words shown with their first letter and stars only, such as swear words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderSettings:
    """How finished outputs are made."""

    layouts: tuple[str, ...] = ("vertical_blur", "landscape")
    """Outputs of each clip, the most wanted first: `vertical_blur`, `vertical_crop`,
    `landscape`."""
    concurrency: int = 0
    """Renders at the same time; half of the machine's cores when zero."""
    threads: int = 2
    """Threads of each decoder and encoder."""
    captions: CaptionSettings = field(default_factory=CaptionSettings)
    """How captions look."""
    title_shown: bool = False
    """Write the clip's title at the top of a vertical output."""
    title_s: float = 4.0
    """How long the title stays."""
    vertical_width_px: int = 1080
    """Width of a vertical output, even; its height follows at 9:16."""
    vertical_fps_max: float = 30.0
    """Frame rate of a vertical output, at most: 60 costs 1.7 times as much."""
    landscape_fps_max: float = 60.0
    """Frame rate of a landscape output, at most."""
    landscape_height_max_px: int = 1080
    """Height of a landscape output, at most; smaller sources keep their size."""
    preset: str = "veryfast"
    """x264 preset."""
    crf: int = 20
    """x264 quality, 0 to 51; lower is better and larger."""
    maxrate_kbps: int = 12_000
    """Peak video bit rate."""
    audio_kbps: int = 160
    """Audio bit rate."""
    loudness_lufs: float = -14.0
    """Integrated loudness of the outputs."""
    peak_dbtp: float = -1.0
    """True peak of the outputs, at most."""
    loudness_floor_lufs: float = -50.0
    """A quieter clip is left as it is: raising it would only raise its noise."""
    gain_max_db: float = 30.0
    """A quiet clip is raised by this much, at most."""
    attempts_max: int = 3
    """Tries before a render is given up."""
    duration_max_s: float = 600.0
    """A longer clip is refused."""
    wall_base_s: float = 60.0
    """A child process may take this long, and `wall_per_media_s` for each second of media."""
    wall_per_media_s: float = 30.0
    """Seconds allowed for each second of media."""
    memory_max_mb: int = 4096
    """Address space of a child process."""
    output_max_mb: int = 2048
    """Size of an output file."""
    nice: int = 5
    """How far a child process stands back behind the rest of the machine, 0 to 19."""
    work_dir: str = ""
    """Folder for unfinished files; the system's temporary folder when empty."""
