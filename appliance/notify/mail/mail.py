"""What mails say: what happened, where, since when, what to do.

Plain text in 78 columns (RFC 5322 2.1.1) that a telephone shows as well. Whatever a client typed is written so that it
cannot act on anything (`visible`); a header takes one line.
"""

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from appliance.judge.words import listed, shown, visible
from appliance.model import Noticed
from appliance.notify.advice import advice_of, alertname
from appliance.notify.mail.batching import SAMPLES, Gathered, Heard, Pile, Sample, shares

WIDTH = 78

IN_FULL = 10
"""Notices of one mail that are told with everything about them; the others have a line each."""

IN_LINES = 50

SUBJECT = 150
"""Characters of a subject: more than any program shows, and no folding into many lines."""

LINE = 998
"""Characters of a line at the most (RFC 5322 2.1.1)."""

UNFOLDED = SMTP.clone(max_line_length=LINE)

SITE = "site"

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_COMMAND = re.compile(r"(?s)(.*?): ((?:zward|zmprov|zmcontrol|systemctl) .*)")
"""A step of an advice that ends with a command; the first place where one begins, as what it names may hold others."""


@dataclass(frozen=True, slots=True)
class Place:
    """The gateway that writes the mail."""

    host: str
    zone: tzinfo
    runbooks: str
    """Where the pages about alerts lie, without the last slash."""

    def moment(self, time: float) -> str:
        """`2026-11-22 07:14 CET`."""
        return datetime.fromtimestamp(time, self.zone).strftime("%Y-%m-%d %H:%M %Z")

    def short(self, time: float) -> str:
        """`22 Nov 07:14`."""
        return datetime.fromtimestamp(time, self.zone).strftime("%d %b %H:%M")

    def weekday(self, time: float) -> str:
        """`Tue`: English, as everything here, whatever the machine speaks."""
        return WEEKDAYS[datetime.fromtimestamp(time, self.zone).weekday()]

    def runbook(self, detector: str) -> str:
        return f"{self.runbooks}/{alertname(detector)}.md"


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail without its envelope."""

    subject: str
    lines: tuple[str, ...]
    detectors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    """From whom a mail is, and to whom."""

    sender: str
    to: tuple[str, ...]


def message(letter: Letter, envelope: Envelope, place: Place, now: float, key: str) -> EmailMessage:
    """A letter as it is sent; `key` makes its Message-ID one of a kind."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = f"zward <{envelope.sender}>"
    mail["To"] = ", ".join(envelope.to)
    mail["Subject"] = _one_line(f"[zward {place.host}] {letter.subject}")
    mail["Date"] = format_datetime(datetime.fromtimestamp(now, place.zone))
    mail["Message-ID"] = f"<{key}.zward@{envelope.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834 5: whoever is away does not answer
    if letter.detectors:
        mail["X-Zward-Detector"] = _one_line(", ".join(letter.detectors))
    text = "\n".join([*letter.lines, "", "-- ", f"zward on {visible(place.host)}", ""])
    is_plain = text.isascii() and max(map(len, text.split("\n"))) <= LINE
    mail.set_content(text, cte="7bit" if is_plain else "quoted-printable")
    return mail


def wire(mail: EmailMessage) -> bytes:
    """A mail as it is handed over. A subject in ASCII stays on one line: the library would begin it on the second."""
    return mail.as_bytes(policy=UNFOLDED if str(mail["Subject"]).isascii() else SMTP)


def _one_line(text: str) -> str:
    text = visible(text)
    return text if len(text) <= SUBJECT else text[: SUBJECT - 1] + "…"


def trial(place: Place) -> Letter:
    """What `zward test` sends."""
    text = (
        f"This is a test of zward on gateway {place.host}: mails arrive. Notices, batches of bans and the daily digest "
        "will come to the same recipients. Nothing is to be done."
    )
    return Letter("Test mail", tuple(wrapped(text)), ("test",))


# Notices that go out at once


def at_once(gathered: Gathered, place: Place) -> Letter:
    """One notice, or several that came together."""
    heard = gathered.notices
    lines: list[str] = []
    for notices in _by_detector(heard[:IN_FULL]):
        lines += [*([""] if lines else []), *_told_in_full(notices, place)]
    lines += _told_in_lines(heard[IN_FULL:], gathered, place)
    return Letter(_subject(gathered, "alerts"), tuple(lines), detectors_of(heard))


