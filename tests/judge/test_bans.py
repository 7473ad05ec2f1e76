from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from story import address, nets

from appliance.address import Net
from appliance.judge.bans import OPERATOR, Bans, Ladder
from appliance.model import Ban, Scope

SOURCE = address("203.0.113.9")
AROUND = next(iter(nets("203.0.113.0/24").networks))
LADDER = Ladder()


def ban(net=SOURCE, until=100.0, **facts):
    return Ban(net, 0.0, until, "guessing", "a reason", **facts)


def test_ban_covers_until_its_end_and_no_longer():
    bans = Bans(b"seed")
    bans.add(ban())

    assert bans.covering(SOURCE, 99.9) == ban()
    assert bans.covering(SOURCE, 100.0) is None
    assert len(bans) == 0


def test_network_ban_covers_the_addresses_inside_and_not_the_other_way_round():
    bans = Bans(b"seed")
    bans.add(ban(AROUND))

    assert bans.covering(SOURCE, 0.0) == ban(AROUND)
    bans.lift(AROUND, 0.0)
    bans.add(ban(SOURCE))
    assert bans.covering(AROUND, 0.0) is None


def test_of_two_bans_the_longer_is_named():
    bans = Bans(b"seed")
    bans.add(ban(SOURCE, 50.0))
    bans.add(ban(AROUND, 100.0))

    assert bans.covering(SOURCE, 0.0) == ban(AROUND, 100.0)


def test_shorter_ban_does_not_replace_a_longer_one():
    bans = Bans(b"seed")
    bans.add(ban(until=100.0))
    bans.add(ban(until=50.0))

    assert bans.covering(SOURCE, 60.0) == ban(until=100.0)


def test_bans_of_two_scopes_stand_side_by_side_and_each_ends_by_itself():
    bans = Bans(b"seed")
    login, mail = ban(until=100.0, scope=Scope.LOGIN), ban(until=50.0, scope=Scope.SMTP_IN)
    bans.add(login)
    bans.add(mail)

    assert bans.in_force(0.0) == [login, mail]
    assert (len(bans), bans.counted(0.0)) == (2, {(4, 32, Scope.LOGIN): 1, (4, 32, Scope.SMTP_IN): 1})
    assert [bans.covering(SOURCE, 0.0, scope) for scope in (Scope.LOGIN, Scope.SMTP_IN)] == [login, mail]
    assert bans.covering(SOURCE, 0.0) == login
    assert bans.in_force(60.0) == [login]
    assert bans.covering(SOURCE, 60.0, Scope.SMTP_IN) is None
    assert (len(bans), bans.counted(60.0)) == (1, {(4, 32, Scope.LOGIN): 1})


def test_a_ban_takes_the_place_of_a_shorter_one_of_its_scope_and_of_no_other():
    bans = Bans(b"seed")
    for until, scope in ((50.0, Scope.LOGIN), (60.0, Scope.SMTP_IN), (100.0, Scope.LOGIN)):
        bans.add(ban(until=until, scope=scope))

    assert bans.in_force(0.0) == [ban(until=60.0, scope=Scope.SMTP_IN), ban(until=100.0, scope=Scope.LOGIN)]


def test_a_ban_of_some_ports_is_not_needed_beside_a_longer_one_of_all_and_stands_beside_a_shorter_one():
    bans = Bans(b"seed")
    bans.add(ban(until=100.0))
    bans.add(ban(until=50.0, scope=Scope.LOGIN))
    assert bans.in_force(0.0) == [ban(until=100.0)]

    bans.add(ban(until=200.0, scope=Scope.LOGIN))
    assert bans.in_force(0.0) == [ban(until=100.0), ban(until=200.0, scope=Scope.LOGIN)]
    assert bans.covering(SOURCE, 0.0, Scope.SMTP_IN) == ban(until=100.0)
    assert bans.covering(SOURCE, 150.0, Scope.SMTP_IN) is None


def test_a_ban_of_every_port_takes_the_place_of_one_of_the_login_ports_that_it_outlives():
    bans = Bans(b"seed")
    bans.add(ban(until=50.0, scope=Scope.LOGIN))
    bans.add(ban(until=60.0, scope=Scope.SMTP_IN))
    bans.add(ban(until=100.0))

    assert bans.in_force(0.0) == [ban(until=60.0, scope=Scope.SMTP_IN), ban(until=100.0)]
    assert len(bans) == 2


