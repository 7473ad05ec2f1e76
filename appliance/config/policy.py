"""The configuration's detectors and lists as the judge's policy."""

from collections.abc import Mapping

from appliance.address import NetSet
from appliance.config.schema import Config
from appliance.judge.bans import Ladder
from appliance.judge.detect.guessing import Guessing
from appliance.judge.detect.slow_guessing import SlowGuessing
from appliance.judge.detect.spraying import Spraying
from appliance.judge.detect.zmauditswatch import Zmauditswatch
from appliance.judge.policy import Ours, Policy
from appliance.model import Mode


def policy_of(config: Config, mode: Mode, allowed: NetSet, never_ban: Mapping[Ours, NetSet]) -> Policy:
    """What the judge is to go by. `mode` is what can be done, `allowed` the whole allowlist, wherever it comes from."""
    detect, ladder = config.detect, config.ladder
    return Policy(
        mode=mode,
        allowlist=allowed,
        never_ban=never_ban,
        detectors=(
            Guessing(detect.guessing.mode, detect.guessing.points, detect.guessing.within),
            SlowGuessing(detect.slow_guessing.mode, detect.slow_guessing.points, detect.slow_guessing.within),
            Spraying(detect.spraying.mode, detect.spraying.accounts, detect.spraying.within),
        ),
        tellers=(
            Zmauditswatch(
                detect.zmauditswatch.mode,
                detect.zmauditswatch.source_and_account,
                detect.zmauditswatch.account,
                detect.zmauditswatch.source,
                detect.zmauditswatch.total,
                detect.zmauditswatch.within,
            ),
        ),
        ladder=Ladder(ladder.steps, ladder.memory, ladder.jitter),
        sees_traffic=config.firewall.sees_traffic,
    )
