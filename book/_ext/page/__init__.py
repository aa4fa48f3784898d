"""The page people read: light, without a third party, readable without JavaScript.

Everything that hangs on the theme's own HTML is in this folder, one idea a module:

``assets``      one style sheet, one deferred script, two small icon fonts
``selection``   the rules of the style sheet that some page uses
``maths``       formulas as MathML, made when the book is built
``figures``     drawings in the colours of the page; sizes of other pictures
``accents``     the words "measured" and "theory" in the colour of their lines
``folds``       solutions that open without a script
``outputs``     long printed lines on a phone; cells that check an answer
``glossary``    what a term means, in the margin, or on hover and on focus
``tables``      rows of wide tables stacked on a phone
``options``     names of options, which no line parts
``references``  sources in the margin; entries of the bibliography
``buttons``     Colab, the notebook, the repository, an issue
``head``        description, social card, sitemap, the pages for 404 and /
``chapter``     how far through the course a page is, and how long it takes
``verdicts``    the sign of each verdict, from the page of claims
``own_files``   this folder's templates, and pages made anew when it changes

The templates override the theme's by name. ``tests/page/test_*.py`` load every page
in a browser: an update of the theme that undoes one of these turns them red.
"""

from page import (
    accents,
    assets,
    buttons,
    chapter,
    figures,
    folds,
    glossary,
    head,
    maths,
    options,
    outputs,
    own_files,
    references,
    tables,
    verdicts,
)

MODULES = (
    own_files,
    assets,
    maths,
    figures,
    accents,
    folds,
    outputs,
    glossary,
    tables,
    options,
    references,
    head,
    verdicts,
    chapter,
    buttons,
)


def setup(app):
    for module in MODULES:
        module.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
