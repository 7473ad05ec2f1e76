"""Files that root alone may have written; as root, since nobody else can make such files."""

import os
import stat
import subprocess
from dataclasses import replace as replaced

import pytest

from appliance.firewall.places import replace
from appliance.root.files import LoadError, Refusal, loading, prepare, put, read, require_root, require_roots_own
from appliance.root.privilege import CAP_NET_ADMIN, held

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving files to others needs root (sudo make test)")


def test_whoever_is_not_root_is_told_how_to_be(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("appliance.root.files.held", lambda: replaced(held(), effective=frozenset()))

    with pytest.raises(LoadError, match="only root may: sudo zward firewall load"):
        require_root("zward firewall load")


@as_root
def test_another_user_with_cap_net_admin_is_in_roots_place(monkeypatch, tmp_path):
    """As podman makes one in a container; what it wrote is then as good as root's."""
    os.chown(tmp_path, 1000, 1000)
    (tmp_path / "orders").write_text("mine")
    os.chown(tmp_path / "orders", 1000, 1000)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("appliance.root.files.held", lambda: replaced(held(), effective=frozenset({CAP_NET_ADMIN})))

    require_root("zward firewall load")
    assert read(tmp_path / "orders") == "mine"


@as_root
def test_a_file_that_root_alone_can_change_may_say_what_is_loaded(tmp_path):
    file = tmp_path / "zward.toml"
    file.touch(0o644)
    (tmp_path / "link").symlink_to(file)

    require_roots_own(file)
    require_roots_own(tmp_path / "link")


@as_root
@pytest.mark.parametrize(("mode", "owner"), [(0o664, 0), (0o646, 0), (0o600, 1000)])
def test_a_file_that_others_can_change_may_not(tmp_path, mode, owner):
    file = tmp_path / "zward.toml"
    file.touch()
    file.chmod(mode)
    os.chown(file, owner, 1000)

    with pytest.raises(Refusal, match=f"{file}: .*; the cure: chown root {file}; chmod go-w {file}"):
        require_roots_own(file)


@as_root
def test_a_file_that_others_can_replace_may_not_either(tmp_path):
    tmp_path.chmod(0o777)
    file = tmp_path / "zward.toml"
    file.touch(0o644)

    with pytest.raises(Refusal, match=f"{file} may not say what root loads: {tmp_path}: others than root can write"):
        require_roots_own(file)


@as_root
def test_the_directory_is_made_for_all_to_read_and_one_to_write(tmp_path):
    directory = tmp_path / "run" / "zward-firewall"

    prepare(directory)
    prepare(directory)

    assert stat.S_IMODE(directory.stat().st_mode) == 0o755
    directory.chmod(0o775)
    with pytest.raises(Refusal, match="chmod go-w"):
        prepare(directory)


@as_root
def test_a_directory_that_is_a_way_to_another_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "firewall").symlink_to("elsewhere")

    with pytest.raises(Refusal, match="must be a directory"):
        prepare(tmp_path / "firewall")


@as_root
def test_a_file_is_replaced_in_one_step_whatever_stands_in_its_way(tmp_path):
    file, victim = tmp_path / "policy.nft", tmp_path / "victim"
    victim.write_text("safe")
    file.symlink_to(victim)
    (tmp_path / ".policy.nft.new").symlink_to(victim)

    replace(file, "table inet x { }\n")

    assert victim.read_text() == "safe"
    assert read(file) == "table inet x { }\n"
    assert stat.S_IMODE(file.lstat().st_mode) == 0o644
    assert sorted(each.name for each in tmp_path.iterdir()) == ["policy.nft", "victim"]


@as_root
def test_a_file_that_is_to_be_none_is_removed(tmp_path):
    file = tmp_path / "policy.nft"
    put(file, "x\n")
    put(file, None)
    put(file, None)

    assert read(file) is None


@as_root
def test_what_somebody_else_can_have_written_is_not_read(tmp_path):
    file = tmp_path / "sysctls.before"
    file.write_text("net.ipv4.ip_forward 1\n")
    os.chown(file, 1000, 0)

    with pytest.raises(Refusal, match="look at it and remove it"):
        read(file)
    file.unlink()
    file.symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic links"):
        read(file)


@as_root
def test_only_one_changes_the_policy_at_a_time(tmp_path):
    with loading(tmp_path):
        assert _can_lock(tmp_path / "loading") is False
    assert _can_lock(tmp_path / "loading") is True


def _can_lock(path):
    return subprocess.run(["flock", "--nonblock", path, "true"], check=False).returncode == 0


def test_the_helper_can_read_what_is_locked_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        with loading(tmp_path):
            assert stat.S_IMODE((tmp_path / "loading").stat().st_mode) == 0o644
    finally:
        os.umask(before)


def test_the_file_of_whoever_became_root_by_sudo_and_one_of_roots_group_may(tmp_path, monkeypatch):
    file = tmp_path / "zward.toml"
    file.touch()
    file.chmod(0o664)
    require_roots_own(file)
    os.chown(file, 1000, 0)
    monkeypatch.setenv("SUDO_UID", "1000")
    require_roots_own(file)
    monkeypatch.setenv("SUDO_UID", "1001")
    with pytest.raises(Refusal, match="uid 1000"):
        require_roots_own(file)
