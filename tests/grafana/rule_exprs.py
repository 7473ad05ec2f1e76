"""What stands in grafana/prometheus and grafana/alertmanager, read for the tests."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "grafana/prometheus"
ALERTMANAGER = ROOT / "grafana/alertmanager"
RUNBOOKS = ROOT / "docs/runbooks"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
TEST_FILES = sorted((PROMETHEUS / "tests").glob("*.yml"))


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, of either kind."""

    file: str
    name: str
    """Of the alert, or of what it records."""
    expr: str
    is_alert: bool
    labels: dict[str, str]
    annotations: dict[str, str]


@cache
def rules() -> tuple[Rule, ...]:
    found = []
    for path in RULE_FILES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for each in group["rules"]:
                name = each.get("alert") or each["record"]
                labels, annotations = each.get("labels", {}), each.get("annotations", {})
                found.append(Rule(path.name, name, each["expr"], "alert" in each, labels, annotations))
    return tuple(found)


def expressions_of_rules() -> list[tuple[str, str, str]]:
    """(file, name, expr) of every recording and alerting rule, the recording ones first."""
    ordered = sorted(rules(), key=lambda rule: rule.is_alert)
    return [(rule.file, rule.name, rule.expr) for rule in ordered]


def alerts() -> list[Rule]:
    return [rule for rule in rules() if rule.is_alert]


def recorded() -> set[str]:
    return {rule.name for rule in rules() if not rule.is_alert}


@cache
def cases() -> tuple[dict[str, Any], ...]:
    """Every case of `promtool test rules`."""
    return tuple(case for path in TEST_FILES for case in yaml.safe_load(path.read_text())["tests"])
