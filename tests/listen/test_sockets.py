"""Sockets as the listeners want them."""

import resource
import socket

import pytest

from appliance.config.values import Endpoint
from appliance.listen.sockets import allow_open_files, bound_socket, endpoint_of


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_port_0_is_one_that_the_kernel_chose(host: str, kind: socket.SocketKind) -> None:
    with bound_socket(Endpoint(host, 0), kind) as sock:
        assert endpoint_of(sock).host == host
        assert endpoint_of(sock).port > 0
        assert not sock.getblocking()


def test_an_address_that_is_not_ours_is_an_error_that_names_it() -> None:
    with pytest.raises(OSError, match=r"192\.0\.2\.1:5514: Cannot assign"):
        bound_socket(Endpoint("192.0.2.1", 5514), socket.SOCK_DGRAM)


def test_the_limit_of_open_files_is_raised_as_far_as_the_hard_limit() -> None:
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        allow_open_files(64)
        raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert raised > 512
        assert hard in (resource.RLIM_INFINITY, raised) or raised < hard
        allow_open_files(1)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == raised
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert soft == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
