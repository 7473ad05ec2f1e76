"""JSON posted to servers whose answers are not to be trusted."""

import pytest
from posted import endless, hang, hurry, receiver, status
from running import free_port

from appliance.notify.channel import ChannelError
from appliance.notify.posting import Refused, client, named, post


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [200, 202, 204])
async def test_any_2xx_means_taken(number: int) -> None:
    async with receiver() as there, client() as session:
        there.answers = [status(number)]
        await post(session, there.url, [{"a": "ü"}])

    assert there.posts == [[{"a": "ü"}]]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("number", "is_final"),
    [(302, False), (400, True), (404, True), (408, False), (413, True), (429, False), (500, False), (503, False)],
)
async def test_only_a_4xx_that_does_not_ask_to_come_again_is_final(number: int, is_final: bool) -> None:
    async with receiver() as there, client() as session:
        there.answers = [status(number, "because")]
        with pytest.raises(ChannelError, match=rf"^HTTP {number}: because$") as refused:
            await post(session, there.url, [])

    assert isinstance(refused.value, Refused) is is_final
    assert len(there.posts) == 1, "no redirect is followed"


@pytest.mark.asyncio
async def test_an_answer_without_end_is_read_for_its_beginning() -> None:
    async with receiver() as there, client() as session:
        there.answers = [endless]
        with pytest.raises(ChannelError, match=r"^HTTP 500: x{64}…$"):
            await post(session, there.url, [])


@pytest.mark.asyncio
async def test_a_server_that_hangs_is_given_up() -> None:
    async with receiver() as there, client() as session:
        there.answers = [hang]
        with pytest.raises(ChannelError, match=r"^no answer within 0.5 s$"):
            await post(session, there.url, [])


@pytest.mark.asyncio
async def test_nobody_there_is_said_in_the_kernels_words() -> None:
    async with client() as session:
        with pytest.raises(ChannelError, match="Connect call failed"):
            await post(session, f"http://127.0.0.1:{free_port()}", [])


@pytest.mark.asyncio
async def test_plain_http_where_tls_was_asked_for_is_a_fault() -> None:
    async with receiver() as there, client() as session:
        with pytest.raises(ChannelError):
            await post(session, there.url.replace("http:", "https:"), [])


def test_an_address_is_named_without_its_secrets() -> None:
    assert named("https://ana:secret@hooks.example.com:8443/services/T0/B1?key=x") == "https://hooks.example.com:8443"