def _subject(gathered: Gathered, many: str) -> str:
    heard = gathered.notices
    number = len(heard) + sum(gathered.beyond.values())
    if number == 1:
        return _headline(heard[0])
    if len({(each.notice.detector, each.notice.over) for each in heard}) == 1 and not gathered.beyond:
        return f"{_headline(heard[0])}, and {number - 1:,} more"
    titles = dict.fromkeys(title_of(each.notice) for each in heard)
    return f"{number:,} {many}: {'; '.join(titles)}"


def title_of(notice: Noticed) -> str:
    title = advice_of(notice.detector).title
    return f"Over: {title}" if notice.over else title


def detectors_of(heard: Iterable[Heard]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.notice.detector for each in heard))


def _headline(heard: Heard) -> str:
    """`A device uses an old password: 203.0.113.9 at ana@example.com`."""
    notice = heard.notice
    about = _about(notice)
    return f"{title_of(notice)}: {about}" if about else title_of(notice)


def _about(notice: Noticed) -> str:
    """Whom or what a notice is about; nothing where that is the whole site, as the title says."""
    if notice.subject == SITE:
        return "the whole site" if notice.detector == "zmauditswatch" else ""
    if (
        notice.source is not None
        and notice.account
        and notice.subject == f"{shown(notice.account)} from {notice.source}"
    ):
        return f"{notice.source} at {shown(notice.account)}"
    return visible(notice.subject)


def _by_detector(heard: Iterable[Heard]) -> list[list[Heard]]:
    groups: dict[tuple[str, bool], list[Heard]] = {}
    for each in heard:
        groups.setdefault((each.notice.detector, each.notice.over), []).append(each)
    return list(groups.values())


def _told_in_full(heard: Sequence[Heard], place: Place) -> list[str]:
    """Notices of one detector: each with its facts, then once what to do."""
    first = heard[0].notice
    lines = heading(title_of(first))
    for each in heard:
        lines += ["", *_facts(each, place)]
    if first.over:
        return lines
    return [*lines, "", *_to_do(heard[0], len(heard), place)]


def _facts(heard: Heard, place: Place) -> list[str]:
    notice = heard.notice
    since = place.moment(heard.since)
    if notice.over:
        since = f"from {since} to {place.moment(heard.last)}"
    elif heard.last - heard.since >= 60 or heard.times > 1:
        since = f"{since}, last {place.moment(heard.last)}"
    facts = [("What", notice.reason)]
    if notice.source is not None:
        facts.append((_named(notice, str(notice.source), "Source", "Last source"), str(notice.source)))
    if notice.account:
        facts.append((_named(notice, shown(notice.account), "Account", "Last account"), shown(notice.account)))
    facts += [("Gateway", place.host), ("Lasted" if notice.over else "Since", since)]
    return [line for label, text in facts for line in wrapped(text, f"  {label:<13}", " " * 15)]


def _named(notice: Noticed, name: str, one: str, last: str) -> str:
    """Whether a notice is about this source or account, or it only was the last that a count took in."""
    return one if name in notice.subject or name in notice.reason else last


def _to_do(heard: Heard, number: int, place: Place) -> list[str]:
    notice = heard.notice
    whom = f", for the first of {number}" if number > 1 else ""
    lines = [f"What to do{whom}"]
    for count, step in enumerate(advice_of(notice.detector).steps(notice.source, notice.account), 1):
        lines += _step(count, step)
    return [*lines, "", "More about it", f"  {place.runbook(notice.detector)}"]


def _step(number: int, step: str) -> list[str]:
    """A step, its command on a line of its own, whole however long it is, so that it can be copied."""
    found = _COMMAND.fullmatch(step)
    head = f"  {number}. "
    if not found:
        return wrapped(step, head, "     ")
    return [*wrapped(f"{found[1]}:", head, "     "), f"       {visible(found[2])}"]


def _told_in_lines(heard: Sequence[Heard], gathered: Gathered, place: Place) -> list[str]:
    lines: list[str] = []
    for each in heard[:IN_LINES]:
        lines += wrapped(f"{title_of(each.notice)}: {each.notice.reason}", f"  {place.short(each.last)}  ", " " * 16)
    if lines:
        lines = ["", "Also", *lines]
    beyond = dict(gathered.beyond)
    for each in heard[IN_LINES:]:
        beyond[each.notice.detector] = beyond.get(each.notice.detector, 0) + 1
    return [*lines, *_and_more(beyond)]


