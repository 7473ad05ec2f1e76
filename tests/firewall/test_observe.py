import pytest

from appliance.address import Net, parse_network
from appliance.firewall import observe
from appliance.firewall.backend import BackendError, Element
from appliance.firewall.observe import ObserveBackend

FIRST, SECOND, THIRD = (Net(bytes([203, 0, 113, last]), 32) for last in (1, 2, 3))


@pytest.mark.asyncio
async def test_remaining_time_follows_the_clock_that_it_was_given() -> None:
    now = [0.0]
    backend = ObserveBackend(lambda: now[0])
    await backend.ban([Element(FIRST, 60)])
    now[0] = 59.5
    assert await backend.banned() == {FIRST: 0.0}
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
    assert set(await backend.banned()) == {SECOND, THIRD}


@pytest.mark.asyncio
async def test_bans_stay_written_down_over_close_and_open() -> None:
    backend = ObserveBackend(lambda: 0.0, own=[parse_network("192.0.2.1")])
    await backend.ban([Element(FIRST, 10)])
    await backend.close()
    await backend.open()
    assert set(await backend.banned()) == {FIRST}
