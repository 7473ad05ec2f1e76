"""Configurations kept for a way back: what is kept, and what of it is believed."""

import os
import stat
import time
from pathlib import Path

import pytest

from appliance.config.kept import (
    LOOKED_AT,
    MOST,
    Kept,
    KeptError,
    bare,
    digest_of,
    directory_of,
    fault_of,
    keep,
    keep_in_force,
    last_good,
    listed,
    store_named_in,
    text_of,
)
from appliance.config.load import parse
from appliance.config.places import FILE_BYTES

STORE = Path("/var/lib/zward/zward.db")
GOOD = 'mode = "observe"\n'
NOW = 1_700_000_000.0


def numbered(number: int) -> str:
    return f"{GOOD}# {number}\n"


def put(directory: Path, content: bytes) -> Kept:
    """A file whose name says the truth of its bytes."""
    keep(directory, "", NOW)
    (kept,) = listed(directory)
    text = content.decode("utf-8", "replace")
    path = kept.path.with_name(kept.path.name.replace(kept.digest, digest_of(text)))
    kept.path.rename(path)
    path.write_bytes(content)
    return Kept(path, kept.time, digest_of(text))


# Keeping


def test_what_is_kept_comes_back_as_it_was_and_is_for_nobody_else(tmp_path):
    text = GOOD + "# ä\r\n\t# a tail without an end"
    keep(tmp_path / "configs", text, NOW)

    (kept,) = listed(tmp_path / "configs")

    assert text_of(kept) == text
    assert kept.time.timestamp() == NOW
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.path.parent.stat().st_mode) == 0o700


def test_the_newest_stands_first_also_within_a_second(tmp_path):
    for number in range(5):
        keep(tmp_path, numbered(number), NOW + number / 10)

    assert [text_of(kept) for kept in listed(tmp_path)] == [numbered(number) for number in (4, 3, 2, 1, 0)]


def test_the_same_text_is_kept_once_by_its_last_time(tmp_path):
    keep(tmp_path, numbered(1), NOW)
    keep(tmp_path, numbered(2), NOW + 1)
    keep(tmp_path, numbered(1), NOW + 2)

    assert [text_of(kept) for kept in listed(tmp_path)] == [numbered(1), numbered(2)]


def test_the_oldest_of_too_many_goes_and_the_newest_stays_though_the_clock_was_set_back(tmp_path):
    for number in range(MOST + 3):
        keep(tmp_path, numbered(number), NOW + number)
    assert [text_of(kept) for kept in listed(tmp_path)] == [numbered(n) for n in range(MOST + 2, 2, -1)]

    keep(tmp_path, "# of yesterday", NOW - 86400)

    texts = [text_of(kept) for kept in listed(tmp_path)]
    assert len(texts) == MOST
    assert "# of yesterday" in texts


def test_a_write_that_was_broken_off_is_no_configuration(tmp_path):
    (tmp_path / ".new").write_text("half")

    assert listed(tmp_path) == []
    keep(tmp_path, GOOD, NOW)
    assert [path.name for path in tmp_path.iterdir()] == [listed(tmp_path)[0].path.name]


def test_only_what_the_file_says_and_is_in_force_is_kept(tmp_path, caplog):
    path, text = tmp_path / "zward.toml", f'[store]\npath = "{tmp_path}/zward.db"\n'
    path.write_text(text)
    config = parse(text, "x")

    keep_in_force(path, config, NOW)
    path.write_text(text + "[ladder]\njitter = 0.2\n")  # somebody edits it while it is taken up
    keep_in_force(path, config, NOW + 1)
    path.write_text(text + "[ladder]\njitter = 7\n")
    keep_in_force(path, config, NOW + 2)

    assert [text_of(kept) for kept in listed(tmp_path / "configs")] == [text]
    assert "not kept for zward rollback" in caplog.text


def test_where_nothing_can_be_written_that_is_told_and_nothing_breaks(tmp_path, caplog):
    path, text = tmp_path / "zward.toml", f'[store]\npath = "{tmp_path}/zward.db"\n'
    path.write_text(text)
    (tmp_path / "configs").write_text("a file stands there")

    keep_in_force(path, parse(text, "x"), NOW)

    assert "not kept for zward rollback: [Errno" in caplog.text


# Believing


def hostile_link(directory: Path) -> Kept:
    kept = put(directory, GOOD.encode())
    kept.path.rename(directory / "elsewhere")
    kept.path.symlink_to(directory / "elsewhere")
    return kept


def two_names(directory: Path) -> Kept:
    kept = put(directory, GOOD.encode())
    os.link(kept.path, directory / "another")
    return kept


def writable(directory: Path) -> Kept:
    kept = put(directory, GOOD.encode())
    kept.path.chmod(0o662)
    return kept


def queue(directory: Path) -> Kept:
    kept = put(directory, GOOD.encode())
    kept.path.unlink()
    os.mkfifo(kept.path, 0o600)
    return kept


def folder(directory: Path) -> Kept:
    kept = put(directory, GOOD.encode())
    kept.path.unlink()
    kept.path.mkdir()
    return kept


