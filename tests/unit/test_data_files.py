"""Data files: what is read, and how a broken one is named before anything is sent."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from engine.data import DatasetView, open_dataset
from engine.errors import DatasetError

ROWS = [{"question": "1 + 1?", "answer": "2"}, {"question": "naïve – 2 × 3?", "answer": "6"}]


def opened(path: Path, subset: str = "") -> DatasetView:
    return open_dataset(str(path), subset=subset, folder=path.parent, home=path.parent / "home")


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(path: Path) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        opened(path)
    assert caught.value.hint
    return caught.value


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson", "rows.json", "rows.csv", "rows.tsv", "rows.parquet"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_gives_the_same_rows_also_gzipped(tmp_path: Path, name: str, packed: bool) -> None:
    path = tmp_path / name
    match path.suffix:
        case ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.Table.from_pylist(ROWS), path)
        case ".json":
            written(path, json.dumps(ROWS))
        case ".csv" | ".tsv":
            mark = "," if path.suffix == ".csv" else "\t"
            written(path, "".join(mark.join(row) + "\n" for row in [ROWS[0], *(r.values() for r in ROWS)]))
        case _:
            written(path, lines(ROWS))
    if packed:
        plain, path = path, tmp_path / f"{name}.gz"
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    view = opened(path)
    assert list(view) == ROWS
    assert len(view) == 2
    assert list(view.read([1])) == [(1, ROWS[1])]
    assert view.column_names == ["question", "answer"]
    assert view.splits == ("rows",)


def test_packing_a_file_does_not_change_its_fingerprint_and_changing_it_does(tmp_path: Path) -> None:
    plain = written(tmp_path / "a.jsonl", lines(ROWS))
    packed = written(tmp_path / "b.jsonl.gz", gzip.compress(lines(ROWS).encode()))
    swapped = written(tmp_path / "c.jsonl", lines(ROWS[::-1]))
    assert opened(plain).fingerprint == opened(packed).fingerprint != opened(swapped).fingerprint


def test_blank_lines_crlf_and_a_byte_order_mark_are_no_rows(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", '\ufeff\r\n{"a": 1}\r\n\r\n  \r\n{"a": "x\\r\\ny"}\r\n\r\n{"a": 3}')
    view = opened(path)
    assert list(view.read()) == [(0, {"a": 1}), (1, {"a": "x\r\ny"}), (2, {"a": 3})]
    assert list(view.read([2])) == [(2, {"a": 3})]


def test_a_byte_order_mark_before_the_first_object_is_skipped_in_every_text_format(tmp_path: Path) -> None:
    assert opened(written(tmp_path / "a.jsonl", '\ufeff{"a": 1}\n'))[0] == {"a": 1}
    assert opened(written(tmp_path / "b.json", '\ufeff[{"a": 1}]'))[0] == {"a": 1}
    assert opened(written(tmp_path / "c.csv", "\ufeffa,b\n1,2\n"))[0] == {"a": "1", "b": "2"}


def test_a_torn_line_is_named_with_file_and_line_reason_and_beginning(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", '{"a": 1}\n\n{"a": 2, "b": "torn\n{"a": 3}\n')
    message = refused(path).message
    assert message.startswith(f"{path}:3: broken JSON at column ")
    assert "unterminated string" in message
    assert '{"a": 2, "b": "torn' in message


@pytest.mark.parametrize("line", ["[1, 2]", '"text"', "7", "null"])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str) -> None:
    path = written(tmp_path / "rows.jsonl", '{"a": 1}\n' + line + "\n")
    assert f"{path}:2: is not an object" in refused(path).message


@pytest.mark.parametrize(
    ("value", "reason"),
    [("NaN", "NaN"), ("-Infinity", "-Infinity"), ('"\\ud800"', "surrogate"), ("[" * 200_000, "nested")],
    ids=["nan", "infinity", "half a character", "nested"],
)
def test_what_json_does_not_have_is_refused_with_its_line(tmp_path: Path, value: str, reason: str) -> None:
    path = written(tmp_path / "rows.jsonl", '{"a": 1}\n{"a": ' + value + "}\n")
    message = refused(path).message
    assert f"{path}:2:" in message
    assert reason in message
    assert len(message) < 1000


def test_whole_surrogate_pairs_and_long_whole_numbers_are_exact(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", '{"a": "\\ud83d\\ude00", "n": 123456789012345678901234567890}\n')
    assert opened(path)[0] == {"a": "😀", "n": 123456789012345678901234567890}


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_text_that_is_not_utf8_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    text = {"rows.jsonl": '{"a": "x"}\n{"a": "é"}\n', "rows.json": '[{"a": "x"},\n{"a": "é"}]', "rows.csv": "a\né\n"}
    path = written(tmp_path / name, text[name].encode("latin-1"))
    error = refused(path)
    assert f"{path}:2: is not UTF-8" in error.message
    assert "0xe9" in error.message


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.tsv", "rows.jsonl.gz"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    content = gzip.compress(b"\n") if name.endswith(".gz") else b"\n \n" if name == "rows.jsonl" else b""
    assert "holds no rows" in refused(written(tmp_path / name, content)).message


def test_a_header_alone_and_an_empty_list_are_no_rows(tmp_path: Path) -> None:
    assert "holds no rows" in refused(written(tmp_path / "a.csv", "question,answer\n")).message
    assert "holds no rows" in refused(written(tmp_path / "b.json", "[]")).message


@pytest.mark.parametrize("cut", [5, -4])
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, cut: int) -> None:
    packed = gzip.compress(lines(ROWS * 1000).encode())
    path = written(tmp_path / "rows.jsonl.gz", packed[:cut])
    assert "compressed file is damaged" in refused(path).message


def test_a_line_of_50_megabytes_is_read_and_a_broken_one_is_named_shortly(tmp_path: Path) -> None:
    long = "x" * 50_000_000
    path = written(tmp_path / "rows.jsonl", '{"a": "' + long + '"}\n{"a": "' + long)
    message = refused(path).message
    assert f"{path}:2: broken JSON" in message
    assert len(message) < 400
    path = written(tmp_path / "fine.jsonl", '{"a": "' + long + '"}\n')
    assert len(opened(path)[0]["a"]) == len(long)


def test_a_json_document_holds_rows_as_a_list_or_as_its_one_list_of_objects(tmp_path: Path) -> None:
    assert list(opened(written(tmp_path / "a.json", json.dumps(ROWS)))) == ROWS
    document = {"note": "keep", "tags": ["x"], "examples": ROWS, "none": []}
    assert list(opened(written(tmp_path / "b.json", json.dumps(document, indent=1)))) == ROWS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": [{"x": 1}], "b": [{"x": 1}]}', "several lists of objects, a, b"),
        ('{"question": ["a"], "answer": ["b"]}', "without a list of objects; it has 'question', 'answer'"),
        ("3", "holds no rows but int"),
        ('[{"a": 1}, 2]', "row 1: is not an object but int"),
        ('[\n{"a": 1},\n{"a" 2}]', ":3: broken JSON, expecting ':' delimiter: '{\"a\" 2}]'"),
    ],
)
def test_any_other_document_is_refused_and_says_what_it_has(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refused(written(tmp_path / "rows.json", text)).message


def test_a_json_file_with_an_object_per_line_is_read_as_lines(tmp_path: Path) -> None:
    assert list(opened(written(tmp_path / "rows.json", lines(ROWS)))) == ROWS


def test_a_file_without_a_known_ending_is_told_by_its_content(tmp_path: Path) -> None:
    assert list(opened(written(tmp_path / "rows.txt", lines(ROWS)))) == ROWS
    assert list(opened(written(tmp_path / "rows", json.dumps(ROWS)))) == ROWS
    assert "no known format" in refused(written(tmp_path / "notes.txt", "hello\n")).message


def test_csv_values_stay_the_text_they_are(tmp_path: Path) -> None:
    text = 'a,b,c\r\nNone,nan,007\r\n"line one\r\nline two","say ""hi""",\r\n\r\nTrue,1.50,null\r\n'
    assert list(opened(written(tmp_path / "rows.csv", text))) == [
        {"a": "None", "b": "nan", "c": "007"},
        {"a": "line one\r\nline two", "b": 'say "hi"', "c": ""},
        {"a": "True", "b": "1.50", "c": "null"},
    ]


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ("a,b\n1,2\n3\n", ":3:", "has 1 values where the header names 2 columns"),
        ('a,b\n"x\ny",2\n1,2,3\n', ":4:", "has 3 values"),
        ('a,b\n1,2\n3,"never closed\n4,5\n', ":3:", "unexpected end of data"),
        ("a,b,a\n1,2,3\n", ":1:", "names 'a' twice"),
    ],
)
def test_broken_csv_is_named_with_file_and_line(tmp_path: Path, text: str, where: str, reason: str) -> None:
    path = written(tmp_path / "rows.csv", text)
    message = refused(path).message
    assert message.startswith(f"{path}{where}")
    assert reason in message


def test_a_csv_value_of_a_megabyte_is_read(tmp_path: Path) -> None:
    assert len(opened(written(tmp_path / "rows.csv", "a,b\n" + "x" * 1_000_000 + ",2\n"))[0]["a"]) == 1_000_000


def test_parquet_is_read_across_row_groups_and_a_cut_one_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"n": n, "text": f"row {n}", "parts": [n, None], "deep": {"x": n / 2}} for n in range(3000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet", row_group_size=700)
    view = opened(tmp_path / "rows.parquet")
    assert list(view) == rows
    assert [row for _, row in view.read([0, 699, 700, 2999])] == [rows[i] for i in (0, 699, 700, 2999)]
    whole = (tmp_path / "rows.parquet").read_bytes()
    assert "not a sound Parquet file" in refused(written(tmp_path / "cut.parquet", whole[:-10])).message
