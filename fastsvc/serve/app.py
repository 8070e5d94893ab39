"""The application: routes, the page, and the service behind them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from fastsvc.serve import api
from fastsvc.serve.api import errors
from fastsvc.serve.guards import guard
from fastsvc.serve.service import Service
from fastsvc.serve.settings import ServeSettings
from fastsvc.version import VERSION

PAGE = Path(__file__).parent / "page"
ABOUT = "Singing voice conversion: jobs, results, live streams. All of it is what the page in the browser uses."


def create_app(settings: ServeSettings) -> FastAPI:
    """The application of one server. Raises OutputError where ``settings.home`` cannot be used, or another server does.

    Nothing runs before the application is started (lifespan), and nothing runs on after it has stopped.
    """
    service = Service(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI):
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = FastAPI(title="fastsvc", version=VERSION, description=ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    errors.handle(app)
    for router in api.ROUTERS:
        app.include_router(router)
    app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")
    guard(app, settings)
    return app
