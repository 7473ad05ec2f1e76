"""A page as a tree: what is text stays text."""

from datetime import UTC, datetime

import pytest
from invoking import HOSTILE, acting

from appliance.replay.elements import element, page
from appliance.replay.plots import BARS, stacked

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["<b>x</b>", "&amp;", '"><script>', "]]>", "<!--", HOSTILE])
def test_text_is_escaped_wherever_it_stands(text):
    whole = page(text, "p {}", element("p", text, element("b", text), text))

    assert "<script" not in whole
    assert whole.count("<b>") == 1
    assert whole.count("<!") == 1
    assert acting(whole) == []


def test_children_and_text_keep_their_order():
    assert "<p>a<b>c</b>d<i></i>e</p>" in page(
        "", "", element("p", "a", None, element("b", "c"), "d", element("i"), "e")
    )


def test_a_plot_has_a_bar_for_each_count_and_names_them():
    plot = stacked("Failures", [NOON, NOON], {"let in": [3, 0], "avoided": [1, 2]}, NOON, NOON)

    heights = [float(rect.get("height", "0")) for rect in plot.iter("rect")]
    assert len(heights) == 2
    assert heights[0] == pytest.approx(heights[1], abs=0.01)
    assert "".join(plot.itertext()).count("avoided (3)") == 1


def test_a_year_of_hours_is_drawn_with_few_bars():
    hours = [datetime.fromtimestamp(NOON.timestamp() + n * 3600, UTC) for n in range(8760)]
    plot = stacked("Failures", hours, {"failures": [1] * 8760}, hours[0], hours[-1])

    assert 100 < len(list(plot.iter("rect"))) <= BARS
