"""One mail to a real SMTP server (aiosmtpd): with TLS, with a password, and every way in which that fails."""

import asyncio
import os

import pytest
from notify.mail.sinks import TO, Sink, scripted, serving
from notify.siem.siems import Certificates

from appliance.config.notify import Email, Security
from appliance.notify.channel import ChannelError
from appliance.notify.mail import smtp
from appliance.notify.mail.smtp import PASSWORD_BYTES, Deferred, MailServer, Refused

MAIL = b"Subject: a test\r\n\r\nText.\r\n"
SENDER, BOB = "zward@example.com", "bob@example.com"
OK = {b"EHLO": b"250 script\r\n", b"MAIL": b"250 ok\r\n", b"RCPT": b"250 ok\r\n", b"QUIT": b"221 bye\r\n"}


async def send(config: Email, host: str = "gw1.example.com") -> smtp.Taken:
    return await MailServer(config, host).send(SENDER, config.to, MAIL)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def password(tmp_path):
    path = tmp_path / "password"
    path.write_text("s3cret\n")
    path.chmod(0o640)
    return path


@pytest.mark.asyncio
async def test_a_mail_is_taken_with_its_envelope_and_the_answer_is_told():
    async with Sink() as sink:
        taken = await send(sink.config(to=(TO, BOB)))

        assert (taken.said, dict(taken.later), dict(taken.refused)) == ("250 2.0.0 Ok: queued as 4F2A", {}, {})
        (envelope,) = sink.envelopes
        assert (envelope.mail_from, envelope.rcpt_tos, envelope.content) == (SENDER, [TO, BOB], MAIL)
        assert sink.greetings == ["gw1.example.com"]


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["gateway Rome", "gw\r\nRSET", "", "-x", "a" * 300, "gw_1"])
async def test_a_name_that_is_no_hosts_is_not_what_we_greet_with(host):
    async with Sink() as sink:
        await send(sink.config(), host)

        assert sink.greetings == ["[127.0.0.1]"]


@pytest.mark.asyncio
async def test_opportunistic_takes_starttls_whoevers_certificate_it_is(certificates):
    async with Sink(serving(certificates.issue("somebody", "DNS:elsewhere.example"))) as sink:
        await send(sink.config())

        assert sink.was_tls == [True]


@pytest.mark.asyncio
async def test_opportunistic_goes_without_tls_where_there_is_none():
    async with Sink() as sink:
        await send(sink.config())

        assert sink.was_tls == [False]


@pytest.mark.asyncio
async def test_none_takes_no_starttls_though_it_is_offered(certificates):
    async with Sink(serving(certificates.issue("plain", "IP:127.0.0.1"))) as sink:
        await send(sink.config(security="none"))

        assert sink.was_tls == [False]


@pytest.mark.asyncio
@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_certificate_is_checked_where_tls_is_wanted(certificates, security):
    context = serving(certificates.issue(f"good-{security}", "IP:127.0.0.1"))
    async with Sink(context, is_tls=security is Security.TLS) as sink:
        await send(sink.config(security=security, ca_file=str(certificates.authority)))
        assert sink.was_tls == [security is Security.STARTTLS] or security is Security.TLS
        with pytest.raises(ChannelError, match=r"127\.0\.0\.1:\d+: .*certificate"):
            await send(sink.config(security=security))

        assert len(sink.envelopes) == 1


@pytest.mark.asyncio
async def test_a_certificate_for_another_name_is_no_good(certificates):
    async with Sink(serving(certificates.issue("other", "IP:127.0.0.9"))) as sink:
        with pytest.raises(ChannelError, match=r"(?i)certificate"):
            await send(sink.config(security="starttls", ca_file=str(certificates.authority)))

        assert sink.envelopes == []


@pytest.mark.asyncio
async def test_without_starttls_there_is_no_mail_where_it_is_wanted():
    async with Sink() as sink:
        with pytest.raises(ChannelError, match=r"(?i)starttls"):
            await send(sink.config(security="starttls"))

        assert sink.envelopes == []


@pytest.mark.asyncio
async def test_a_password_is_read_at_each_connection_and_stripped(password, certificates):
    context = serving(certificates.issue("login", "IP:127.0.0.1"))
    async with Sink(context, login=("ops", "s3cret")) as sink:
        server = MailServer(sink.config(user="ops", password_file=str(password)), "gw1")
        password.write_text("wrong")
        with pytest.raises(ChannelError, match=r": 535 "):
            await server.send(SENDER, [TO], MAIL)
        password.write_text("  s3cret \n")
        await server.send(SENDER, [TO], MAIL)

        assert sink.was_tls == [True]
        assert sink.logins[-1] == (b"ops", b"s3cret")


@pytest.mark.asyncio
async def test_a_wrong_password_is_no_fault_of_the_mail(password):
    async with Sink(login=("ops", "other")) as sink:
        with pytest.raises(ChannelError) as caught:
            await send(sink.config(user="ops", password_file=str(password)))

        assert type(caught.value) is ChannelError


@pytest.mark.asyncio
async def test_a_password_is_not_sent_in_the_clear_to_another_machine(password, monkeypatch):
    monkeypatch.setattr(smtp, "_is_loopback", lambda _host: False)
    async with Sink(login=("ops", "s3cret")) as sink:
        with pytest.raises(ChannelError, match=r'offers no TLS, so the password is not sent; security = "none" would'):
            await send(sink.config(user="ops", password_file=str(password)))
        assert sink.logins == []
        await send(sink.config(user="ops", password_file=str(password), security="none"))

        assert len(sink.envelopes) == 1


