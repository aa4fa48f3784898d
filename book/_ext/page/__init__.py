"""The page people read: light, without a third party, readable without JavaScript.

Everything that hangs on the theme's own HTML is in this folder, one idea a module:

``assets``      one style sheet, one deferred script, two small icon fonts
``maths``       formulas as MathML, made when the book is built
``figures``     drawings in the colour of the text; sizes of other pictures
``folds``       solutions that open without a script
``glossary``    what a term means, shown on hover and on focus
``references``  entries of the bibliography
``buttons``     Colab, the notebook, the repository, an issue
``head``        description, social card, sitemap, the pages for 404 and /
``chapter``     how far through the course a page is
``own_files``   this folder's templates, and pages made anew when it changes

The templates override the theme's by name. ``tests/page/test_*.py`` load every page
in a browser: an update of the theme that undoes one of these turns them red.
"""

from page import (
    assets,
    buttons,
    chapter,
    figures,
    folds,
    glossary,
    head,
    maths,
    own_files,
    references,
)

MODULES = (
    own_files,
    assets,
    maths,
    figures,
    folds,
    glossary,
    references,
    head,
    chapter,
    buttons,
)


def setup(app):
    for module in MODULES:
        module.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
