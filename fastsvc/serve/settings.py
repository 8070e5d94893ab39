"""The settings of a server: where it listens, which engines it offers, and every limit."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from fastsvc import arguments
from fastsvc.config.shown import shown
from fastsvc.errors import ConfigError

HOME = "FASTSVC_SERVE"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
PORT = (0, 65535)  # 0: any free one
BYTES = (1, 2**50)
SECONDS = (0.0, 1e9)
COUNT = (1, 1_000_000)
TOKEN_CHARACTERS = 16  # at least, where others than this machine may connect
_NAME = re.compile(r"[A-Za-z0-9._-]+")
DEVICES = ("auto", "cpu", "cuda")


def default_home() -> Path:
    """``$FASTSVC_SERVE``, else ``$XDG_DATA_HOME/fastsvc/serve``, else ``~/.local/share/fastsvc/serve``."""
    if os.environ.get(HOME):
        return Path(os.environ[HOME])
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "fastsvc" / "serve"


@dataclass(frozen=True)
class ServeSettings:
    """``engines``: engine folders to offer besides the bundled demo voices; the first one is the default.

    ``home``: the folder of the list of jobs, of recordings, results and voices; one server at a time. ``token``: what
    clients must know where ``host`` is not this machine's own. ``hosts``: more names that clients may call the server
    by, as those of a proxy before it. ``memory_bytes``: of all worker processes together.
    ``max_bytes``, ``max_seconds``: of one recording; ``max_files``: of one request; ``max_request_bytes``: of one
    request's body. ``queue``, ``waiting_bytes``: of jobs that wait, and of their recordings. ``keep_s``,
    ``keep_bytes``: how long finished jobs are kept, and how large all of them may be together. ``parallel``: jobs
    that are computed at a time; ``streams``: live conversions at a time. ``warm``: load the default engine at the
    start. ``drain_s``: how long jobs in work may take after SIGTERM. ``cancel_s``: how long a worker may take to heed a
    cancellation before it is ended. ``heartbeat_s``: between signs of life in streams of events. ``header_s``: for the
    head of a request to arrive.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()
    engines: tuple[Path, ...] = ()
    home: Path = field(default_factory=default_home)
    device: str = "auto"
    memory_bytes: int = 4 * 10**9
    max_bytes: int = 200 * 10**6
    max_seconds: float = 3600.0
    max_files: int = 100
    max_request_bytes: int = 2 * 10**9
    queue: int = 1000
    waiting_bytes: int = 8 * 10**9
    keep_s: float = 24 * 3600.0
    keep_bytes: int = 2 * 10**9
    parallel: int = 1
    streams: int = 4
    uploads: bool = True
    live: bool = True
    warm: bool = True
    drain_s: float = 30.0
    cancel_s: float = 0.6
    heartbeat_s: float = 15.0
    header_s: float = 10.0

    def __post_init__(self):
        """Raises ConfigError."""
        arguments.text("host", self.host)
        arguments.whole_number("port", self.port, *PORT)
        arguments.one_of("device", self.device, DEVICES)
        for name in ("memory_bytes", "max_bytes", "max_request_bytes", "waiting_bytes", "keep_bytes"):
            arguments.whole_number(name, getattr(self, name), *BYTES)
        for name in ("max_files", "queue", "parallel", "streams"):
            arguments.whole_number(name, getattr(self, name), *COUNT)
        for name in ("max_seconds", "keep_s", "drain_s", "cancel_s", "heartbeat_s", "header_s"):
            arguments.number(name, getattr(self, name), *SECONDS)
        for name in self.hosts:
            _check_name(arguments.text("hosts", name))
        arguments.flag("uploads", self.uploads)
        arguments.flag("live", self.live)
        arguments.flag("warm", self.warm)
        object.__setattr__(self, "home", arguments.path("home", self.home).expanduser().absolute())
        paths = (arguments.path("engines", path).expanduser().absolute() for path in self.engines)
        object.__setattr__(self, "engines", tuple(paths))
        self._check_token()

    def _check_token(self) -> None:
        arguments.optional(arguments.text, "token", self.token)
        if self.token is None:
            if not self.local:
                raise ConfigError(
                    f"host {self.host} lets other machines connect, and no token is set", "set one with --token"
                )
            return
        if len(self.token) < TOKEN_CHARACTERS or not self.token.isascii() or not self.token.isprintable():
            raise ConfigError(
                "the token can be guessed or is not plain text",
                f"use at least {TOKEN_CHARACTERS} ASCII characters, such as those of: openssl rand -hex 16",
            )

    @property
    def local(self) -> bool:
        """Whether only programs of this machine can connect."""
        return self.host in LOOPBACK

    @property
    def jobs_folder(self) -> Path:
        """A folder of each job: its recording, its result, its pictures."""
        return self.home / "jobs"

    @property
    def incoming_folder(self) -> Path:
        """Files that are being received; emptied at each start."""
        return self.home / "incoming"

    @property
    def voices_folder(self) -> Path:
        """A folder of each uploaded voice."""
        return self.home / "voices"

    @property
    def work_folder(self) -> Path:
        """Results that are being written; emptied at each start."""
        return self.home / "work"

    @property
    def empty_folder(self) -> Path:
        """Where workers stand: no code is found there."""
        return self.home / "empty"

    def make_folders(self) -> None:
        """Make the folders of ``home``, which no other user can read. Raises OSError."""
        folders = (self.jobs_folder, self.incoming_folder, self.voices_folder, self.work_folder, self.empty_folder)
        for folder in (self.home, *folders):
            folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)


def _check_name(name: str) -> None:
    """A name as a Host header has it, without port. Raises ConfigError: another would never match, and in silence."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"allow-host {shown(name)} is not a name", "use the name alone, such as voices.example.org"
            ) from None