@pytest.mark.asyncio
async def test_a_password_that_everybody_can_read_is_told_once(password, caplog):
    password.chmod(0o644)
    async with Sink(login=("ops", "s3cret")) as sink:
        server = MailServer(sink.config(user="ops", password_file=str(password)), "gw1")
        await server.send(SENDER, [TO], MAIL)
        await server.send(SENDER, [TO], MAIL)

    (told,) = [record.getMessage() for record in caplog.records if record.name == smtp.__name__]
    assert told == f"{password} holds a password and everybody here can read it: chmod o-r {password}"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x" * (PASSWORD_BYTES + 1), "has more than 1024 bytes, the limit for a password"),
        (b"\xff", "is not UTF-8"),
        (b" \n", "holds no password"),
        (None, "No such file"),
    ],
)
async def test_a_password_file_that_cannot_be_used_is_named(tmp_path, content, words):
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    async with Sink(login=("ops", "s3cret")) as sink:
        with pytest.raises(ChannelError, match=words) as caught:
            await send(sink.config(user="ops", password_file=str(path)))

    assert str(path) in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("command", "answer", "kind"),
    [
        ("MAIL", "550 5.7.1 not you", Refused),
        ("MAIL", "451 4.3.0 later", Deferred),
        ("MAIL", "530 5.7.0 log in first", ChannelError),
        (TO, "550 5.1.1 nobody here", Refused),
        (TO, "450 4.2.0 greylisted", Deferred),
        ("DATA", "554 5.7.1 looks bad", Refused),
        ("DATA", "452 4.3.1 disk full", Deferred),
    ],
)
async def test_the_servers_answer_says_whether_to_try_again(command, answer, kind):
    async with Sink() as sink:
        sink.answers[command] = [answer]
        with pytest.raises(ChannelError) as caught:
            await send(sink.config())

    assert type(caught.value) is kind
    assert answer in str(caught.value)
    assert str(sink.port) in str(caught.value)


@pytest.mark.asyncio
async def test_one_recipient_that_is_refused_does_not_cost_the_others_their_mail():
    async with Sink() as sink:
        sink.answers = {TO: ["550 5.1.1 nobody"], BOB: ["450 4.2.0 later"]}
        taken = await send(sink.config(to=(TO, BOB, "carla@example.com")))

        assert (dict(taken.refused), dict(taken.later)) == ({TO: "550 5.1.1 nobody"}, {BOB: "450 4.2.0 later"})
        assert sink.envelopes[0].rcpt_tos == ["carla@example.com"]


@pytest.mark.asyncio
async def test_of_recipients_that_are_all_put_off_or_refused_some_may_take_it_later():
    async with Sink() as sink:
        sink.answers = {TO: ["550 5.1.1 nobody"], BOB: ["450 4.2.0 later"]}
        with pytest.raises(Deferred, match=r"postmaster@example\.com: 550 .*; bob@example\.com: 450"):
            await send(sink.config(to=(TO, BOB)))


@pytest.mark.asyncio
async def test_a_closed_port_is_told():
    async with Sink() as sink:
        await sink.stop()
        with pytest.raises(ChannelError, match=rf"^127\.0\.0\.1:{sink.port}: .*(refused|connect)"):
            await send(sink.config())


FAULTS = {
    "hangs before its greeting": ({}, None),
    "hangs after its greeting": ({}, b"220 x\r\n"),
    "hangs in DATA": (OK | {b"DATA": b"354 go on\r\n"}, b"220 x\r\n"),
    "hangs up in DATA": (OK | {b"DATA": None}, b"220 x\r\n"),
    "hangs up before the mail is taken": (OK | {b"DATA": b"354 go on\r\n", b".": None}, b"220 x\r\n"),
    "greets with 554": (OK, b"554 no\r\n"),
    "greets with 421": (OK, b"421 busy\r\n"),
    "speaks no SMTP": ({}, b"SSH-2.0-OpenSSH_9.2\r\n"),
    "sends a line without end": ({}, b"2" * 100_000),
    "refuses EHLO": ({b"EHLO": b"550 no\r\n", b"HELO": b"550 no\r\n"}, b"220 x\r\n"),
    "sends bytes that are no text": ({b"EHLO": b"250 \xff\x1b[2J\r\n", b"MAIL": b"421 \xff\x1b[2J\r\n"}, b"220 x\r\n"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize(("script", "greeting"), FAULTS.values(), ids=FAULTS)
async def test_whatever_a_server_does_it_is_a_fault_that_can_be_tried_again(script, greeting, monkeypatch):
    monkeypatch.setattr(smtp, "ANSWER", 0.3)
    monkeypatch.setattr(smtp, "ALTOGETHER", 2.0)
    async with scripted(script, greeting) as server:
        with pytest.raises(ChannelError) as caught:
            await send(Email.model_validate({"to": [TO], "server": str(server)}))

    assert not isinstance(caught.value, Refused | Deferred)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.asyncio
async def test_a_server_that_does_not_say_goodbye_has_taken_the_mail_all_the_same(monkeypatch):
    monkeypatch.setattr(smtp, "GOODBYE", 0.05)
    script = {**OK, b"DATA": b"354 go on\r\n", b".": b"250 taken\r\n"}
    del script[b"QUIT"]
    async with scripted(script) as server:
        assert (await send(Email.model_validate({"to": [TO], "server": str(server)}))).said == "250 taken"


@pytest.mark.asyncio
async def test_a_name_that_does_not_resolve_is_told():
    with pytest.raises(ChannelError, match=r"nowhere\.invalid:25"):
        await send(Email.model_validate({"to": [TO], "server": "nowhere.invalid:25"}))


@pytest.mark.asyncio
async def test_a_mail_leaves_no_connection_behind():
    async with Sink() as sink:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            await send(sink.config())
        async with asyncio.timeout(10):
            while len(os.listdir("/proc/self/fd")) > before:
                await asyncio.sleep(0.01)
