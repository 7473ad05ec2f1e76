"""A whole zward on what an earlier one left behind: its store, its counts, its configuration."""

import time

import pytest
from oldstores import LIFTED, REMAINING, VERSIONS, old_store
from running import running

pytestmark = pytest.mark.daemon


@pytest.mark.parametrize("version", VERSIONS)
def test_it_goes_on_with_the_store_of_an_older_one(tmp_path, version):
    began = time.time()
    old_store(tmp_path / "zward.db", version, began)

    with running(tmp_path) as zward:
        bans = {ban["address"]: ban["remaining"] for ban in zward.ask_json("bans") if ban["scope"] == "all"}
        lifted = zward.ask_json("why", LIFTED)
        took = time.time() - began

    assert bans.keys() == REMAINING.keys()
    assert all(seconds - took - 1 <= bans[net] <= seconds for net, seconds in REMAINING.items())
    assert lifted["banned"] is None
    assert lifted["bans"][0]["lifted_for"] == "was our own office"


def test_what_it_took_up_is_kept_and_named_where_it_refuses_to_start(tmp_path):
    with running(tmp_path) as zward:
        good = zward.config.read_text()
        zward.config.write_text(good + "[ladder]\njitter = 0.2\n")
        assert zward.ask("reload").returncode == 0
        zward.config.write_text(good + "[ladder]\njitter = 7\n")
        assert zward.ask("reload").returncode == 5
        back = zward.ask("rollback", "--yes")

        assert back.returncode == 0, back.stderr
        assert "\nreloaded\n" in back.stdout
        assert zward.config.read_text() == good + "[ladder]\njitter = 0.2\n"
        listing = zward.ask_json("rollback", "--list")
        zward.stop()

        zward.config.write_text(good + "[ladder]\njitter = 7\n")
        refused = zward.ask("run")

    assert [(kept["in_use"], kept["fault"]) for kept in listing] == [(True, ""), (False, "")]
    assert refused.returncode == 5
    assert "ladder.jitter: found 7" in refused.stderr
    assert f"worked ({listing[0]['path']}): zward rollback puts it back" in refused.stderr


def test_counts_that_another_version_wrote_are_told_of_and_left(tmp_path):
    (tmp_path / "zward.db.counts").write_bytes(b"zward judgement 0123456789abcdef\n" + bytes(100))

    with running(tmp_path) as zward:
        assert zward.page("/readyz") == "ready\n"

    assert "zward.db.counts: written by another version" in zward.log
    assert "what is needed is counted again from the evidence" in zward.log