# Batches


def batch(gathered: Gathered, place: Place) -> Letter:
    """Bans of the last minutes, those that there would be, and notices that could wait."""
    bans, would_bans, heard = gathered.bans, gathered.would_bans, gathered.notices
    noticed = len(heard) + sum(gathered.beyond.values())
    said = [
        *([f"{_sources(bans)} banned"] if bans.counts else []),
        *([f"{_sources(would_bans)} would have been banned"] if would_bans.counts else []),
        *([f"{noticed:,} notice{'s' * (noticed != 1)}"] if noticed else []),
    ]
    subject = ", ".join(said) if bans.counts or would_bans.counts else _subject(gathered, "notices")
    lines: list[str] = []
    for pile in (bans, would_bans):
        if pile.counts:
            lines += [*([""] if lines else []), *_told_pile(pile, gathered, place)]
    for notices in _by_detector(heard[:IN_FULL]):
        lines += [*([""] if lines else []), *_told_in_full(notices, place)]
    lines += _told_in_lines(heard[IN_FULL:], gathered, place)
    detectors = dict.fromkeys([*bans.counts, *would_bans.counts, *detectors_of(heard)])
    return Letter(subject, tuple(lines), tuple(detectors))


def _sources(pile: Pile) -> str:
    total = pile.counts.total()
    return "1 source" if total == 1 else f"{total:,} sources"


def _told_pile(pile: Pile, gathered: Gathered, place: Place) -> list[str]:
    is_real = _example(pile).until is not None
    lines = heading(f"{_sources(pile)} {'' if is_real else 'would have been '}banned")
    first, last = place.moment(gathered.first), place.moment(gathered.last)
    lines += wrapped(f"{f'At {first}' if first == last else f'From {first} to {last}'}, on gateway {place.host}.")
    if not is_real:
        lines += ["zward observes: nobody of them was banned."]
    given = shares(pile.counts, SAMPLES)
    beyond: dict[str, int] = {}
    for detector, number in pile.counts.most_common():
        if given[detector]:
            lines += ["", *wrapped(f"{detector}: {advice_of(detector).title} ({number:,})")]
            samples = pile.samples[detector][: given[detector]]
            width = max(len(sample.source) for sample in samples)
            for sample in samples:
                lines += _ban_line(sample, width, place)
        if number > given[detector]:
            beyond[detector] = number - given[detector]
    return [*lines, *_and_more(beyond), "", *_about_bans(pile)]


def _ban_line(sample: Sample, width: int, place: Place) -> list[str]:
    """One ban in one line; the accounts on a second where they do not fit."""
    if sample.until is None:
        return wrapped(f"{sample.source}  {sample.reason.removeprefix('would be banned: ')}", "  ", "      ")
    head = f"  {sample.source:<{width}}  until {place.short(sample.until)}  "
    names = [f"{head}{listed(sample.accounts, most)}" for most in (3, 2, 1)] if sample.accounts else [head.rstrip()]
    for line in names:
        if len(line) <= WIDTH:
            return [line]
    return [head.rstrip(), *wrapped(listed(sample.accounts, 1), "      ", "      ")]


def _about_bans(pile: Pile) -> list[str]:
    example = _example(pile)
    lines = ["See what one of them did, here the first:", f"  zward why {example.source}"]
    if example.until is not None:
        lines += ["Let in one that is yours, here the first:", f"  zward unban {example.source}"]
    return lines


def _example(pile: Pile) -> Sample:
    return pile.samples[pile.counts.most_common(1)[0][0]][0]


def _and_more(beyond: dict[str, int]) -> list[str]:
    """`and 99,950 more, by detector: guessing 60,000, siege 39,950`."""
    if not beyond:
        return []
    ranked = sorted(beyond.items(), key=lambda each: (-each[1], each[0]))
    by = ", ".join(f"{detector} {number:,}" for detector, number in ranked)
    return ["", *wrapped(f"and {sum(beyond.values()):,} more, by detector: {by}")]


def heading(text: str) -> list[str]:
    lines = wrapped(text)
    return [*lines, "=" * min(WIDTH, max(map(len, lines)))]


def wrapped(text: str, head: str = "", rest: str = "") -> list[str]:
    """Text in lines of at most `WIDTH` columns; a longer word, such as an address, stays whole."""
    found = textwrap.wrap(
        visible(text),
        WIDTH,
        initial_indent=head,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return found or [head.rstrip()]
