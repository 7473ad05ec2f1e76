"""Which questions are asked, what stands in their brackets, and that a second run finds what the first one wrote."""

import re

import pytest
from setup_site import APPLIANCE, DELIVERED, SERVER, nets, own, scene

from appliance.model import Scope
from appliance.setup.answers import Answers, Around, Found, Host, SoFar
from appliance.setup.compose import compose
from appliance.setup.questions import QUESTIONS, Wrong, answered, walk

BRIDGE = """
[zimbra]
hosts = ["10.0.0.10"]
[gateway]
mode = "bridge"
bridge = "br0"
"""


def asked(where, given=None) -> dict[str, str]:
    """Question → what stands in its brackets, if every question is answered by an empty line."""
    seen: dict[str, str] = {}

    def ask(question, so: SoFar) -> Answers:
        seen[question.key] = question.default(so)
        return answered(question, seen[question.key], so)

    walk(where, given or {}, ask)
    return seen


def test_on_the_appliance_a_routed_policy_is_asked_for():
    assert asked(scene(APPLIANCE), {"hosts": "mbox1.example.org proxy1.example.org"}) == {
        "proxies": "proxy1",
        "gateway": "routed",
        "admin": "10.0.0.0/24",
        "publish": "smtp-in login web",
        "to": "smtp-in=mbox1 login=proxy1 web=proxy1",
        "public": "203.0.113.1",
        "time_zone": "Europe/Rome",
        "mail_to": "none",
    }


def test_the_appliance_as_it_comes_asks_as_if_it_had_no_file():
    given = {"hosts": "mbox1.example.org"}

    assert asked(scene(APPLIANCE, DELIVERED), given) == asked(scene(APPLIANCE), given)


def test_what_somebody_closed_stays_closed():
    closed = DELIVERED.replace("hosts = [", 'hosts = ["10.0.0.10", ')

    assert asked(scene(APPLIANCE, closed))["publish"] == "none"
    assert asked(scene(APPLIANCE, closed))["admin"] == "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7"


def test_on_another_host_no_policy_is_asked_for():
    assert asked(scene(SERVER), {"hosts": "192.0.2.10", "mail_to": "a@example.org"}) == {
        "proxies": "all",
        "admin": "none",
        "time_zone": "UTC",
        "mail_server": "192.0.2.10:25",
    }


def test_a_policy_elsewhere_is_asked_for_its_interfaces():
    assert asked(scene(SERVER), {"hosts": "192.0.2.10", "gateway": "routed"}) == {
        "proxies": "all",
        "wan": "eth0",
        "lan": "eth1",
        "admin": "none",
        "publish": "smtp-in login web",
        "public": "none",
        "time_zone": "UTC",
        "mail_to": "none",
    }


def test_whoever_came_by_ssh_is_the_administrator():
    here = Found(SERVER.interfaces, "eth0", nets("198.51.100.7")[0])

    assert asked(scene(here), {"hosts": "192.0.2.10"})["admin"] == "198.51.100.7"


def test_a_zimbra_on_this_machine_cannot_be_behind_it():
    here = Found({"wan": (own("192.0.2.10", 24),), "lan": ()})

    assert asked(scene(here), {"hosts": "192.0.2.10"})["gateway"] == "host"
    with pytest.raises(Wrong, match="gateway: found routed.*192.0.2.10 is this machine itself"):
        walk(scene(here), {"hosts": "192.0.2.10", "gateway": "routed"})


def test_networks_alone_cannot_be_published():
    with pytest.raises(Wrong, match="publish: found smtp-in login web, expected none: all hosts are networks"):
        walk(scene(), {"hosts": "10.0.0.0/28", "publish": "smtp-in login web"})
    with pytest.raises(Wrong, match="to: found 10.0.0.0/28 for web, expected a host with one address"):
        walk(scene(), {"hosts": "10.0.0.0/28 10.0.1.1", "to": "web=1 login=2 smtp-in=2"})

    assert walk(scene(), {"hosts": "10.0.0.0/28"}).publish == ()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "hosts: found nothing, expected at least one host"),
        ({"hosts": "x"}, "hosts: found no address of x"),
        ({"hosts": "10.0.0.10", "gateway": "keep"}, 'gateway: found "keep", expected one of none, routed, host'),
        ({"hosts": "10.0.0.10", "lan": "wan"}, "lan: found wan, which leads to the world"),
        ({"hosts": "10.0.0.10", "gateway": "none", "wan": "wan"}, "wan: means nothing here: the gateway's mode"),
        ({"hosts": "10.0.0.10", "gateway": "none", "publish": "web"}, "publish: means nothing here: no policy"),
        ({"hosts": "10.0.0.10", "publish": "none", "public": "203.0.113.1"}, "public: means nothing here: nothing"),
        ({"hosts": "10.0.0.10", "mail_server": "x:25"}, "mail_server: means nothing here: nobody is to be mailed"),
    ],
)
def test_answers_beforehand_that_cannot_be_taken_are_named(given, says):
    with pytest.raises(Wrong, match=re.escape(says)):
        walk(scene(), given)


