"""Errors as answers: {"error": {"what", "why", "remedy"}}, without tracebacks and without paths of this machine."""

from __future__ import annotations

import sqlite3
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from fastsvc import faults
from fastsvc.errors import AudioError, FastsvcError, OutputError, ResourceError
from fastsvc.serve import advice, messages

STATUS = {AudioError: 415, OutputError: 507, ResourceError: 507}
OTHERS = 422


class Refused(Exception):
    """An answer with an error of its own: ``status``, ``what: why``, a remedy, more headers, the option's name."""

    def __init__(
        self,
        status: int,
        what: str,
        why: str = "",
        remedy: str = "",
        headers: dict[str, str] | None = None,
        *,
        field: str | None = None,
    ):
        super().__init__(what)
        self.error = {"what": what, "why": why, "remedy": advice.for_clients(remedy)}
        self.status, self.headers = status, headers
        if field is not None:
            self.error["field"] = field

    @classmethod
    def of(cls, error: FastsvcError, status: int, field: str | None = None) -> Refused:
        """A typed error, with a status of its own or the name of the field that it is about."""
        return cls(status, **messages.public(error), field=field)

    @classmethod
    def unknown(cls, what: str) -> Refused:
        """404: no such thing."""
        return cls(HTTPStatus.NOT_FOUND, what, "it does not exist, or is removed already")


def handle(app: FastAPI) -> None:
    """Add the handlers to ``app``."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(FastsvcError, _typed)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(sqlite3.Error, _system)
    app.add_exception_handler(OSError, _system)
    app.add_exception_handler(Exception, _fault)


def answer(status: int, what: str, why: str = "", remedy: str = "", headers=None) -> JSONResponse:
    return JSONResponse({"error": {"what": what, "why": why, "remedy": remedy}}, status, headers)


async def _refused(request: Request, error: Refused) -> JSONResponse:
    return JSONResponse({"error": error.error}, error.status, error.headers)


async def _typed(request: Request, error: FastsvcError) -> JSONResponse:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), OTHERS)
    return JSONResponse({"error": messages.public(error)}, status)


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    return answer(422, place, str(first["msg"]), "see /openapi.json")


async def _gone(request: Request, error: ClientDisconnect) -> JSONResponse:
    return answer(400, "the client is gone")


async def _plain(request: Request, error: HTTPException) -> JSONResponse:
    return answer(error.status_code, str(error.detail), headers=error.headers)


async def _system(request: Request, error: Exception) -> JSONResponse:
    usual = faults.user_error(error) or messages.of_database(error)
    return await _fault(request, error) if usual is None else await _typed(request, usual)


async def _fault(request: Request, error: Exception) -> JSONResponse:
    return answer(500, "the server failed", faults.TITLE, "see the server's own messages")