def test_a_ban_of_the_login_ports_is_widened_for_all_of_its_time():
    bans = Bans(b"seed")
    narrow = bans.open(SOURCE, "siege", "", 0.0, 1, LADDER, Scope.LOGIN)

    wide = bans.open(SOURCE, "guessing", "", 10.0, 0, LADDER, seconds=60.0)

    assert wide.until == narrow.until
    assert bans.in_force(20.0) == [wide]
    assert bans.has(SOURCE, 20.0)
    assert not bans.has(SOURCE, wide.until)


def test_to_end_a_network_ends_every_scope_of_it_and_of_no_other_and_may_be_done_twice():
    bans = Bans(b"seed")
    for each in (ban(scope=Scope.LOGIN), ban(scope=Scope.SMTP_IN), ban(AROUND, scope=Scope.LOGIN)):
        bans.add(each)
    bans.end(SOURCE)
    bans.end(SOURCE)

    assert bans.in_force(0.0) == [ban(AROUND, scope=Scope.LOGIN)]
    assert bans.counted(0.0) == {(4, 24, Scope.LOGIN): 1}
    assert bans.in_force(100.0) == []


def test_who_is_kept_out_of_some_ports_is_not_kept_out_of_the_others():
    bans = Bans(b"seed")
    bans.add(ban(until=100.0, scope=Scope.SMTP_IN))
    bans.add(ban(AROUND, until=50.0))

    assert bans.covering(SOURCE, 0.0) == ban(until=100.0, scope=Scope.SMTP_IN)
    assert bans.covering(SOURCE, 0.0, Scope.LOGIN) == ban(AROUND, until=50.0)
    assert bans.covering(SOURCE, 60.0, Scope.LOGIN) is None


def test_bans_are_counted_by_family_and_width_while_they_are_in_force():
    bans = Bans(b"seed")
    for text, until in (("203.0.113.9", 50.0), ("203.0.113.10", 100.0), ("2001:db8::/64", 100.0)):
        bans.add(ban(next(iter(nets(text).networks)), until))

    assert bans.counted(0.0) == {(4, 32, Scope.ALL): 2, (6, 64, Scope.ALL): 1}
    assert bans.counted(60.0) == {(4, 32, Scope.ALL): 1, (6, 64, Scope.ALL): 1}
    assert bans.counted(100.0) == {}


def test_longer_ban_outlives_the_end_of_the_one_it_replaced():
    bans = Bans(b"seed")
    bans.add(ban(until=50.0))
    bans.add(ban(until=100.0))

    assert bans.in_force(60.0) == [ban(until=100.0)]


def test_lifting_a_network_lifts_every_ban_inside():
    bans = Bans(b"seed")
    bans.add(ban())
    bans.add(ban(AROUND))
    bans.add(ban(address("198.51.100.1")))

    assert set(bans.lift(AROUND, 0.0)) == {ban(), ban(AROUND)}
    assert bans.in_force(0.0) == [ban(address("198.51.100.1"))]


def test_lifting_an_address_lifts_it_in_every_scope():
    bans = Bans(b"seed")
    for each in (ban(scope=Scope.LOGIN), ban(scope=Scope.SMTP_IN), ban(AROUND, scope=Scope.SMTP_IN)):
        bans.add(each)

    assert len(bans.lift(SOURCE, 0.0)) == 3
    assert (bans.in_force(0.0), len(bans)) == ([], 0)


def test_lifted_ban_does_not_make_the_next_one_longer():
    bans = Bans(b"seed")
    bans.open(SOURCE, "guessing", "", 0.0, 0, LADDER)
    bans.lift(SOURCE, 1.0)

    assert bans.open(SOURCE, "guessing", "", 2.0, 0, LADDER).step == 0


def test_detector_may_begin_higher_on_the_ladder():
    assert Bans(b"seed").open(SOURCE, "spraying", "", 0.0, 2, LADDER).step == 2


def test_restored_history_lets_the_ladder_go_on():
    bans = Bans(b"seed")
    bans.restore([], [ban(step=2), replace(ban(until=50.0), step=0)])

    assert bans.open(SOURCE, "guessing", "", 200.0, 0, LADDER).step == 3


