"""The metrics as a whole: each is explained, starts at 0 where its labels are known, and names no person."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from appliance.firewall.backend import DROPS, Drop, Dropped, Health
from appliance.metrics import PROOFS, Figures, Metrics
from appliance.model import Mode, Scope

EXPLAINED = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8")


def families(metrics: Metrics):
    return list(text_string_to_metric_families(metrics.exposition().decode()))


def everything() -> Metrics:
    """Metrics with each label of each family in use."""
    metrics = Metrics()
    figures = Figures()
    figures.tracked, figures.evicted = {"sources": 1}, {"sources": 1}
    metrics.watch(lambda: figures)
    metrics.build.info({"version": "0"})
    metrics.matched.labels("imap", "bad_password", "strong").inc()
    metrics.verdicts.labels("guessing", "banned").inc()
    metrics.bans.labels("guessing", "4").inc()
    metrics.unbans.inc()
    metrics.firewall_faults.labels("ban").inc()
    return metrics


def names() -> set[str]:
    """Names as an operator queries them; of a histogram the common part."""
    found = set()
    for family in families(everything()):
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        found.add(family.name if family.name.endswith(suffix) else family.name + suffix)
    return found


def test_every_metric_is_explained_and_every_explained_metric_exists():
    assert names() == set(re.findall(r"`(zward_[a-z_]+)`", EXPLAINED))


def test_the_labels_in_the_table_are_those_that_are_exported():
    rows = re.findall(r"^\| `(zward_[a-z_]+)` \| ([a-z, ]*?) *\|", EXPLAINED, re.MULTILINE)
    explained = {name: set(filter(None, labels.split(", "))) for name, labels in rows}
    exported: dict[str, set[str]] = {}
    for family in families(everything()):
        for sample in family.samples:
            exported.setdefault(sample.name, set()).update(sample.labels)

    assert explained == {name: exported[name] for name in explained}


def test_no_label_holds_an_address_or_an_account():
    labels = {label for family in families(everything()) for sample in family.samples for label in sample.labels}

    assert labels <= {
        *("transport", "reason", "protocol", "outcome", "evidence", "detector", "verdict", "family", "kind", "by"),
        *("operation", "result", "mode", "part", "port", "scope", "table", "answer", "le", "version"),
    }


def test_known_labels_stand_at_0_from_the_start():
    metrics = Metrics()
    metrics.start_detectors(["guessing"], ["zmauditswatch"])
    value = metrics.registry.get_sample_value

    for name, labels in [
        ("zward_frames_received_total", {"transport": "tcp"}),
        ("zward_frame_faults_total", {"reason": "sender_refused"}),
        ("zward_frame_faults_total", {"reason": "quarantined"}),
        ("zward_degraded", {"part": "store"}),
        ("zward_config_reloads_total", {"result": "failure"}),
        ("zward_verdicts_total", {"detector": "guessing", "verdict": "would_ban"}),
        ("zward_verdicts_total", {"detector": "zmauditswatch", "verdict": "noticed"}),
        ("zward_bans_total", {"detector": "guessing", "family": "6"}),
        ("zward_frames_parsed_total", {}),
        ("zward_evidence_dropped_total", {}),
    ]:
        assert value(name, labels) == 0, name
    assert value("zward_verdicts_total", {"detector": "zmauditswatch", "verdict": "banned"}) is None


def test_one_mode_is_in_force():
    metrics = Metrics()
    metrics.set_mode(Mode.ENFORCE)
    metrics.set_mode(Mode.OBSERVE)

    assert [metrics.registry.get_sample_value("zward_mode", {"mode": mode.value}) for mode in Mode] == [1, 0]


def test_figures_are_read_afresh_at_each_scrape():
    metrics, figures = Metrics(), Figures()
    metrics.watch(lambda: figures)
    value = metrics.registry.get_sample_value
    assert value("zward_bans_active", {"family": "6", "kind": "network"}) == 0

    figures.bans["6", "network"], figures.udp_lost = 3, 11

    assert value("zward_bans_active", {"family": "6", "kind": "network"}) == 3
    assert value("zward_udp_lost_total") == 11


def test_dropped_packets_and_bytes_stand_at_0_for_every_port_scope_and_family():
    metrics, figures = Metrics(), Figures()
    metrics.watch(lambda: figures)
    value = metrics.registry.get_sample_value
    for drop in DROPS:
        labels = {"port": str(drop.port), "scope": drop.scope.value, "family": str(drop.family)}
        assert value("zward_dropped_packets_total", labels) == value("zward_dropped_bytes_total", labels) == 0

    figures.dropped[Drop(993, Scope.LOGIN, 6)] = Dropped(7, 420)

    labels = {"port": "993", "scope": "login", "family": "6"}
    assert value("zward_dropped_packets_total", labels) == 7
    assert value("zward_dropped_bytes_total", labels) == 420
    assert value("zward_dropped_packets_total", labels | {"scope": "all"}) == 0


def test_how_the_firewall_fares_stands_at_0_and_is_read_at_each_scrape():
    metrics, figures = Metrics(), Figures()
    metrics.watch(lambda: figures)
    value = metrics.registry.get_sample_value
    names = ["firewall_repairs", "bans_crowded_out", "sessions_ended", "helper_reconnects"]
    assert [value(f"zward_{name}_total") for name in names] == [0, 0, 0, 0]
    assert [value("zward_proofs_total", {"answer": answer}) for answer in PROOFS] == [0, 0, 0]

    figures.health, figures.reconnects = Health(repairs=1, crowded_out=2, ended=3), 4
    figures.proofs["unseen"] = 5

    assert [value(f"zward_{name}_total") for name in names] == [1, 2, 3, 4]
    assert value("zward_proofs_total", {"answer": "unseen"}) == 5
