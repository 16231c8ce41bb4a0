"""tus-js-client, the standard's own client for JavaScript, as a process for tests."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_suffix(".mjs")


@dataclass(frozen=True, slots=True)
class Sent:
    """What it says when it ends well.

    Attributes:
        url: of the upload.
        scene: id of the image that the upload became; None while it has not.
    """

    url: str
    scene: str | None


def send(
    file: Path,
    *,
    endpoint: str,
    key: str,
    chunk_bytes: int,
    metadata: dict[str, str],
    seconds: float = 240.0,
    **more: str,
) -> Sent:
    """Send a file, as the head of the script says; ``more`` is its environment."""
    told = {"ENDPOINT": endpoint, "KEY": key, "FILE": str(file), "CHUNK_BYTES": str(chunk_bytes)}
    done = subprocess.run(
        ["node", str(SCRIPT)],
        env=dict(os.environ) | told | {"METADATA": json.dumps(metadata)} | more,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Sent(**json.loads(done.stdout))
