from __future__ import annotations

import re
import time
from xml.etree import ElementTree

import pytest

from pipeline.web.served_models.label_choices import answers
from pipeline.web.views import charts
from pipeline.web.views.charts import Series, columns, histogram, interval, legend, lines, nice, series_of
from pipeline.web.views.markdown import render

EVIL = '"><script>alert(1)</script>&'


def heights(svg: str) -> list[float]:
    return [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', svg)]


def test_columns_are_as_high_as_their_values() -> None:
    svg = columns("t", [("Mon", {"a": 10, "b": 10}), ("Tue", {"a": 5})], [Series("a", "x"), Series("b", "y")])
    first, second, third = heights(svg)
    assert first == second == 2 * third
    room = charts.HEIGHT - charts.TOP - charts.BOTTOM
    assert first + second == pytest.approx(room, abs=0.2)


def test_every_chart_is_well_formed_and_escapes_all_text() -> None:
    series = [Series(EVIL, EVIL)]
    drawn = [
        columns(EVIL, [(EVIL, {EVIL: 3})], series),
        columns("nothing", [], []),
        histogram([0, 1, 100], EVIL),
        histogram([], "nothing"),
        lines(EVIL, [(series[0], [(1, 0.5), (2, 0.7)])], diagonal=True),
        lines("one point", [(series[0], [(1, 0)])]),
        interval(0.9, 0.8, 0.95, 0.5),
        interval(0.2, None, None, 0.5),
        interval(1.0, 1.0, 1.0, 1.0),
        legend(series),
    ]
    for svg in drawn:
        ElementTree.fromstring(str(svg))
        assert "<script" not in svg and " style=" not in svg


def test_nothing_to_draw_draws_nothing() -> None:
    assert lines("t", []) == ""


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (-1, 1), (1, 1), (3, 4), (9, 10), (10, 10), (11, 12), (27, 28), (0.3, 0.4), (4_001, 4_800)],
)
def test_axes_end_at_round_numbers(value: float, top: float) -> None:
    assert nice(value) == pytest.approx(top)


def test_outcomes_keep_their_colours_and_others_get_one() -> None:
    assert [part.css for part in series_of(["cats", "rabbits", "failed"])] == ["of-cats", "of-1", "of-failed"]


def test_a_folder_that_people_made_has_a_colour_of_its_own() -> None:
    names = ["cats", "dogs", "uncertain", "failed", "rabbits", "mice", "birds", "fish"]
    assert [part.css for part in series_of(names)][4:] == ["of-2", "of-3", "of-5", "of-2"]


# --- keys ---


def test_each_class_has_a_key_of_its_own() -> None:
    found = answers({"cat": "cats", "cow": "cows", "snake": "snakes", "newt": "newts", "über": "x"})
    assert [(a.label, a.key) for a in found] == [
        ("cat", "c"), ("cow", "o"), ("snake", "k"), ("newt", "e"), ("über", "b"), ("neither", "n"),
    ]  # fmt: skip
    assert found[-1].folder == "uncertain"


def test_a_thousand_classes_have_distinct_keys() -> None:
    found = answers({f"s{n}": f"f{n}" for n in range(1000)})
    keys = [answer.key for answer in found if answer.key]
    assert len(keys) == len(set(keys))


# --- the card of a bundle ---


def test_a_card_is_rendered() -> None:
    text = (
        "<!-- a\nnote -->\n# t\n\n<!-- kept: b -->\nA `b` **c** [d](http://e).\n<!-- end -->\n\n"
        "## h\n\n    code <x>\n\n- one\n  more\n- two\n\n"
        "| a | b |\n|---|--:|\n| 1 | 2 |\n"
    )
    assert str(render(text)).replace(">\n<", "><") == (
        '<p>A <code>b</code> <strong>c</strong> <a href="http://e" rel="noreferrer">d</a>.</p><h3>h</h3>'
        '<pre tabindex="0">code &lt;x&gt;</pre><ul><li>one\nmore</li><li>two</li></ul>'
        '<div class="scroll" tabindex="0"><table><thead><tr><th>a</th><th class="number">b</th></tr></thead>'
        '<tbody><tr><td>1</td><td class="number">2</td></tr></tbody></table></div>'
    )


def test_a_table_without_headings_has_no_head() -> None:
    assert "thead" not in str(render("|  |  |\n|--|--|\n| a | b |\n"))


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "&#106;avascript:alert(1)", "<java\tscript:alert(1)>",
        "<  javascript:alert(1)>", "vbscript:x", "data:text/html,x", "file:///etc/passwd", "mailto:a@b.c",
        "blob:x", "intent:x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["[x]({})", "[x][r]\n\n[r]: {}", "![x]({})", "![x][r]\n\n[r]: {}"])
def test_a_link_of_a_card_leads_to_a_web_page_or_nowhere(form: str, address: str) -> None:
    assert str(render(form.format(address))) == "<p>x</p>"


@pytest.mark.parametrize(
    "address", ["http://a.example/b", "HTTPS://a.example", "labels.txt", "../b?c=d:e", "#f"]
)
def test_other_links_of_a_card_stay(address: str) -> None:
    assert f'<a href="{address}" rel="noreferrer">x</a>' in str(render(f"[x]({address})"))


@pytest.mark.parametrize(
    "text", ["![secret](http://evil.example/a.png)", "[![secret](http://evil.example)](b)"]
)
def test_an_image_of_a_card_is_its_text(text: str) -> None:
    made = str(render(text))
    assert "secret" in made and "evil.example" not in made and "<img" not in made


@pytest.mark.parametrize(
    "text", ["<!--" * 25_000, "<!-- \n" * 16_000, "[" * 100_000, "|a" * 300 + "\n" + "|-" * 300]
)
def test_a_hostile_card_does_not_keep_the_server_busy(text: str) -> None:
    began = time.process_time()
    render(text)
    assert time.process_time() - began < 15, "linear: 2 s; quadratic comments took 25 s and more"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>", "[x](javascript:alert(1))", "![](http://evil)", "`<b>`", "**<b>**",
        "# <b>\n\n## <b>", "- <b>", "| <b> |\n|---|\n| <b> |", "    <b>", "```\n<b>\n```", "<img src=x>",
        "<b> `x` <b> **y** <b>",
    ],
)  # fmt: skip
def test_no_markup_of_a_card_passes(text: str) -> None:
    made = str(render(text))
    assert not re.search(r"<(script|b|img|a)\b", made)
    assert "javascript:" not in made and "http://evil" not in made
