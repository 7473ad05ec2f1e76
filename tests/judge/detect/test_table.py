from dataclasses import FrozenInstanceError

import pytest

from appliance.judge.detect.table import DETECTORS, TELLERS, default_detectors, default_tellers

EVERYONE = {**DETECTORS, **TELLERS}


@pytest.mark.parametrize("name", EVERYONE)
def test_detector_has_the_name_of_its_table(name):
    assert EVERYONE[name]().name == name


@pytest.mark.parametrize("each", default_detectors() + default_tellers(), ids=lambda each: each.name)
def test_settings_cannot_be_changed(each):
    with pytest.raises(FrozenInstanceError):
        each.within = 1.0


def test_defaults_are_those_of_the_table():
    assert [(each.name, each.limit, each.unit, each.within, each.first_step) for each in default_detectors()] == [
        ("guessing", 6, "points", 1800.0, 0),
        ("slow-guessing", 10, "points", 86400.0, 2),
        ("spraying", 5, "accounts", 3600.0, 2),
    ]
