"""The configuration of a zward without a file, for root and for everyone else."""

from pathlib import Path

import pytest

from appliance.config.default import BUILT_IN, default_text
from appliance.config.load import parse
from appliance.config.schema import Config
from appliance.model import Mode

SYSTEM = (Path("/var/lib/zward/zward.db"), Path("/run/zward/zward.sock"), Path("/run/zward-firewall"))


def built_in(uid: int, **environ: str) -> Config:
    return parse(default_text(uid, environ), BUILT_IN)


@pytest.mark.parametrize(
    ("uid", "environ", "paths"),
    [
        (0, {"HOME": "/root", "XDG_RUNTIME_DIR": "/run/user/0"}, SYSTEM),
        (
            1000,
            {"HOME": "/home/ana"},
            tuple(
                Path("/home/ana/.local/state", name)
                for name in ("zward/zward.db", "zward/zward.sock", "zward-firewall")
            ),
        ),
        (
            1000,
            {"HOME": "/home/ana", "XDG_RUNTIME_DIR": "/run/user/1000", "XDG_STATE_HOME": "/srv/state"},
            (
                Path("/srv/state/zward/zward.db"),
                Path("/run/user/1000/zward/zward.sock"),
                Path("/run/user/1000/zward-firewall"),
            ),
        ),
        (
            1000,
            {"HOME": '/home/"ana" \\'},
            tuple(
                Path('/home/"ana" \\/.local/state', name)
                for name in ("zward/zward.db", "zward/zward.sock", "zward-firewall")
            ),
        ),
    ],
)
def test_files_lie_where_the_user_may_write(uid: int, environ: dict[str, str], paths: tuple[Path, ...]) -> None:
    config = built_in(uid, **environ)

    assert (config.store.path, config.admin.socket, config.firewall_directory) == paths


def test_it_takes_lines_from_private_networks_and_enforces() -> None:
    config = built_in(0)

    assert config.mode is Mode.ENFORCE
    assert [str(endpoint) for endpoint in config.listen.udp] == ["0.0.0.0:5514", "[::]:5514"]
    assert config.listen.tcp == config.listen.udp
    private = ["127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
    assert [str(net) for net in config.listen.senders] == private
    assert config.zimbra.hosts == config.listen.senders


def test_what_it_does_not_set_is_the_schemas_default() -> None:
    config = built_in(0)

    assert config.detect == Config().detect
    assert config.ladder == Config().ladder


def test_without_ipv6_in_the_kernel_it_listens_on_ipv4_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("appliance.config.default.IPV6", tmp_path / "if_inet6")

    config = parse(default_text(0, {}), BUILT_IN)

    assert [str(endpoint) for endpoint in (*config.listen.udp, *config.listen.tcp)] == ["0.0.0.0:5514"] * 2
