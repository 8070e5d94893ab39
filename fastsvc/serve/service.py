"""What a running server consists of. Routes reach it as ``request.app.state.service``."""

from __future__ import annotations

from fastapi import Request, WebSocket

from fastsvc.serve.settings import ServeSettings
from fastsvc.serve.voices import Voices


class Service:
    """``settings``; ``voices``: the engines that are offered; ``draining``: whether new jobs are refused."""

    def __init__(self, settings: ServeSettings):
        settings.make_folders()
        self.settings = settings
        self.voices = Voices(settings)
        self.draining = False

    async def start(self) -> None:
        """Begin to work on the jobs that wait."""

    async def stop(self) -> None:
        """End all worker processes; jobs that wait are kept for the next start."""


def service(connection: Request | WebSocket) -> Service:
    """The service behind a route."""
    return connection.app.state.service
