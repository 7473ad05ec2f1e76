"""The e-mail channel against real SMTP servers: what goes out when, what is tried again, what is lost, and floods."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import mails
import pytest
from mails import ANA, FOUR, GUESSER
from notify.mail.sinks import TO, Sink, scripted
from notify.siem.siems import Counts, until

from appliance.config.notify import Email
from appliance.model import Act, Ban, Banned, Noticed, Severity, Spared, Watched
from appliance.notify import backoff
from appliance.notify.channel import Channel, ChannelError
from appliance.notify.mail import batching, mailer, smtp
from appliance.notify.mail.digest import Day
from appliance.notify.mail.mailer import EmailChannel

OUTAGE = Noticed("outage", "site", "25 familiar sources failed", Severity.CRITICAL)
WOULD = Watched(GUESSER, "guessing", "would be banned: 6 points in 30 min", would_ban=True)


class Clock:
    """Runs as the real one does, and can be set."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return time.time() + self.ahead

    async def looked_at(self) -> None:
        """Until the channel has looked at it, and at all that may be due, twice: nothing comes of it later."""
        before = self.looks
        await until(lambda: self.looks >= before + 6)

    def set(self, to: str, zone: tzinfo = UTC) -> None:
        self.ahead = datetime.fromisoformat(to).replace(tzinfo=zone).timestamp() - time.time()


