"""What Grafana is told at its start: where Prometheus is, and where the dashboards lie."""

from pathlib import Path

import pytest
import yaml
from grafana.exprs import dashboards

GRAFANA = Path(__file__).parents[2] / "grafana"
PROVISIONING = GRAFANA / "provisioning"


def read(kind):
    return yaml.safe_load((PROVISIONING / kind / "zward.yml").read_text(encoding="utf-8"))


def test_there_is_one_default_source_and_it_is_a_prometheus():
    sources = read("datasources")["datasources"]
    assert [one["type"] for one in sources if one.get("isDefault")] == ["prometheus"]
    assert len({one["uid"] for one in sources}) == len(sources)


def test_sources_are_read_by_grafana_itself_and_not_by_the_browser():
    for source in read("datasources")["datasources"]:
        assert source["access"] == "proxy"
        assert source["url"].startswith("http://")


def test_no_source_holds_a_secret():
    for source in read("datasources")["datasources"]:
        assert not {"password", "basicAuthPassword", "secureJsonData"} & set(source)


def test_the_step_is_the_one_at_which_prometheus_reads():
    prometheus = GRAFANA / "prometheus" / "prometheus.yml"
    if not prometheus.is_file():
        pytest.skip(f"{prometheus.name} is not there")
    interval = yaml.safe_load(prometheus.read_text(encoding="utf-8"))["global"]["scrape_interval"]
    source = next(one for one in read("datasources")["datasources"] if one["type"] == "prometheus")
    assert source["jsonData"]["timeInterval"] == interval


def test_dashboards_come_from_files_and_stay_as_they_are_there():
    (provider,) = read("dashboards")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert not provider["allowUiUpdates"]
    assert provider["disableDeletion"]


def test_provisioned_dashboards_ask_nothing_at_their_import():
    for dashboard in dashboards().values():
        assert "__inputs" not in dashboard
        assert "id" not in dashboard
