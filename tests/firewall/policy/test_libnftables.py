"""The door to libnftables, in a network namespace of its own."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from namespaces import Namespace, network, require_kernel

from appliance.firewall.backend import NotPermitted
from appliance.firewall.policy import libnftables
from appliance.firewall.policy.libnftables import LibnftablesMissing, NftError, run, settled, tables

pytestmark = pytest.mark.kernel

TABLE = """table inet probe {
	set network {
		type ipv4_addr
		flags interval
		elements = { 192.0.2.0/24 }
	}

	set passing {
		type ipv4_addr
		size 100
		flags dynamic,timeout
		timeout 2m
		elements = { 203.0.113.1, 203.0.113.2 }
	}

	counter seen {
		packets 7 bytes 700
	}

	chain input {
		type filter hook input priority filter; policy accept;
		ip saddr @network counter name "seen" accept
	}
}
"""


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    require_kernel()
    with network() as net:
        made = net.namespace("nft")
        with made.entered():
            yield made


def test_a_text_of_many_lines_is_loaded_as_one_transaction(namespace: Namespace) -> None:
    before = run("list ruleset")

    run(TABLE)

    assert before == ""
    assert tables() == {"probe"}
    assert "192.0.2.0/24" in namespace.run("nft", "list", "table", "inet", "probe")


def test_checking_a_text_changes_nothing_and_finds_what_is_wrong(namespace: Namespace) -> None:
    run(TABLE, check=True)
    with pytest.raises(NftError, match="No such file"):
        run("table inet probe {\n\tchain c {\n\t\tjump nowhere\n\t}\n}\n", check=True)

    assert tables() == set()
    run(TABLE)  # the next one is in earnest again
    assert tables() == {"probe"}


def test_a_fault_names_the_line_and_nothing_of_the_text_is_in_force(namespace: Namespace) -> None:
    with pytest.raises(NftError) as syntax:
        run(TABLE + "table inet other {\n\tchain c {\n\t\ttcp dprot 25 accept\n\t}\n}\n")
    with pytest.raises(NftError) as semantics:
        run("table inet other {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n\tchain c {\n\t\tip saddr @t drop\n\t}\n}\n")

    assert (syntax.value.number, syntax.value.line) == (len(TABLE.splitlines()) + 3, "tcp dprot 25 accept")
    assert (semantics.value.number, semantics.value.line) == (6, "ip saddr @t drop")
    assert str(semantics.value).startswith("nftables refuses line 6, 'ip saddr @t drop': No such file or directory")
    assert tables() == set()


def test_what_the_kernel_refuses_has_its_line_as_well(namespace: Namespace) -> None:
    with pytest.raises(NftError) as refused:
        run("table inet probe {\n}\ndelete table inet absent\n")

    assert (refused.value.reason, refused.value.number) == ("No such file or directory", 3)


def test_a_listing_can_do_without_elements_and_counts(namespace: Namespace) -> None:
    run(TABLE)

    assert "packets 7" in run("list table inet probe\n")
    assert "203.0.113.1" in run("list table inet probe\n")
    assert "elements" not in run("list table inet probe\n", terse=True)
    assert "packets" not in run("list table inet probe\n", stateless=True)


def test_the_settled_listing_leaves_out_what_comes_and_goes_and_can_be_loaded_again(namespace: Namespace) -> None:
    run(TABLE)
    listing = settled("probe")
    with_counts = settled("probe", stateless=False)

    assert "192.0.2.0/24" in listing
    assert "203.0.113" not in listing
    assert "packets 7 bytes 700" in with_counts
    run(f"delete table inet probe\n{with_counts}")
    assert settled("probe", stateless=False) == with_counts
    with pytest.raises(NftError):
        settled("absent")


def test_a_text_that_includes_a_file_is_refused_before_anybody_reads_it(namespace: Namespace) -> None:
    with pytest.raises(NftError, match="include"):
        run('table inet probe { }\n; include "/etc/passwd"\n')
    with pytest.raises(NftError, match="include"):
        run('include "/etc/nftables.conf"\n')

    assert tables() == set()


def test_without_the_privilege_it_says_what_is_needed(namespace: Namespace) -> None:
    program = "from appliance.firewall.policy.libnftables import run; run('table inet probe { }\\n')"
    drop = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    done = subprocess.run(
        [*namespace.prefix, *drop, sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert f"NotPermitted: {libnftables.NOT_PERMITTED}" in done.stderr


def test_a_listing_without_the_privilege_is_no_empty_one(namespace: Namespace) -> None:
    assert isinstance(
        libnftables._fault("netlink: Error: cache initialization failed: Operation not permitted\n", ""), NotPermitted
    )


def test_a_missing_library_is_told_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libnftables, "LIBRARY", "libnftables-that-is-not-there.so.1")

    with pytest.raises(LibnftablesMissing, match="apt-get install libnftables1"):
        run("list tables")
