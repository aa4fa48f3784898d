"""What a page of the book points to."""

import pytest
from pybtex.database import parse_string

from notebooks.plain_markdown import MarkdownError, References, convert
from notebooks.targets import Citations

BIB = """
@article{two, author = {Glorot, Xavier and Bengio, Yoshua}, year = {2010},
  title = {T}, doi = {10.1/x(1)}}
@article{three, author = {M{\\"u}ller, A and B, C and D, E}, year = {1998}, title = {T}}
"""


def test_citations():
    refs = References(cite=Citations(parse_string(BIB, "bibtex")))
    link = "https://doi.org/10.1/x%281%29"
    assert convert("{cite:t}`two`", refs) == f"[Glorot and Bengio (2010)]({link})"
    expected = f"([Glorot and Bengio, 2010]({link}); Müller et al., 1998)"
    assert convert("{cite:p}`two,three`", refs) == expected
    with pytest.raises(MarkdownError, match="no entry"):
        convert("{cite}`four`", refs)