class World:
    """A channel, what it counts, and a clock."""

    def __init__(self, config: Email, zone: tzinfo = UTC, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.counts = Counts()
        self.day = Day(0.0, 86400.0, in_force=7)
        self.days = 0
        runbooks = "https://zward.example/docs/runbooks"
        self.channel = EmailChannel(config, "gw1", runbooks, zone, self._day, self.counts, self.clock)

    async def _day(self) -> Day:
        self.days += 1
        return self.day

    def tell(self, *told: Banned | Spared | Noticed | Watched | Act) -> None:
        for each in told:
            self.channel.tell(each, self.clock())


@contextlib.asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    task = asyncio.create_task(world.channel.run())
    try:
        yield world
        assert not task.done(), "run() never ends by itself"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Seconds become hundredths."""
    monkeypatch.setattr(batching, "QUIET", 0.03)
    monkeypatch.setattr(batching, "WITHIN", 0.2)
    monkeypatch.setattr(backoff, "FIRST", 0.02)
    monkeypatch.setattr(mailer, "LONGEST", 0.1)
    monkeypatch.setattr(mailer, "LOOK", 0.02)
    monkeypatch.setattr(smtp, "ANSWER", 2.0)


def ban(number: int = 1) -> Banned:
    return Banned(Ban(mails.source(number), 0.0, 1800.0, "guessing", "6 points"), (ANA,))


def own(caplog) -> list[str]:
    """What the channel says in the log."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("appliance.notify")]


def test_it_is_a_channel():
    channel: Channel = World(Email.model_validate({"to": [TO]})).channel

    assert (channel.name, channel.waiting) == ("email", 0)


@pytest.mark.asyncio
async def test_an_urgent_notice_is_mailed_at_once_with_its_address_and_account():
    async with Sink() as sink, running(World(sink.config())) as it:
        it.tell(mails.BREAK_IN)
        await until(lambda: it.counts["sent"] == 1)

        (mail,) = sink.mails
        assert mail["Subject"] == "[zward gw1] A stranger seems to know a password: 203.0.113.9 at ana@example.com"
        assert (mail["From"], mail["To"]) == ("zward <zward@example.com>", TO)
        assert it.counts == {"sent": 1}
        assert it.channel.waiting == 0


@pytest.mark.asyncio
async def test_notices_that_come_together_are_one_mail():
    async with Sink() as sink, running(World(sink.config())) as it:
        it.tell(mails.BREAK_IN, OUTAGE)
        await until(lambda: it.counts["sent"] == 1)

        assert sink.mails[0]["X-Zward-Detector"] == "break-in, outage"


@pytest.mark.asyncio
async def test_zmauditswatchs_notices_come_at_once_where_that_is_configured():
    async with Sink() as sink, running(World(sink.config(at_once="notice"))) as it:
        it.tell(FOUR[0])
        await until(lambda: it.counts["sent"] == 1)

        assert sink.subjects == ["[zward gw1] Many failed logins within a minute: 203.0.113.9 at ana@example.com"]


@pytest.mark.asyncio
async def test_bans_would_be_bans_and_lesser_notices_come_in_a_batch():
    async with Sink() as sink, running(World(sink.config(batch_after="1s"))) as it:
        it.tell(ban(), WOULD, FOUR[0], Spared(GUESSER, "guessing", "an office"), Act(0.0, "bruno", "unban", "x", ""))
        it.clock.ahead = 2.0
        await until(lambda: it.counts["sent"] == 1)

        assert sink.subjects == ["[zward gw1] 1 source banned, 1 source would have been banned, 1 notice"]


@pytest.mark.asyncio
async def test_what_is_merely_watched_is_nobodys_business():
    async with Sink() as sink:
        it = World(sink.config())
        it.tell(Watched(GUESSER, "guessing", "2 of 6 points"), Spared(GUESSER, "guessing", "an office"))
        await it.channel.close()

        assert (sink.mails, it.counts) == ([], {})


@pytest.mark.asyncio
async def test_a_hundred_thousand_bans_make_one_small_mail():
    async with Sink() as sink, running(World(sink.config(batch_after="1s", batch_within="1s"))) as it:
        bans = [ban(number) for number in range(100_000)]
        now = it.clock()
        for each in bans:
            it.channel.tell(each, now)
        it.clock.ahead = 2.0
        await until(lambda: it.counts["sent"] == 1)

        assert sink.subjects == ["[zward gw1] 100,000 sources banned"]
        assert "and 99,950 more, by detector: guessing 99,950" in sink.mails[0].get_content()
        assert len(sink.envelopes[0].content or b"") < 10_000


@pytest.mark.asyncio
async def test_while_the_server_is_down_notices_are_gathered_and_none_is_lost(caplog):
    async with Sink() as sink, running(World(sink.config(every="1s"))) as it:
        await sink.stop()
        it.tell(mails.BREAK_IN)
        await until(lambda: it.counts["failed"] >= 3)
        assert it.channel.waiting == 1
        for number in range(30):
            it.tell(Noticed("break-in", f"{number}@example.com", "got in", Severity.CRITICAL))
        await sink.start()
        it.clock.ahead = 5.0
        await until(lambda: it.counts["sent"] == 2)

        assert "30 more" not in sink.subjects[0]
        assert "and 29 more" in sink.subjects[1]
        assert it.counts["dropped"] == 0
        said = own(caplog)
        assert len(said) == 2, said
        assert said[0].startswith(f"e-mail: 127.0.0.1:{sink.port}: ")
        assert said[1].startswith("e-mail works again after ")


@pytest.mark.asyncio
async def test_a_mail_that_is_refused_for_good_is_dropped_and_logged_once(caplog):
    async with Sink() as sink, running(World(sink.config(every="1s"))) as it:
        sink.answers["DATA"] = ["554 5.7.1 looks like spam"]
        it.tell(mails.BREAK_IN)
        await until(lambda: it.counts["dropped"] == 1)
        it.tell(OUTAGE)
        it.clock.ahead = 3.0
        await until(lambda: it.counts["sent"] == 1)

        assert it.counts == {"dropped": 1, "sent": 1}
        (said,) = own(caplog)
        assert said.endswith("554 5.7.1 looks like spam")


@pytest.mark.asyncio
async def test_a_mail_that_is_put_off_keeps_no_other_back_and_goes_out_later(caplog):
    async with Sink() as sink, running(World(sink.config(batch_after="1s"))) as it:
        sink.answers["DATA"] = ["451 4.7.1 greylisted", "250 never asked"]
        it.tell(mails.BREAK_IN, ban())
        it.clock.ahead = 2.0
        await until(lambda: it.counts["sent"] == 2)

        assert it.counts["failed"] == 1
        assert [said for said in own(caplog) if "greylisted" in said]


@pytest.mark.asyncio
async def test_a_mail_that_is_put_off_for_hours_makes_room():
    async with Sink() as sink, running(World(sink.config(every="1s"))) as it:
        sink.answers["DATA"] = ["451 4.7.1 no"] * 1000
        it.tell(mails.BREAK_IN)
        await until(lambda: it.counts["failed"] >= 2)
        it.clock.ahead = mailer.PATIENCE + 60
        await until(lambda: it.counts["dropped"] == 1)

        assert it.channel.waiting == 0


@pytest.mark.asyncio
async def test_a_recipient_that_is_put_off_gets_the_mail_later_and_the_others_once():
    bob = "bob@example.com"
    async with Sink() as sink, running(World(sink.config(to=(TO, bob)))) as it:
        sink.answers[bob] = ["450 4.2.0 later"]
        it.tell(mails.BREAK_IN)
        await until(lambda: it.counts["sent"] == 1)

        assert [each.rcpt_tos for each in sink.envelopes] == [[TO], [bob]]
        first, second = sink.mails
        assert first["Message-ID"] == second["Message-ID"]


@pytest.mark.asyncio
async def test_a_server_that_hangs_does_not_end_it(monkeypatch):
    monkeypatch.setattr(smtp, "ANSWER", 0.05)
    async with scripted({}) as server:
        config = Email.model_validate({"to": [TO], "server": str(server), "digest": "off"})
        async with running(World(config)) as it:
            it.tell(mails.BREAK_IN)
            await until(lambda: it.counts["failed"] >= 3)

            assert it.channel.waiting == 1


@pytest.mark.asyncio
async def test_the_pause_between_two_tries_doubles_up_to_its_limit():
    assert [round(backoff.pause_after(failures, mailer.LONGEST), 2) for failures in range(1, 6)] == [
        0.02,
        0.04,
        0.08,
        0.1,
        0.1,
    ]


@pytest.mark.asyncio
async def test_at_the_end_everything_that_waits_is_sent_without_waiting_for_its_time():
    async with Sink() as sink:
        it = World(sink.config())
        it.tell(ban(), mails.BREAK_IN)
        await it.channel.close()

        assert sorted(sink.subjects) == [
            "[zward gw1] 1 source banned",
            "[zward gw1] A stranger seems to know a password: 203.0.113.9 at ana@example.com",
        ]
        assert it.counts == {"sent": 2}


@pytest.mark.asyncio
async def test_what_cannot_be_sent_at_the_end_is_lost_and_counted(monkeypatch, caplog):
    monkeypatch.setattr(mailer, "CLOSING", 0.1)
    async with scripted({}) as server:
        it = World(Email.model_validate({"to": [TO], "server": str(server), "digest": "off"}))
        it.tell(ban(), mails.BREAK_IN)
        await it.channel.close()

    assert it.counts["dropped"] == 2
    assert it.channel.waiting == 0
    assert "2 mails are lost" in own(caplog)[-1]


@pytest.mark.asyncio
async def test_the_check_tells_what_the_server_answered():
    async with Sink() as sink:
        it = World(sink.config())

        said = await it.channel.check()

        assert said == f"127.0.0.1:{sink.port} took the mail for {TO}: 250 2.0.0 Ok: queued as 4F2A"
        assert sink.subjects == ["[zward gw1] Test mail"]
        assert it.counts == {}


@pytest.mark.asyncio
async def test_the_check_fails_where_one_recipient_is_refused():
    async with Sink() as sink:
        sink.answers[TO] = ["550 5.1.1 nobody"]
        it = World(sink.config(to=(TO, "bob@example.com")))

        with pytest.raises(ChannelError, match=f"{TO}: 550 5.1.1 nobody"):
            await it.channel.check()


# The digest


@pytest.mark.asyncio
async def test_the_digest_goes_out_once_a_day_at_its_time():
    clock = Clock()
    clock.set("2026-11-22 07:29:58")
    async with Sink() as sink, running(World(sink.config(digest="07:30"), clock=clock)) as it:
        await clock.looked_at()
        assert it.days == 0
        clock.set("2026-11-22 07:30:00")
        await until(lambda: it.counts["sent"] == 1)
        clock.set("2026-11-22 23:59:00")
        await clock.looked_at()
        assert it.days == 1
        clock.set("2026-11-23 07:30:01")
        await until(lambda: it.counts["sent"] == 2)

        assert it.days == 2
        assert sink.subjects[0].startswith("[zward gw1] Daily digest: ")
        assert sink.mails[0]["X-Zward-Detector"] == "digest"


@pytest.mark.asyncio
async def test_a_start_after_the_time_sends_it_the_next_day():
    clock = Clock()
    clock.set("2026-11-22 07:30:05", ZoneInfo("Europe/Rome"))
    async with Sink() as sink, running(World(sink.config(digest="07:30"), ZoneInfo("Europe/Rome"), clock)) as it:
        await clock.looked_at()
        assert it.days == 0
        clock.set("2026-11-23 07:30:00", ZoneInfo("Europe/Rome"))
        await until(lambda: it.counts["sent"] == 1)


@pytest.mark.asyncio
async def test_a_clock_that_was_years_ahead_does_not_end_the_digest():
    clock = Clock()
    clock.set("2033-01-01 12:00:00")
    async with Sink() as sink, running(World(sink.config(digest="07:30"), clock=clock)) as it:
        clock.set("2026-11-22 07:29:59")
        await clock.looked_at()
        clock.set("2026-11-22 07:30:01")
        await until(lambda: it.counts["sent"] == 1)


@pytest.mark.asyncio
async def test_no_digest_where_it_is_off():
    clock = Clock()
    clock.set("2026-11-22 07:29:59")
    async with Sink() as sink, running(World(sink.config(), clock=clock)) as it:
        clock.set("2026-11-23 12:00:00")
        await clock.looked_at()

        assert (it.days, sink.mails) == (0, [])


@pytest.mark.asyncio
async def test_a_digest_that_nobody_took_gives_way_to_the_next_days():
    clock = Clock()
    clock.set("2026-11-22 07:29:59")
    async with Sink() as sink, running(World(sink.config(digest="07:30"), clock=clock)) as it:
        await sink.stop()
        clock.set("2026-11-22 07:30:01")
        await until(lambda: it.channel.waiting == 1)
        clock.set("2026-11-23 07:30:01")
        await until(lambda: it.days == 2)

        assert (it.channel.waiting, it.counts["dropped"]) == (1, 1)


@pytest.mark.asyncio
async def test_while_observing_the_digest_counts_the_bans_that_there_would_have_been():
    clock = Clock()
    clock.set("2026-11-22 07:29:59")
    async with Sink() as sink, running(World(sink.config(digest="07:30"), clock=clock)) as it:
        it.day = Day(0.0, 86400.0, is_observing=True, bans={"siege": 99})
        it.tell(WOULD, WOULD)
        clock.set("2026-11-22 07:30:01")
        await until(lambda: it.days == 1)
        await until(lambda: any("digest" in subject for subject in sink.subjects))

        digest = next(mail for mail in sink.mails if "digest" in mail["Subject"])
        assert "2 sources would have been banned (guessing 2)" in digest.get_content()


def test_without_a_sender_mails_are_from_zward_at_this_machine():
    assert mailer._own_address("gw1.example.com") == "zward@gw1.example.com"
    assert mailer._own_address("gateway Rome\r\n") == "zward@gateway-Rome"
    assert mailer._own_address("\u202e") == "zward@zward.invalid"


def test_nothing_is_logged_while_all_is_well(caplog):
    caplog.set_level(logging.INFO)
    World(Email.model_validate({"to": [TO]})).tell(mails.BREAK_IN, ban())

    assert own(caplog) == []
