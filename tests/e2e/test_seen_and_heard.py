"""From the attack to the mail: a real zward, Debian's Prometheus and Alertmanager with our files, and a mail server."""

import re
import time
from collections.abc import Callable, Iterator

import pytest
from e2e.forwarder import Forwarder
from e2e.monitoring import ALERTMANAGER, SMTP, Monitoring, quantities, subject_of, text_of
from e2e.wire import CLIENT, MAIL, World, wait_until
from e2e.zward import Zward
from grafana.exprs import expressions_of_dashboards
from grafana.rule_exprs import expressions_of_rules

pytestmark = pytest.mark.e2e

ANA, BOB = "ana@example.com", "bob@example.com"
GATEWAY = "gateway"
"""How the gateway is called in prometheus.yml as it is shipped."""
PATIENCE = 40.0

TOLD = f"""\
[notify]
host = "{GATEWAY}"
[notify.email]
to = ["postmaster@example.com"]
server = "127.0.0.1:{SMTP}"
at_once = "warning"
every = "1s"
batch_after = "2s"
batch_within = "4s"
[notify.alertmanager]
urls = ["http://127.0.0.1:{ALERTMANAGER}"]
every = "2s"
[detect.siege]
quiet = "8s"
"""


@pytest.fixture(scope="module")
def site(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Zward, Forwarder, Monitoring]]:
    directory = tmp_path_factory.mktemp("seen")
    for each in (directory, *directory.parents[:3]):
        each.chmod(0o755)
    with Monitoring(world.gateway, directory) as monitoring:
        zward = Zward(world.gateway, directory, more=TOLD)
        text = zward.config.read_text().replace(
            'senders = ["192.0.2.0/24"]', f'senders = ["192.0.2.0/24"]\nnames = {{ mbox1 = "{MAIL[4]}" }}'
        )
        zward.config.write_text(text)
        with zward, Forwarder(world.mail) as log:
            yield zward, log, monitoring


def within(begun: float, what: str, look: Callable[[], object], record: Callable[[str, object], None]) -> None:
    """Wait for it, and let the report of the run tell how long it took."""
    wait_until(what, look, PATIENCE)
    record(f"seconds until {what}", round(time.monotonic() - begun, 1))


def test_an_attack_becomes_bans_figures_an_alert_and_a_mail_and_is_resolved(
    world: World, site: tuple[Zward, Forwarder, Monitoring], record_property: Callable[[str, object], None]
) -> None:
    zward, log, monitoring = site
    wait_until("zward is scraped", lambda: monitoring.queried("zward_bans_total"), PATIENCE)
    attackers = [world.new_attacker() for _ in range(60)]
    begun = time.monotonic()
    for number, attacker in enumerate(attackers):
        log.failure(attacker, f"user{number}@example.com", times=6)

    within(begun, "they are banned", lambda: len(zward.in_kernel("ban4")) >= 60, record_property)
    assert not world.attacker.connects(attackers[0], MAIL[4], 993, 0.3)
    within(begun, "the bans are counted", lambda: bans_counted(monitoring) >= 60, record_property)
    within(begun, "the alert is up", lambda: monitoring.alerts("ZwardBanRate"), record_property)
    within(begun, "the mail came", lambda: monitoring.mails("ZwardBanRate", GATEWAY), record_property)
    [mail, *_] = monitoring.mails("ZwardBanRate", GATEWAY)
    assert mail["X-RcptTo"] == "postmaster@example.com"
    for word in ("bans", "zward ", "https://zward.example/docs/runbooks/ZwardBanRate.md"):
        assert word in text_of(mail), text_of(mail)

    within(begun, "it is resolved", lambda: monitoring.mails("ZwardBanRate", "Over:"), record_property)


def bans_counted(monitoring: Monitoring) -> float:
    [counted] = monitoring.queried("sum(zward_bans_total)")
    return float(counted["value"][1])


