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
    for text, said in (
        # A mark that is not closed, a decimal comma: marks of others would be lost.
        ('id,points\nann,"2\nbob,3\n', "line 3: unexpected end"),
        ("id,points\n\nann,2,5\n", "line 3: 3 cells under 2 columns"),
        ("id,points,points\nann,2,3\n", "two columns points"),
    ):
        path.write_text(text)
        with pytest.raises(SheetError, match=f"a.csv.*{said}"):
            read_sheet(path, ("id", "points"))
    path.write_text('"L, A";id\n"M, B";bob;;\n')
    assert read_sheet(path, ("id",)).lines[0][1]["id"] == "bob"
    for start in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1"):
        path.write_bytes(start + b"x")
        with pytest.raises(SheetError, match="a.csv: .* save the table as CSV"):
            read_sheet(path)
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
