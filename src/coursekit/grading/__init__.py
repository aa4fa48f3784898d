"""Release assignments and grade them; see the page for instructors.

The notebooks that students receive import two names from here. All the rest
belongs to the command ``coursekit`` and needs the extra ``[grading]``.
"""

from coursekit.grading.draws import class_key, personal_rng, secret_rng

__all__ = ["class_key", "personal_rng", "secret_rng"]
