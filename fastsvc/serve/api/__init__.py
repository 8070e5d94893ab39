"""The routes, one file a resource."""

from fastsvc.serve.api import convert, engines, health, installing, jobs, limits, results, stream

ROUTERS = tuple(module.router for module in (health, limits, engines, installing, jobs, results, convert, stream))
