import pytest

from appliance.address import Net, parse_network
from appliance.firewall import observe
from appliance.firewall.backend import DROPS, BackendError, Drop, Dropped, Element, Health, Place
from appliance.firewall.observe import ObserveBackend
from appliance.model import Scope

FIRST, SECOND, THIRD = (Net(bytes([203, 0, 113, last]), 32) for last in (1, 2, 3))


@pytest.mark.asyncio
async def test_remaining_time_follows_the_clock_that_it_was_given() -> None:
    now = [0.0]
    backend = ObserveBackend(lambda: now[0])
    await backend.ban([Element(FIRST, 60)])
    now[0] = 59.5
    assert await backend.banned() == {Place(FIRST): 0.0}
    now[0] = 60.0
    assert await backend.banned() == {}


@pytest.mark.asyncio
async def test_a_full_book_refuses_the_batch_but_makes_room_from_what_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(observe, "SET_SIZE", 2)
    now = [0.0]
    backend = ObserveBackend(lambda: now[0])
    await backend.ban([Element(FIRST, 10), Element(SECOND, 20)])
    with pytest.raises(BackendError, match="full"):
        await backend.ban([Element(THIRD, 60)])
    await backend.ban([Element(SECOND, 30)])
    now[0] = 15.0
    await backend.ban([Element(THIRD, 60)])
    assert set(await backend.banned()) == {Place(SECOND), Place(THIRD)}


@pytest.mark.asyncio
async def test_bans_stay_written_down_over_close_and_open() -> None:
    backend = ObserveBackend(lambda: 0.0, own=[parse_network("192.0.2.1")])
    await backend.ban([Element(FIRST, 10)])
    await backend.close()
    await backend.open()
    assert set(await backend.banned()) == {Place(FIRST)}


@pytest.mark.asyncio
async def test_a_network_may_stand_in_several_scopes_and_is_lifted_from_all_and_named_once() -> None:
    backend = ObserveBackend(lambda: 0.0)
    await backend.ban([Element(FIRST, 60, Scope.LOGIN), Element(FIRST, 30, Scope.SMTP_IN), Element(SECOND, 9)])
    assert await backend.banned() == {
        Place(FIRST, Scope.LOGIN): 60.0,
        Place(FIRST, Scope.SMTP_IN): 30.0,
        Place(SECOND, Scope.ALL): 9.0,
    }
    assert await backend.unban([FIRST]) == [FIRST]
    assert set(await backend.banned()) == {Place(SECOND)}


@pytest.mark.asyncio
async def test_it_drops_nothing_sees_nobody_and_is_never_ill() -> None:
    backend = ObserveBackend(lambda: 0.0)
    await backend.favour([Element(FIRST, 60)])
    await backend.fence([587], 600)
    assert await backend.seen([FIRST]) == set()
    assert await backend.dropped() == dict.fromkeys(DROPS, Dropped(0, 0))
    assert await backend.health() == Health()


def test_what_is_counted_is_each_port_that_a_ban_of_that_scope_closes() -> None:
    assert len(set(DROPS)) == len(DROPS) == 2 * (11 + 10 + 1)
    assert {drop.port for drop in DROPS if drop.scope is Scope.SMTP_IN} == {25}
    assert Drop(25, Scope.LOGIN, 4) not in DROPS
    assert Drop(7071, Scope.LOGIN, 6) in DROPS
