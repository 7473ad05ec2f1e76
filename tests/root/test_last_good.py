"""What root loaded last: kept, believed or not."""

import json
import os
import stat
from pathlib import Path

import pytest

from appliance.address import parse_network
from appliance.firewall.orders import Orders
from appliance.root import last_good
from appliance.root.files import LoadError, Refusal
from appliance.root.last_good import NAME, Plan, forget, keep, kept, place_of, settle

NOW = 1_700_000_000.0
PLAN = Plan(
    Path("/run/zward-firewall"),
    Orders(never_ban=frozenset([parse_network("192.0.2.0/24")]), mark=True, extra_ports=(22,)),
    "table inet zward_policy {\n}\n",
    "routed",
    {"net.ipv4.ip_forward": "1"},
)
OTHER = Plan(Path("/run/zward-firewall"), Orders(), None, None, {})


def test_what_was_loaded_comes_back_as_it_was(tmp_path):
    for plan in (PLAN, OTHER):
        keep(tmp_path / "kept", plan, NOW, waits=False)

        found, when = kept(tmp_path / "kept")
        assert found == plan
        assert when.timestamp() == NOW
    assert stat.S_IMODE((tmp_path / "kept" / NAME).stat().st_mode) == 0o600


def test_what_waits_to_be_confirmed_does_not_count_until_it_is(tmp_path):
    keep(tmp_path, PLAN, NOW, waits=False)
    keep(tmp_path, OTHER, NOW + 1, waits=True)
    assert kept(tmp_path)[0] == PLAN

    settle(tmp_path)
    settle(tmp_path)  # two may hear that it was confirmed

    assert kept(tmp_path)[0] == OTHER


def test_a_load_that_waits_for_nobody_ends_what_waited(tmp_path):
    keep(tmp_path, OTHER, NOW, waits=True)
    keep(tmp_path, PLAN, NOW, waits=False)

    settle(tmp_path)

    assert kept(tmp_path)[0] == PLAN


def test_what_is_forgotten_does_not_come_back(tmp_path):
    keep(tmp_path, OTHER, NOW, waits=False)
    keep(tmp_path, OTHER, NOW, waits=True)

    forget(tmp_path)
    forget(tmp_path)

    with pytest.raises(LoadError, match="nothing was ever loaded that is kept in"):
        kept(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("time", "soon"), ("time", 1e300), ("policy", 7), ("mode", []), ("switches", {"a": 1}), ("switches", "none")),
        *(("orders", "ban everybody"), ("orders", None), ("directory", 3), ("version", 2)),
    ],
)
def test_what_is_damaged_is_refused_with_its_place(tmp_path, key, value):
    keep(tmp_path, PLAN, NOW, waits=False)
    path = tmp_path / NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))

    with pytest.raises(LoadError, match=f"{path}: (damaged|of version 2)"):
        kept(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", "[" * 100_000])
def test_what_is_none_of_ours_is_refused(tmp_path, text):
    (tmp_path / NAME).write_text(text)

    with pytest.raises(LoadError, match="damaged"):
        kept(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to others needs root (sudo make test)")
def test_what_the_helpers_user_can_have_written_is_not_believed(tmp_path):
    keep(tmp_path, PLAN, NOW, waits=False)
    os.chown(tmp_path / NAME, 12345, 12345)
    with pytest.raises(Refusal, match="not a file that root alone can have written"):
        kept(tmp_path)

    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(LoadError, match=f"{tmp_path} belongs to uid 12345: chown root {tmp_path}"):
        keep(tmp_path, PLAN, NOW, waits=False)


def test_a_load_by_hand_keeps_it_only_for_the_unit_that_has_made_the_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(last_good, "DIRECTORY", tmp_path / "kept")
    assert place_of(PLAN.directory) is None

    (tmp_path / "kept").mkdir()

    assert place_of(PLAN.directory) == tmp_path / "kept"
    assert place_of(Path("/run/another-firewall")) is None
