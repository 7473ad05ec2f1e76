"""A configuration is put in its place in one step, and those before it stay, up to a bound."""

import os
import stat

import pytest

from appliance.config import writing
from appliance.config.writing import KEPT, replace, why_not, write

NOW = 1_795_341_600.0


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_new_file_is_readable_by_all_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "etc" / "zward.toml"

    assert write(path, "a = 1\n", NOW) is None

    assert path.read_text() == "a = 1\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert names(path.parent) == ["zward.toml"]


def test_the_file_before_is_kept_under_its_time(tmp_path):
    path = tmp_path / "zward.toml"
    path.write_text("old")
    path.chmod(0o640)

    kept = write(path, "new", NOW)

    assert kept == tmp_path / "zward.toml.before-20261122T100000Z"
    assert kept.read_text() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(kept.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to others needs root")
def test_the_owner_stays(tmp_path):
    path = tmp_path / "zward.toml"
    path.write_text("old")
    os.chown(path, 0, 4242)

    write(path, "new", NOW)

    assert path.stat().st_gid == 4242


def test_as_many_are_kept_as_said_and_nothing_else_goes(tmp_path):
    path = tmp_path / "zward.toml"
    others = ["zward.toml.before-my-holiday", "zward.toml.dpkg-dist", "other.toml.before-20261122T100000Z"]
    for name in others:
        (tmp_path / name).write_text("mine")

    for number in range(KEPT + 5):
        write(path, str(number), NOW + number)

    kept = [name for name in names(tmp_path) if name not in (*others, "zward.toml")]
    assert len(kept) == KEPT
    assert [(tmp_path / name).read_text() for name in kept] == [str(number) for number in range(4, 4 + KEPT)]
    assert set(others) < set(names(tmp_path))


def test_two_in_one_second_are_both_kept_up_to_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "SAME_SECOND", 2)
    path = tmp_path / "zward.toml"
    for text in ("1", "2", "3"):
        write(path, text, NOW)

    assert [(tmp_path / name).read_text() for name in names(tmp_path)] == ["3", "1", "2"]
    with pytest.raises(FileExistsError):
        write(path, "4", NOW)
    assert path.read_text() == "3"


def test_a_link_beside_it_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / ".zward.toml.new").symlink_to(victim)

    replace(tmp_path / "zward.toml", b"x")

    assert victim.read_text() == "mine"


def test_whoever_may_not_write_is_told_who_may(tmp_path, monkeypatch):
    assert why_not(tmp_path / "not" / "there" / "zward.toml") is None
    monkeypatch.setattr(os, "access", lambda *_: False)

    assert why_not(tmp_path / "zward.toml") is not None
    assert "sudo zward setup wizard" in str(why_not(type(tmp_path)("/etc/zward/zward.toml")))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert str(why_not(type(tmp_path)("/etc/zward.toml"))).startswith(
        "/etc/zward.toml cannot be written by you (uid 1000)"
    )
