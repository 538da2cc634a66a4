"""How does the README look on PyPI? As here, but its links lead to the repository, at this version.

PyPI shows the README without the files beside it. Hatchling calls this whenever it builds.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = r"\]\((?![a-z]+:|#)"


class Readme(MetadataHookInterface):
    """Gives the package its long description."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called with the `[project]` table, in which the version stands by now."""
        source, at = metadata["urls"]["Source"], f"v{metadata['version']}"
        raw = source.replace("https://github.com/", "https://raw.githubusercontent.com/")
        text = Path(self.root, "README.md").read_text("utf-8")
        text = re.sub(rf"(!\[[^]]*){RELATIVE}", rf"\1]({raw}/{at}/", text)
        text = re.sub(RELATIVE, f"]({source}/blob/{at}/", text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
