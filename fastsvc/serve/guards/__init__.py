"""What stands before the API: hosts, origins, the token, limits while receiving, headers of the answers."""

from __future__ import annotations

from fastapi import FastAPI

from fastsvc.serve.settings import ServeSettings


def guard(app: FastAPI, settings: ServeSettings) -> None:
    """Add the middlewares to ``app``, before it starts."""


def uvicorn_options(settings: ServeSettings) -> dict:
    """What uvicorn.Config gets besides host and port, such as timeouts."""
    return {}
