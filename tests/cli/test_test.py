"""`zward test`: one line for each channel, and exit codes."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from invoking import invoke
from notify.mail.sinks import TO, Sink

NOBODY = "127.0.0.1:1"
"""Port 1 (tcpmux): nobody listens there."""


@contextmanager
def sinking() -> Iterator[Sink]:
    """A mail server in a thread of its own, as the command runs its own event loop."""
    begun, stop = threading.Event(), asyncio.Event()
    sink = Sink()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with sink:
            begun.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert begun.wait(20)
        yield sink
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture
def config(tmp_path):
    def written(text: str):
        path = tmp_path / "zward.toml"
        path.write_text(text)
        return path

    return written


def email(server: str) -> str:
    return f'[notify]\nhost = "gw1"\n[notify.email]\nto = ["{TO}"]\nsender = "zward@example.com"\nserver = "{server}"\n'


def test_a_channel_that_works_says_what_the_other_side_answered(config):
    with sinking() as sink:
        answer = invoke("test", "--config", config(email(f"127.0.0.1:{sink.port}")))

        assert answer.stdout == (
            f"email: 127.0.0.1:{sink.port} took the mail for {TO}: 250 2.0.0 Ok: queued as 4F2A\n"
        ), answer.output
        assert (answer.exit_code, answer.stderr) == (0, "")
        assert sink.subjects == ["[zward gw1] Test mail"]


def test_one_that_fails_is_told_and_the_others_are_tried_all_the_same(config, tmp_path):
    log = tmp_path / "zmauditswatch.out"
    answer = invoke("test", "--config", config(email(NOBODY) + f'[notify.zmauditswatch]\nlog = "{log}"\n'))

    assert answer.exit_code == 1
    assert answer.stderr.startswith(f"email: {NOBODY}: ")
    assert answer.stdout.startswith("zmauditswatch: ")
    assert log.exists()


def test_only_those_named_are_tried(config, tmp_path):
    log = tmp_path / "zmauditswatch.out"
    path = config(email(NOBODY) + f'[notify.zmauditswatch]\nlog = "{log}"\n')

    answer = invoke("test", "--config", path, "zmauditswatch")

    assert (answer.exit_code, answer.stderr) == (0, "")


def test_one_that_is_named_and_not_configured_is_not_found(config):
    answer = invoke("test", "--config", config(""), "email", "siem")

    assert answer.exit_code == 3
    assert answer.stderr.splitlines() == [
        "email: not configured: there is no table [notify.email]",
        "siem: not configured: there is no table [notify.siem]",
    ]


def test_without_any_channel_nothing_is_found(config):
    answer = invoke("test", "--config", config(""))

    assert (answer.exit_code, answer.stdout) == (3, "")
    assert answer.stderr == "no channel is configured: there is no table below [notify]\n"


def test_an_invalid_configuration_is_told_with_its_place(config):
    answer = invoke("test", "--config", config("[notify.email]\nto = []\n"))

    assert answer.exit_code == 5
    assert "notify.email.to" in answer.stderr


def test_a_channel_that_does_not_exist_is_a_wrong_usage(config):
    assert invoke("test", "--config", config(""), "telex").exit_code == 2


def test_the_same_as_json(config):
    answer = invoke("test", "--json", "--config", config(email(NOBODY)), "email", "webhook")

    mail, webhook = json.loads(answer.stdout)
    assert (mail["channel"], mail["works"], mail["says"][:12]) == ("email", False, NOBODY + ":")
    assert (webhook["channel"], webhook["works"]) == ("webhook", None)
    assert answer.exit_code == 1


def test_every_channel_is_built_from_its_table(config, tmp_path):
    tables = f"""
[notify.alertmanager]
urls = ["http://{NOBODY}"]
[notify.webhook]
urls = ["http://{NOBODY}/hook"]
[notify.zmauditswatch]
log = "{tmp_path}/zmauditswatch.out"
[notify.siem]
server = "{NOBODY}"
transport = "tcp"
"""
    answer = invoke("test", "--json", "--config", config(email(NOBODY) + tables))

    told = json.loads(answer.stdout)
    assert {each["channel"]: each["works"] for each in told} == {
        "email": False,
        "alertmanager": False,
        "webhook": False,
        "zmauditswatch": True,
        "siem": False,
    }
    assert all(NOBODY in each["says"] for each in told if not each["works"])
