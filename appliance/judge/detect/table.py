"""Every detector, by the name that its configuration table has. One more is one file and one line here.

Where several ask for a ban at once, the one whose first step is longest decides, then the one named first.
"""

from collections.abc import Mapping

from appliance.judge.detect.guessing import Guessing
from appliance.judge.detect.slow_guessing import SlowGuessing
from appliance.judge.detect.spraying import Spraying
from appliance.judge.detect.zmauditswatch import Zmauditswatch
from appliance.judge.detector import Detector, Teller

DETECTORS: Mapping[str, type[Detector]] = {
    "guessing": Guessing,
    "slow-guessing": SlowGuessing,
    "spraying": Spraying,
}
TELLERS: Mapping[str, type[Teller]] = {
    "zmauditswatch": Zmauditswatch,
}


def default_detectors() -> tuple[Detector, ...]:
    return tuple(detector() for detector in DETECTORS.values())


def default_tellers() -> tuple[Teller, ...]:
    return tuple(teller() for teller in TELLERS.values())
