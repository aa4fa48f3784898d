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
