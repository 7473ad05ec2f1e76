from dataclasses import FrozenInstanceError, fields

import pytest
from story import START, address

from appliance.judge.detect.table import DETECTORS, TELLERS, Watches, default_detectors, default_tellers
from appliance.judge.detector import Case, DetectorMode
from appliance.judge.tallies import Tally

EVERYONE = {**DETECTORS, **TELLERS}


@pytest.mark.parametrize("name", EVERYONE)
def test_detector_has_the_name_of_its_table(name):
    assert EVERYONE[name]().name == name


@pytest.mark.parametrize("each", default_detectors() + default_tellers(), ids=lambda each: each.name)
def test_settings_cannot_be_changed(each):
    with pytest.raises(FrozenInstanceError):
        each.mode = DetectorMode.OFF


def test_defaults_are_those_of_the_table():
    nothing = Case(START, address("203.0.113.9"), None, (), False, None, Tally())
    told = [
        (each.name, each.limit, each.within, each.first_step(nothing), each.scope(nothing).value)
        for each in default_detectors()
    ]

    assert told == [
        ("trap", 1, 1800.0, 2, "all"),
        ("admin-door", 3, 3600.0, 0, "all"),
        ("guessing", 6, 1800.0, 0, "all"),
        ("slow-guessing", 10, 86400.0, 2, "all"),
        ("spraying", 5, 3600.0, 3, "all"),
        ("siege", 2, 3600.0, 1, "login"),
        ("probing", 10, 600.0, 0, "login"),
        ("harvesting", 15, 600.0, 1, "smtp-in"),
    ]


def test_every_detector_enforces_unless_it_is_told_otherwise():
    watches = [getattr(Watches(), field.name) for field in fields(Watches)]

    assert {each.mode for each in (*default_detectors(), *default_tellers(), *watches)} == {DetectorMode.ENFORCE}


def test_watches_have_the_names_of_their_tables():
    for field in fields(Watches):
        assert getattr(Watches(), field.name).name == field.name.replace("_", "-")
