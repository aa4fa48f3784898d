"""What the pages of the tests point to."""

import pytest

from notebooks.references import References


@pytest.fixture
def refs():
    titles = {"sec": "A section"}
    return References(
        title=lambda label: titles[label],
        number=lambda label: "Fig. 1.2",
        document=lambda name: f"Page {name}",
        cite=lambda keys, in_text: f"<{keys}, {in_text}>",
        lab=lambda preset: f"*Lab {preset}*",
    )
