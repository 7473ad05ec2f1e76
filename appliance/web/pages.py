"""What programs read over HTTP: /metrics, /healthz, /readyz."""

from collections.abc import Callable

from aiohttp import web

from appliance.metrics.exposition import CONTENT_TYPE
from appliance.metrics.metrics import Metrics


def public_app(metrics: Metrics, what_is_missing: Callable[[], str]) -> web.Application:
    """The site on `[http] listen`. `what_is_missing` says in words why the daemon is not ready; "" when it is."""

    async def metrics_page(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        missing = what_is_missing()
        return web.Response(text=f"{missing or 'ready'}\n", status=503 if missing else 200)

    app = web.Application()
    app.router.add_get("/metrics", metrics_page)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app
