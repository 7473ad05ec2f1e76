"""Presets: other defaults by one word; what the file says, wins."""

import pytest

from appliance.config.checks import warnings
from appliance.config.faults import ConfigError
from appliance.config.load import parse
from appliance.config.presets import PRESETS, Preset
from appliance.config.schema import Config, keys
from appliance.judge.detector import DetectorMode

SOUND = """
[listen]
udp = ["127.0.0.1:5514"]
senders = ["192.0.2.10"]
[zimbra]
hosts = ["192.0.2.10"]
"""


def of(preset: str, text: str = "") -> Config:
    return parse(f'preset = "{preset}"\n{text}', "zward.toml")


def test_balanced_is_the_default_and_changes_nothing() -> None:
    assert of("balanced") == parse("", "zward.toml") == Config()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_says_nothing_but_what_detectors_and_ladder_are_to_do(preset: Preset) -> None:
    told = {key for key in keys() if _value(of(preset), key) != _value(Config(), key)}

    assert {key[0] for key in told - {("preset",)}} <= {"detect", "ladder"}


@pytest.mark.parametrize("preset", [preset for preset in Preset if preset is not Preset.BALANCED])
def test_whatever_a_preset_names_it_changes(preset: Preset) -> None:
    named = [(table, name, key) for table, name, key in _named(preset)]

    assert named
    restated = {("guessing", "within"), ("slow-guessing", "within")}
    same = {(name, key) for table, name, key in named if _value(of(preset), (table, name, key)) == _default(name, key)}
    assert same <= restated


def test_what_the_file_says_wins_key_by_key() -> None:
    config = of("gentle", '[detect.guessing]\npoints = 7\n[detect.spraying]\nwithin = "2h"\n[ladder]\njitter = 0')

    assert (config.detect.guessing.points, config.detect.guessing.within) == (7, 1800)
    assert (config.detect.spraying.accounts, config.detect.spraying.strangers, config.detect.spraying.within) == (
        8,
        5,
        7200,
    )
    assert (config.ladder.steps[0], config.ladder.jitter) == (600, 0)


def test_the_default_itself_can_be_written_against_a_preset() -> None:
    assert of("gentle", "detect.guessing.points = 6").detect.guessing.points == 6
    assert of("fail2ban-classic", 'detect.siege.mode = "enforce"').detect.siege == Config().detect.siege


def test_faults_point_at_the_files_own_lines() -> None:
    with pytest.raises(ConfigError) as raised:
        of("strict", '[detect.guessing]\nwithin = "30m"\npoints = 0\n[detect]\nsiege = 3\n[ladder]\nstep = 1')
    with pytest.raises(ConfigError) as unknown:
        parse('\npreset = "fail2ban"', "zward.toml")

    assert str(raised.value).splitlines() == [
        "zward.toml:4: detect.guessing.points: found 0, expected a whole number from 1 to 1000",
        "zward.toml:6: detect.siege: found 3, expected a table",
        "zward.toml:8: ladder.step: unknown key; did you mean steps?",
    ]
    assert str(unknown.value) == (
        'zward.toml:2: preset: found "fail2ban", expected "gentle", "balanced", "strict" or "fail2ban-classic"'
    )


@pytest.mark.parametrize("wrong", ["3", "[]", "{}", "1979-05-27", "true"])
def test_a_preset_that_is_no_text_is_a_fault_and_no_crash(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"zward.toml:1: preset: found .*, expected \"gentle\""):
        parse(f"preset = {wrong}", "zward.toml")


def test_fail2ban_classic_bans_for_one_reason_alone() -> None:
    config = of("fail2ban-classic")
    enforced = {name for name, table in config.detect if getattr(table, "mode", None) is DetectorMode.ENFORCE}

    assert (config.detect.guessing.points, config.detect.guessing.within) == (5, 600)
    assert (config.ladder.steps, config.ladder.jitter, config.ladder.probation) == ((600,), 0, 0)
    assert enforced == {
        "guessing",
        "break_in",
        "many_places",
        "outbound",
        "zmauditswatch",
        "stale_device",
        "silence",
        "ineffective",
    }


@pytest.mark.parametrize(
    ("preset", "warned"),
    [
        ("gentle", ["detect.guessing.points"]),
        ("balanced", []),
        ("strict", ["detect.guessing.points", "detect.spraying.strangers"]),
        ("fail2ban-classic", ["detect.guessing.within", "detect.siege.mode"]),
    ],
)
def test_each_preset_is_warned_of_where_it_should_be(preset: str, warned: list[str]) -> None:
    assert [warning.partition(": ")[0] for warning in warnings(of(preset, SOUND))] == warned


def test_gentle_has_no_warning_with_the_lockout_that_its_warning_asks_for() -> None:
    assert warnings(of("gentle", SOUND + "lockout.max_failures = 15")) == []


def _named(preset: Preset) -> list[tuple[str, str, str]]:
    tables = PRESETS[preset].get("detect", {})
    return [("detect", name, key) for name, table in tables.items() for key in table]


def _default(name: str, key: str) -> object:
    return _value(Config(), ("detect", name, key))


def _value(config: Config, key: tuple[str, ...]) -> object:
    found: object = config
    for name in key:
        found = getattr(found, name.replace("-", "_"), None)
    return found