def test_every_question_that_can_be_pointless_says_why():
    for question in QUESTIONS:
        if not question.matters(SoFar(Answers(gateway=Around.KEEP), scene())):
            with pytest.raises(Wrong, match=f"{question.key}: means nothing here: "):
                walk(scene(text=BRIDGE), {"hosts": "10.0.0.10", question.key: "x"})


def test_a_second_run_finds_what_the_first_one_wrote():
    answers = walk(
        scene(),
        {
            "hosts": "mbox1.example.org proxy1.example.org 10.0.0.99",
            "admin": "198.51.100.0/28",
            "publish": "smtp-in web admin",
            "to": "smtp-in=mbox1 web=proxy1 admin=mbox1",
            "public": "203.0.113.1 2001:db8:cafe::1",
            "mail_to": "a@example.org",
            "mail_server": "mail.example.org:587",
        },
    )
    first = compose(None, answers, scene(), "zward.toml")

    again = walk(scene(text=first.text), {})
    second = compose(first.text, again, scene(text=first.text), "zward.toml")

    assert again == answers
    assert second.text == first.text


def test_a_file_that_names_no_host_yet_says_nothing_of_the_site():
    text = 'time_zone = "UTC"\n[zimbra]\nhosts = ["127.0.0.0/8"]\n'

    told = asked(scene(text=text), {"hosts": "10.0.0.10"})

    assert told["time_zone"] == "Europe/Rome"
    assert told["proxies"] == "all"


def test_a_policy_beyond_these_questions_is_kept():
    assert asked(scene(text=BRIDGE)) == {
        "hosts": "10.0.0.10",
        "proxies": "none",
        "gateway": "keep",
        "time_zone": "UTC",
        "mail_to": "none",
    }


@pytest.mark.parametrize(
    "publish",
    [
        'scope = "web"\nto = ["10.0.0.10"]\nports = [8443]',
        'scope = "web"\nto = ["10.0.0.77"]',
        'scope = "web"\nto = ["10.0.0.10"]\nat = ["203.0.113.1"]\n[[gateway.publish]]\nscope = "login"\n'
        'to = ["10.0.0.10"]',
        'scope = "web"\nto = ["10.0.0.10"]\nat = ["203.0.113.1"]\n[[gateway.publish]]\nscope = "web"\n'
        'to = ["10.0.0.11"]\nat = ["203.0.113.2"]',
    ],
)
def test_publishing_beyond_these_questions_is_kept(publish):
    text = (
        '[zimbra]\nhosts = ["10.0.0.10", "10.0.0.11"]\n[gateway]\nmode = "routed"\nwan = ["wan"]\nlan = ["lan"]\n'
        f'snat = "203.0.113.9"\nadmin = ["10.0.0.0/24"]\n[[gateway.publish]]\n{publish}\n'
    )
    there = scene(text=text)

    assert asked(there)["publish"] == "keep"
    answers = walk(there, {})
    assert answers.publish is None
    assert there.present is not None
    assert compose(text, answers, there, "zward.toml").config.gateway == there.present.gateway


def test_a_published_service_stays_with_its_host():
    text = (
        '[listen]\nsenders = ["10.0.0.10", "10.0.0.11"]\nnames = { a = "10.0.0.10", b = "10.0.0.11" }\n[zimbra]\n'
        'hosts = ["10.0.0.10", "10.0.0.11"]\n[gateway]\nmode = "routed"\nwan = ["wan"]\nlan = ["lan"]\n'
        '[[gateway.publish]]\nscope = "web"\nto = ["10.0.0.11"]\n'
    )

    told = asked(scene(text=text))

    assert told["hosts"] == "a=10.0.0.10 b=10.0.0.11"
    assert told["publish"] == "web"
    assert told["to"] == "web=b"
    assert told["public"] == "none"


def test_two_addresses_of_one_host_are_found_by_what_is_published():
    text = (
        '[zimbra]\nhosts = ["10.0.0.10", "2001:db8::10"]\n[gateway]\nmode = "routed"\nwan = ["wan"]\nlan = ["lan"]\n'
        '[[gateway.publish]]\nscope = "web"\nto = ["10.0.0.10", "2001:db8::10"]\n'
    )

    assert asked(scene(text=text))["hosts"] == "10.0.0.10+2001:db8::10"
    assert walk(scene(text=text), {}).to == {Scope.WEB: Host(None, nets("10.0.0.10", "2001:db8::10"))}


def test_every_word_of_a_question_fits_a_console():
    for question in QUESTIONS:
        lines = [question.why, *question.explains.splitlines()]
        assert all(len(line) <= 78 and line.isascii() and line.isprintable() for line in lines), question.key
        assert len(question.explains.splitlines()) <= 8
