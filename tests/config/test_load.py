"""Loading: every bad file in tests/data/config is named after its fault. This table is the validation, to read."""

import os
from pathlib import Path

import pytest

from appliance.address import parse_network
from appliance.config.default import BUILT_IN
from appliance.config.faults import RENAMED, ConfigError
from appliance.config.load import load, parse
from appliance.config.places import FILE_BYTES, find
from appliance.config.schema import Config, keys
from appliance.config.values import Endpoint
from appliance.model import Mode

FILES = Path(__file__).parent.parent / "data" / "config"

ENDPOINT = 'expected an address and a port, "192.0.2.1:5514" or "[2001:db8::1]:5514"'
NETWORK = 'expected a network such as "192.0.2.0/24", or one address'
NOBODY = "listen.senders: found nobody, expected the networks of your mail hosts, since udp or tcp listens"
STEPS = "expected 1 to 16 durations, none shorter than the one before it"

FAULTS = {
    "detector-mode-true": ['2: detect.guessing.mode: found true, expected "off", "observe" or "enforce"'],
    "detector-unknown": [
        "1: detect.flood: unknown key; known here: office, guessing, slow-guessing, siege, spraying, campaign, "
        "neighbourhood, admin-door, trap, probing, harvesting, break-in, many-places, outbound, zmauditswatch, "
        "stale-device, outage, silence, fuse, ineffective"
    ],
    "detector-with-underscore": ["1: detect.slow_guessing: unknown key; did you mean slow-guessing?"],
    "duration-too-long": ['2: detect.spraying.within: found "60d", expected a duration from 1s to 30d, such as "30m"'],
    "duration-without-unit": ['2: zimbra.lockout.within: found 30, expected a duration from 1s to 365d, such as "30m"'],
    "jitter-not-a-number": ["2: ladder.jitter: found nan, expected a number from 0 to 0.5"],
    "key-in-wrong-table": ["4: listen.hosts: unknown key; did you mean zimbra.hosts?"],
    "key-misspelt": ["3: detect.guessing.pionts: unknown key; did you mean points?"],
    "key-unlike-any": ["2: http.colour: unknown key; known here: listen"],
    "key-with-control-characters": [
        '1: "\\u001b[2J": unknown key; known here: mode, preset, time_zone, listen, zimbra, allow, http, store, admin, '
        "sshd, detect, notify, ladder, firewall, gateway"
    ],
    "ladder-empty": [f"2: ladder.steps: found [], {STEPS}"],
    "ladder-falls": [f'2: ladder.steps: found ["2h", "30m"], {STEPS}'],
    "list-is-a-value": ['2: listen.udp: found "127.0.0.1:5514", expected a list in [brackets]'],
    "office-unknown": ['2: detect.office: found "spare", expected "alert" or "ban"'],
    "preset-unknown": ['1: preset: found "soft", expected "gentle", "balanced", "strict" or "fail2ban-classic"'],
    "sigmas-below-one": ["2: detect.campaign.sigmas: found 0.5, expected a number from 1 to 20"],
    "trap-with-a-space": [
        '2: detect.trap.accounts: found "old admin", expected a login name such as "old-admin@example.org": '
        "1 to 254 characters without spaces"
    ],
    "listen-ipv6-without-brackets": [f'2: http.listen: found "::1:9514", {ENDPOINT}'],
    "listen-port-too-great": ['2: http.listen: found "127.0.0.1:99514", expected a port from 0 to 65535'],
    "listen-without-port": [f'2: listen.tcp: found "127.0.0.1", {ENDPOINT}'],
    "mode-unknown": ['1: mode: found "monitor", expected "observe" or "enforce"'],
    "name-is-an-address": [
        '2: allow.names: found "192.0.2.1", expected a DNS name; an address belongs into allow.networks'
    ],
    "network-host-bits": [
        '4: zimbra.hosts: found "192.0.2.5/24", expected "192.0.2.0/24", or "192.0.2.5" for the one address: '
        "bits behind the prefix are set"
    ],
    "network-is-a-name": [f'2: zimbra.proxies: found "proxy.example.org", {NETWORK}'],
    "network-scope-id": [
        '2: allow.networks: found "fe80::1%eth0", expected an address without a scope id (the part from % on)'
    ],
    "not-utf-8": ["2: not UTF-8: the byte 0xe9; save the file as UTF-8"],
    "path-relative": [
        '2: store.path: found "zward.db", expected a path from the root, such as "/var/lib/zward/zward.db"'
    ],
    "points-beyond-64-bits": [
        "2: detect.guessing.points: found a number beyond 64 bits, expected a whole number from 1 to 1000"
    ],
    "points-in-quotes": ['2: detect.guessing.points: found "6", expected a whole number from 1 to 1000'],
    "points-too-small": ["2: detect.guessing.points: found 0, expected a whole number from 1 to 1000"],
    "senders-absent": [f"1: {NOBODY}"],
    "senders-empty": [f"3: {NOBODY}"],
    "several-faults": [
        "2: ladder.jitter: found 2, expected a number from 0 to 0.5",
        "5: listen.foo: unknown key; known here: udp, tcp, senders, names, frame_limit, connections, "
        "connections_per_sender, frame_timeout",
        f"7: http.listen: found 9514, {ENDPOINT}",
    ],
    "size-unit-unknown": [
        '2: store.evidence_bytes: found "2GB", expected a size from 1MiB to 1024GiB, such as "2GiB" or "512MiB"'
    ],
    "socket-path-too-long": [
        f"2: admin.socket: found \"/{'x' * 79}...\", expected at most 107 bytes, the kernel's limit for a socket's path"
    ],
    "table-is-a-value": ['1: listen: found "127.0.0.1:5514", expected a table'],
    "table-is-an-array": ["1: zimbra: found [a table], expected a table"],
    "sshd-port-twice": ["3: sshd.ports: found [22, 22], expected at least one port, each once"],
    "time-zone-misspelt": ['1: time_zone: found "Europe/Roma", expected an IANA name; did you mean "Europe/Rome"?'],
    "toml-ends-early": ["1: not TOML: Illegal character '\\n' (column 16)"],
    "toml-key-twice": ["2: not TOML: Cannot overwrite a value (column 17)"],
    "toml-no-value": ["2: not TOML: Invalid value (column 12)"],
    "toml-unclosed-list": ["4: not TOML: Invalid value (at the end)"],
    "firewall-answer-unknown": ['2: firewall.answer: found "reject", expected "drop" or "reset"'],
    "firewall-directory-too-long": [
        f'2: firewall.directory: found "/{"x" * 79}...", expected at most 95 bytes, so that a socket in it has a path'
    ],
    "firewall-flag-in-quotes": ['2: firewall.sees_traffic: found "yes", expected true or false'],
    "gateway-bridge-in-routed": [
        "5: gateway.bridge: found br0, expected nothing: mode routed has no use for the name of a bridge"
    ],
    "gateway-inside-in-routed": [
        "5: gateway.inside: found 192.0.2.0/24, expected nothing: mode routed has no use for what its interfaces tell"
    ],
    "gateway-interface-name": [
        '5: gateway.wan: found "eth0; flush ruleset", expected the name of an interface such as "eth0": '
        "1 to 15 of A-Z a-z 0-9 _ . -"
    ],
    "gateway-interface-on-both-sides": [
        "4: gateway.lan: found eth0, which is in `wan` as well, expected an interface on one side"
    ],
    "gateway-is-a-value": ['1: gateway: found "routed", expected a table'],
    "gateway-key-misspelt": ["5: gateway.mangement: unknown key; did you mean management?"],
    "gateway-limit-too-small": ["6: gateway.limits.smtp-in: found 0, expected a whole number from 1 to 100000"],
    "gateway-limit-with-underscore": ["5: gateway.limits.smtp_in: unknown key; did you mean smtp-in?"],
    "gateway-mode-absent": ['1: gateway.mode: found nothing, expected "routed", "bridge" or "host"'],
    "gateway-mode-unknown": ['2: gateway.mode: found "router", expected "routed", "bridge" or "host"'],
    "gateway-snat-ipv6": [
        "5: gateway.snat: found 2001:db8::1, expected an IPv4 address: IPv6 is never translated on its way out"
    ],
    "gateway-snat-network": [
        '5: gateway.snat: found "203.0.113.0/24", expected one address such as "192.0.2.10" or "2001:db8::10"'
    ],
    "gateway-without-bridge": ["2: gateway.bridge: found nothing, expected the name of a bridge: mode is bridge"],
    "gateway-without-wan": ["1: gateway.wan: found nothing, expected the interfaces to the world: mode is routed"],
    "publish-at-on-a-bridge": [
        "7: gateway.publish.at: found 203.0.113.1, expected nothing: mode bridge translates no address"
    ],
    "publish-at-without-host": [
        "8: gateway.publish.at: found 2001:db8::1, expected an IPv6 address in `to` as well: nothing stands behind it"
    ],
    "publish-in-two-scopes": [
        "13: gateway.publish.ports: port 443 of 192.0.2.10 is published in scope web already, "
        "by [[gateway.publish]] number 1"
    ],
    "publish-is-no-array": [
        "5: gateway.publish: found a table, expected tables that each begin with [[gateway.publish]]"
    ],
    "publish-key-misspelt": ["12: gateway.publish.port: unknown key; did you mean ports?"],
    "publish-management": [
        "9: gateway.publish.ports: found 22, which is for management of this host, expected a port that is not"
    ],
    "publish-no-ports": [
        "8: gateway.publish.ports: found [], expected at least one port; without this key it is the scope's own ports"
    ],
    "publish-port-twice-on-the-host": [
        "8: gateway.publish.ports: port 80 at 203.0.113.1 is published already, by [[gateway.publish]] number 1"
    ],
    "publish-port-twice": [
        "14: gateway.publish.ports: port 443 at 203.0.113.1 is published already, by [[gateway.publish]] number 1"
    ],
    "publish-port-zero": ["8: gateway.publish.ports: found 0, expected a whole number from 1 to 65535"],
    "publish-scope-absent": ['5: gateway.publish.scope: found nothing, expected "login", "web", "smtp-in" or "admin"'],
    "publish-scope-all": ['6: gateway.publish.scope: found "all", expected "login", "web", "smtp-in" or "admin"'],
    "publish-to-a-network": [
        '7: gateway.publish.to: found "192.0.2.0/24", expected one address such as "192.0.2.10" or "2001:db8::10"'
    ],
    "publish-to-two-hosts": [
        '7: gateway.publish.to: found ["192.0.2.10", "192.0.2.11"], expected one mail host: '
        "at most one IPv4 and one IPv6 address"
    ],
    "publish-without-host": ["5: gateway.publish.to: found nothing, expected the address of the mail host"],
}