def test_the_ladder_is_one_for_all_scopes_of_a_network():
    bans = Bans(b"seed")
    steps = [
        bans.open(SOURCE, "harvesting", "", 0.0, 0, LADDER, Scope.SMTP_IN).step,
        bans.open(SOURCE, "siege", "", 1.0, 0, LADDER, Scope.LOGIN).step,
        bans.open(SOURCE, "trap", "", 2.0, 0, LADDER).step,
    ]

    assert steps == [0, 1, 2]
    assert {each.scope: each.step for each in bans.in_force(2.0)} == {Scope.SMTP_IN: 0, Scope.ALL: 2}


def test_who_harvested_and_then_guesses_is_kept_out_of_both_by_bans_of_their_own():
    bans = Bans(b"seed")
    mail = bans.open(SOURCE, "harvesting", "15 unknown recipients", 0.0, 2, LADDER, Scope.SMTP_IN)
    assert bans.covering(SOURCE, 1.0, Scope.LOGIN) is None, "logging in is open to it: what it does there is judged"

    login = bans.open(SOURCE, "siege", "its second try", 600.0, 0, LADDER, Scope.LOGIN)

    assert bans.in_force(600.0) == [mail, login]
    assert bans.covering(SOURCE, 600.0, Scope.SMTP_IN) == mail
    assert bans.covering(SOURCE, 600.0, Scope.LOGIN) == login
    assert bans.lift(SOURCE, 601.0) == [mail, login]
    assert bans.open(SOURCE, "guessing", "", 602.0, 0, LADDER).step == 0


def test_of_bans_that_overlap_the_ladder_remembers_the_highest_rung_and_the_latest_end():
    bans = Bans(b"seed")
    bans.open(SOURCE, "trap", "", 0.0, 0, LADDER, seconds=86400.0)
    bans.open(SOURCE, "probing", "", 1.0, 1, LADDER, Scope.LOGIN)

    after = 86400.0 + LADDER.memory - 1
    assert bans.open(SOURCE, "guessing", "", after, 0, LADDER).step == 2


def test_a_term_of_its_own_is_kept_to_the_second_and_remembered_on_the_ladder():
    bans = Bans(b"seed")
    found = bans.open(SOURCE, "trap", "a name that nobody uses", 10.0, 1, LADDER, seconds=86400.0)

    assert found == Ban(SOURCE, 10.0, 86410.0, "trap", "a name that nobody uses", 1)
    assert bans.in_force(86409.0) == [found]
    assert bans.open(SOURCE, "guessing", "", 86411.0, 0, LADDER).step == 2


def test_a_restart_keeps_the_bans_of_every_scope():
    login, mail = ban(until=100.0, scope=Scope.LOGIN), ban(until=50.0, scope=Scope.SMTP_IN)
    bans = Bans(b"seed")
    bans.restore([login, mail], [])

    assert bans.in_force(0.0) == [login, mail]


def test_ban_by_hand_has_no_part_in_the_ladder():
    bans = Bans(b"seed")
    bans.restore([replace(ban(), detector=OPERATOR)], [])

    assert bans.open(SOURCE, "guessing", "", 200.0, 0, LADDER).step == 0


def test_what_the_ladder_remembers_is_bounded_and_counted():
    bans = Bans(b"seed", remembered=2)
    for host in range(3):
        bans.open(address(f"203.0.113.{host}"), "guessing", "", 0.0, 0, LADDER)

    assert bans.forgotten == 1
    assert len(bans) == 3


def test_jitter_depends_on_the_seed_and_on_nothing_that_passes():
    lengths = [
        round(Bans(seed).open(SOURCE, "guessing", "", now, 0, LADDER).until - now, 6)
        for seed, now in ((b"one", 0.0), (b"one", 1000.0), (b"two", 0.0))
    ]

    assert lengths[0] == lengths[1]
    assert lengths[0] != lengths[2]


@given(st.binary(min_size=4, max_size=4), st.integers(0, 4))
def test_jitter_is_at_most_a_tenth(packed, step):
    length = Bans(b"seed").open(Net(packed, 32), "guessing", "", 0.0, step, LADDER).until

    assert 0.9 * LADDER.steps[step] <= length <= 1.1 * LADDER.steps[step]
