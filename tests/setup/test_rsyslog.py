"""The snippet for the Zimbra hosts: one template, the right address, and a real rsyslogd takes it."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from setup_site import nets

from appliance.address import parse_network
from appliance.config.load import parse
from appliance.setup.rsyslog import Nowhere, Target, Transport, port_of, snippet, target

DELIVERED = Path(__file__).parents[2] / "image/rsyslog/zward.conf"
GATEWAY = Target(parse_network("192.0.2.1"), 5514)
MBOX4, MBOX6 = nets("10.0.0.10", "2001:db8::10")


def config(tcp='["0.0.0.0:5514", "[::]:5515"]', udp="[]"):
    return parse(f'[listen]\ntcp = {tcp}\nudp = {udp}\nsenders = ["10.0.0.10"]\n', "zward.toml")


def ours(host):
    """Our address towards each host."""
    return {MBOX4: parse_network("10.0.0.1"), MBOX6: parse_network("2001:db8::1")}[host]


def test_the_delivered_file_is_the_template_with_documentation_addresses():
    assert snippet(GATEWAY) == DELIVERED.read_text()


def test_only_the_action_tells_one_target_from_another():
    before, after = snippet(GATEWAY).splitlines(), snippet(Target(parse_network("2001:db8::1"), 514)).splitlines()

    changed = [(one, two) for one, two in zip(before, after, strict=True) if one != two]
    assert len(changed) == 1
    assert 'target="2001:db8::1" port="514" protocol="tcp" TCP_Framing="octet-counted"' in changed[0][1]


def test_over_udp_there_is_no_framing():
    text = snippet(GATEWAY, Transport.UDP)

    assert 'target="192.0.2.1" port="5514" protocol="udp"\n' in text
    assert "TCP_Framing" not in text
    assert "Octet counting" not in text


@pytest.fixture
def rsyslogd() -> str:
    found = shutil.which("rsyslogd", path=f"{os.environ['PATH']}:/usr/sbin")
    reason = "rsyslogd is not installed (apt-get install rsyslog)"
    if found is None and os.environ.get("ZWARD_REQUIRE_E2E") == "1":
        pytest.fail(reason)
    return found or pytest.skip(reason)


LINE = (
    "2024-05-06 10:20:31,037 WARN  [ImapSSLServer-1] [ip=192.0.2.5;oip=203.0.113.9;] security - cmd=Auth; "
    "account=ana@example.com; protocol=imap; error=authentication failed for [ana@example.com], invalid password;"
)


@pytest.mark.e2e
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("transport", Transport)
def test_what_a_real_rsyslogd_reads_arrives_at_the_address_in_it(tmp_path, rsyslogd, address, transport):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if transport is Transport.TCP else socket.SOCK_DGRAM) as listener:
        listener.settimeout(20)
        listener.bind((address, 0))
        text = snippet(Target(parse_network(address), listener.getsockname()[1]), transport)
        (tmp_path / "zward.conf").write_text(text.replace("/opt/zimbra/log", str(tmp_path)))
        (tmp_path / "audit.log").write_text(f"{LINE}\n")
        (tmp_path / "rsyslog.conf").write_text(
            f'global(workDirectory="{tmp_path}")\ninclude(file="{tmp_path}/zward.conf")\n'
        )
        if transport is Transport.TCP:
            listener.listen()
        command = [rsyslogd, "-n", "-f", tmp_path / "rsyslog.conf", "-i", tmp_path / "pid"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as daemon:
            try:
                received = _received(listener, transport)
            finally:
                daemon.kill()

    assert LINE.encode() in received
    assert b" zimbra-audit: " in received


def _received(listener: socket.socket, transport: Transport) -> bytes:
    """The first bytes that come, as many as the line has."""
    if transport is Transport.UDP:
        return listener.recv(65536)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(20)
        received = b""
        while len(received) < len(LINE) + 40 and (part := connection.recv(65536)):
            received += part
        return received


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("gateway", ["192.0.2.1", "2001:db8::1"])
def test_a_real_rsyslogd_finds_no_fault_in_it(tmp_path, rsyslogd, transport, gateway):
    (tmp_path / "zward.conf").write_text(snippet(Target(parse_network(gateway), 5514), transport))
    (tmp_path / "rsyslog.conf").write_text(
        f'global(workDirectory="{tmp_path}")\ninclude(file="{tmp_path}/zward.conf")\n'
    )

    said = subprocess.run(
        [rsyslogd, "-N1", "-f", tmp_path / "rsyslog.conf"], capture_output=True, text=True, timeout=30, check=False
    )

    assert said.returncode == 0, said.stderr
    assert "error" not in said.stderr.lower().replace("error(s)", "")


def test_a_host_sends_to_our_address_on_its_side():
    assert target(config(), Transport.TCP, MBOX4, ours) == Target(parse_network("10.0.0.1"), 5514)
    assert target(config(), Transport.TCP, MBOX6, ours) == Target(parse_network("2001:db8::1"), 5515)


def test_an_address_that_is_listened_on_alone_is_the_one():
    named = config('["127.0.0.1:1", "[2001:db8:9::9]:2", "10.9.9.9:3"]')

    assert target(named, Transport.TCP, MBOX4, ours) == Target(parse_network("10.9.9.9"), 3)
    assert target(named, Transport.TCP, MBOX6, ours) == Target(parse_network("2001:db8:9::9"), 2)


@pytest.mark.parametrize("tcp", ["[]", '["127.0.0.1:5514"]', '["[::]:5514"]', '["0.0.0.0:0"]'])
def test_a_host_that_can_reach_nothing_is_told(tcp):
    with pytest.raises(Nowhere, match=r"^listen.tcp: .*: nothing that 10.0.0.10 could send to over IPv4"):
        target(config(tcp), Transport.TCP, MBOX4, ours)


def test_no_route_and_this_machine_itself_are_told():
    def unreachable(host):
        raise OSError(101, "Network is unreachable")

    with pytest.raises(Nowhere, match=r"no way to 10.0.0.10 \(Network is unreachable\).*--gateway"):
        target(config(), Transport.TCP, MBOX4, unreachable)
    with pytest.raises(Nowhere, match="10.0.0.10 is this machine itself"):
        target(config(), Transport.TCP, MBOX4, lambda host: parse_network("127.0.0.1"))


def test_the_port_at_a_chosen_address_is_the_listeners():
    named = config('["0.0.0.0:1", "192.0.2.1:2"]', '["[::]:3"]')

    assert port_of(named, Transport.TCP, parse_network("192.0.2.1")) == 2
    assert port_of(named, Transport.TCP, parse_network("192.0.2.9")) == 1
    assert port_of(named, Transport.UDP, parse_network("2001:db8::1")) == 3
    with pytest.raises(Nowhere, match="listen.udp: .*nothing takes IPv4; name the port: --port"):
        port_of(named, Transport.UDP, parse_network("192.0.2.9"))
