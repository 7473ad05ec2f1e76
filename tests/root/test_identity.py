"""Who the receiver is, and what of root's it is given."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from forking import require_root

from appliance.root.identity import ROOT, UNNAMED, GivingError, Identity, give, named, obstacle, receiver_identity

NAMES = ("zward.db", "zward.sock")
SOMEBODY = Identity(UNNAMED, UNNAMED, f"uid {UNNAMED}")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may go into, and nobody but root may write in."""
    require_root()
    with tempfile.TemporaryDirectory(prefix="zward-") as made:
        path = Path(made)
        path.chmod(0o755)
        yield path


def owner(path: Path) -> int:
    return path.lstat().st_uid


# Who


def test_without_a_user_of_its_own_the_receiver_is_a_number_that_nobody_has(place):
    if named("zward"):
        pytest.skip("this machine has a user zward")

    assert receiver_identity(place, [(place, os.R_OK)]) == (SOMEBODY, "")


def test_where_there_is_a_user_zward_it_is_that_one(place, monkeypatch):
    installed = Identity(1, 1, "zward")
    monkeypatch.setattr("appliance.root.identity.named", lambda name: installed if name == "zward" else None)

    assert receiver_identity(place, [(place, os.R_OK)]) == (installed, "")


def test_code_that_only_its_owner_can_read_is_run_by_its_owner(place, monkeypatch):
    monkeypatch.setattr("appliance.root.identity.named", lambda name: None)
    code = place / "code"
    code.mkdir(mode=0o700)
    os.chown(code, 4242, 4243)

    identity, why = receiver_identity(code, [(code, os.R_OK | os.X_OK)])

    assert (identity.uid, identity.gid, why) == (4242, 4243, "")


def test_code_that_only_root_can_read_makes_the_receiver_root_and_says_which_directory_is_closed(place, monkeypatch):
    monkeypatch.setattr("appliance.root.identity.named", lambda name: None)
    closed = place / "home"
    code = closed / "zward"
    code.mkdir(parents=True)
    closed.chmod(0o700)

    identity, why = receiver_identity(code, [(code, os.R_OK | os.X_OK)])

    assert identity == ROOT
    assert why == f"uid {UNNAMED} cannot be the receiver: {closed} is closed to it, on the way to {code}"


def test_a_link_into_a_closed_directory_is_an_obstacle(place):
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python").touch()
    (place / "python").symlink_to(closed / "python")

    assert obstacle(SOMEBODY, [(place / "python", os.X_OK)]).startswith(f"{closed} is closed to it")


def test_a_file_that_may_not_be_read_is_an_obstacle(place):
    (place / "zward.toml").touch(mode=0o600)

    assert obstacle(SOMEBODY, [(place / "zward.toml", os.R_OK)]) == f"it may not read {place}/zward.toml"
    assert obstacle(ROOT, [(place / "zward.toml", os.R_OK)]) == ""


def test_a_uid_that_the_kernel_does_not_know_is_an_obstacle(place):
    impossible = Identity(2**32 - 1, 2**32 - 1, "nobody at all")

    assert obstacle(impossible, []).startswith("the kernel does not let root become it")


def test_who_is_not_there_is_nobody():
    assert named("no-such-user-of-zward") is None
    assert named("root") == ROOT


# What


def test_a_directory_is_made_and_given(place):
    give(place / "lib" / "zward", SOMEBODY, NAMES)

    made = (place / "lib" / "zward").stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (UNNAMED, UNNAMED, 0o700)
    assert owner(place / "lib") == 0


def test_the_known_files_in_it_are_given(place):
    directory = place / "zward"
    directory.mkdir()
    known = [
        directory / name for name in ("zward.db", "zward.db-wal", "zward.db-shm", "zward.db.corrupt-20260101T0000Z")
    ]
    for path in known:
        path.touch()

    give(directory, SOMEBODY, NAMES)

    assert {owner(path) for path in (directory, *known)} == {UNNAMED}


def test_a_directory_with_anything_else_in_it_is_not_given(place):
    (place / "zward.db").touch()
    (place / "zward.dba").touch()

    with pytest.raises(GivingError, match=r"is not given to uid 61514: it holds 'zward\.dba'; name a directory"):
        give(place, SOMEBODY, NAMES)

    assert owner(place) == owner(place / "zward.db") == 0


def test_in_a_directory_that_it_has_already_what_is_not_known_stays_as_it_is(place):
    directory = place / "zward"
    directory.mkdir()
    os.chown(directory, UNNAMED, UNNAMED)
    for name in ("zward.db", "notes"):
        (directory / name).touch()

    give(directory, SOMEBODY, NAMES)

    assert (owner(directory / "zward.db"), owner(directory / "notes")) == (UNNAMED, 0)


def test_a_directory_where_everybody_may_write_is_not_used(place):
    place.chmod(0o1777)

    with pytest.raises(GivingError, match="everybody may write in"):
        give(place, SOMEBODY, NAMES)


def test_no_directory_of_the_system_is_given(monkeypatch):
    require_root()
    given = []
    monkeypatch.setattr(os, "fchown", lambda *what: given.append(what))  # nothing happens to this machine

    for path in map(Path, ("/srv", "/var", "/run", "/var/lib", "/etc")):
        with pytest.raises(GivingError):
            give(path, SOMEBODY, NAMES)

    assert given == []


def test_a_link_in_place_of_the_directory_is_not_followed(place):
    (place / "other").mkdir()
    (place / "zward").symlink_to("other")

    with pytest.raises(GivingError, match="symbolic link"):
        give(place / "zward", SOMEBODY, NAMES)

    assert owner(place / "other") == 0


def test_neither_a_link_nor_a_second_name_gets_somebody_another_ones_file(place):
    directory = place / "zward"
    directory.mkdir()
    secret = place / "shadow"
    secret.touch()
    (directory / "zward.db").symlink_to(secret)
    os.link(secret, directory / "zward.db-wal")
    os.mkfifo(directory / "zward.db-shm")

    give(directory, SOMEBODY, NAMES)

    assert owner(secret) == 0
    assert owner(directory) == UNNAMED


def test_what_was_given_goes_back_to_root_where_the_receiver_is_root(place):
    directory = place / "zward"
    give(directory, SOMEBODY, NAMES)
    (directory / "zward.db").touch()
    os.chown(directory / "zward.db", UNNAMED, UNNAMED)

    give(directory, ROOT, NAMES)

    assert owner(directory) == owner(directory / "zward.db") == 0
