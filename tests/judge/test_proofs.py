from story import START

from appliance.judge.proofs import LASTS, Proofs

SOURCE = bytes((203, 0, 113, 9))
OTHER = bytes((203, 0, 113, 10))


def test_proof_holds_for_half_an_hour_and_no_longer():
    proofs = Proofs()
    proofs.add(SOURCE, START)

    assert LASTS == 30 * 60
    assert proofs.hold(SOURCE, START)
    assert proofs.hold(SOURCE, START + 1799.9)
    assert not proofs.hold(SOURCE, START + 1800)


def test_proof_of_one_source_is_none_of_another():
    proofs = Proofs()
    proofs.add(OTHER, START)

    assert not proofs.hold(SOURCE, START)


def test_proof_that_is_given_again_holds_anew():
    proofs = Proofs()
    proofs.add(SOURCE, START)
    proofs.add(SOURCE, START + 1000)

    assert proofs.hold(SOURCE, START + 2000)


def test_proof_dated_after_now_does_not_hold_lest_it_outlive_its_term():
    proofs = Proofs()
    proofs.add(SOURCE, START)

    assert not proofs.hold(SOURCE, START - 3600)


def test_proofs_that_ended_are_dropped():
    proofs = Proofs()
    for second in range(100):
        proofs.add(second.to_bytes(4, "big"), START + second)
    proofs.add(SOURCE, START + 1850)

    assert len(proofs) == 50
    assert proofs.evicted == 0


def test_oldest_proof_gives_way_in_a_full_table_and_is_counted():
    proofs = Proofs(most=2)
    proofs.add(SOURCE, START)
    proofs.add(OTHER, START)
    proofs.add(SOURCE, START + 1)
    proofs.add(b"a third", START + 2)

    assert proofs.hold(SOURCE, START + 2)
    assert not proofs.hold(OTHER, START + 2)
    assert (len(proofs), proofs.evicted) == (2, 1)
