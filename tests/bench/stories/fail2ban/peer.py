"""Debian's fail2ban without its threads: its filters, failure counts and ban lists on a clock that is told.

Run by the system's python3, which has the fail2ban package. It is given the jails as JSON in its argument, then
reads `{"now": seconds, "lines": [[file, text], …]}` a line and answers `[[address, until], …]`: the new bans.
"""

import json
import logging
import sys
from pathlib import Path

PACKAGES = "/usr/lib/python3/dist-packages"
DEBIAN = "/etc/fail2ban"
OURS = "192.0.2.0/24"


class Jail:
    """One jail: a filter on some files, and the list of whom it banned. Stands in for fail2ban's own class."""

    def __init__(self, name, filter_name, mode, files, maxretry, findtime, bantime):
        self.name = name
        self.files = set(files)
        self.tickets = []
        self.filter = Filter(self, useDns="no")
        self.filter.ignoreSelf = False  # asks the resolver for this machine's names
        self.filter.addIgnoreIP(OURS)
        self.filter.setMaxRetry(maxretry)
        self.filter.setFindTime(findtime)
        for order, _, key, value in self._orders(filter_name, mode):
            match key:
                case "prefregex":
                    self.filter.prefRegex = value
                case "addfailregex":
                    for text in value if order == "multi-set" else [value]:
                        self.filter.addFailRegex(text)
                case "datepattern":
                    self.filter.setDatePattern(value)
        self.bans = BanManager()
        self.bans.setBanTime(bantime)

    def _orders(self, filter_name, mode):
        own = Path(__file__).parent
        base = str(own) if (own / "filter.d" / f"{filter_name}.conf").exists() else DEBIAN
        reader = FilterReader(filter_name, self.name, {"mode": mode} if mode else {}, basedir=base)
        reader.read()
        reader.applyAutoOptions("")
        reader.getOptions({})
        return reader.convert()

    def putFailTicket(self, ticket):  # noqa: N802 - called by fail2ban's Filter
        self.tickets.append(ticket)

    def read(self, text, now):
        """One line; the bans that it leads to."""
        self.filter.processLineAndAdd(text)
        self.filter.performBan()
        tickets, self.tickets = self.tickets, []
        opened = [ticket for ticket in map(BanTicket.wrap, tickets) if self.bans.addBanTicket(ticket, reason={})]
        return [[str(ticket.getID()), ticket.getEndOfBanTime(self.bans.getBanTime())] for ticket in opened]


def main():
    jails = [Jail(**each) for each in json.loads(sys.argv[1])]
    print(json.dumps([[jail.name, len(jail.filter.getFailRegex())] for jail in jails]), flush=True)
    for request in sys.stdin:
        asked = json.loads(request)
        MyTime.setTime(asked["now"])
        for jail in jails:
            jail.bans.unBanList(asked["now"])
        answer = [
            ban
            for file, text in asked["lines"]
            for jail in jails
            if file in jail.files
            for ban in jail.read(text, asked["now"])
        ]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.path.append(PACKAGES)
    logging.disable(logging.CRITICAL)
    from fail2ban.client.filterreader import FilterReader
    from fail2ban.server.banmanager import BanManager
    from fail2ban.server.filter import Filter
    from fail2ban.server.mytime import MyTime
    from fail2ban.server.ticket import BanTicket

    main()
