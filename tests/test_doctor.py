"""What the doctor finds in a machine, a configuration and what arrives."""

import time

import pytest

from appliance import doctor
from appliance.clocks import Clocks
from appliance.config.load import parse
from appliance.doctor import PEERS_TOLD, Finding, of_arrivals, of_drift, of_machine
from appliance.listen.senders import Sender

HOST = "192.0.2.10"
ENFORCE = 'mode = "enforce"\n[zimbra]\nproxies = ["192.0.2.5"]'


def found(topic, findings):
    return [finding for finding in findings if finding.topic == topic]


def arrivals(senders=None, clocks=None, disbelieved=None):
    return list(of_arrivals(senders or {HOST: Sender(time.time(), 7)}, clocks or Clocks(), disbelieved or {}))


def late(seconds: float, lines: int = 3, over: float = 0.0) -> Clocks:
    """Lines of audit.log that come so many seconds after their time."""
    clocks, now = Clocks(), time.time()
    for number in range(lines):
        arrived = now + over * number / lines
        clocks.right(HOST, "zimbra-audit", arrived - seconds, arrived)
    return clocks


# What arrives


def test_before_the_first_line_it_says_what_to_install():
    (finding,) = of_arrivals({}, Clocks(), {})

    assert (finding.topic, finding.is_fine) == ("senders", False)
    assert finding.cure == "zward setup rsyslog prints what they need"


def test_a_sender_that_speaks_is_fine():
    (finding,) = arrivals()

    assert (finding.is_fine, finding.cure) == (True, "")
    assert finding.says == f"{HOST} sent 7 lines, the last 0 s ago"


def test_a_sender_that_fell_silent_is_named_and_the_others_are_fine():
    now = time.time()
    silent, speaking = arrivals({HOST: Sender(now - 4000, 7), "192.0.2.11": Sender(now, 1)})

    assert silent == Finding(
        "senders", False, f"{HOST} sent 7 lines, the last 67 min ago", f"look at rsyslog on {HOST}"
    )
    assert speaking.is_fine


def test_clocks_that_are_right_are_not_worth_a_word():
    assert found("clock", arrivals(clocks=late(3))) == []
    assert found("clock", arrivals(clocks=late(-3))) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(7200, "2 h late"), (-3600, "60 min ahead"), (19800, "5.5 h late"), (300, "5 min late"), (-121, "2 min ahead")],
)
def test_lines_that_are_late_or_ahead_are_told_with_what_cures_it(seconds, words):
    (finding,) = found("clock", arrivals(clocks=late(seconds)))

    assert finding.is_fine is False
    assert finding.says == f"lines of zimbra-audit from {HOST} are {words}"
    assert finding.cure.startswith("set time_zone to the mail hosts' zone")


def test_a_wrong_zone_that_is_corrected_is_told_and_still_to_be_cured():
    (finding,) = found("clock", arrivals(clocks=late(7200, lines=40, over=120)))

    assert finding.is_fine is False
    assert finding.says == f"lines of zimbra-audit from {HOST} are 2 h late, which is corrected"


def test_a_proxy_that_is_not_listed_is_asked_for_and_an_attacker_is_not_recommended():
    (finding,) = found("proxies", arrivals(disbelieved={"192.0.2.5": 40}))

    assert finding.is_fine is False
    assert finding.says == "192.0.2.5 sent 40 lines with an oip= that is not believed: is it a proxy of yours?"
    assert '[zimbra] proxies = ["192.0.2.5"]' in finding.cure
    assert "if you do not know it, leave it" in finding.cure


def test_of_many_liars_the_busiest_are_named():
    told = found("proxies", arrivals(disbelieved={f"203.0.113.{number}": number for number in range(64)}))

    assert len(told) == PEERS_TOLD
    assert told[0].says.startswith("203.0.113.63 sent 63 lines")


# What others do


def test_what_somebody_else_did_to_the_firewall_is_told_and_nothing_said_of_nothing():
    assert list(of_drift("")) == []

    (finding,) = of_drift("nft (pid 7) flushed our table (3 min ago)")
    assert (finding.topic, finding.is_fine) == ("drift", False)
    assert finding.says == "nft (pid 7) flushed our table (3 min ago)"


# The machine


GATEWAY = """
[gateway]
mode = "host"
wan = ["wan0"]
admin = ["198.51.100.0/28"]
"""


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Say what this machine has; the configuration that looks for it there."""

    def has(library: str | None, helper: bool) -> str:
        monkeypatch.setattr(doctor.ctypes.util, "find_library", lambda _name: library)
        if helper:
            (tmp_path / "helper.sock").touch()
        return f'{ENFORCE}\n[firewall]\ndirectory = "{tmp_path}"\n'

    return has


def test_a_machine_that_can_enforce_is_fine(machine):
    config = machine("libnftables.so.1", helper=True) + GATEWAY

    assert [finding.is_fine for finding in of_machine(parse(config, "x"))] == [True, True, True]


def test_a_machine_that_cannot_enforce_is_told_each_cure(machine, tmp_path):
    library, helper, _ = of_machine(parse(machine(None, helper=False) + GATEWAY, "x"))

    assert (library.is_fine, library.cure) == (False, "apt-get install libnftables1")
    assert helper.is_fine is False
    assert helper.says == f"there is no {tmp_path}/helper.sock: nothing can be enforced"
    assert helper.cure == "start the firewall helper, which needs root: its systemd unit, or sudo make run"


def test_without_a_gateway_nobody_needs_the_library(machine):
    library, _, _ = of_machine(parse(machine(None, helper=True), "x"))

    assert library.is_fine
    assert "is not installed" in library.says


def test_who_only_observes_needs_no_helper(machine):
    _, helper, _ = of_machine(parse(machine(None, helper=False).replace("enforce", "observe"), "x"))

    assert helper.is_fine
    assert "nothing can be enforced" in helper.says


def test_a_site_without_proxies_is_told_what_it_will_not_see():
    finding = list(of_machine(parse("", "x")))[-1]

    assert (finding.topic, finding.is_fine) == ("proxies", False)
    assert finding.cure == "name Zimbra's proxy hosts in [zimbra] proxies"
