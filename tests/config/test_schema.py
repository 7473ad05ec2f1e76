"""The schema as a whole: defaults, immutability, and the list of its keys."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from appliance.config.load import parse
from appliance.config.schema import Config, keys, names
from appliance.judge.detector import DetectorMode
from appliance.model import Mode


def test_an_empty_file_observes_and_listens_nowhere() -> None:
    config = parse("", "empty.toml")

    assert config == Config()
    assert config.mode is Mode.OBSERVE
    assert (config.listen.udp, config.listen.tcp) == ((), ())
    assert config.detect.slow_guessing.mode is DetectorMode.ENFORCE


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().detect.guessing.points = 1  # type: ignore[misc]


def test_equal_texts_give_equal_configurations() -> None:
    assert parse("[detect.guessing]\npoints = 5", "a") == parse("detect.guessing.points = 5", "b") != Config()


def test_the_zone_is_ready_for_use() -> None:
    assert Config().zone is UTC
    assert parse('time_zone = "Europe/Rome"', "a").zone == ZoneInfo("Europe/Rome")


def test_a_configuration_is_shown_as_it_is_written() -> None:
    shown = parse('[allow]\nnetworks = ["192.0.2.0/24"]\n[http]\nlisten = "[::1]:9514"', "a").model_dump(mode="json")

    assert shown["allow"]["networks"] == ["192.0.2.0/24"]
    assert shown["http"]["listen"] == "[::1]:9514"


def test_keys_are_named_as_an_operator_writes_them() -> None:
    assert ("detect", "slow-guessing", "points") in keys()
    assert ("detect", "siege", "fence", "ports") in keys()
    assert list(names(("detect",)))[:4] == ["office", "guessing", "slow-guessing", "siege"]
    assert names(("detect", "spray")) == {}
    assert names(("mode", "further")) == {}
