"""The routes, one file a resource."""

from fastsvc.serve.api import engines, health, limits

PREFIX = "/api/v1"
ROUTERS = (health.router, limits.router, engines.router)
