"""The table shows each figure with its doubt, and only what its view asks for."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.cells import cell_len

from engine.cli.listing import plain as listed
from engine.errors import UsageError
from engine.evaluations.cells import csv_cell, plain, shortened, width
from engine.evaluations.evaluation import FRACTION, Evaluation, Metric
from engine.evaluations.load import Loaded, resolve
from engine.evaluations.names import entry_key, next_version, told_apart
from engine.evaluations.page import html_page
from engine.evaluations.table import build_table
from engine.evaluations.text import csv_text, json_text, markdown_text, rows_text, table_text
from engine.evaluations.view import View


def metric(name: str, value: float | None, **changes) -> Metric:
    fields = {"ci_low": 0.1, "ci_high": 0.9, "stderr": 0.01, "n": 100, "unit": FRACTION, "higher_is_better": True}
    return Metric(name=name, value=value, **{**fields, **changes})


def evaluation(number: int, model: str, *metrics: Metric, tags=(), **details) -> Evaluation:
    about = {"model": model, "provider": "fireworks"}
    return Evaluation(
        evaluation_id=f"e{number:010}",
        name=f"local/{number}_{model.replace('/', '_')}/0.0.1",
        about=about,
        tags=tags,
        details={"evaluation_name": metrics[0].name, "n": 100, "outcomes": {"passed": 98, "errored": 2}, **details},
        created_at=1e9 + number,
        metrics={each.name: each for each in metrics},
    )


OLD = evaluation(1, "small", metric("gsm8k", 0.5), metric("gsm8k/cost_usd", 0.25, unit="usd", tags=("cost",)))
NEW = evaluation(2, "large", metric("gsm8k", 0.841), tags=("paper",))
MMLU = evaluation(3, "small", metric("mmlu", 0.7), metric("mmlu/average", 0.69), metric("mmlu/law", 0.6))
ALL = Loaded((MMLU, NEW, OLD))


def models(where: str = "", **view) -> list[str]:
    return [row.key[0] for row in build_table(ALL, View(where=where, **view)).rows]


def test_evaluations_of_one_thing_share_a_row_and_each_figure_has_its_doubt():
    made = build_table(ALL, View())
    assert made.columns == ("model", "agent", "gsm8k", "mmlu", "mmlu/average")
    assert models() == ["small", "large"]
    text = table_text(made, View())
    assert "84.10 [10.00, 90.00] n=100 lost=2" in text
    assert "2 of 5 metrics are left out" in text


def test_one_model_at_two_providers_is_told_apart_and_json_keeps_its_parts():
    elsewhere = replace(evaluation(4, "large", metric("gsm8k", 0.8)), about={"model": "large", "provider": "near"})
    made = build_table(Loaded((elsewhere, *ALL.evaluations)), View())
    for text in (table_text(made, View()), markdown_text(made, View()), csv_text(made), html_page(made)):
        assert "near::large" in text
        assert "fireworks::large" in text
        assert "fireworks::small" not in text
    assert [row["model"] for row in json.loads(json_text(made))["rows"]] == ["large", "small", "large"]
    whole = View(all_key_columns=True)
    assert "::" not in table_text(build_table(Loaded((elsewhere, NEW)), whole), whole)


def test_two_versions_of_an_agent_are_told_apart():
    abouts = [{"agent": "a", "namespace": "ns", "version": each, "model": "m"} for each in ("1", "2")]
    assert told_apart(abouts) == [("m", "ns/a/1"), ("m", "ns/a/2")]
    assert told_apart(abouts[:1] * 2) == [("m", "a"), ("m", "a")]


@pytest.mark.parametrize("limit", [None, 80, 64, 50, 20])
def test_rows_keep_what_matters_whole_and_lose_what_is_empty_or_has_no_room(limit):
    head = ("id", "model", "score %", "agent", "date", "benchmark", "entry")
    score = "46.88 [37.20, 56.80] n=96 lost=4"
    row = ("e0123456789", "simulated::calculator", score, "", "2026-11-26", "3_digit_addition", "x" * 60)
    text = rows_text(head, [row], uncut=("id", "score %", "date"), limit=limit)
    for whole in ("e0123456789", score, "2026-11-26"):
        assert whole in text
    assert "agent" not in text
    assert ("simulated::calculator" in text) is (limit is None or limit <= 50)
    assert ("simulated::" in text) is (limit != 64)
    assert limit in (None, 20, 50) or all(width(line) <= limit for line in text.splitlines()[:-1])
    assert ("benchmark, entry left out" in text) is (limit in (64, 80))


def test_a_partial_run_never_stands_before_a_whole_one():
    partial = evaluation(9, "large", metric("gsm8k", 1.0, n=3), metric("gsm8k/extra", 0.5), partial=True)
    [row] = build_table(Loaded((partial, NEW)), View(all_metrics=True)).rows
    assert (row.cells["gsm8k"].metric.value, row.cells["gsm8k/extra"].metric.value) == (0.841, 0.5)
    alone = table_text(build_table(Loaded((partial,)), View()), View())
    assert "n=3 lost=2 partial" in alone


def test_what_is_of_less_data_or_has_no_score_stands_behind_and_the_newest_of_whole_ones_wins():
    whole, newer = (evaluation(n, "m", metric("g", n / 100), n=200, dataset_rows=100, repeats=2) for n in (1, 2))
    small, large = (evaluation(n, "m", metric("g", n / 100), n=30 - n, dataset_rows=100, repeats=1) for n in (9, 8))
    errored = evaluation(10, "m", metric("g", None), n=100, dataset_rows=100, repeats=1, counted=0)

    def shown(*newest_first: Evaluation) -> float | None:
        return build_table(Loaded(newest_first), View()).rows[0].cells["g"].metric.value

    assert shown(errored, small, large, newer, whole) == 0.02
    assert shown(errored, small, large) == 0.08
    assert shown(errored, small) == 0.09
    assert shown(errored) is None
    assert resolve((errored, small, large, newer), "m") is newer


def test_the_newest_figure_wins_where_a_row_has_several():
    again = evaluation(9, "large", metric("gsm8k", 0.9))
    [row] = [row for row in build_table(Loaded((again, *ALL.evaluations)), View()).rows if row.key[0] == "large"]
    assert row.cells["gsm8k"].metric.value == 0.9


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("gsm8k>0.8", ["large"]),
        ("gsm8k > 80%", ["large"]),
        ("gsm8k<=0.5 or tag:paper", ["small", "large"]),
        ("not tag:paper", ["small"]),
        ("mmlu/average>=0.69 and (model:SMA or tag:x)", ["small"]),
        ("mmlu!=0.1", ["small"]),
        ("model=large", ["large"]),
        ("lost=2 and 'fireworks'", ["small", "large"]),
        ("date<2000-01-01", []),
        ("nothing>0", []),
    ],
)
def test_a_filter_chooses_rows(where, expected):
    assert models(where) == expected


@pytest.mark.parametrize("where", ["gsm8k >", "and", "(gsm8k>1", "gsm8k>1)", "a b", "'open", "(" * 99 + "a", "tag:"])
def test_a_filter_that_cannot_be_read_says_where(where):
    with pytest.raises(UsageError, match="filter"):
        models(where)


def test_a_filter_by_what_nothing_has_is_told_with_a_guess():
    assert build_table(ALL, View(where="gsm9k>0.1 and not (model:x or tag:y)")).unknown == (
        "no evaluation has 'gsm9k', did you mean 'gsm8k'?",
    )
    assert build_table(ALL, View(where="gsm8k>80% or small or n>3")).unknown == ()


def test_sorting_puts_what_is_missing_last_in_both_directions():
    extra = Loaded((*ALL.evaluations, evaluation(0, "other", metric("mmlu", 0.2))))
    up, down = (build_table(extra, View(sort=sort)).rows for sort in ("gsm8k", "-gsm8k"))
    assert [row.key[0] for row in up] == ["small", "large", "other"]
    assert [row.key[0] for row in down] == ["large", "small", "other"]


def test_columns_can_be_named_with_stars_and_the_key_is_always_there():
    made = build_table(ALL, View(columns=("mmlu/*", "n", "date")))
    assert made.columns == ("model", "agent", "mmlu/average", "mmlu/law", "n", "date")
    assert build_table(ALL, View(all_key_columns=True)).fixed == 5
    with pytest.raises(UsageError, match="there is no column 'gsm9k'") as caught:
        build_table(ALL, View(columns=("gsm9k",)))
    assert "gsm8k" in caught.value.hint


def test_tags_of_metrics_and_few_tasks_leave_figures_out():
    assert build_table(ALL, View(tags=("cost",), all_metrics=True)).metrics == ("gsm8k/cost_usd",)
    assert models(min_n=101) == []


def test_a_narrow_terminal_gets_more_tables_each_with_the_key():
    view = View(all_metrics=True, num_columns=8)
    text = table_text(build_table(ALL, view), view, columns_wide=70)
    assert text.count("model") > 1
    assert max(len(line) for line in text.splitlines() if "left out" not in line) <= 70


@pytest.mark.parametrize("columns_wide", [20, 25, 33, 40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(columns_wide):
    long = Loaded((evaluation(1, "x" * 300, metric("gsm8k", 0.5)), evaluation(2, "日本語" * 20, metric("mmlu", 0.25))))
    view = View(all_key_columns=columns_wide > 40, all_metrics=True)
    boxes = table_text(build_table(long, view), view, columns_wide=columns_wide).split("\n\n")
    lines = [line for box in boxes for line in box.splitlines()]
    assert {width(line) for line in lines} <= set(range(columns_wide + 1))
    assert all("model"[:3] in box for box in boxes)


def test_where_nothing_is_recorded_any_view_says_what_to_do():
    for view in (View(), View(sort="-gsm8k"), View(columns=("gsm8k",)), View(tags=("a",)), View(where="a>1")):
        assert "--record" in table_text(build_table(Loaded(()), view), view)
    hidden = table_text(build_table(Loaded((), hidden=3), View()), View())
    assert "3 hidden: --hidden shows them" in hidden


def test_a_view_that_leaves_nothing_says_so_and_is_no_mistake():
    view = View(tags=("nobody",), sort="-gsm8k", columns=("mmlu",))
    assert "no figure has these tags" in table_text(build_table(ALL, view), view)
    assert "2 rows are filtered out" in table_text(build_table(ALL, View(where="gsm8k>2")), View(where="gsm8k>2"))


def test_more_columns_than_asked_for_stand_in_further_tables():
    view = View(all_metrics=True, num_columns=4)
    assert table_text(build_table(ALL, view), view).count("┌") == 3


def test_json_holds_columns_and_rows_with_fractions():
    found = json.loads(json_text(build_table(ALL, View(columns=("gsm8k",)))))
    assert found["columns"] == ["model", "agent", "gsm8k"]
    assert [row["gsm8k"] for row in found["rows"]] == [0.5, 0.841]
    assert found["rows"][1]["doubt"]["gsm8k"]["n"] == 100


def test_csv_has_the_interval_and_n_beside_each_metric_and_no_formulas():
    hostile = Loaded((evaluation(1, "=cmd|' /C calc'!A0", metric("gsm8k", 0.5)),))
    rows = list(csv.DictReader(io.StringIO(csv_text(build_table(hostile, View())))))
    assert rows[0]["model"] == "'=cmd|' /C calc'!A0"
    assert [rows[0][f"gsm8k{more}"] for more in ("", ":ci_low", ":ci_high", ":n", ":lost")] == [
        "0.5",
        "0.1",
        "0.9",
        "100",
        "2",
    ]
    assert [csv_cell(each) for each in ("+1", "-1", "@a", "a=b")] == ["'+1", "'-1", "'@a", "a=b"]


def test_hostile_names_reach_neither_terminal_nor_page():
    hostile = Loaded((evaluation(1, "a\x1b[31m<script>alert(1)</script>|b\u202e", metric("gsm8k", 0.5)),))
    made = build_table(hostile, View())
    text, page, marks = table_text(made, View()), html_page(made), markdown_text(made, View())
    assert "\x1b" not in text + page + marks
    assert "\u202e" not in text + page + marks
    assert "<script>alert" not in page + marks
    assert "\\|b" in marks
    assert plain("a\nb") == "a\\nb"


@pytest.mark.parametrize("shown", [plain, listed])
def test_an_emoji_of_several_letters_stays_one_and_its_joiner_hides_nothing_elsewhere(shown):
    for whole in ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f\u200d\U0001f525"):
        assert shown(f"model {whole}") == f"model {whole}"
    assert shown("\U0001f9d1\U0001f3fd\u200d\U0001f4bb") == "\U0001f9d1\U0001f3fd\u200d\U0001f4bb"
    for hidden in (
        "a\u200db",
        "\u200d",
        "\U0001f468\u200d",
        "\U0001f468\u200da",
        "\u200d\U0001f468",
        "a\u200d\U0001f468",
    ):
        assert shown(hidden) == hidden.replace("\u200d", "\\u200d")


@pytest.mark.parametrize(
    "text", ["\U0001f468\u200d\U0001f469", "\u2764\ufe0f", "\U0001f44d\U0001f3fd", "e\u0301", "\u6771", "x"]
)
def test_a_text_is_as_wide_as_rich_takes_it_for(text):
    assert width(text) == cell_len(text)


def test_a_page_reaches_for_nothing_outside():
    page = html_page(build_table(ALL, View()))
    assert "http" not in page.replace("http-equiv", "")
    assert 'data-value="0.841"' in page


def test_a_view_survives_json_and_an_address():
    view = View(columns=("a/b", "c d"), where="x>0.5 & y", tags=("t",), sort="-a", hidden=True, num_columns=9)
    assert View.from_dict(json.loads(json.dumps(view.as_dict()))) == view
    assert View.from_query(view.query()) == view
    assert View().as_dict() == {}
    with pytest.raises(UsageError, match="a view has no 'colums'"):
        View.from_dict({"colums": []})
    with pytest.raises(UsageError, match="num_columns is 'x'"):
        View.from_query("num_columns=x")


def test_long_metric_names_lose_their_middle():
    assert shortened("live_bench/reasoning/web_of_lies_v2/average", 30) == "live_benc.._of_lies_v2/average"
    assert len(shortened("a" * 50, 30)) == 30
    assert shortened("a" * 30, 30) == "a" * 30


@pytest.mark.parametrize("text", ["latest", "e0000000003", "local/3_small", "3_small", "local/3_small/0.0.1"])
def test_an_evaluation_is_found_by_id_or_name(text):
    assert resolve(ALL.evaluations, text) is MMLU


def test_an_ambiguous_or_unknown_evaluation_is_refused():
    assert resolve(ALL.evaluations, "large") is NEW
    elsewhere = replace(evaluation(4, "large", metric("gsm8k", 0.8)), about={"model": "large", "provider": "near"})
    both = (elsewhere, *ALL.evaluations)
    assert (resolve(both, "near::large"), resolve(both, "fireworks::large")) == (elsewhere, NEW)
    with pytest.raises(UsageError):
        resolve(both, "large")
    for text in ("small", "e000", "nobody"):
        with pytest.raises(UsageError):
            resolve(ALL.evaluations, text)


def test_names_of_entries_are_the_seeds_and_strange_ones_never_collide():
    about = {"model": "llama-v3p2-1b-instruct", "provider": "fireworks"}
    assert entry_key("mbpp", about) == "evaluation_mbpp_model_llama-v3p2-1b-instruct_provider_fireworks"
    one, other = (entry_key("mbpp", {"model": name}) for name in ("meta/llama:3", "meta:llama/3"))
    assert one.startswith("evaluation_mbpp_model_meta_llama_3_")
    assert one != other
    assert len(entry_key("mbpp", {"model": "x" * 999})) <= 200
    assert (next_version([]), next_version(["0.0.9", "0.0.10"]), next_version(["1.2"])) == ("0.0.1", "0.0.11", "1.2.1")
