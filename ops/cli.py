"""The command line.

Law: a command's own module is imported when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.commands.options import Options
from ops.memory import bound_memory

app = typer.Typer(
    name="clipthat",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Watches streams and VODs and hands over finished vertical clips.",
    epilog="First try: [bold]clipthat vod VIDEO[/] on any recording, or [bold]clipthat demo[/].",
)

ChatFile = Annotated[
    Path | None,
    typer.Option(
        "--chat",
        metavar="FILE",
        help="Chat of the video: TwitchDownloader JSON, or JSON lines"
        ' {"t_s": 12.5, "user": "ann", "text": "clip that"}; gzip too.',
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Folder for clips.json, moments.jsonl, index.html and the clips. "
        "Default: clips/NAME. The same command on the same folder goes on where it stopped.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object a line on standard output, for programs.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any setting, such as --set clipper.window.after_max_s=20; "
        "`clipthat settings` lists them.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file. Default: ./clipthat.toml."),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Write what every stage does to standard error.")
]


@app.command()
def vod(
    source: Annotated[
        str,
        typer.Argument(
            help="A video file, https://www.twitch.tv/videos/ID, or the URL of an HLS VOD."
        ),
    ],
    chat: ChatFile = None,
    start: Annotated[
        str,
        typer.Option(
            "--from", metavar="TIME", help="Where to begin: 1:00:00, 90:00, 3600 or 1h2m3s."
        ),
    ] = "",
    stop: Annotated[
        str, typer.Option("--to", metavar="TIME", help="Where to stop, in the same form.")
    ] = "",
    words: Annotated[
        Path | None,
        typer.Option(
            "--words",
            metavar="FILE",
            help="Words for captions: .srt, .vtt or words JSON. Default: the one beside the file.",
        ),
    ] = None,
    out: Out = None,
    top: Annotated[int, typer.Option("--top", min=1, max=200, help="How many clips at most.")] = 5,
    as_json: AsJson = False,
    sets: Set = None,
    config: Config = None,
    verbose: Verbose = False,
) -> None:
    """Make the best clips of a recording, faster than real time.

    Stop it with Ctrl-C whenever you like: the same command goes on from there.
    """
    options = Options(sets=sets or [], config=config, verbose=verbose, as_json=as_json)
    from ops.commands.vod import Wanted, vod_command

    wanted = Wanted(source=source, chat=chat, words=words, top=top, start=start, stop=stop)
    raise typer.Exit(vod_command(wanted, out, options))


@app.command()
def live(
    url: Annotated[str, typer.Argument(help="twitch.tv/NAME, or the URL of a live HLS playlist.")],
    chat: Annotated[
        str | None,
        typer.Option(
            "--chat",
            metavar="FILE|irc|none",
            help="A chat file that may grow, `irc` with --channel, or irc://HOST:PORT/#channel. "
            "Default for twitch.tv/NAME: the channel's own chat; `none` reads none.",
        ),
    ] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", help="Name of the channel, for `--chat irc`.")
    ] = None,
    quality: Annotated[
        list[str] | None,
        typer.Option(
            "--quality",
            metavar="NAME",
            help="Rendition to watch, such as 720p60, source or best; again for a second choice. "
            "Default: the best up to ingest.height_max.",
        ),
    ] = None,
    out: Out = None,
    for_s: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=1, help="Stop after this long.")
    ] = None,
    as_json: AsJson = False,
    sets: Set = None,
    config: Config = None,
    verbose: Verbose = False,
) -> None:
    """Watch a live stream and make clips while it runs.

    Ctrl-C once ends the watch and finishes its clips; twice stops at once.
    """
    options = Options(sets=sets or [], config=config, verbose=verbose, as_json=as_json)
    from ops.commands.live import live_command

    raise typer.Exit(live_command(url, chat, channel, out, for_s, quality or [], options))


@app.command()
def run(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            help="Channels (twitch.tv/NAME) and live HLS playlists to watch, besides those in"
            " clipthat.toml and on the page of channels."
        ),
    ] = None,
    roles: Annotated[
        str | None,
        typer.Option(
            "--roles",
            metavar="ROLE[,ROLE]",
            help="Do only a part of the work, as one process of many: any of control (pages,"
            " database, who works on what), ingest, detect, clip, render. The others are told where"
            " control answers: control.url and control.secret. Default: everything in one process.",
        ),
    ] = None,
    sets: Set = None,
    config: Config = None,
    verbose: Verbose = False,
) -> None:
    """Run all stages as a service, with a status page, /healthz and /metrics."""
    options = Options(sets=sets or [], config=config, verbose=verbose, as_json=False)
    from ops.commands.run import run_command

    raise typer.Exit(run_command([url for url in urls or [] if url], roles, options))


@app.command()
def render(
    once: Annotated[
        bool, typer.Option("--once", help="Make one output that waits, hand it in, and end.")
    ] = False,
    as_json: AsJson = False,
    sets: Set = None,
    config: Config = None,
    verbose: Verbose = False,
) -> None:
    """Make one finished output for the control role: a job for a container that is paid by use.

    Needs control.url and control.secret, and the cluster's objects (objects_url). Ends
    with 0 when an output is handed in, also one that says why it cannot be made; 3 when none waits;
    1 when it was not done, and another worker may do it.
    """
    options = Options(sets=sets or [], config=config, verbose=verbose, as_json=as_json)
    from ops.commands.render import render_command

    raise typer.Exit(render_command(once, options))


@app.command()
def workers(as_json: AsJson = False, sets: Set = None, config: Config = None) -> None:
    """Say who is at work on other machines, what each holds, and what waits for whom.

    With control.url and control.secret, as a worker has them, control is asked from anywhere;
    without control.url the database is read, where control runs. Each worker stands with its role
    and pool, how many of its places are taken, and when it was heard of: [bold]ready[/] holds
    nothing, [bold]draining[/] takes nothing more, [bold]silent[/] has not been heard of and is
    about to lose what it holds, [bold]gone[/] has lost it. Below stands what waits, and what to
    do. The page /workers shows the same. Ends with 1 when nobody can be asked.

    From elsewhere, with the secret in CLIPTHAT_CONTROL__SECRET:

    clipthat workers --set control.url=https://control.example.com

    What waits, for a script: clipthat workers --json | jq '.waiting'
    """
    options = Options(sets=sets or [], config=config, verbose=False, as_json=as_json)
    from ops.commands.workers import workers_command

    raise typer.Exit(workers_command(options))


@app.command()
def replay(
    features: Annotated[
        Path, typer.Argument(help="features.jsonl.gz of a session, or the folder it lies in.")
    ],
    ranker: Annotated[
        str | None,
        typer.Option("--ranker", help="Ranker to try. Default: the one the session had."),
    ] = None,
    as_json: AsJson = False,
    sets: Set = None,
    config: Config = None,
) -> None:
    """Run recorded features through detectors and a ranker again, without the video."""
    options = Options(sets=sets or [], config=config, verbose=False, as_json=as_json)
    from ops.commands.replay import replay_command

    raise typer.Exit(replay_command(features, ranker, options))


@app.command()
def score(
    folder: Annotated[
        Path, typer.Argument(help="Folder of NAME.jsonl.gz chats with NAME.labels.json beside.")
    ],
    as_json: AsJson = False,
) -> None:
    """Say how well moments are found on labelled chat, beside two simple rules."""
    options = Options(sets=[], config=None, verbose=False, as_json=as_json)
    from ops.commands.score import score_command

    raise typer.Exit(score_command(folder, options))


@app.command()
def doctor(as_json: AsJson = False, sets: Set = None, config: Config = None) -> None:
    """Say what is installed, what is missing, and what to do about it."""
    options = Options(sets=sets or [], config=config, verbose=False, as_json=as_json)
    from ops.commands.doctor import doctor_command

    raise typer.Exit(doctor_command(options))


@app.command("settings")
def list_settings(sets: Set = None, config: Config = None) -> None:
    """Print every setting with its meaning, as a clipthat.toml to start from."""
    options = Options(sets=sets or [], config=config, verbose=False, as_json=False)
    from ops.commands.settings import list_settings_command

    raise typer.Exit(list_settings_command(options))


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the stream and its clips.")
    ] = Path(".demo"),
    serve: Annotated[
        bool,
        typer.Option(help="Keep the page of clips open at the end, until Ctrl-C."),
    ] = False,
) -> None:
    """Make a live stream on this machine, watch it and hand over its clips."""
    options = Options(sets=[], config=None, verbose=False, as_json=False)
    from ops.commands.demo import demo_command

    raise typer.Exit(demo_command(out, serve, options))


def main() -> None:
    """Run the command line."""
    bound_memory()
    app()


if __name__ == "__main__":
    main()
