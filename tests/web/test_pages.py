"""What programs read over HTTP."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from appliance.metrics.metrics import Metrics
from appliance.web.pages import public_app


@pytest.mark.asyncio
async def test_it_is_healthy_while_it_lives_and_ready_while_nothing_is_missing():
    missing = ""
    async with TestClient(TestServer(public_app(Metrics(), lambda: missing))) as client:
        for path, text in (("/healthz", "ok\n"), ("/readyz", "ready\n")):
            answer = await client.get(path)
            assert (answer.status, await answer.text()) == (200, text)

        missing = "the helper is gone"
        answer = await client.get("/readyz")
        assert (answer.status, await answer.text()) == (503, "the helper is gone\n")
        assert (await client.get("/healthz")).status == 200


@pytest.mark.asyncio
async def test_the_metrics_are_the_exposition_with_its_type():
    metrics = Metrics()
    metrics.set_mode("observe")
    async with TestClient(TestServer(public_app(metrics, lambda: ""))) as client:
        answer = await client.get("/metrics")

        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "# TYPE zward_frames_received_total counter" in (await answer.text())


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/", "/status", "/bans", "/allow", "/reload", "/doctor"])
async def test_nothing_that_acts_or_tells_of_people_is_public(path):
    async with TestClient(TestServer(public_app(Metrics(), lambda: ""))) as client:
        assert (await client.get(path)).status == 404
        assert (await client.post(path)).status == 404


@pytest.mark.asyncio
async def test_nothing_public_can_be_written_to():
    async with TestClient(TestServer(public_app(Metrics(), lambda: ""))) as client:
        for path in ("/metrics", "/healthz", "/readyz"):
            assert (await client.post(path, data=b"x" * 100)).status == 405
