"""A whole replay: files in, findings out."""

from collections.abc import Callable, Sequence
from typing import Any

from appliance.config.rule_files import RuleFiles, rules_for
from appliance.config.schema import Config
from appliance.read.syslog import parse
from appliance.replay.compare import compared
from appliance.replay.files import LogFile
from appliance.replay.findings import findings
from appliance.replay.run import Run
from appliance.replay.stream import Stream, Tally, merged
from appliance.replay.unparsed import shape_of

STEPS = 1024
"""Lines between two words to whoever watches."""


class Replay:
    """One or two configurations tried on the same lines, in one pass."""

    def __init__(
        self,
        files: Sequence[LogFile],
        rules: RuleFiles,
        configs: Sequence[Config],
        *,
        year: int | None = None,
        program: str | None = None,
        since: float = float("-inf"),
        until: float = float("inf"),
    ) -> None:
        """`configs` are one or two; times without a zone are of the first one's."""
        self.files = files
        self.tally = Tally(rules.rules)
        ignored = _ignored(rules)
        in_force = [rules_for(config, rules.rules) for config in configs]
        literals = sorted({literal for each in in_force for literal in each.literals})
        self._runs = [Run(config, each, ignored) for config, each in zip(configs, in_force, strict=True)]
        self._streams = [
            Stream(number, file, literals, configs[0].zone, self.tally, year=year, program=program)
            for number, file in enumerate(files)
        ]
        self._since, self._until = since, until

    def go(self, watch: Callable[[], None] = lambda: None) -> None:
        """Read everything. `watch` is called now and then. Raises Unusable for a file that cannot be read."""
        takers = [run.take for run in self._runs]
        for number, item in enumerate(merged(self._streams)):
            if self._since <= item.time < self._until:
                for take in takers:
                    take(item)
            if not number % STEPS:
                watch()
        for run in self._runs:
            run.finish()
        watch()

    @property
    def read(self) -> int:
        """Bytes of the files on disk that have been read."""
        return sum(file.read for file in self.files)

    def findings(self, other: str | None = None) -> dict[str, Any]:
        """What was found; `other` names the second configuration."""
        warnings = [f"{file.name}: {fault}" for file in self.files for fault in file.faults]
        found = findings(self._runs[0], self.tally, warnings)
        if other is not None:
            one, another = self._runs
            found["compare"] = compared(one, another, self.tally, other)
        return found


def _ignored(rules: RuleFiles) -> list[bytes]:
    """The shapes of the lines that rules leave alone on purpose."""
    return [shape_of(parse(sample.line, 0.0).text) for sample in rules.samples if sample.expected is None]
