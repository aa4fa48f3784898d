"""Tables as people save them."""

import pytest

from coursegrade.gradebook.sheets import (
    SheetError,
    guarded,
    read_sheet,
    write_sheet,
)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_a_spreadsheet_saves(tmp_path, separator, encoding, end):
    lines = ("ID,Points,Comment", 'jörg,"2;5",gut', "ann", "", ",,")
    text = end.join(line.replace(",", separator) for line in lines)
    if separator == ";":
        text = f"sep=;{end}{text}"
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    sheet = read_sheet(path, ("id", "points"))
    assert [line for _, line in sheet.lines] == [
        {"id": "jörg", "points": "2;5", "comment": "gut"},
        {"id": "ann", "points": "", "comment": ""},
    ]


def test_a_table_that_cannot_be_used(tmp_path):
    with pytest.raises(SheetError, match="none.csv: there is no such file"):
        read_sheet(tmp_path / "none.csv")
    path = tmp_path / "a.csv"
    path.write_text("id,points\n")
    with pytest.raises(SheetError, match="a.csv: no column task; .* names id, points"):
        read_sheet(path, ("id", "points", "task"))
    path.write_text("")
    with pytest.raises(SheetError, match="names none"):
        read_sheet(path, ("id",))


@pytest.mark.parametrize(
    "text", ["=1", "'=1", "''+1", "-", "@a", "it's", "'", "", "'a", "a=1", "+49 1"]
)
def test_no_text_is_a_formula_and_all_come_back(tmp_path, text):
    assert guarded(text)[:1] not in tuple("=+-@")
    path = write_sheet(tmp_path / "a.csv", ("id", "b"), [{"id": text, "b": 0.5}])
    ((_, line),) = read_sheet(path, ("id",)).lines
    assert line == {"id": text, "b": "0.5"}
