"""How much mail each account sends: who submitted a mail, and to how many it went, are two lines of Postfix."""

from collections import OrderedDict

from appliance.address import Net

MAILS = 65_536
"""Mails whose second line is awaited; qmgr writes it within seconds."""
ACCOUNTS = 65_536
"""Accounts that sent mail and are remembered; the one that sent longest ago gives way."""
HOUR = 3600.0
DAYS = 14
OURS = ""
"""Stands for one of our own hosts as the submitter of a mail: webmail, or the filter handing a mail back."""


class _Sent:
    __slots__ = ("peaks", "times")

    def __init__(self) -> None:
        self.times: list[tuple[float, int]] = []
        """When, and to how many, in the last hour."""
        self.peaks: dict[int, int] = {}
        """The busiest hour of each day."""


class Sendings:
    """Recipients of each account in the last hour, and its busiest hour in two weeks."""

    def __init__(self) -> None:
        self._submitters: OrderedDict[str, str] = OrderedDict()
        self._delivering: OrderedDict[str, Net] = OrderedDict()
        self._accounts: OrderedDict[tuple[str, bool], _Sent] = OrderedDict()
        self.evicted = 0
        """Accounts and mails forgotten because there were too many."""

    def submitted(self, mail: str, account: str) -> None:
        """An account, or one of our own hosts, submitted a mail."""
        self._submitters[mail] = account
        if len(self._submitters) > MAILS:
            self._submitters.popitem(last=False)
            self.evicted += 1

    def delivering(self, mail: str, source: Net) -> None:
        """A source is handing in a mail: its first recipient was accepted, the mail itself not yet."""
        self._delivering[mail] = source
        if len(self._delivering) > MAILS:
            self._delivering.popitem(last=False)
            self.evicted += 1

    def delivered(self, mail: str) -> Net | None:
        """The source of a mail that was accepted now; None if it is not known, or was asked for before."""
        return self._delivering.pop(mail, None)

    def sent(self, mail: str, envelope: str | None, recipients: int, time: float) -> str | None:
        """A mail went to its recipients; the account that sent it. None for mail from outside.

        A host of ours may stand for the owner of the envelope's address, which is believed for that reason alone.
        The filter hands each mail back as a second one, so what our hosts submit counts half.
        """
        submitter = self._submitters.pop(mail, None)
        account = envelope if submitter == OURS else submitter
        if not account:
            return None
        self._add(account, submitter == OURS, recipients, time)
        return account

    def lately(self, account: str, time: float) -> tuple[int, int | None]:
        """Recipients in the hour before a time, and the most in any hour of the days before; None if unknown."""
        own, ours = (self._accounts.get((account, ours)) for ours in (False, True))
        number = max(_number(own, time), (_number(ours, time) + 1) // 2)
        peaks = [peak for sent in (own, ours) if sent for day, peak in sent.peaks.items() if day < _day(time)]
        return number, max(peaks, default=None)

    def _add(self, account: str, ours: bool, recipients: int, time: float) -> None:
        key = account, ours
        sent = self._accounts.get(key)
        if sent is None:
            sent = self._accounts[key] = _Sent()
            if len(self._accounts) > ACCOUNTS:
                self._accounts.popitem(last=False)
                self.evicted += 1
        self._accounts.move_to_end(key)
        minute = time // 60 * 60
        if sent.times and sent.times[-1][0] == minute:
            recipients += sent.times.pop()[1]
        sent.times.append((minute, recipients))
        sent.times = [(at, number) for at, number in sent.times if at > time - HOUR]
        day = _day(time)
        sent.peaks[day] = max(sent.peaks.get(day, 0), _number(sent, time))
        for past in [past for past in sent.peaks if past < day - DAYS]:
            del sent.peaks[past]


def _number(sent: _Sent | None, time: float) -> int:
    return 0 if sent is None else sum(number for at, number in sent.times if time - HOUR < at <= time)


def _day(time: float) -> int:
    return int(time // (24 * HOUR))