def test_a_break_in_is_told_with_account_and_address_both_ways(
    world: World, site: tuple[Zward, Forwarder, Monitoring], record_property: Callable[[str, object], None]
) -> None:
    _zward, log, monitoring = site
    stranger = world.new_attacker()
    begun = time.monotonic()
    log.failure(stranger, ANA, times=5)
    log.success(stranger, ANA)

    within(begun, "the alert is up", lambda: monitoring.alerts("ZwardBreakIn"), record_property)
    [alert] = monitoring.alerts("ZwardBreakIn")
    assert alert["labels"]["severity"] == "critical"
    assert alert["labels"]["instance"] == GATEWAY
    assert (alert["annotations"]["account"], alert["annotations"]["source"]) == (ANA, stranger)
    assert not {ANA, stranger} & set(alert["labels"].values())

    within(begun, "our own mail came", lambda: own_mails(monitoring, stranger, ANA), record_property)
    within(begun, "Alertmanager's came", lambda: others_mails(monitoring, stranger, ANA), record_property)
    [own, *_] = own_mails(monitoring, stranger, ANA)
    assert subject_of(own).startswith(f"[zward {GATEWAY}] ")
    assert f"zward account {ANA}" in text_of(own)
    [other, *_] = others_mails(monitoring, stranger, ANA)
    assert f"zward account {ANA}" in text_of(other)


def own_mails(monitoring: Monitoring, *words: str) -> list:
    """Those that zward sent itself."""
    return [mail for mail in monitoring.mails(*words) if mail["Auto-Submitted"] and "zward" in mail["From"]]


def others_mails(monitoring: Monitoring, *words: str) -> list:
    """Those that Alertmanager sent."""
    return [mail for mail in monitoring.mails(*words) if mail["From"].startswith("alertmanager@")]


def test_a_siege_is_told_while_it_lasts_and_resolved_when_it_is_over(
    world: World, site: tuple[Zward, Forwarder, Monitoring], record_property: Callable[[str, object], None]
) -> None:
    _zward, log, monitoring = site
    log.success(CLIENT[4], BOB)
    begun = time.monotonic()
    for _ in range(6):
        log.failure(world.new_attacker(), BOB)

    within(begun, "the siege is up", lambda: monitoring.alerts("ZwardSiege"), record_property)
    [alert] = monitoring.alerts("ZwardSiege")
    assert alert["annotations"]["account"] == BOB
    within(begun, "its mail came", lambda: others_mails(monitoring, BOB, "Many strangers"), record_property)
    within(begun, "it is over", lambda: not monitoring.alerts("ZwardSiege"), record_property)
    within(begun, "that is told", lambda: others_mails(monitoring, BOB, "Over:"), record_property)


KNOWN_LATER = "zward_strangers_usual"
"""What is usual at this hour is known after three hours only."""


def test_every_expression_of_dashboards_and_rules_has_data_of_an_attacked_zward(
    site: tuple[Zward, Forwarder, Monitoring],
) -> None:
    _zward, _log, monitoring = site
    written = [(f"{each.dashboard}: {each.panel}", each.expr) for each in expressions_of_dashboards()]
    written += [(name, expr) for _file, name, expr in expressions_of_rules()]
    asked = {(what, quantity) for what, expr in written for quantity in quantities(expr)}

    silent = sorted(f"{what}: {expr}" for what, expr in asked if not monitoring.queried(expr))

    assert len(asked) > 100
    assert [each for each in silent if KNOWN_LATER not in each] == []


def test_no_series_of_an_attacked_zward_names_anybody(site: tuple[Zward, Forwarder, Monitoring]) -> None:
    zward, _log, _monitoring = site
    exposed = zward.get("/metrics")[1]

    assert 'sender="mbox1"' in exposed
    labels = re.findall(r'="([^"]*)"', exposed)
    assert not [each for each in labels if "@" in each or re.search(r"\d+\.\d+\.\d+\.\d+|:.*:", each)]
