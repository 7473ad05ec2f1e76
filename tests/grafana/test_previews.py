"""Each dashboard has the types that Grafana's own schema asks for, and a picture that shows it as it is now."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from bench.previews.drawing import dimensions, mark_of, marked, size_of
from bench.previews.node import ToolError, run, tools

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
PICTURES = ROOT / "docs" / "previews"
LARGEST = 600 * 1024
"""Bytes of a picture: whoever reads docs/ on the web waits for them."""

of_each = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def node() -> Path:
    """Where the tools are installed; skips where that cannot be done, unless everything has to be tested."""
    try:
        return tools()
    except ToolError as fault:
        if os.environ.get("ZWARD_REQUIRE_E2E") == "1":
            raise
        pytest.skip(str(fault)[:300])


def picture_of(dashboard: Path) -> bytes:
    return (PICTURES / f"{dashboard.stem}.png").read_bytes()


def test_there_are_dashboards():
    assert [path.stem for path in DASHBOARDS] == ["operator", "senders", "wall"]


def test_there_is_no_picture_without_a_dashboard():
    assert sorted(path.stem for path in PICTURES.iterdir()) == [path.stem for path in DASHBOARDS]


@of_each
def test_the_picture_shows_the_dashboard_as_it_is_now(dashboard):
    digest = hashlib.sha256(dashboard.read_bytes()).hexdigest()
    assert mark_of(picture_of(dashboard)) == digest, "the dashboard changed since its picture; the cure: make previews"


@of_each
def test_the_picture_has_the_size_of_the_dashboard_and_few_bytes(dashboard):
    picture = picture_of(dashboard)
    assert dimensions(picture) == size_of(dashboard.stem, json.loads(dashboard.read_bytes()))
    assert len(picture) <= LARGEST


@of_each
def test_a_picture_of_another_dashboard_is_noticed(dashboard):
    assert mark_of(marked(picture_of(dashboard), "another")) == "another"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_each_dashboard_has_the_types_of_grafanas_schema(node):
    assert run(node, "npm", "run", "--silent", "types", "--", str(DASHBOARDS[0].parent)) == ""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("path", "wrong", "says"),
    [
        (("panels", 1, "gridPos", "x"), "12", "Type 'string' is not assignable to type 'number'"),
        (("panels", 1, "fieldConfig", "defaults", "thresholds", "mode"), "relative", "relative"),
        (("templating", "list", 0, "hide"), 7, "Type '7' is not assignable"),
        (("refresh",), 30, "Type 'number' is not assignable to type 'string'"),
        (("titel",), "Operator", "titel"),
    ],
)
def test_a_wrong_type_is_noticed(node, tmp_path, path, wrong, says):
    shutil.copy(ROOT / "grafana" / "dashboards" / "operator.json", tmp_path)
    copy = tmp_path / "operator.json"
    dashboard = place = json.loads(copy.read_bytes())
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = wrong
    copy.write_text(json.dumps(dashboard))

    with pytest.raises(ToolError, match="error TS") as fault:
        run(node, "npm", "run", "--silent", "types", "--", str(tmp_path))
    assert says in str(fault.value)
