"""The policy's text. What the kernel makes of it is in tests/kernel/test_policy_*.py."""

import re
from dataclasses import replace

import pytest
from gateways import BRIDGE, HOST, ROUTED, nets

from appliance.firewall.backend import PORTS
from appliance.firewall.policy.gateway import Gateway, Limits, Port, Publish, Shape
from appliance.firewall.policy.policy import COUNTERS, render, transaction
from appliance.firewall.policy.text import network_set
from appliance.model import Scope

REPLACES = "add table inet zward_policy\ndelete table inet zward_policy\n"


def rules(text: str, chain: str) -> list[str]:
    """Of the text's second part, where chains are filled."""
    found = re.findall(rf"^\tchain {chain} {{\n(.*?)^\t}}$", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for line in found[-1].splitlines()]


@pytest.mark.parametrize("gateway", [ROUTED, BRIDGE, HOST])
def test_no_table_but_our_own_is_touched(gateway: Gateway) -> None:
    text = transaction(render(gateway), None)

    commands = [line for line in text.splitlines() if not line.startswith(("\t", "}"))]
    assert [line for line in commands if "inet zward_policy" not in line] == []


@pytest.mark.parametrize("gateway", [ROUTED, BRIDGE, HOST])
def test_what_is_not_open_is_dropped_by_policy_and_by_rule(gateway: Gateway) -> None:
    text = render(gateway)

    for hook in ("forward", "input"):
        assert f"type filter hook {hook} priority filter; policy drop;" in text
    assert rules(text, "forwarded")[-1] == "counter name policy_denied drop"
    assert rules(text, "incoming")[-1] == "goto local"
    assert rules(text, "local")[-1] == "counter name policy_denied drop"


@pytest.mark.parametrize("gateway", [ROUTED, BRIDGE, HOST])
def test_management_comes_before_anything_that_refuses(gateway: Gateway) -> None:
    text = render(replace(gateway, management=(22, 2222)))

    assert rules(text, "incoming")[:3] == [
        'iifname "lo" accept',
        "tcp dport { 22, 2222 } ip saddr @admin4 accept",
        "tcp dport { 22, 2222 } ip6 saddr @admin6 accept",
    ]
    first = [rule for rule in rules(text, "hygiene") if rule.startswith("tcp dport")]
    assert first == [rule for rule in rules(text, "hygiene")[1:4] if not rule.startswith(("#", "type"))][:2]
    assert rules(text, "outgoing") == [
        f"tcp sport {{ 22, 2222 }} {a} daddr @admin{f} notrack" for a, f in (("ip", 4), ("ip6", 6))
    ]


def test_every_reason_has_a_counter_and_every_drop_a_reason() -> None:
    text = render(ROUTED) + render(BRIDGE) + render(HOST)

    assert set(re.findall(r"counter name policy_(\w+)", text)) == set(COUNTERS)
    drops = [line for line in text.splitlines() if line.endswith(" drop")]
    assert [line for line in drops if "counter name policy_" not in line] == []


def test_networks_that_lie_in_others_are_left_out() -> None:
    named = nets("192.0.2.0/24", "192.0.2.9", "192.0.2.0/25", "198.51.100.0/24", "2001:db8::/32", "2001:db8:1::/48")

    assert "elements = { 192.0.2.0/24, 198.51.100.0/24 }\n" in network_set("admin", 4, named)
    assert "elements = { 2001:db8::/32 }\n" in network_set("admin", 6, named)
    assert "elements" not in network_set("admin", 6, nets("192.0.2.1"))


def test_one_source_of_ipv6_is_a_64() -> None:
    assert "update @login_rate6 { ip6 saddr and ffff:ffff:ffff:ffff:: limit rate over 300/minute" in render(ROUTED)


def test_limits_are_those_of_the_scope_and_ten_times_that_for_favoured_sources() -> None:
    text = render(replace(ROUTED, limits=Limits(login=7, favoured=3)))

    assert "update @login_rate4 { ip saddr limit rate over 7/minute burst 7 packets }" in text
    assert "update @login_favoured_rate4 { ip saddr limit rate over 21/minute burst 21 packets }" in text
    assert "add @smtp_in_open4 { ip saddr ct count over 50 }" in text
    assert "add @web_favoured_open4 { ip saddr ct count over 900 }" in text


