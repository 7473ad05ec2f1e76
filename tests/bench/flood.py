"""Packets at the speed of C: one `sendmmsg` on a packet socket for each 1,024 frames that were built before.

The frames go over a veth pair, and what the other end does with them happens within the call, on the same core. So
the thread's CPU time is what sending and handling cost together; the same flood into a device that frees each frame
at once tells how much of it is the sending.
"""

import contextlib
import ctypes
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from namespaces import Namespace

AT_ONCE = 1024
"""Frames for one call: the most that Linux takes (UIO_MAXIOV)."""

SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20
SYN, ACK = 0x02, 0x10
ETHERTYPE = {4: 0x0800, 6: 0x86DD}


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_size_t),  # an int, and the padding that ends a msghdr
        ("sent", ctypes.c_uint),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp_frame(to: bytes, source: bytes, target: bytes, port: int, flags: int = SYN) -> bytes:
    """An Ethernet frame with one TCP segment; its TCP checksum is right. Addresses are packed, `to` is a MAC."""
    pseudo = struct.pack("!HH", 6, 20) if len(source) == 4 else struct.pack("!II", 20, 6)
    segment = struct.pack("!HHIIBBHHH", 1024 + source[-1], port, 1, 0, 0x50, flags, 64240, 0, 0)
    sum_ = checksum(source + target + pseudo + segment)
    segment = segment[:16] + struct.pack("!H", sum_) + segment[18:]
    if len(source) == 4:
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0x4000, 64, 6, 0, source, target)
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    else:
        head = struct.pack("!IHBB16s16s", 0x6000_0000, 20, 6, 64, source, target)
    return to + bytes([2, 0, 0, 0, 0, 9]) + struct.pack("!H", ETHERTYPE[4 if len(source) == 4 else 6]) + head + segment


def mac_of(where: Namespace, device: str) -> bytes:
    text = where.run("cat", f"/sys/class/net/{device}/address").strip()
    return bytes.fromhex(text.replace(":", ""))


class Flood:
    """Frames of one length, ready to be sent over and over from a device."""

    def __init__(self, where: Namespace, device: str, frames: Sequence[bytes]) -> None:
        length = len(frames[0])
        self._buffer = ctypes.create_string_buffer(b"".join(frames))
        begin = ctypes.addressof(self._buffer)
        self._vectors = (_Vector * len(frames))(*((begin + number * length, length) for number in range(len(frames))))
        self._messages = (_Message * len(frames))()
        for number in range(len(frames)):
            self._messages[number].vectors = ctypes.pointer(self._vectors[number])
            self._messages[number].vector_count = 1
        with where.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, 32, 8 << 20)  # SO_SNDBUFFORCE
        self.socket.bind((device, 0))

    def send(self, number: int) -> float:
        """Send so many; the CPU seconds of this thread, what the packets caused on their way included."""
        left = number
        began = time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)
        while left > 0:
            for start in range(0, min(left, len(self._messages)), AT_ONCE):
                wanted = min(AT_ONCE, len(self._messages) - start, left)
                left -= self._send(start, wanted)
        return time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID) - began

    def _send(self, start: int, wanted: int) -> int:
        sent = 0
        while sent < wanted:
            first = ctypes.byref(self._messages, (start + sent) * ctypes.sizeof(_Message))
            done: int = _libc.sendmmsg(self.socket.fileno(), first, wanted - sent, 0)
            if done < 0 and ctypes.get_errno() not in (11, 105):  # EAGAIN, ENOBUFS: the device is behind
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            sent += max(done, 0)
        return sent

    def close(self) -> None:
        self.socket.close()


@contextlib.contextmanager
def pinned_to_one_core() -> Iterator[None]:
    """Stay on one core meanwhile, so that packets are handled where they are sent."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def resident(path: str = "/proc/meminfo") -> dict[str, int]:
    """The kernel's memory figures in bytes."""
    lines = (line.split(":") for line in Path(path).read_text().splitlines())
    return {name: int(rest.split()[0]) * 1024 for name, rest in lines}
