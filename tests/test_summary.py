"""A summary as HTML: names and values in two columns, whatever they contain."""

from __future__ import annotations

from xml.etree import ElementTree

from kernelfit.summary import as_html


def test_names_values_and_notes_become_rows() -> None:
    summary = "Plan <x>\n  memory          1 of 2\n  smallest pivot  0.01 at row 3\n  note: a & b"
    table = ElementTree.fromstring(as_html(summary).replace("colspan=2", 'colspan="2"'))
    cells = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
    assert "".join(table.find("caption").itertext()) == "Plan <x>"  # type: ignore[union-attr]
    assert cells == [["memory", "1 of 2"], ["smallest pivot", "0.01 at row 3"], ["note: a & b"]]