def test_only_published_scopes_have_sets() -> None:
    text = render(replace(ROUTED, publish=(Publish(Scope.WEB, nets("192.0.2.10"), (443,)),)))

    assert set(re.findall(r"set (\w+?)_(?:favoured_)?(?:rate|held|open)[46]", text)) == {"web"}


def test_translation_is_for_the_family_that_has_a_public_address() -> None:
    publish = Publish(Scope.WEB, nets("192.0.2.10", "2001:db8::10"), (80, 443), nets("203.0.113.1", "203.0.113.2"))
    text = render(replace(ROUTED, publish=(publish,)))

    assert rules(text, "publish") == [
        "dnat ip to ip daddr . tcp dport map { 203.0.113.1 . 80 : 192.0.2.10, 203.0.113.1 . 443 : 192.0.2.10, "
        "203.0.113.2 . 80 : 192.0.2.10, 203.0.113.2 . 443 : 192.0.2.10 }"
    ]
    assert "2001:db8::10 . 443 : goto guard_web" in text


def test_a_gateway_that_publishes_nothing_is_closed_and_loads() -> None:
    text = render(Gateway(Shape.ROUTED, wan=("wan0",), lan=("lan0",), management=()))

    assert rules(text, "opening") == [
        'iifname "lan0" accept',
        'iifname != "wan0" counter name policy_denied drop',
        "counter name policy_denied drop",
    ]
    assert "chain publish" not in text
    assert "notrack" not in text


def test_syslog_and_metrics_are_open_to_their_own_only() -> None:
    text = render(
        HOST, syslog=[Port("udp", 514), Port("tcp", 6514), Port("udp", 5514)], senders=nets("192.0.2.7"), http=9514
    )

    assert [rule for rule in rules(text, "local") if "dport" in rule] == [
        "udp dport { 514, 5514 } ip saddr @senders4 accept",
        "udp dport { 514, 5514 } ip6 saddr @senders6 accept",
        "tcp dport 6514 ip saddr @senders4 accept",
        "tcp dport 6514 ip6 saddr @senders6 accept",
        "tcp dport 9514 ip saddr @admin4 accept",
        "tcp dport 9514 ip6 saddr @admin6 accept",
    ]


def test_a_load_keeps_the_table_where_only_rules_and_networks_differ() -> None:
    text = render(ROUTED)
    other = render(replace(ROUTED, admin=nets("192.0.2.200"), snat=None), allowed=nets("192.0.2.201"), http=9514)

    assert transaction(other, text) == other != text


@pytest.mark.parametrize("standing", [None, "", render(ROUTED).replace("counter policy_full { }", "map full { }")])
def test_a_load_replaces_a_table_that_nobody_knows(standing: str | None) -> None:
    text = render(ROUTED)

    assert transaction(text, standing) == REPLACES + text


@pytest.mark.parametrize(
    ("standing", "gone", "count"),
    [
        (render(HOST), r"chain answers", 1),
        (render(ROUTED, size=16), r"set \w+_(open|rate|held)[46]", 48),
        (render(replace(ROUTED, limits=Limits(login=301))), r"set login_\w+", 12),
        (render(replace(ROUTED, publish=ROUTED.publish[:1])), r"", 0),
    ],
)
def test_a_load_removes_only_what_is_declared_otherwise(standing: str, gone: str, count: int) -> None:
    text = render(ROUTED)

    added = transaction(text, standing).removesuffix(text).splitlines()
    assert added[:1] == ["flush table inet zward_policy"][:count]
    assert [
        line for line in added[1:] if re.fullmatch(f"delete {gone.replace(' ', ' inet zward_policy ')}", line)
    ] == added[1:]
    assert len(added[1:]) == count


def test_all_ports_of_a_scope_lead_to_its_guard() -> None:
    text = render(HOST)

    for scope, numbers in PORTS.items():
        word = scope.replace("-", "_")
        assert set(re.findall(rf"(\d+) : goto guard_{word}\b", text)) == set(map(str, numbers))
