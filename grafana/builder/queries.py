"""PromQL of the dashboards, made of declared metrics: a misspelt name does not even import."""

from appliance.metrics.declared import BUILD, READY, Declared, Kind
from appliance.model import RESULT_OF, Outcome, Result

SELECTED = 'job=~"$job",instance=~"$instance"'
"""What the variables at the top of a dashboard choose."""
SILENT = 300
"""Seconds without a line after which a sender counts as silent, as for the detector `silence`."""


def of(metric: Declared | str, **labels: str) -> str:
    """The series of a metric, of the gateways that are chosen; a label's value is one, or several with `|` between."""
    name = metric if isinstance(metric, str) else metric.name
    matchers = (f'{label}{"=~" if "|" in value else "="}"{value}"' for label, value in labels.items())
    return f"{name}{{{','.join((SELECTED, *matchers))}}}"


def ours(expr: str) -> str:
    """Of a metric that other programs export as well only what is zward's."""
    return f"{expr} and on (job, instance) {of(BUILD)}"


def rate(metric: Declared | str, **labels: str) -> str:
    """Per second, over the time that one pixel needs."""
    return f"rate({of(metric, **labels)}[$__rate_interval])"


def per_minute(metric: Declared, **labels: str) -> str:
    return f"60 * {rate(metric, **labels)}"


def per_hour(metric: Declared, **labels: str) -> str:
    return f"3600 * {rate(metric, **labels)}"


def share(part: str, whole: str) -> str:
    return f"{part} / {whole}"


def rise(metric: Declared, over: str = "$__range", **labels: str) -> str:
    """How far a counter rose: in the time that the dashboard shows, if nothing else is said."""
    return f"increase({of(metric, **labels)}[{over}])"


def recent(metric: Declared, **labels: str) -> str:
    """How far a counter rose in the time that one bar stands for."""
    return rise(metric, over="$__rate_interval", **labels)


def total(expr: str, *by: str) -> str:
    return f"sum {_by(by)}({expr})"


def most(expr: str, *by: str) -> str:
    return f"max {_by(by)}({expr})"


def least(expr: str, *by: str) -> str:
    return f"min {_by(by)}({expr})"


def quantile(share: float, histogram: Declared) -> str:
    """Over all gateways that are chosen; nothing where nothing was measured, which would be NaN otherwise."""
    if histogram.kind is not Kind.HISTOGRAM:
        raise ValueError(f"{histogram.name} is a {histogram.kind}, and a quantile needs a histogram")
    return f"histogram_quantile({share}, {total(rate(f'{histogram.name}_bucket'), 'le')}) >= 0"


def age(timestamp: Declared) -> str:
    """Seconds since then."""
    return f"time() - {of(timestamp)}"


def outcomes(*results: Result) -> str:
    """All outcomes of these classes."""
    return "|".join(outcome for outcome in Outcome if RESULT_OF[outcome] in results)


def or_down(expr: str) -> str:
    """The same, and 0 for each gateway that Prometheus has read within a day and cannot read now.

    Without it a gateway that died would be missing rather than bad.
    """
    return f"{expr} or on (job, instance) 0 * last_over_time({of(BUILD)}[1d])"


def _by(labels: tuple[str, ...]) -> str:
    return f"by ({', '.join(labels)}) " if labels else ""


READY_EVERYWHERE = f"{least(or_down(of(READY)))} or vector(0)"
FAILED = outcomes(Result.FAILURE, Result.LOCKOUT)
SUCCEEDED = outcomes(Result.SUCCESS)
FAILED_OR_ABUSED = outcomes(Result.FAILURE, Result.LOCKOUT, Result.ABUSE)
