from appliance.judge.detector import DetectorMode


def test_modes_are_the_words_of_the_configuration():
    assert [mode.value for mode in DetectorMode] == ["off", "observe", "enforce"]
