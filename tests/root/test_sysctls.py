"""The kernel's switches, in a tree that stands in for /proc/sys."""

from pathlib import Path

import pytest

from appliance.root import sysctls
from appliance.root.sysctls import SysctlError

FORWARD4, FORWARD6 = "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"
BRIDGE4 = "net.bridge.bridge-nf-call-iptables"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (FORWARD4, FORWARD6):
        path = tmp_path / name.replace(".", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0\n")
    return tmp_path


def test_each_mode_has_its_switches_and_without_a_gateway_there_are_none(root):
    assert sysctls.wanted("routed", root) == {FORWARD4: "1", FORWARD6: "1"}
    assert set(sysctls.wanted("bridge", root)) == {BRIDGE4, "net.bridge.bridge-nf-call-ip6tables"}
    assert sysctls.wanted("host", root) == sysctls.wanted(None, root) == {}


def test_a_kernel_without_ipv6_is_not_asked_to_forward_it(tmp_path):
    assert sysctls.wanted("routed", tmp_path) == {FORWARD4: "1"}


def test_only_what_differs_is_set(root):
    (root / "net/ipv4/ip_forward").write_text("1\n")

    assert sysctls.put(sysctls.wanted("routed", root), root) == {FORWARD6: "1"}
    assert sysctls.put(sysctls.wanted("routed", root), root) == {}
    assert sysctls.current(root=root) == {FORWARD4: "1", FORWARD6: "1"}


def test_a_missing_bridge_switch_names_the_module(root):
    sysctls.require(sysctls.wanted("routed", root), root)

    with pytest.raises(SysctlError, match=f"no switch {BRIDGE4}: modprobe br_netfilter"):
        sysctls.require(sysctls.wanted("bridge", root), root)


def test_a_switch_that_cannot_be_written_is_told_with_its_cure(root):
    (root / "net/ipv4/ip_forward").unlink()
    (root / "net/ipv4/ip_forward").symlink_to("/proc/version")

    with pytest.raises(SysctlError, match=r"net.ipv4.ip_forward cannot be set to 1: .*sysctl -w net.ipv4.ip_forward=1"):
        sysctls.put({FORWARD4: "1"}, root)


def test_what_was_before_survives_the_file_and_nothing_else_gets_in():
    before = {FORWARD4: "0", FORWARD6: "1"}

    assert sysctls.parsed(sysctls.told(before)) == before
    assert sysctls.parsed(f"kernel.sysrq 1\n{FORWARD4} ../../x\n{FORWARD6}\n\n{FORWARD4} 1 2\n") == {}


def test_an_interface_that_learns_its_route_from_a_router_is_told_before_forwarding_begins(root):
    for name, value in (("wan0", "1"), ("lan0", "0"), ("wan1", "2")):
        (root / "net/ipv6/conf" / name).mkdir()
        (root / "net/ipv6/conf" / name / "accept_ra").write_text(f"{value}\n")

    assert sysctls.deaf_to_routers(["wan0", "wan1", "lan0", "gone0"], root) == ["wan0"]
    sysctls.put({FORWARD6: "1"}, root)
    assert sysctls.deaf_to_routers(["wan0"], root) == []
