"""`zward rollback`, as typed."""

import json
import os
import stat

import pytest
from invoking import HOSTILE, acting, answering, invoke, on_terminal

from appliance.config.kept import keep, listed

RELOADED = {"lifted": [], "needs_restart": ["http.listen"], "needs_load": ["gateway"]}


@pytest.fixture
def place(tmp_path):
    """A configuration, and two that were taken up before it, and it too."""

    class Place:
        config = tmp_path / "zward.toml"
        kept = tmp_path / "configs"
        base = f'[store]\npath = "{tmp_path}/zward.db"\n[admin]\nsocket = "{tmp_path}/zward.sock"\n'

        def text(self, number):
            return f"{self.base}[ladder]\njitter = 0.{number}\n"

        def zward(self, *words, **more):
            return invoke("rollback", *words, "--config", self.config, **more)

    place = Place()
    for number in (1, 2, 3):
        keep(place.kept, place.text(number), 1_700_000_000.0 + number)
    place.config.write_text(place.text(3))
    return place


def test_it_goes_back_to_the_last_that_is_another_and_keeps_the_present_one(place):
    place.config.chmod(0o640)

    done = place.zward("--yes")

    assert done.exit_code == 0, done.stderr
    assert place.config.read_text() == place.text(2)
    (before,) = place.config.parent.glob("zward.toml.before-*")
    assert before.read_text() == place.text(3)
    assert stat.S_IMODE(place.config.stat().st_mode) == 0o640
    assert "-jitter = 0.3\n+jitter = 0.2\n" in done.stdout
    assert f"{place.config}: the configuration of 2023-11-14 22:13:22 UTC\n" in done.stdout
    assert f"the one before it is kept as {before}\n" in done.stdout
    assert "not reloaded: " in done.stdout
    assert "systemctl start zward" in done.stdout


def test_a_faulty_file_gives_way_to_the_last_that_worked(place):
    place.config.write_text(place.base + "mode = ")

    assert place.zward("--yes").exit_code == 0
    assert place.config.read_text() == place.text(3)


def test_a_file_that_is_gone_comes_back_for_everybody_to_read(place, monkeypatch):
    monkeypatch.setattr("appliance.cli.rollback.store_named_in", lambda _: place.config.with_name("zward.db"))
    place.config.unlink()

    done = place.zward("--yes")

    assert done.exit_code == 0, done.stderr
    assert place.config.read_text() == place.text(3)
    assert stat.S_IMODE(place.config.stat().st_mode) == 0o644
    assert "there was none before it" in done.stdout


def test_one_is_chosen_by_its_number_in_the_list(place):
    listing = place.zward("--list")

    assert place.zward("--to", "3", "--yes").exit_code == 0
    assert place.config.read_text() == place.text(1)
    lines = listing.stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [[str(n), "2023-11-14", f"22:13:2{4 - n}"] for n in (1, 2, 3)]
    assert [line.endswith("what the file says now") for line in lines] == [True, False, False]


def test_the_list_as_json_says_which_cannot_be_put_back(place):
    newest = listed(place.kept)[0]
    newest.path.write_text("changed")

    rows = json.loads(place.zward("--list", "--json").stdout)

    assert [row["number"] for row in rows] == [1, 2, 3]
    assert "its digest is another" in rows[0]["fault"]
    assert (rows[1]["fault"], rows[1]["in_use"], rows[0]["in_use"]) == ("", False, True)
    assert "cannot be put back: " in place.zward("--list").stdout


def test_one_with_a_fault_is_passed_over_and_refused_where_it_is_asked_for(place):
    keep(place.kept, 'mode = "sleep"', 1_700_000_009.0)

    asked = place.zward("--to", "1", "--yes")
    last = place.zward("--yes")

    assert asked.exit_code == 5
    assert 'mode: found "sleep"' in asked.stderr
    assert last.exit_code == 0
    assert place.config.read_text() == place.text(2)


def test_where_nothing_is_kept_or_nothing_else_the_exit_code_is_3(place):
    for kept in listed(place.kept)[1:]:
        kept.path.unlink()
    only = place.zward("--yes")
    beyond = place.zward("--to", "2", "--yes")
    listed(place.kept)[0].path.unlink()
    none = place.zward("--yes")

    assert [done.exit_code for done in (only, beyond, none)] == [3, 3, 3]
    assert "but the one in use" in only.stderr
    assert "there is no number 2: 1 are kept" in beyond.stderr
    assert f"no configuration is kept in {place.kept}: " in none.stderr
    assert place.zward("--list").stdout.startswith("no configuration is kept yet")


def test_where_nobody_can_be_asked_nothing_is_changed(place):
    done = place.zward()

    assert done.exit_code == 6
    assert "--yes says so" in done.stderr
    assert place.config.read_text() == place.text(3)
    assert not list(place.config.parent.glob("zward.toml.before-*"))


def test_the_daemon_takes_it_up_and_what_is_left_to_do_is_said(place):
    with answering(place.config.with_name("zward.sock"), {"/reload": RELOADED}):
        done = place.zward("--yes")
        told = json.loads(place.zward("--yes", "--json").stdout)

    assert done.exit_code == 0
    assert "reloaded\n" in done.stdout
    assert "sudo zward firewall load" in done.stdout
    assert told["reloaded"] == RELOADED
    assert told["config"] == str(place.config)
    assert told["restored"].startswith(str(place.kept))


def test_a_daemon_that_says_no_is_heard(place):
    with answering(place.config.with_name("zward.sock"), {"/reload": {"error": "udp: in use"}}, status=422):
        done = place.zward("--yes")

    assert done.exit_code == 5
    assert "udp: in use" in done.stderr


def test_no_text_of_a_configuration_does_anything_to_the_terminal(place):
    place.config.write_text(place.text(3) + "# " + HOSTILE.replace("\n", ""))

    shown = on_terminal("rollback", "--list", "--config", place.config)
    done = place.zward("--yes")

    assert acting(shown) == []
    assert acting(done.stdout) == []
    assert "owned" in done.stdout


def test_a_file_that_cannot_be_read_ends_it_with_what_to_type(place, monkeypatch):
    place.config.unlink()
    place.config.mkdir()

    done = place.zward("--yes")

    assert done.exit_code == 1
    assert "sudo zward rollback" in done.stderr
    assert os.listdir(place.config) == []
