"""The API's description part by part, as hashes that are kept beside the tests.

`python -m tests.api.recording` writes the file anew. A change of the description shows as the
parts that differ. Owns no judgement (`test_recorded`).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from node.runtime.domains import DOMAINS
from node.runtime.routes import description

PARTS = Path(__file__).parent / "openapi-parts.json"


def parts() -> dict[str, str]:
    """Hash by part: each operation, each component, and what else there is."""
    document = description(DOMAINS, "recorded")
    found: dict[str, Any] = {
        f"{method.upper()} {path}": operation
        for path, methods in document.pop("paths").items()
        for method, operation in methods.items()
    }
    for group, components in document.pop("components").items():
        found |= {f"{group} {name}": value for name, value in components.items()}
    found |= document
    return {name: _hash(value) for name, value in sorted(found.items())}


def _hash(value: object) -> str:
    # Not sorted: byte for byte the same, but for the order of the parts themselves.
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


if __name__ == "__main__":
    PARTS.write_text(json.dumps(parts(), indent=1) + "\n")
