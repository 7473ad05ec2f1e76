import pytest
from story import address, nets

from appliance.address import source_of
from appliance.judge.policy import POINTS, Ours, Policy
from appliance.model import RESULT_OF, Outcome, Result


def test_loopback_is_spared_without_being_named():
    assert Policy().spares(address("127.0.0.5")) == "127.0.0.0/8 is loopback"
    assert Policy().spares(source_of(address("::1"))) == "::1 is loopback"


@pytest.mark.parametrize("label", Ours)
def test_each_reason_not_to_ban_is_said_in_its_own_words(label):
    policy = Policy(never_ban={label: nets("192.0.2.5")})

    assert policy.spares(address("192.0.2.5")) == f"192.0.2.5 is {label.value}"


def test_network_that_touches_an_allowed_address_is_spared():
    policy = Policy(allowlist=nets("2001:db8::5"))

    assert policy.spares(source_of(address("2001:db8::9"))) == "2001:db8::5 is on the allowlist"
    assert policy.spares(source_of(address("2001:db8:0:1::9"))) is None


@pytest.mark.parametrize("outcome", Outcome)
def test_only_failed_logins_are_worth_points(outcome):
    assert (outcome in POINTS) == (RESULT_OF[outcome] in (Result.FAILURE, Result.LOCKOUT))
