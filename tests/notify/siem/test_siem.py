"""The SIEM's channel, before receivers that are there, are not there, come back, and do not listen."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest
from notify.siem.siems import Certificates, Counts, Siem, until

from appliance.address import parse_network
from appliance.config.notify import Siem as Config
from appliance.config.notify import Transport
from appliance.model import Noticed, Watched
from appliance.notify.channel import CLOSING, ChannelError
from appliance.notify.siem import siem as module
from appliance.notify.siem import streams
from appliance.notify.siem.rfc5424 import LINE_BYTES
from appliance.notify.siem.siem import QUEUE, SiemChannel
from appliance.read.syslog import parse

NOW = 1_795_329_000.0
CONNECTED = [Transport.TCP, Transport.TLS]


def notice(number: int) -> Noticed:
    return Noticed("break-in", str(number), f"notice {number}")


def numbers(lines: list[bytes]) -> list[int]:
    texts = [parse(line, NOW).text for line in lines]
    return [int(text.removeprefix(b"notice ")) for text in texts if text.startswith(b"notice ")]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def server_file(certificates: Certificates) -> Path:
    return certificates.issue("siem", "IP:127.0.0.1")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.05)


Made = Callable[[Transport], Siem]


@pytest.fixture
def made(certificates: Certificates, server_file: Path) -> Made:
    """A SIEM with a good certificate where it needs one."""

    def make(transport: Transport) -> Siem:
        if transport is not Transport.TLS:
            return Siem(transport)
        return Siem(transport, serving(server_file), certificates.authority)

    return make


def serving(file: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


def channel(config: Config) -> tuple[SiemChannel, Counts]:
    counts = Counts()
    return SiemChannel(config, "gw1", counts, lambda: NOW), counts


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[tuple[SiemChannel, Counts]]:
    """As the daemon runs a channel: cancelled first, then closed."""
    teller, counts = channel(config)
    task = asyncio.create_task(teller.run())
    try:
        yield teller, counts
    finally:
        assert not task.done(), "run() ended by itself"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await teller.close()


def unheard(transport: Transport = Transport.TCP) -> Config:
    """Where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return Config(server=f"127.0.0.1:{sock.getsockname()[1]}", transport=transport)  # type: ignore[arg-type]


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", Transport)
async def test_every_line_arrives_whole_and_in_order(transport: Transport, made: Made) -> None:
    async with made(transport) as siem, running(siem.config) as (teller, counts):
        for number in range(100):
            teller.tell(notice(number), NOW)
        await siem.until(100)

        assert numbers(siem.lines) == list(range(100))
        assert all(parse(line, NOW).faults == () for line in siem.lines)
        assert counts == {"sent": 100}
        assert teller.waiting == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", Transport)
async def test_the_longest_line_arrives_whole(transport: Transport, made: Made) -> None:
    async with made(transport) as siem, running(siem.config) as (teller, _):
        teller.tell(Noticed("break-in", "x", "y" * 5000), NOW)
        await siem.until(1)

        assert len(siem.lines[0]) == LINE_BYTES