def fault_of(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        load(path)
    return str(raised.value).replace(f"{path.parent}/", "")


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_file_is_refused_with_line_and_key(name: str) -> None:
    expected = FAULTS[name]

    assert fault_of(FILES / f"{name}.toml") == "\n".join(f"{name}.toml:{fault}" for fault in expected)


def test_every_bad_file_is_in_the_table() -> None:
    assert {path.stem for path in FILES.glob("*.toml")} == {*FAULTS, "good"}


LEAST = """
[gateway]
mode = "host"
[[gateway.publish]]
scope = "login"
[notify.email]
to = ["postmaster@example.com"]
[notify.alertmanager]
urls = ["http://127.0.0.1:9093"]
[notify.webhook]
urls = ["http://127.0.0.1:8080"]
[notify.zmauditswatch]
[notify.siem]
server = "127.0.0.1:514"
"""
"""Every table that may be left out, with no more than it needs."""


def test_a_good_file_is_loaded_with_every_key_changed() -> None:
    config = load(FILES / "good.toml")

    assert config.mode is Mode.ENFORCE
    assert config.listen.udp == (Endpoint("127.0.0.1", 5514), Endpoint("::1", 5514))
    assert config.listen.frame_timeout == 90
    assert config.zimbra.proxies == (parse_network("192.0.2.5"), parse_network("192.0.2.6"))
    assert (config.zimbra.lockout.max_failures, config.zimbra.lockout.within) == (15, 3600)
    assert config.allow.names == ("office.example.org",)
    assert config.store.evidence_bytes == 512 << 20
    assert config.detect.slow_guessing.points == 12
    assert config.ladder.steps == (3600, 86400)
    default = parse(LEAST, "default.toml")
    unchanged = [key for key in keys() if value(config, key) == value(default, key)]
    assert unchanged == [("gateway", "bridge"), ("gateway", "inside")]


def value(config: Config, key: tuple[str, ...]) -> object:
    """Of an array of tables, the first one's."""
    found: object = config
    for name in key:
        found = getattr(found, name.replace("-", "_"))
        if name == "publish":
            found = found[0]  # type: ignore[index]
    return found


def test_a_list_of_too_many_networks_is_told_with_their_number() -> None:
    networks = ", ".join(f'"10.{number >> 8}.{number & 255}.0/24"' for number in range(5000))
    with pytest.raises(ConfigError) as raised:
        parse(f"[allow]\nnames = []\nnetworks = [{networks}]", "zward.toml")

    assert str(raised.value).startswith("zward.toml:3: allow.networks: found [")
    assert str(raised.value).endswith(", expected at most 4096 networks, not 5000")


def test_an_absent_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    assert fault_of(tmp_path / "zward.toml") == (
        "zward.toml: cannot be read: No such file or directory; name a readable file with --config or ZWARD_CONFIG"
    )
    assert "Is a directory" in fault_of(tmp_path)


def test_a_file_that_is_far_too_long_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(b"#" * (FILE_BYTES + 1))

    assert fault_of(tmp_path / "mail.log") == "mail.log: longer than 1048576 bytes, the limit for a configuration"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x = " + "9" * 5000, "not TOML: Exceeds the limit (4300 digits) for integer string conversion"),
        ("x = " + "[" * 100_000, "brackets are nested too deeply"),
    ],
)
def test_what_python_cannot_read_is_a_fault_of_the_file(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text, "zward.toml")

    assert str(raised.value) == f"zward.toml: {fault}"


