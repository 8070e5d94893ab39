"""`fastsvc serve`: the page in the browser, and the API behind it."""

from __future__ import annotations

import importlib.util
import os
import re
import sys

import click

from fastsvc.commands.common import Number, examples, option, say, verbosity_options
from fastsvc.errors import ConfigError, MissingPackageError

EXAMPLES = examples(
    "fastsvc serve",
    "fastsvc serve alto.fsvc --host 0.0.0.0 --token $(openssl rand -hex 16) --no-uploads",
)
PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "websockets")  # of the extra web
TOKEN_VARIABLE = "FASTSVC_SERVE_TOKEN"
TOKEN_HELP = "What clients must know; 16 characters or more, needed where --host lets other machines connect."
HOST_HELP = "Address to listen at; 0.0.0.0: all of this machine's."
ALLOW_HELP = "One more name under which browsers may call the server, such as a proxy's; may be given several times."
HOME_HELP = "Folder of jobs, results and uploaded voices; one server at a time."
MEMORY_HELP = "Memory of all engines together; the one that waits longest is closed beyond."
DRAIN_HELP = "Seconds that jobs in work may take once the server is to end."
UPLOADS_HELP = "Whether voices may be added and removed in the page."


class Size(click.ParamType):
    """A number of bytes: 200MB, 4GB, 512KB, or a plain number."""

    name = "size"
    UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}  # noqa: RUF012

    def convert(self, value, param, ctx):
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([KMGT]?B?)", str(value).strip().upper())
        unit = match and self.UNITS.get(match[2] if match[2].endswith("B") or not match[2] else match[2] + "B")
        size = round(float(match[1]) * unit) if match and unit else 0
        if size < 1:
            self.fail(f"{value!r} is not a size such as 200MB or 4GB", param, ctx)
        return size


@click.command(short_help="Open the page in the browser, with an API.", epilog=EXAMPLES)
@click.argument("engines", nargs=-1, metavar="[ENGINE.fsvc ...]")
@option("--host", default="127.0.0.1", help=HOST_HELP)
@option("--port", default=8000, type=click.IntRange(0, 65535), help="Port to listen at; 0: any free one.")
@option("--token", envvar=TOKEN_VARIABLE, metavar="TEXT", show_default=f"${TOKEN_VARIABLE}, or none", help=TOKEN_HELP)
@option("--allow-host", "hosts", multiple=True, metavar="NAME", show_default="none", help=ALLOW_HELP)
@option("--home", metavar="DIR", show_default="$FASTSVC_SERVE, or the user's data folder", help=HOME_HELP)
@option("--device", default="auto", type=click.Choice(("auto", "cpu", "cuda")), help="Where engines compute.")
@option("--memory", default="4GB", type=Size(), help=MEMORY_HELP)
@option("--max-file", default="200MB", type=Size(), help="Largest recording that is taken.")
@option("--max-seconds", default=3600.0, type=Number(1.0, 1e9), help="Longest recording that is taken.")
@option("--queue", default=1000, type=click.IntRange(1, 1_000_000), help="Jobs that may wait.")
@option("--keep", default=24.0, type=Number(0.01, 1e5), help="Hours for which finished jobs are kept.")
@option("--keep-size", default="2GB", type=Size(), help="Size of all finished jobs together; the oldest are removed.")
@option("--drain", default=30.0, type=Number(0.0, 1e6), help=DRAIN_HELP)
@option("--uploads/--no-uploads", default=True, help=UPLOADS_HELP)
@option("--live/--no-live", default=True, help="Whether the page converts live.")
@option("--open/--no-open", "open_page", default=None, show_default="open at a terminal", help="Open the browser.")
@verbosity_options
def serve(engines, open_page, **options):
    """Open a page in the browser that converts recordings, and an API for programs.

    It offers the named engines, those uploaded before, and the bundled demo voices. Only this machine can connect,
    unless --host says otherwise. Ctrl-C or SIGTERM end it after the jobs in work, a second one at once; jobs that wait
    are done after the next start. It needs the extra fastsvc[web].

    Exit code 0: ended by a signal; 2: the command could not start; 70: a fault of fastsvc.
    """
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise MissingPackageError(name.replace("_", "-"), "the page in the browser", "web")
    settings = settings_of(engines, **options)
    from fastsvc.serve import server
    from fastsvc.serve.surroundings import surroundings

    os.environ.pop(TOKEN_VARIABLE, None)  # workers read strangers' files, and need no token
    with surroundings():
        server.run(settings, lambda address: _ready(address, settings, _opens(open_page)))


def settings_of(engines, *, memory, max_file, keep, keep_size, drain, home, token, **options):
    """The server's settings. Raises ConfigError, and EngineError for an engine that cannot be read."""
    from pathlib import Path

    from fastsvc.artifact.engine_folder import Artifact
    from fastsvc.serve.settings import ServeSettings, default_home

    if "" in (token, os.environ.get(TOKEN_VARIABLE)):  # such as of $(openssl …) where there is no openssl
        raise ConfigError("the token is empty, and the server would ask for none", "set one, or omit it")
    for engine in engines:
        Artifact(engine)
    return ServeSettings(
        engines=tuple(map(Path, engines)),
        home=Path(home) if home else default_home(),
        token=token,
        memory_bytes=memory,
        max_bytes=max_file,
        keep_s=keep * 3600,
        keep_bytes=keep_size,
        drain_s=drain,
        **options,
    )


def _opens(open_page: bool | None) -> bool:
    return sys.stdout.isatty() if open_page is None else open_page


def _ready(address: str, settings, opens: bool) -> None:
    say(f"fastsvc serves at {address} ({'add ?token=… once; ' if settings.token else ''}Ctrl-C ends it)")
    say(f"data folder: {settings.home}", level=1)
    if opens:
        import threading
        import webbrowser

        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
