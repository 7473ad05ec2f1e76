"""The closed loop, with a policy that bans after the second failure."""

from collections import Counter
from collections.abc import Sequence

from bench.stories.defence import Bans
from bench.stories.lines import Line
from bench.stories.run import START, run
from bench.stories.script import Script, Try, Who
from bench.stories.town import person
from bench.stories.zimbra import Lockout

from appliance.address import Net, parse_address

BOT, ANA, PHONE = "198.18.0.1", "ana@example.com", "100.64.0.7"


class TwoTries:
    """Counts audit.log's warnings of `BOT`."""

    def __init__(self) -> None:
        self.bans = Bans()
        self.alerts: dict[str, int] = Counter()
        self.heard: list[tuple[float, int]] = []

    def refuses(self, attempt: Try, source: Net, now: float) -> bool:
        return self.bans.cover(source, now)

    def hear(self, lines: Sequence[Line], now: float) -> None:
        self.heard.append((now - START, sum(BOT in line.text and " WARN " in line.text for line in lines)))
        bot = parse_address(BOT.encode())
        assert bot
        if sum(count for _, count in self.heard) >= 2 and not self.bans.cover(bot, now):
            self.bans.open(bot, now, now + 100)

    def pass_time(self, now: float) -> None: ...

    def close(self) -> None: ...


def test_who_is_banned_never_reaches_zimbra_and_writes_no_line() -> None:
    policy = TwoTries()
    found = run("x", "two", Script([Try(at, BOT, ANA) for at in range(0, 100, 10)]), policy, Lockout())
    assert (found.guesses, found.refused, found.lockouts) == (2, 0, 0)
    assert [at for at, _ in policy.heard] == [0, 10]
    assert found.seconds_to_ban == 10


def test_a_ban_ends_and_guesses_go_on() -> None:
    found = run("x", "two", Script([Try(at, BOT, ANA) for at in (0, 1, 50, 101.5)]), TwoTries(), Lockout())
    assert found.guesses == 3


def test_people_behind_a_banned_address_are_refused() -> None:
    tries = [Try(0, BOT, ANA), Try(1, BOT, ANA), person(2, BOT, ANA), person(3, PHONE, ANA)]
    found = run("x", "two", Script(tries), TwoTries(), Lockout())
    assert (found.people, found.refused) == (2, 1)


def test_a_lockout_refuses_the_owner_and_counts_apart_from_bans() -> None:
    tries = [Try(0, "198.18.0.2", ANA), person(2, PHONE, ANA)]
    found = run("x", "two", Script(tries), TwoTries(), Lockout(failures=1))
    assert (found.lockouts, found.refused, found.locked_out) == (1, 0, 1)


def test_the_days_before_are_heard_and_not_counted() -> None:
    policy = TwoTries()
    found = run("x", "two", Script([person(-100, PHONE, ANA), person(5, PHONE, ANA)]), policy, Lockout())
    assert found.people == 1
    assert [at for at, _ in policy.heard] == [-100, 5]


def test_lines_that_are_held_arrive_together_and_ban_too_late() -> None:
    policy = TwoTries()
    tries = [Try(at, BOT, ANA) for at in range(0, 100, 10)]
    found = run("x", "two", Script(tries, held=(10, 60)), policy, Lockout())
    assert [at for at, _ in policy.heard] == [0, *[60] * 5]
    assert found.guesses == 6
    assert found.seconds_to_ban == 60


def test_an_attacker_with_the_right_password_gets_in() -> None:
    found = run("x", "two", Script([Try(0, BOT, ANA, right=True)]), TwoTries(), Lockout())
    assert (found.guesses, found.got_in) == (1, 1)
    assert {each.who for each in [Try(0, BOT, ANA)]} == {Who.ATTACKER}