def test_without_a_file_the_built_in_configuration_is_loaded() -> None:
    assert load(None).mode is Mode.ENFORCE
    assert BUILT_IN == "built-in configuration"


def test_the_file_asked_for_comes_before_the_environments_and_the_installed_one(tmp_path: Path) -> None:
    asked, named, installed = tmp_path / "asked", tmp_path / "named", tmp_path / "installed"
    environ = {"ZWARD_CONFIG": str(named)}

    assert find(asked, environ, installed) == asked
    assert find(None, environ, installed) == named
    assert find(None, {}, installed) is None
    assert find(None, {"ZWARD_CONFIG": ""}, installed) is None
    installed.touch()
    assert find(None, {}, installed) == installed
    assert find(None, {}, installed / "below") is None


def test_an_installed_file_behind_a_closed_door_is_still_the_one(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    os.symlink(loop, loop)

    assert find(None, {}, loop) == loop
    assert "symbolic links" in fault_of(loop)


def test_a_key_that_has_another_name_today_is_refused_with_that_name(monkeypatch):
    monkeypatch.setitem(RENAMED, "detect.guessing.tries", "detect.guessing.points")

    with pytest.raises(ConfigError) as refused:
        parse("[detect.guessing]\ntries = 6\n", "x")

    said = "x:2: detect.guessing.tries: unknown key; it is called detect.guessing.points today"
    assert str(refused.value) == said


def test_no_key_of_today_is_written_down_as_an_old_one_and_each_old_one_leads_to_one_of_today():
    today = {".".join(key) for key in keys()}

    assert not RENAMED.keys() & today
    assert set(RENAMED.values()) <= today
