"""compose.yaml against what it mounts and names. No registry is asked, so this does not prove that it starts."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.config.load import parse
from appliance.config.schema import Config
from appliance.model import Mode
from appliance.root.privilege import CAP_NET_ADMIN, CAP_NET_RAW, HELPER

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
EACH = pytest.mark.parametrize("name", SERVICES)
CONFIG = ROOT / "image/demo/zward.toml"

IMAGE = re.compile(r"[a-z0-9.]+/[a-z-]+/[a-z-]+:v?\d+\.\d+\.\d+")
"""With registry and exact version."""
GRANTED = {"zward": {"NET_ADMIN", "NET_RAW"}, "mails": {"NET_BIND_SERVICE"}}
"""To change nftables; to listen at port 25."""
LOOPBACK = re.compile(r"127\.0\.0\.1:(\d+)")


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def config() -> Config:
    return parse(CONFIG.read_text(encoding="utf-8"), CONFIG.name)


def mounts(name: str) -> dict[str, tuple[str, str]]:
    """Where something is mounted → what, and how."""
    split = [each.split(":") for each in SERVICES[name].get("volumes", ())]
    return {target: (source, how[0] if how else "") for source, target, *how in split}


def listens(name: str) -> str:
    """Where a program is told to listen."""
    flags = dict(each.removeprefix("--").split("=", 1) for each in SERVICES[name]["command"])
    return str(flags["web.listen-address"])


def test_the_services_are_those_that_the_page_names() -> None:
    page = (ROOT / "docs/demo.md").read_text(encoding="utf-8")
    assert list(SERVICES) == ["zward", "prometheus", "alertmanager", "grafana", "mails"]
    for name in SERVICES:
        assert f"`{name}`" in page


@EACH
def test_a_service_can_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", ())) == GRANTED.get(name, set())
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert not {"privileged", "pid", "ipc", "devices", "userns_mode"} & set(service)


def test_zward_has_the_capabilities_that_its_helper_uses() -> None:
    assert {CAP_NET_ADMIN: "NET_ADMIN", CAP_NET_RAW: "NET_RAW"}.keys() == HELPER
    assert SERVICES["zward"]["network_mode"] == "host"
    assert SERVICES["zward"]["user"] == "0:0"  # as any other user it had the capabilities in no set but the bounding


@EACH
def test_every_mounted_path_exists_and_is_mounted_for_reading(name: str) -> None:
    for source, how in mounts(name).values():
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert how == "ro"
        else:
            assert source in COMPOSE["volumes"]


def test_every_volume_is_somebodys_and_nobody_shares_one() -> None:
    used = [source for name in SERVICES for source, _ in mounts(name).values() if not source.startswith(".")]
    assert sorted(used) == sorted(COMPOSE["volumes"])


@EACH
def test_images_are_pinned(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        assert (ROOT / service["build"]["dockerfile"]).is_file()
        assert service["build"]["context"] == "."
        version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
        assert version
        assert service["image"] == f"zward:{version[1]}"
    else:
        assert IMAGE.fullmatch(service["image"])


@EACH
def test_nothing_listens_but_on_the_loopback_and_for_syslog(name: str) -> None:
    service = SERVICES[name]
    assert service["network_mode"] == "host"
    assert "ports" not in service  # the host's network has none to publish
    told = {
        "zward": [str(config().http.listen)],
        "grafana": [f"{service.get('environment', {}).get('GF_SERVER_HTTP_ADDR')}:3000"],
        "mails": [service.get("environment", {}).get(f"MP_{which}_BIND_ADDR") for which in ("SMTP", "UI")],
    }
    for address in told.get(name) or [listens(name)]:
        assert LOOPBACK.fullmatch(address), address


def test_ports_agree_with_the_files_that_name_them() -> None:
    [job] = read("grafana/prometheus/prometheus.yml")["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [str(config().http.listen)]
    assert job["static_configs"][0]["labels"]["instance"] == config().notify.host
    [managers] = read("grafana/prometheus/prometheus.yml")["alerting"]["alertmanagers"]
    assert managers["static_configs"][0]["targets"] == [listens("alertmanager")]
    assert config().notify.alertmanager
    assert config().notify.alertmanager.urls == (f"http://{listens('alertmanager')}",)

    smarthost = read("grafana/alertmanager/alertmanager.yml")["global"]["smtp_smarthost"]
    assert smarthost == SERVICES["mails"]["environment"]["MP_SMTP_BIND_ADDR"]
    assert config().notify.email
    assert str(config().notify.email.server) == smarthost

    hosts = dict(each.split(":") for each in SERVICES["grafana"]["extra_hosts"])
    for source in read("grafana/provisioning/datasources/zward.yml")["datasources"]:
        name, port = source["url"].removeprefix("http://").split(":")
        assert listens(name) == f"{hosts[name]}:{port}"


def test_configurations_lie_where_the_programs_look_for_them() -> None:
    assert "/etc/zward/zward.toml" in mounts("zward")
    for name, file in (("prometheus", "prometheus.yml"), ("alertmanager", "alertmanager.yml")):
        assert f"--config.file=/etc/{name}/{file}" in SERVICES[name]["command"]
        assert (ROOT / mounts(name)[f"/etc/{name}"][0] / file).is_file()
    [provider] = read("grafana/provisioning/dashboards/zward.yml")["providers"]
    assert mounts("grafana")[provider["options"]["path"]][0] == "./grafana/dashboards"
    for part in ("datasources", "dashboards"):
        assert list((ROOT / mounts("grafana")[f"/etc/grafana/provisioning/{part}"][0]).glob("*.yml"))


def test_what_is_written_lies_in_a_volume() -> None:
    store, socket = config().store.path, config().admin.socket
    assert str(store.parent) in mounts("zward")
    assert any(socket.is_relative_to(each.split(":")[0]) for each in SERVICES["zward"]["tmpfs"])
    for name, flag in (("prometheus", "storage.tsdb.path"), ("alertmanager", "storage.path")):
        [where] = [each.partition("=")[2] for each in SERVICES[name]["command"] if each.startswith(f"--{flag}=")]
        assert where in mounts(name)


def test_grafana_lets_nobody_log_in_with_the_password_that_all_know() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"


def test_zward_bans_nobody_until_somebody_says_so() -> None:
    assert config().mode is Mode.OBSERVE
