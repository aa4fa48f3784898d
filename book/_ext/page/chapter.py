"""How far through the course a page is: its number, and how many there are."""


def chapters(env) -> list[str]:
    """Return the numbered pages in their order."""
    numbers = {
        page: sections.get("")
        for page, sections in env.toc_secnumbers.items()
        if sections.get("")
    }
    return sorted(numbers, key=numbers.get)


def add_progress(app, pagename, templatename, context, doctree) -> None:
    pages = chapters(app.env)
    if pagename in pages:
        context["chapter"] = pages.index(pagename) + 1
        context["chapters"] = len(pages)


def setup(app):
    app.connect("html-page-context", add_progress)
