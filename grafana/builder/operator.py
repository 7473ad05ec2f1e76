"""Operator: everything that zward counts, in the order in which somebody who is called asks."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.builder.frame import dashboard, with_rows
from grafana.builder.rows.attack import attack
from grafana.builder.rows.decisions import decisions
from grafana.builder.rows.itself import itself
from grafana.builder.rows.people import people
from grafana.builder.rows.working import working


def operator() -> Dashboard:
    board = dashboard("zward-operator", "Is zward working, what is going on, and what did it decide?", hours=6)
    rows = (
        ("Is it working?", working()),
        ("Attack", attack()),
        ("Decisions", decisions()),
        ("People", people()),
        ("zward itself", itself()),
    )
    return with_rows(board, rows)
