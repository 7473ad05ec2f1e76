"""What the wizard writes is what zward reads: whatever is answered, its own loader takes it."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from setup_site import APPLIANCE, DELIVERED, DNS, SERVER, nets, own, scene

from appliance.config.load import parse
from appliance.firewall.backend import PORTS
from appliance.model import Mode
from appliance.setup.answers import Answers, Around, Found, Host, SoFar
from appliance.setup.compose import compose
from appliance.setup.questions import Wrong, answered, walk

ROOT = Path(__file__).parents[2]
INSTALLED = (ROOT / "image/zward.toml").read_text()
GATEWAYS = (ROOT / "docs/gateway.md").read_text().split("```toml\n")[1:]
EXAMPLES = [text.partition("```")[0] for text in GATEWAYS]


def written(given, text=None, found=APPLIANCE):
    there = scene(found, text)
    return compose(text, walk(there, given), there, "zward.toml")


def test_a_new_file_holds_just_what_was_asked():
    done = written({"hosts": "mbox1.example.org", "admin": "198.51.100.0/28", "mail_to": "a@example.org"})

    assert tomllib.loads(done.text) == {
        "mode": "observe",
        "time_zone": "Europe/Rome",
        "listen": {
            "udp": ["0.0.0.0:514", "[::]:514"],
            "tcp": ["0.0.0.0:514", "[::]:514"],
            "senders": ["127.0.0.0/8", "::1", "10.0.0.10", "2001:db8::10"],
            "names": {"mbox1": "10.0.0.10", "mbox1-6": "2001:db8::10"},
        },
        "zimbra": {
            "hosts": ["127.0.0.0/8", "::1", "10.0.0.10", "2001:db8::10"],
            "proxies": ["10.0.0.10", "2001:db8::10"],
        },
        "notify": {"email": {"to": ["a@example.org"], "server": "10.0.0.10:25", "sender": "a@example.org"}},
        "gateway": {
            "mode": "routed",
            "wan": ["wan"],
            "lan": ["lan"],
            "snat": "203.0.113.1",
            "admin": ["198.51.100.0/28"],
            "publish": [
                {"scope": scope, "to": ["10.0.0.10", "2001:db8::10"], "at": ["203.0.113.1"]}
                for scope in ("smtp-in", "login", "web")
            ],
        },
    }
    assert all(len(line) <= 80 for line in done.text.splitlines())


def test_the_installed_file_keeps_its_words():
    done = written({"hosts": "10.0.0.10"}, INSTALLED)

    assert done.keeps_comments
    assert [line for line in INSTALLED.splitlines() if line.startswith("#") and line not in done.text] == []
    assert "points = 6" in done.text
    assert done.config.detect == parse(INSTALLED, "x").detect
    assert [str(each) for each in done.config.listen.udp] == ["0.0.0.0:514", "[::]:514"]


def test_on_another_host_the_port_stays_as_it_is_and_there_is_no_policy():
    done = written({"hosts": "192.0.2.10", "admin": "198.51.100.7"}, INSTALLED, SERVER)

    assert {each.port for each in done.config.listen.tcp} == {5514}
    assert done.config.gateway is None
    assert done.config.allow.networks == nets("198.51.100.7")


def test_without_ipv6_nothing_listens_there():
    done = written({"hosts": "192.0.2.10"}, None, Found(has_ipv6=False))

    assert [str(each) for each in done.config.listen.tcp] == ["0.0.0.0:5514"]


def test_it_always_observes():
    assert written({}, 'mode = "enforce"\n[zimbra]\nhosts = ["10.0.0.10"]\n').config.mode is Mode.OBSERVE


SITE = """
[listen]
udp = ["0.0.0.0:1514"]                  # as the switch wants it
senders = ["10.0.0.10", "10.0.0.50", "10.0.0.0/30"]
names = { mbox1 = "10.0.0.10", router = "10.0.0.50" }
frame_limit = 1000
[zimbra]
hosts = ["10.0.0.10", "10.0.0.0/30"]
lockout = { max_failures = 5, within = "1h" }
[notify.email]
to = ["old@example.org"]
sender = "zward@example.org"
[gateway]
mode = "routed"
wan = ["wan"]
lan = ["lan"]
admin = ["198.51.100.0/28"]
snat = "203.0.113.1"
[[gateway.publish]]
scope = "web"
to = ["10.0.0.10"]
at = ["203.0.113.1"]
[gateway.limits]
login = 77
"""


def test_what_was_not_asked_stays():
    done = written({"hosts": "mbox2.example.org"}, SITE)

    config = done.config
    assert done.keeps_comments
    assert "# as the switch wants it" in done.text
    assert config.listen.frame_limit == 1000
    assert config.listen.senders == nets("10.0.0.50", "10.0.0.11")
    assert dict(config.listen.names) == {"router": nets("10.0.0.50")[0], "mbox2": nets("10.0.0.11")[0]}
    assert config.zimbra.hosts == nets("10.0.0.11")
    assert config.zimbra.lockout.max_failures == 5
    assert config.notify.email is not None
    assert config.notify.email.sender == "zward@example.org"
    assert config.gateway is not None
    assert config.gateway.limits.login == 77


def test_the_source_of_what_is_sent_follows_the_public_address_unless_it_was_chosen():
    moved = written({"hosts": "10.0.0.10", "public": "203.0.113.2"}, SITE).config.gateway
    chosen = written({"public": "203.0.113.2"}, SITE.replace('snat = "203.0.113.1"', 'snat = "203.0.113.8"'))
    gone = written({"public": "none"}, SITE).config.gateway

    assert moved is not None
    assert gone is not None
    assert chosen.config.gateway is not None
    assert moved.snat == nets("203.0.113.2")[0]
    assert chosen.config.gateway.snat == nets("203.0.113.8")[0]
    assert gone.snat is None


def test_a_policy_goes_where_none_is_wanted():
    done = written({"gateway": "none", "mail_to": "none"}, SITE)

    assert done.config.gateway is None
    assert done.config.notify.email is None
    assert "gateway" not in done.text


def test_another_mode_takes_what_it_needs_and_leaves_the_limits():
    config = written({"gateway": "host", "hosts": "10.0.0.1 10.0.0.9"}, SITE).config

    assert config.gateway is not None
    assert config.gateway.mode == "host"
    assert config.gateway.lan == ()
    assert config.gateway.snat is None
    assert config.gateway.inside == nets("10.0.0.9"), "the other host of the same Zimbra"
    assert [publish.to for publish in config.gateway.publish] == [(), (), ()]
    assert config.gateway.limits.login == 77


@pytest.mark.parametrize("text", EXAMPLES, ids=["routed", "bridge", "host"])
def test_the_documented_gateways_stay_as_they_are(text):
    found = Found({"eth0": (own("203.0.113.10", 24),), "eth1": ()})
    there = scene(found, text)

    done = compose(text, walk(there, {}), there, "zward.toml")

    assert there.present is not None
    assert done.config.gateway == there.present.gateway
    assert done.config.zimbra.hosts == there.present.zimbra.hosts


HOSTILE = ['"', '"]\n[x]\n', "\\", "'''", "\x00", "%eth0", "\ud800", "all", "1", "mbox1", "-", "x" * 300]
NAMES = st.sampled_from([*DNS, "x.example.org"])
ADDRESSES = (
    st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(str)
    | st.sampled_from(["10.0.0.10", "10.0.0.11", "10.0.0.0/28", "2001:db8::/64", "203.0.113.1"])
)
LABELS = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,33}", fullmatch=True)
HOST = (
    NAMES
    | ADDRESSES
    | st.builds(lambda name, nets: f"{name}={'+'.join(nets)}", LABELS, st.lists(ADDRESSES, max_size=3))
)
WORDS = st.sampled_from(["none", "all", "keep", "routed", "host", "wan", "lan", "eth0", *map(str, PORTS), *HOSTILE])
ANSWER = WORDS | st.lists(HOST | ADDRESSES | WORDS | LABELS, max_size=4).map(" ".join) | st.text(max_size=20)
CONVERSATION = st.fixed_dictionaries(
    {"hosts": st.lists(HOST, min_size=1, max_size=4).map(" ".join) | ANSWER},
    optional={
        "proxies": ANSWER,
        "gateway": st.sampled_from(["routed", "host", "none", "keep"]),
        "wan": st.sampled_from(["wan", "eth0", "lan wan"]),
        "lan": st.sampled_from(["lan", "eth1", "x"]),
        "admin": ANSWER,
        "publish": st.lists(st.sampled_from([*map(str, PORTS)]), max_size=4).map(" ".join) | ANSWER,
        "to": ANSWER,
        "public": ANSWER,
        "time_zone": st.sampled_from(["UTC", "Europe/Rome", "../x", ""]),
        "mail_to": st.sampled_from(["a@example.org", "none", "a@b c@d", 'a"@b']),
        "mail_server": st.sampled_from(["x:25", "192.0.2.1", "[::1]:25", "x\n:25"]),
    },
)
PRESENT = st.sampled_from([None, INSTALLED, DELIVERED, SITE, *EXAMPLES])


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CONVERSATION, PRESENT, st.sampled_from([APPLIANCE, SERVER]))
def test_whatever_is_answered_what_is_written_can_be_loaded(typed, text, found):
    """A person who types anything is asked again until it can be taken, here by the default or by 10.0.0.10."""
    there = scene(found, text)

    def ask(question, so: SoFar) -> Answers:
        for answer in (typed.get(question.key, ""), question.default(so), "10.0.0.10", "none", "eth1", "UTC"):
            try:
                return answered(question, answer or question.default(so), so)
            except ValueError:
                continue
        raise AssertionError(f"{question.key}: no answer is ever taken after {so.answers}")

    try:
        answers = walk(there, {}, ask)
    except Wrong as fault:
        pytest.fail(f"a question that nobody was asked has no good default: {fault}")
    done = compose(text, answers, there, "zward.toml")

    assert done.config.mode is Mode.OBSERVE
    assert {net for host in answers.hosts for net in host.nets} <= set(done.config.zimbra.hosts)
    assert set(done.config.zimbra.hosts) <= set(done.config.listen.senders) | set(nets("127.0.0.0/8", "::1"))
    if answers.gateway is Around.KEEP:  # of interfaces that are not here, for one: the next run asks for others
        return
    again = scene(found, done.text)
    assert compose(done.text, walk(again, {}), again, "zward.toml").text == done.text, "a second run changes nothing"


def test_a_host_whose_name_the_configuration_cannot_hold_goes_without():
    hosts = (Host("mbox1", nets("10.0.0.10")), Host("x" * 32, nets("10.0.0.11", "2001:db8::11")))

    done = compose(None, Answers(hosts=hosts), scene(), "zward.toml")

    assert set(done.config.listen.names) == {"mbox1", "x" * 32}, "with -6 behind it the name would be too long"