@pytest.mark.asyncio
async def test_of_what_is_watched_only_what_would_be_a_ban_is_told(made: Made) -> None:
    source = parse_network("203.0.113.9")
    async with made(Transport.TCP) as siem, running(siem.config) as (teller, counts):
        teller.tell(Watched(source, "guessing", "1 of 10"), NOW)
        teller.tell(Watched(source, "guessing", "10 of 10", would_ban=True), NOW)
        await siem.until(1)

        assert [parse(line, NOW).msgid for line in siem.lines] == ["WOULD_BAN"]
        assert counts == {"sent": 1}


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", CONNECTED)
async def test_lines_wait_for_a_siem_that_is_down(
    transport: Transport, made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    siem = made(transport)
    await siem.start()
    await siem.stop()
    async with running(siem.config) as (teller, counts):
        for number in range(50):
            teller.tell(notice(number), NOW)
        await until(lambda: counts["failed"] >= 3)
        assert teller.waiting == 50
        assert counts["sent"] == 0
        async with siem:
            await siem.until(50)
            await until(lambda: "told again" in caplog.text)

            assert numbers(siem.lines) == list(range(50))
            assert (counts["sent"], counts["dropped"]) == (50, 0)
            logged = [record.levelno for record in caplog.records if record.name == module.__name__]
            assert logged == [logging.ERROR, logging.WARNING]


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", CONNECTED)
async def test_what_was_sent_shortly_before_a_break_is_sent_again(transport: Transport, made: Made) -> None:
    async with made(transport) as siem, running(siem.config) as (teller, counts):
        for number in range(3):
            teller.tell(notice(number), NOW)
        await siem.until(3)
        await siem.stop()
        teller.tell(notice(3), NOW)
        await until(lambda: counts["failed"] >= 1)
        await siem.start()
        await siem.until(7)

        assert numbers(siem.lines) == [0, 1, 2, 0, 1, 2, 3]
        assert (counts["sent"], counts["dropped"]) == (4, 0)


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", CONNECTED)
async def test_no_line_is_lost_while_the_siem_breaks_off_again_and_again(transport: Transport, made: Made) -> None:
    async with made(transport) as siem, running(siem.config) as (teller, counts):
        for number in range(2000):
            teller.tell(notice(number), NOW)
            if number % 400 == 399:
                before = len(siem.lines)
                await until(lambda: len(siem.lines) > before)  # noqa: B023 - called at once
                siem.hang_up()
        await until(lambda: set(numbers(siem.lines)) == set(range(2000)))

        assert siem.connections > 1
        assert (counts["sent"], counts["dropped"]) == (2000, 0)


@pytest.mark.asyncio
async def test_a_connection_that_ends_long_after_its_last_line_is_no_fault(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SURE", 0.0)
    async with made(Transport.TCP) as siem, running(siem.config) as (teller, counts):
        teller.tell(notice(0), NOW)
        await siem.until(1)
        siem.hang_up()
        await until(lambda: teller._way is None)
        teller.tell(notice(1), NOW)
        await siem.until(2)

        assert numbers(siem.lines) == [0, 1]
        assert counts["dropped"] == 0


@pytest.mark.asyncio
async def test_what_does_not_fit_is_counted_and_told_first(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE", 10)
    monkeypatch.setattr(module.Lines, "at_once", 4)
    siem = made(Transport.TCP)
    await siem.start()
    await siem.stop()
    async with running(siem.config) as (teller, counts):
        for number in range(25):
            teller.tell(notice(number), NOW)
        assert teller.waiting == 10
        async with siem:
            await siem.until(11)

            first = parse(siem.lines[0], NOW)
            assert first.msgid == "NOTICE"
            assert first.structured_data["zward@32473"]["subject"] == ["lost lines"]
            assert first.text.startswith(b"15 lines ")
            assert numbers(siem.lines) == list(range(15, 25))
            assert (counts["sent"], counts["dropped"]) == (10, 15)


def test_while_lines_are_lost_all_the_time_it_is_told_now_and_then_and_none_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "QUEUE", 10)
    teller, counts = channel(unheard())
    batches: list[list[bytes]] = []
    for number in range(1000):
        teller.tell(notice(number), NOW)
        if number % 50 == 49:
            batches.append(teller._next(4))
    while teller.waiting:
        batches.append(teller._next(4))
    texts = [[parse(line, NOW).text for line in batch] for batch in batches]
    lost = [(at, text) for at, batch in enumerate(texts) for text in batch if b"are lost" in text]

    assert [at for at, _ in lost] == [0, len(batches) - 1]
    assert lost[0][1] == b"40 lines for this SIEM are lost, since more than 10 waited"
    assert sum(int(text.split()[0]) for _, text in lost) == counts["dropped"] == 1000 - counts["sent"]


def test_a_flood_has_a_bound() -> None:
    teller, counts = channel(unheard())
    for number in range(100_000):
        teller.tell(notice(number), NOW)

    assert teller.waiting == QUEUE
    assert counts == {"dropped": 100_000 - QUEUE}


@pytest.mark.asyncio
async def test_a_flood_passes_a_siem_that_is_up(made: Made) -> None:
    async with made(Transport.TCP) as siem, running(siem.config) as (teller, counts):
        for number in range(30_000):
            teller.tell(notice(number), NOW)
            if number % 500 == 499:
                await until(lambda: teller.waiting < 5000)
        await siem.until(30_000)

        assert numbers(siem.lines) == list(range(30_000))
        assert counts == {"sent": 30_000}


@pytest.mark.asyncio
@pytest.mark.parametrize("alternative", ["IP:127.0.0.2", "DNS:siem.example.com"])
async def test_a_certificate_for_somebody_else_is_refused(certificates: Certificates, alternative: str) -> None:
    siem = Siem(Transport.TLS, serving(certificates.issue("other", alternative)), certificates.authority)
    await refused(siem)


@pytest.mark.asyncio
async def test_a_certificate_of_an_unknown_authority_is_refused(
    certificates: Certificates, server_file: Path, tmp_path: Path
) -> None:
    siem = Siem(Transport.TLS, serving(server_file), Certificates(tmp_path).authority)
    await refused(siem)


async def refused(siem: Siem) -> None:
    async with siem, running(siem.config) as (teller, counts):
        teller.tell(notice(0), NOW)
        await until(lambda: counts["failed"] >= 2)

        assert siem.lines == []
        assert teller.waiting == 1
        with pytest.raises(ChannelError, match="certificate verify failed"):
            await teller.check()
    assert siem.lines == []
    assert counts["dropped"] == 1


@pytest.mark.asyncio
async def test_a_siem_may_ask_for_our_certificate(certificates: Certificates, server_file: Path) -> None:
    context = serving(server_file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates.authority)
    own = certificates.issue("gateway", "DNS:gw1")
    async with Siem(Transport.TLS, context, certificates.authority) as siem:
        nameless, _ = channel(siem.config)
        with pytest.raises(ChannelError):
            await nameless.check()
        async with running(siem.config.model_copy(update={"cert_file": own})) as (teller, _):
            teller.tell(notice(0), NOW)
            await siem.until(1)

    assert numbers(siem.lines) == [0]


@pytest.mark.asyncio
async def test_a_siem_that_refuses_our_certificate_after_the_handshake_loses_nothing(
    certificates: Certificates, server_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = serving(server_file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates.authority)
    async with Siem(Transport.TLS, context, certificates.authority) as siem, running(siem.config) as (teller, counts):
        teller.tell(notice(0), NOW)
        await until(lambda: counts["failed"] >= 3)

        assert siem.lines == []
        assert teller.waiting + len(teller._sending) + len(teller._sent) == 1
    assert "told again" not in caplog.text


@pytest.mark.asyncio
async def test_a_missing_certificate_file_is_a_fault_like_any_other(made: Made) -> None:
    async with made(Transport.TLS) as siem:
        config = siem.config.model_copy(update={"ca_file": Path("/nowhere/ca.pem")})
        async with running(config) as (teller, counts):
            teller.tell(notice(0), NOW)
            await until(lambda: counts["failed"] >= 1)
            with pytest.raises(ChannelError, match="No such file"):
                await teller.check()


@contextlib.contextmanager
def deaf() -> Iterator[Config]:
    """A peer that is connected to, and reads nothing."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield Config(server=f"127.0.0.1:{sock.getsockname()[1]}", transport=Transport.TCP)  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_a_peer_that_takes_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "TIMEOUT", 0.2)
    monkeypatch.setattr(module, "CLOSING", 0.2)
    with deaf() as config:
        async with running(config) as (teller, counts):
            for _ in range(10_000):
                teller.tell(Noticed("break-in", "x", "y" * 1500), NOW)
            await until(lambda: counts["failed"] >= 2)

    assert counts["dropped"] >= 1


@pytest.mark.asyncio
async def test_a_silent_tls_server_blocks_nobody(monkeypatch: pytest.MonkeyPatch, certificates: Certificates) -> None:
    monkeypatch.setattr(streams, "TIMEOUT", 0.2)
    with deaf() as config:
        tls = config.model_copy(update={"transport": Transport.TLS, "ca_file": certificates.authority})
        teller, _ = channel(tls)
        with pytest.raises(ChannelError, match=r"no answer within 0\.2 s"):
            await teller.check()


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", Transport)
async def test_closing_sends_what_waits(transport: Transport, made: Made) -> None:
    async with made(transport) as siem:
        teller, counts = channel(siem.config)
        for number in range(300):
            teller.tell(notice(number), NOW)
        await teller.close()
        await siem.until(300)

        assert numbers(siem.lines) == list(range(300))
        assert counts == {"sent": 300}


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", CONNECTED)
async def test_closing_repeats_nothing_that_went_out(transport: Transport, made: Made) -> None:
    async with made(transport) as siem:
        async with running(siem.config) as (teller, _):
            teller.tell(notice(0), NOW)
            await until(lambda: len(siem.lines) == 1 and not teller._sending)
        await teller.close()
        await siem.stop()

        assert numbers(siem.lines) == [0]
        assert siem.connections == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", CONNECTED)
async def test_what_is_cancelled_while_it_is_sent_is_not_lost(transport: Transport, made: Made) -> None:
    async with made(transport) as siem:
        for round_ in range(20):
            async with running(siem.config) as (teller, counts):
                teller.tell(notice(round_), NOW)
                for _ in range(round_):  # cancelled at another step each time
                    await asyncio.sleep(0)
            await until(lambda: round_ in numbers(siem.lines))  # noqa: B023 - called at once
            assert (counts["sent"], counts["dropped"]) == (1, 0)


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", CONNECTED)
async def test_a_run_that_was_cancelled_goes_on_where_it_was(transport: Transport, made: Made) -> None:
    async with made(transport) as siem:
        teller, counts = channel(siem.config)
        for number in range(20):
            teller.tell(notice(number), NOW)
            task = asyncio.create_task(teller.run())
            if number % 2:
                for _ in range(number):  # cancelled at another step each time
                    await asyncio.sleep(0)
            else:
                await until(lambda: not teller.waiting and not teller._sending)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await teller.close()
        await until(lambda: set(numbers(siem.lines)) == set(range(20)))

        assert siem.connections == 1
        assert counts == {"sent": 20}


@pytest.mark.asyncio
async def test_what_cannot_be_sent_at_the_end_is_counted() -> None:
    teller, counts = channel(unheard())
    for number in range(5):
        teller.tell(notice(number), NOW)
    await teller.close()

    assert counts == {"dropped": 5}


@pytest.mark.asyncio
async def test_a_dead_siem_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSING", 0.2)
    with deaf() as config:
        teller, counts = channel(config)
        for _ in range(10_000):
            teller.tell(Noticed("break-in", "x", "y" * 1500), NOW)
        begun = monotonic()
        await teller.close()

        assert monotonic() - begun < CLOSING
        assert counts["dropped"] == 10_000


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", Transport)
async def test_a_test_message_arrives(transport: Transport, made: Made) -> None:
    async with made(transport) as siem:
        teller, counts = channel(siem.config)
        said = await teller.check()
        await siem.until(1)

        message = parse(siem.lines[0], NOW)
        assert (message.msgid, message.text) == ("NOTICE", b"a test message of gw1")
        assert ("nobody knows" in said) == (transport is Transport.UDP)
        assert counts == {}


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", CONNECTED)
async def test_a_test_message_says_why_it_failed(transport: Transport) -> None:
    config = unheard(transport)
    teller, _ = channel(config)

    with pytest.raises(ChannelError, match=rf"^the SIEM at {config.server} \({transport}\): .*111"):
        await teller.check()


@pytest.mark.asyncio
async def test_a_test_message_notices_a_siem_that_hangs_up() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        teller, _ = channel(Config(server=f"127.0.0.1:{port}", transport=Transport.TCP))  # type: ignore[arg-type]
        with pytest.raises(ChannelError):
            await teller.check()


@pytest.mark.asyncio
async def test_a_name_that_does_not_exist_is_a_fault_like_any_other() -> None:
    for transport in Transport:
        teller, _ = channel(Config(server="siem.invalid:514", transport=transport))  # type: ignore[arg-type]
        with pytest.raises(ChannelError, match=r"siem\.invalid"):
            await teller.check()
