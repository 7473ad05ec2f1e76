"""What stands in a PromQL expression: selectors with the functions around them, and labels that are named."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import promql_parser as promql

from appliance.metrics.declared import DECLARED, Declared, Kind

OF_EVERY_TARGET = frozenset({"job", "instance"})
OF_THE_CLIENT = frozenset(
    {
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "up",
    }
)
"""Metrics that prometheus_client or Prometheus itself makes."""
_BY_NAME = {
    queried: metric
    for metric in DECLARED
    for queried in (
        [metric.name, f"{metric.name}_bucket", f"{metric.name}_sum", f"{metric.name}_count"]
        if metric.kind is Kind.HISTOGRAM
        else [metric.name]
    )
}


class Selected(NamedTuple):
    """A selector: the function that takes it, innermost first None, and the seconds that it reaches back."""

    selector: Any
    function: str | None
    seconds: float | None

    @property
    def matchers(self) -> dict[str, tuple[Any, str]]:
        return {one.name: (one.op, one.value) for one in self.selector.matchers.matchers}


def selected(expr: str) -> list[Selected]:
    """Every selector; raises ValueError if the expression does not parse or its types do not fit."""
    return list(_selected(promql.parse(expr), None))


def _selected(node: Any, function: str | None) -> Iterator[Selected]:
    match node:
        case promql.VectorSelector():
            yield Selected(node, function, None)
        case promql.MatrixSelector():
            yield Selected(node.vector_selector, function, node.range.total_seconds())
        case promql.Call():
            for argument in node.args:
                yield from _selected(argument, node.func.name)
        case promql.BinaryExpr():
            yield from _selected(node.lhs, None)
            yield from _selected(node.rhs, None)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr():
            yield from _selected(node.expr, None)
        case promql.NumberLiteral() | promql.StringLiteral():
            return
        case _:
            raise TypeError(f"nothing is known of {type(node).__name__}")


def grouped(expr: str) -> list[tuple[set[str], list[Selected]]]:
    """What each `by` and `on` names, and the selectors that it is about."""
    return list(_grouped(promql.parse(expr)))


def _grouped(node: Any) -> Iterator[tuple[set[str], list[Selected]]]:
    match node:
        case promql.AggregateExpr():
            yield set(node.modifier.labels if node.modifier else ()), list(_selected(node.expr, None))
            yield from _grouped(node.expr)
        case promql.BinaryExpr():
            matching = node.modifier.matching if node.modifier else None
            yield set(matching.labels if matching else ()), list(_selected(node, None))
            yield from _grouped(node.lhs)
            yield from _grouped(node.rhs)
        case promql.Call():
            for argument in node.args:
                yield from _grouped(argument)
        case promql.ParenExpr() | promql.UnaryExpr():
            yield from _grouped(node.expr)


def outcome_labels(expr: str) -> set[str]:
    """The labels that the answer has, as far as an outermost aggregation says so."""
    node = promql.parse(expr)
    while isinstance(node, promql.BinaryExpr | promql.ParenExpr):
        node = node.expr if isinstance(node, promql.ParenExpr) else _vector_side(node)
    if isinstance(node, promql.AggregateExpr):
        return set(node.modifier.labels if node.modifier else ())
    return set(OF_EVERY_TARGET)


def _vector_side(node: Any) -> Any:
    return node.rhs if isinstance(node.lhs, promql.NumberLiteral) else node.lhs


def metric(name: str) -> Declared | None:
    """The declaration of a queried name; None of those that the client library makes. Raises KeyError else."""
    return None if name in OF_THE_CLIENT else _BY_NAME[name]


def labels(name: str) -> set[str]:
    """All labels that series of this name have; raises KeyError for a name that nobody exports."""
    declared = metric(name)
    own = set(declared.labels) if declared else set()
    return own | OF_EVERY_TARGET | ({"le"} if name.endswith("_bucket") else set())
