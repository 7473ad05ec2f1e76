"""SIEMs on loopback, for tests: what they take, and how they fail.

async with Siem(Transport.TCP) as siem:
    channel = SiemChannel(siem.config, …)
    await siem.until(3)
"""

import asyncio
import ssl
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.config.notify import Siem as Config
from appliance.config.notify import Transport

PATIENCE = 20.0
"""Seconds after which a test gives up."""


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.005)


class Certificates:
    """An authority, and what it issues."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._openssl("req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")
        self.authority = directory / "ca.pem"

    def issue(self, name: str, alternative: str) -> Path:
        """A certificate and its key in one file; `alternative` such as `IP:127.0.0.1`."""
        more = ("-addext", f"subjectAltName={alternative}", "-addext", "basicConstraints=critical,CA:FALSE")
        self._openssl(
            "req", "-x509", "-CA", "ca.pem", "-CAkey", "ca.key", "-subj", f"/CN={name}", *more,
            "-keyout", f"{name}.key", "-out", f"{name}.crt",
        )  # fmt: skip
        both = self.directory / f"{name}.pem"
        both.write_text((self.directory / f"{name}.crt").read_text() + (self.directory / f"{name}.key").read_text())
        return both

    def _openssl(self, *words: str) -> None:
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        subprocess.run(
            ["openssl", *words, *(new if words[0] == "req" else ())],
            cwd=self.directory, check=True, capture_output=True, timeout=20,
        )  # fmt: skip


class Counts(Counter[str]):
    """What a channel counts."""

    def __call__(self, result: str, number: int) -> None:
        self[result] += number


class Siem(asyncio.DatagramProtocol):
    """Takes lines over one transport, strictly: LF-terminated over TCP, counted over TLS."""

    def __init__(self, transport: Transport, context: ssl.SSLContext | None = None, authority: Path | None = None):
        self.transport = transport
        self.context = context
        self.authority = authority
        self.lines: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | asyncio.DatagramTransport | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def config(self) -> Config:
        return Config.model_validate(
            {
                "server": f"127.0.0.1:{self.port}",
                "transport": self.transport,
                "ca_file": self.authority and str(self.authority),
            }
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """The second time at the same port."""
        if self.transport is Transport.UDP:
            endpoint = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: self, local_addr=("127.0.0.1", self.port)
            )
            self._server = endpoint[0]
            self.port = endpoint[0].get_extra_info("sockname")[1]
        else:
            server = await asyncio.start_server(
                self._connection, "127.0.0.1", self.port, ssl=self.context
            )  # fmt: skip
            self._server = server
            self.port = server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As one that is killed: connections break without a goodbye."""
        if self._server:
            self._server.close()
        self._server = None
        self.hang_up()
        await until(lambda: not self._writers)

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def until(self, lines: int) -> None:
        await until(lambda: len(self.lines) >= lines)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.lines.append(data)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                if self.transport is Transport.TCP:
                    self.lines.append((await reader.readuntil(b"\n"))[:-1])
                else:
                    size = await reader.readuntil(b" ")
                    self.lines.append(await reader.readexactly(int(size)))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
