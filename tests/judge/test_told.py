from appliance.judge.told import Told


def test_subject_needs_no_further_word_until_its_time():
    told = Told()
    assert told.until("zmauditswatch", "site", 0.0) is None

    told.tell("zmauditswatch", "site", 60.0)

    assert told.until("zmauditswatch", "site", 59.9) == 60.0
    assert told.until("zmauditswatch", "site", 60.0) is None
    assert told.until("guessing", "site", 0.0) is None


def test_forgotten_subject_is_told_of_again():
    told = Told()
    told.tell("guessing", "203.0.113.9", 60.0)

    told.forget("203.0.113.9")

    assert told.until("guessing", "203.0.113.9", 0.0) is None


def test_least_recently_told_gives_way_and_is_counted():
    told = Told(most=1)
    told.tell("guessing", "a", 60.0)
    told.tell("guessing", "b", 60.0)

    assert told.until("guessing", "a", 0.0) is None
    assert told.evicted == 1
