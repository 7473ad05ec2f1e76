"""A plain syslog receiver on the gateway: it keeps the bytes that arrive and understands none of them."""

import contextlib
import selectors
import socket
import threading

from e2e.wire import GATEWAY, Host


class Receiver:
    """UDP and TCP port 5514 of a host. Use it in a `with` statement."""

    def __init__(self, host: Host) -> None:
        self._selector = selectors.DefaultSelector()
        self.datagrams: list[bytes] = []
        self.streams: dict[socket.socket, bytes] = {}
        self._end, wake = socket.socketpair()
        self._udp = host.new_socket(GATEWAY[4], socket.SOCK_DGRAM)
        self._tcp = host.new_socket(GATEWAY[4])
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for listening in (self._udp, self._tcp):
            listening.bind((GATEWAY[4], 5514))
        self._tcp.listen()
        for readable in (self._udp, self._tcp, wake):
            self._selector.register(readable, selectors.EVENT_READ)
        self._wake = wake
        self._thread = threading.Thread(target=self._receive)

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self._thread.join(5)
        for open_socket in (self._udp, self._tcp, self._wake, *self.streams):
            open_socket.close()
        self._selector.close()

    @property
    def bytes(self) -> bytes:
        """Everything that came so far, by whatever transport."""
        return b"".join(self.datagrams) + b"".join(self.streams.values())

    def _receive(self) -> None:
        while True:
            for key, _ in self._selector.select():
                ready = key.fileobj
                if ready is self._wake:
                    return
                assert isinstance(ready, socket.socket)
                self._take(ready)

    def _take(self, ready: socket.socket) -> None:
        if ready is self._udp:
            self.datagrams.append(ready.recv(65536))
        elif ready is self._tcp:
            stream, _ = ready.accept()
            self.streams[stream] = b""
            self._selector.register(stream, selectors.EVENT_READ)
        else:
            with contextlib.suppress(ConnectionResetError):
                if more := ready.recv(65536):
                    self.streams[ready] += more
                    return
            self._selector.unregister(ready)
