"""Name the repository: one setting, from which all links follow.

The variable `GITHUB_REPOSITORY`, which GitHub's own runners set, or else
`repository: url:` in `_config.yml`.
"""

import os
import re

from sphinx.errors import ExtensionError


def repository(config) -> str:
    """Return "owner/name" of the repository on GitHub, or nothing."""
    name = os.environ.get("GITHUB_REPOSITORY", "")
    if name:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII):
            raise ExtensionError(f"GITHUB_REPOSITORY is not owner/name: {name}")
        return name
    url = config.html_theme_options.get("repository_url") or ""
    address = r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?"
    match = re.fullmatch(address, url, re.ASCII)
    if url and not match:
        raise ExtensionError(
            f"_config.yml, repository.url: not https://github.com/owner/name: {url}"
        )
    return match[1] if match else ""


def pages(config) -> str:
    """Return the address of the published book, with a slash at its end, or nothing.

    The setting `html_baseurl`, for a domain of one's own, or else GitHub's.
    """
    if config.html_baseurl:
        return config.html_baseurl.rstrip("/") + "/"
    owner, _, name = repository(config).partition("/")
    host = f"{owner.lower()}.github.io"
    # A repository of this name is the owner's own page.
    folder = "" if name.lower() == host else f"{name}/"
    return f"https://{host}/{folder}" if owner else ""
