"""Our factor beside dpotrf, at small size."""

from __future__ import annotations

import json

from benchmarks import factors


def test_a_row_for_each_order_and_number_of_threads(tmp_path, capsys):
    out = tmp_path / "factors.json"
    factors.main(["--orders", "40,300", "--threads", "1,2", "--turns", "1", "--out", str(out)])
    record = json.loads(out.read_text())
    assert [(row["n"], row["threads"]) for row in record["rows"]] == [(40, 1), (40, 2), (300, 1), (300, 2)]
    assert record["faults"] == []
    assert len(capsys.readouterr().out.splitlines()) >= 5