def too_long(directory: Path) -> Kept:
    return put(directory, b"#" * (FILE_BYTES + 1))


def another_text(directory: Path) -> Kept:
    kept = put(directory, GOOD.encode())
    kept.path.write_text(GOOD + "# changed")
    return kept


def no_text(directory: Path) -> Kept:
    return put(directory, b"\xff\xfe")


def faulty(directory: Path) -> Kept:
    return put(directory, b'mode = "sleep"\n')


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (hostile_link, "cannot be read: Too many levels of symbolic links"),
        (two_names, "not a plain file that uid"),
        (writable, "not a plain file that uid"),
        (queue, "not a plain file that uid"),
        (folder, "not a plain file that uid"),
        (too_long, f"longer than {FILE_BYTES} bytes"),
        (another_text, "its digest is another"),
        (no_text, "not UTF-8"),
        (faulty, 'mode: found "sleep", expected'),
    ],
)
def test_what_somebody_else_can_have_put_there_or_is_no_configuration_is_refused(tmp_path, make, reason):
    kept = make(tmp_path / "configs")

    with pytest.raises(KeptError, match=reason):
        text_of(kept)
    assert reason in fault_of(kept)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to others needs root (sudo make test)")
def test_a_file_of_another_user_than_its_directorys_is_refused(tmp_path):
    kept = put(tmp_path / "configs", GOOD.encode())
    os.chown(kept.path, 12345, 12345)

    with pytest.raises(KeptError, match="not a plain file that uid 0 alone can have written"):
        text_of(kept)

    os.chown(kept.path.parent, 12345, 12345)
    assert text_of(kept) == GOOD


def test_a_directory_that_is_a_way_to_another_is_not_followed(tmp_path):
    kept = put(tmp_path / "elsewhere", GOOD.encode())
    (tmp_path / "configs").symlink_to("elsewhere")

    with pytest.raises(KeptError, match="cannot be read"):
        text_of(Kept(tmp_path / "configs" / kept.path.name, kept.time, kept.digest))


def test_names_that_we_do_not_give_are_not_looked_at_and_not_too_many_of_them(tmp_path):
    good = put(tmp_path, GOOD.encode())
    for name in ("x.toml", good.path.name + "~", "20239914T221320.000000Z-0123456789abcdef.toml"):
        (tmp_path / name).write_text(GOOD)
    assert listed(tmp_path) == [good]

    for number in range(LOOKED_AT + 10):
        (tmp_path / f"20231114T221320.{number:06}Z-0123456789abcdef.toml").touch()
    assert len(listed(tmp_path)) <= LOOKED_AT


def test_the_last_good_one_is_the_newest_without_a_fault(tmp_path):
    path, text = tmp_path / "zward.toml", f'[store]\npath = "{tmp_path}/zward.db"\n'
    path.write_text(text + "mode = ")  # no TOML any more
    assert last_good(path) is None
    for number, kept in enumerate([text, text + "# 2", text + "from_the_future = 1"]):
        keep(tmp_path / "configs", kept, time.time() + number)

    good = last_good(path)

    assert good is not None
    assert text_of(good) == text + "# 2"


# Where the store is, by a configuration that may have faults


@pytest.mark.parametrize(
    ("text", "store"),
    [
        ('[store]\npath = "/srv/z/zward.db"\n', "/srv/z/zward.db"),
        ('unknown = 1\n[store]\npath = "/srv/z/zward.db"\n', "/srv/z/zward.db"),
        ('mode = \n[listen]\nudp = []\n[store] # here\n  path = "/srv/z/zward.db"\n[', "/srv/z/zward.db"),
        ("mode = ", STORE),
        ("[store]\npath = 7\n", STORE),
        ("store = 7\n", STORE),
        ('[store]\npath = "relative.db"\n', STORE),
        ('[store]\npath = "/a\\u0000b"\n', STORE),
        ("a = " + "[" * 5000, STORE),
        ("", STORE),
    ],
)
def test_where_the_store_is_can_be_told_in_spite_of_faults(tmp_path, text, store):
    (tmp_path / "zward.toml").write_text(text)

    assert store_named_in(tmp_path / "zward.toml") == Path(store)


def test_without_a_file_the_store_is_where_the_unit_has_it(tmp_path):
    assert store_named_in(None) == store_named_in(tmp_path / "none") == STORE
    assert directory_of(STORE) == Path("/var/lib/zward/configs")


def test_a_faulty_configuration_still_says_where_everything_is(tmp_path):
    path = tmp_path / "zward.toml"
    text = '[admin]\nsocket = "/run/z/z.sock"\n[store]\npath = "/srv/z.db"\n[firewall]\ndirectory = "relative"\n'
    path.write_text(text + "[ladder]\njitter = 7\n")

    config = bare(path)

    assert config == parse('[admin]\nsocket = "/run/z/z.sock"\n[store]\npath = "/srv/z.db"\n', "x")
    assert config.firewall_directory == Path("/run/z-firewall")
