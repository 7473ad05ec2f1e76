"""A whole zward, observing on loopback: start, lines, reload, restart, end."""

import signal
import subprocess
import time

import pytest
from lines import audit_failure, syslog
from running import COMMAND, CONFIG, running

pytestmark = pytest.mark.daemon

SOURCE = "198.51.100.7"
FAILED_RELOADS = 'zward_config_reloads_total{result="failure"}'


def failures(number: int) -> list[bytes]:
    return [audit_failure(SOURCE, time.time()) for _ in range(number)]


def test_the_first_lines_say_where_it_listens_and_what_to_send(tmp_path):
    with running(tmp_path) as zward:
        greeting = "\n".join(zward.greeting)

        assert f"listening udp 127.0.0.1:{zward.port}" in greeting
        assert f"listening tcp [::1]:{zward.port}" in greeting
        assert "zward setup rsyslog" in greeting
        assert f"http://127.0.0.1:{zward.http}/metrics" in greeting


def test_a_guesser_is_seen_in_observe_and_nobody_is_banned(tmp_path):
    with running(tmp_path) as zward:
        zward.send(*failures(7))
        zward.until(lambda: zward.metric('zward_verdicts_total{detector="guessing",verdict="would_ban"}') == 1)

        why = zward.ask_json("why", SOURCE)
        assert why["banned"] is None
        assert "6 bad passwords on ana@example.com" in why["would_be_banned"]["reason"]
        assert zward.ask_json("bans") == []
        assert [each["address"] for each in zward.ask_json("bans", "--observed")] == [SOURCE]
        assert zward.page("/readyz") == "ready\n"
        assert zward.page("/healthz") == "ok\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_and_soon(tmp_path, number):
    with running(tmp_path) as zward:
        zward.send(*failures(3))
        seconds = zward.stop(number)

        assert zward.process.returncode == 0, zward.log
        assert seconds < 10  # the goal is 2 s; a loaded machine gets more
        assert not (tmp_path / "zward.sock").exists()
        assert "Traceback" not in zward.log


def test_lines_sent_right_before_the_end_are_still_written_down(tmp_path):
    with running(tmp_path) as zward:
        zward.send(*failures(4))
        zward.stop()
    with running(tmp_path) as zward:
        assert zward.ask_json("why", SOURCE)["counts"][0]["number"] == 4


def test_a_reload_takes_up_listeners_and_lists(tmp_path):
    with running(tmp_path) as zward:
        old = zward.config.read_text()
        zward.config.write_text(
            old.replace(f'"[::1]:{zward.port}"', f'"127.0.0.2:{zward.port}"')
            + '[allow]\nnetworks = ["198.51.100.0/24"]\n'
        )

        assert zward.ask("reload").returncode == 0

        listening = zward.ask_json("status")["listening"]
        assert f"tcp 127.0.0.2:{zward.port}" in listening
        assert f"tcp [::1]:{zward.port}" not in listening
        assert zward.ask("ban", SOURCE, "--for", "1h", "--reason", "x").returncode == 6
        assert zward.metric('zward_config_reloads_total{result="success"}') == 1


def test_a_faulty_reload_names_file_line_and_key_and_the_old_configuration_lives(tmp_path):
    with running(tmp_path) as zward:
        old = zward.config.read_text()
        zward.config.write_text(old + "[detect.guessing]\npionts = 3\n")
        line = old.count("\n") + 2

        answer = zward.ask("reload")

        assert answer.returncode == 5
        assert f"{zward.config}:{line}: detect.guessing.pionts" in answer.stderr
        zward.process.send_signal(signal.SIGHUP)
        zward.until(lambda: zward.metric(FAILED_RELOADS) == 2)
        assert f"{zward.config}:{line}: detect.guessing.pionts" in zward.log
        zward.config.write_text(old)
        zward.send(*failures(7))
        zward.until(
            lambda: zward.metric('zward_events_total{evidence="strong",outcome="bad_password",protocol="imap"}') == 7
        )


def test_a_sighup_reloads(tmp_path):
    with running(tmp_path) as zward:
        zward.config.write_text(zward.config.read_text() + "[detect.guessing]\npoints = 3\n")
        zward.process.send_signal(signal.SIGHUP)
        zward.until(lambda: zward.metric('zward_config_reloads_total{result="success"}') == 1)
        zward.send(*failures(3))

        zward.until(lambda: zward.metric('zward_verdicts_total{detector="guessing",verdict="would_ban"}') == 1)


def test_lines_of_sshd_count_from_the_reload_on_that_asks_for_them(tmp_path):
    line = syslog(time.time(), "sshd[7]", f"Failed password for root from {SOURCE} port 51002 ssh2")
    imap, ssh = (
        f'zward_events_total{{evidence="strong",outcome="bad_password",protocol="{protocol}"}}'
        for protocol in ("imap", "ssh")
    )
    with running(tmp_path) as zward:
        zward.send(line, *failures(1))
        zward.until(lambda: zward.metric(imap) == 1)
        assert zward.metric(ssh) == 0

        zward.config.write_text(zward.config.read_text() + "[sshd]\nenabled = true\n")
        assert zward.ask_json("reload")["needs_restart"] == []
        zward.send(*[line] * 6)
        zward.until(lambda: zward.metric(ssh) == 6)

        assert "over imap and ssh" in zward.ask_json("why", SOURCE)["would_be_banned"]["reason"]


def test_a_port_in_use_is_told_and_nothing_is_left_behind(tmp_path):
    with running(tmp_path) as zward:
        other = tmp_path / "other"
        other.mkdir()
        (other / "zward.toml").write_text(CONFIG.format(port=zward.port, http=zward.http, directory=other))
        second = subprocess.run(
            [COMMAND, "run", "--config", str(other / "zward.toml")],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

        assert zward.ask("status").returncode == 0
        assert second.returncode == 1
        assert f"127.0.0.1:{zward.port}" in second.stderr
        assert "Traceback" not in second.stderr
