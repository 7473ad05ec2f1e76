"""The metrics as a whole: declared once, explained, at 0 from the start where their labels are known, without names."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from appliance.cli.metrics import metrics as command
from appliance.metrics.declared import DECLARED, Kind
from appliance.metrics.metrics import Metrics
from appliance.model import Mode

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"

ADDRESS_LIKE = {"source", "address", "account", "ip", "host", "user", "subject"}


def test_names_are_given_once_and_carry_their_unit_or_kind():
    names = [each.name for each in DECLARED]
    assert len(set(names)) == len(names)
    for each in DECLARED:
        assert each.name.startswith("zward_")
        assert each.name.endswith("_total") == (each.kind is Kind.COUNTER), each.name
        assert each.name.endswith("_info") == (each.kind is Kind.INFO), each.name
        assert each.kind is not Kind.HISTOGRAM or (each.name.endswith("_seconds") and each.buckets), each.name
        assert each.says.endswith("."), each.name


def test_no_label_holds_an_address_or_an_account():
    assert not {label for each in DECLARED for label in each.labels} & ADDRESS_LIKE


def test_the_page_is_what_the_declarations_say():
    """After a change: `zward metrics --markdown > docs/metrics.md`."""
    printed = CliRunner().invoke(command, ["--markdown"])

    assert printed.exit_code == 0
    assert printed.output == PAGE.read_text(encoding="utf-8")


def test_the_command_lists_every_metric_and_finds_some_by_a_word():
    listed = CliRunner().invoke(command, [], terminal_width=80)
    found = CliRunner().invoke(command, ["udp"])
    nothing = CliRunner().invoke(command, ["no such thing"])

    assert all(each.name in listed.output for each in DECLARED)
    assert "zward_udp_lost_total" in found.output
    assert "zward_bans_active" not in found.output
    assert nothing.exit_code == 3
    assert '"name": "zward_udp_lost_total"' in CliRunner().invoke(command, ["--json", "udp"]).output


@pytest.mark.parametrize("declared", [each for each in DECLARED if each.labels], ids=lambda each: each.name)
def test_known_labels_stand_at_0_from_the_start(declared):
    metrics = Metrics()
    metrics.start_detectors({"guessing": ("host",)}, ["zmauditswatch"])
    metrics.start_programs(["zimbra-audit"])
    families = {family.name: family for family in text_string_to_metric_families(metrics.exposition().decode())}
    if declared.family in families:  # the others are read at a scrape
        samples = families[declared.family].samples
        exported = {tuple(sample.labels.get(label) for label in declared.labels) for sample in samples}
        assert set(declared.known) <= exported
        assert all(sample.value == 0 for sample in samples)


def test_the_labels_of_detectors_and_programs_stand_at_0_once_they_are_known():
    metrics = Metrics()
    metrics.start_detectors({"guessing": ("host",)}, ["zmauditswatch"])
    metrics.start_programs(["zimbra-audit"])
    value = metrics.registry.get_sample_value

    for name, labels in [
        ("zward_verdicts_total", {"detector": "guessing", "verdict": "would_ban"}),
        ("zward_verdicts_total", {"detector": "zmauditswatch", "verdict": "noticed"}),
        ("zward_notices_total", {"detector": "zmauditswatch", "severity": "critical"}),
        ("zward_bans_total", {"detector": "guessing", "scope": "login", "family": "6", "kind": "host"}),
        ("zward_lines_total", {"program": "zimbra-audit", "result": "unreadable"}),
        ("zward_lines_sampled_total", {"program": "other", "looks": "login"}),
        ("zward_notifications_total", {"channel": "siem", "result": "dropped"}),
    ]:
        assert value(name, labels) == 0, name
    assert value("zward_verdicts_total", {"detector": "zmauditswatch", "verdict": "banned"}) is None


def test_one_mode_is_in_force():
    metrics = Metrics()
    metrics.set_mode(Mode.ENFORCE)
    metrics.set_mode(Mode.OBSERVE)

    assert [metrics.registry.get_sample_value("zward_mode", {"mode": mode.value}) for mode in Mode] == [1, 0]


def test_figures_are_read_afresh_at_each_scrape():
    metrics, readings = Metrics(), {next(each for each in DECLARED if each.name == "zward_udp_lost_total"): {(): 3.0}}
    metrics.watch(lambda: readings)
    value = metrics.registry.get_sample_value
    assert value("zward_udp_lost_total") == 3

    for values in readings.values():
        values[()] = 11.0

    assert value("zward_udp_lost_total") == 11


def test_how_zward_itself_fares_is_told_by_the_usual_names():
    exposed = Metrics().exposition().decode()

    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"):
        assert re.search(rf"^{name} ", exposed, re.MULTILINE)
