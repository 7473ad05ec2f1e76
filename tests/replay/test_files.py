"""Which files a replay reads, whose they are, and how they are unpacked."""

import bz2
import gzip
import lzma
import os

import pytest
from oldlogs import NOON, write

from appliance.replay.files import Unusable, find_logs, stem_of

TEXT = b"one line\n" * 5000


def found(*paths):
    return find_logs([str(path) for path in paths], NOON)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("audit.log", "audit.log"),
        ("audit.log.2024-05-06.gz", "audit.log"),
        ("zimbra.log.1", "zimbra.log"),
        ("zimbra.log.12.gz", "zimbra.log"),
        ("zimbra.log-20240506.gz", "zimbra.log"),
        ("zimbra.log-20240506.xz", "zimbra.log"),
        ("nginx.access.log-20240506-1715000000", "nginx.access.log"),
        ("zmmailboxd.out.1", "zmmailboxd.out"),
        ("audit-2024-05-06.log", "audit-2024-05-06.log"),
    ],
)
def test_the_stem_is_the_name_before_rotation(name, stem):
    assert stem_of(name) == stem


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["plain", "gz", "bz2", "xz"])
def test_what_packed_a_file_is_told_by_its_bytes(tmp_path, pack):
    path = tmp_path / "mail.log"
    path.write_bytes(pack(TEXT))
    (file,) = found(path)

    assert b"".join(file.chunks()) == TEXT
    assert file.read == file.size == path.stat().st_size
    assert file.faults == []


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_a_packed_file_that_is_cut_off_is_read_up_to_there(tmp_path, pack):
    lines = b"".join(b"line %d %d\n" % (number, number * 7919) for number in range(200_000))
    packed = pack(lines)
    path = tmp_path / "mail.log"
    path.write_bytes(packed[: len(packed) * 3 // 4])
    (file,) = found(path)

    read = b"".join(file.chunks())

    assert lines.startswith(read)
    assert len(read) > len(lines) // 4
    assert len(file.faults) == 1
    number = read.count(b"\n") + 1
    assert file.faults[0].startswith(f"line {number}: it ends in the middle: ")


@pytest.mark.parametrize("name", ["mail.log.gz", "mail.log.bz2", "mail.log.xz"])
def test_a_name_that_promises_what_the_file_is_not_is_a_fault(tmp_path, name):
    path = write(tmp_path / name, [b"plain text"])

    with pytest.raises(Unusable, match=rf"mail.log.{path.suffix[1:]}: line 1: not {path.suffix[1:]}"):
        list(found(path)[0].chunks())


def test_what_begins_like_gzip_and_is_none_is_a_fault(tmp_path):
    path = tmp_path / "mail.log"
    path.write_bytes(b"\x1f\x8b" + b"rubbish" * 100)

    with pytest.raises(Unusable, match="mail.log: cannot be unpacked"):
        list(found(path)[0].chunks())


def test_an_empty_file_has_no_bytes(tmp_path):
    assert list(found(write(tmp_path / "mail.log.gz", []))[0].chunks()) == []


def test_of_a_directory_the_logs_are_taken_in_order(tmp_path):
    for name in ("b.log", "a.log.1", "a.log", "zmmailboxd.out", "readme.md", "syslog.2.gz", "deep/c.log-20240506"):
        write(tmp_path / name, [b"x"])

    assert [file.path.name for file in found(tmp_path)] == [
        *("a.log", "a.log.1", "b.log", "c.log-20240506", "syslog.2.gz", "zmmailboxd.out"),
    ]


def test_a_directory_without_logs_is_a_fault(tmp_path):
    write(tmp_path / "readme.md", [b"x"])

    with pytest.raises(Unusable, match="no log files in this directory"):
        found(tmp_path)


def test_a_file_that_is_not_there_is_a_fault(tmp_path):
    with pytest.raises(Unusable, match="gone.log: cannot be read: No such file"):
        found(tmp_path / "gone.log")


def test_a_file_named_twice_is_read_once(tmp_path):
    path = write(tmp_path / "a.log", [b"x"])

    assert len(found(path, tmp_path)) == 1


def test_files_of_one_host_are_named_after_themselves(tmp_path):
    paths = [write(tmp_path / name, [b"x"]) for name in ("audit.log", "audit.log.1", "nginx.log")]

    assert [file.sender for file in found(*paths)] == ["audit.log", "audit.log", "nginx.log"]


def test_files_of_several_hosts_are_named_after_what_tells_them_apart(tmp_path):
    names = ("mbox1/log/audit.log", "mbox1/log/mailbox.log", "mbox2/log/audit.log.1")
    paths = [write(tmp_path / name, [b"x"]) for name in names]

    assert [file.sender for file in found(*paths)] == ["mbox1/log", "mbox1/log", "mbox2/log"]


def test_a_label_holds_nothing_that_a_header_cannot(tmp_path):
    paths = [write(tmp_path / name, [b"x"]) for name in ("a b\n/audit.log", "c/audit.log")]

    assert [file.sender for file in found(*paths)] == ["a_b_", "c"]


def test_nothing_is_later_than_the_file_or_the_day_after_the_one_in_its_name(tmp_path):
    old, dated = write(tmp_path / "a.log", [b"x"], 1e9), write(tmp_path / "b.log-20240506.gz", [b"x"], NOON + 1e8)
    impossible = write(tmp_path / "c.log-20240231", [b"x"], 1e9)

    assert [file.latest for file in found(old, dated, impossible)] == [1e9, 1715126400.0, 1e9]


def test_what_no_rule_says_of_a_device_is_its_size(tmp_path):
    os.mkfifo(tmp_path / "pipe.log")

    (file,) = found(tmp_path / "pipe.log")

    assert (file.size, file.latest) == (0, NOON)
