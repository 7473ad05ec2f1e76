"""What a configuration asks of the two tables."""

from appliance.address import parse_network
from appliance.config.load import parse
from appliance.config.ruleset import ruleset_of
from appliance.root.rulesets import orders_of, rendered

CONFIG = """
[listen]
udp = ["127.0.0.1:5514"]
senders = ["192.0.2.10"]
[zimbra]
hosts = ["10.20.0.0/24"]
proxies = ["10.20.0.11"]
[allow]
networks = ["198.51.100.0/24"]
"""
GATEWAY = """
[gateway]
mode = "host"
admin = ["198.51.100.0/28"]
"""


def test_whoever_must_stay_reachable_is_never_banned():
    orders = orders_of(parse(CONFIG, "zward.toml"))

    named = {parse_network(text) for text in ("192.0.2.10", "10.20.0.0/24", "10.20.0.11", "198.51.100.0/24")}
    assert named <= orders.never_ban
    assert parse_network("127.0.0.1") in orders.never_ban


def test_marks_resets_and_samples_follow_the_configuration():
    plain = orders_of(parse("", "zward.toml"))
    other = orders_of(parse(f'[firewall]\nanswer = "reset"\ndrop_samples = false\n{GATEWAY}', "zward.toml"))

    assert (plain.mark, plain.reset, plain.samples) == (False, False, 7765)
    assert (other.mark, other.reset, other.samples) == (True, True, 0)


def test_an_administrator_is_never_banned_and_so_never_kept_from_ssh():
    assert parse_network("198.51.100.0/28") in orders_of(parse(GATEWAY, "zward.toml")).never_ban


def test_bans_close_sshds_ports_only_where_its_failures_are_judged():
    off = orders_of(parse('[sshd]\nports = "1111,2222"', "zward.toml"))
    on = orders_of(parse('[sshd]\nenabled = true\nports = "1111,2222"', "zward.toml"))

    assert (off.extra_ports, on.extra_ports) == ((), (1111, 2222))
    assert "2222 : goto all4" in (rendered(parse("[sshd]\nenabled = true\nports = [2222]", "x"))["zward"] or "")


def test_the_receiver_may_fence_only_where_the_configuration_says_so():
    networks = 'networks = ["198.51.100.0/24"]'
    off = orders_of(parse(f"[detect.siege.fence]\n{networks}", "zward.toml"))
    on = orders_of(parse(f"[detect.siege.fence]\nenabled = true\nports = [993]\n{networks}", "zward.toml"))

    assert (off.fence, off.fence_from) == ((), frozenset())
    assert (on.fence, on.fence_from) == ((993,), frozenset([parse_network("198.51.100.0/24")]))


def test_the_fence_does_not_keep_in_who_is_behind_the_gateway():
    behind = 'mode = "bridge"\nbridge = "br0"\ninside = ["203.0.113.11"]\n[[gateway.publish]]\nscope = "login"\n'
    text = f'[detect.siege.fence]\nenabled = true\n[gateway]\n{behind}to = ["203.0.113.10"]\n'
    orders = orders_of(parse(text, "zward.toml"))

    assert orders.fence == (587, 465, 993, 995)
    assert orders.fence_from == {parse_network("203.0.113.10"), parse_network("203.0.113.11")}


def test_only_a_gateway_has_a_policy():
    assert ruleset_of(parse("", "zward.toml")) is None
    assert rendered(parse("", "zward.toml"))["zward_policy"] is None
    assert "table inet zward_policy {" in (ruleset_of(parse(GATEWAY, "zward.toml")) or "")


def test_where_zward_listens_to_others_is_open_to_those_who_need_it():
    listening = """
        [listen]
        udp = ["192.0.2.1:5514", "127.0.0.1:5515"]
        tcp = ["[2001:db8::1]:5516"]
        senders = ["192.0.2.10"]
        [http]
        listen = "192.0.2.1:9514"
    """
    outside = ruleset_of(parse(listening + GATEWAY, "zward.toml")) or ""
    inside = ruleset_of(parse(GATEWAY, "zward.toml")) or ""

    assert all(port in outside for port in ("5514", "5516", "9514"))
    assert "5515" not in outside
    assert "192.0.2.10" in outside
    assert "9514" not in inside
