"""The routes, one file a resource."""

from fastsvc.serve.api import convert, engines, health, jobs, limits, results

PREFIX = "/api/v1"
ROUTERS = (health.router, limits.router, engines.router, jobs.router, results.router, convert.router)
