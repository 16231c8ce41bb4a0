"""What the README tells partner agencies to type, typed."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live import PROJECT, Stack
from tests.unosat.makers import make_actor, make_organisation
from unosat.accounts.services import create_key
from unosat.training.registry import sync_shipped_models

SCENE = Path("xbd/val/images/hurricane-michael_00000178_post_disaster.tif")


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(600)
def test_an_image_sent_with_curl_comes_back_as_footprints(
    live_stack: Stack, data_dir: Path, tmp_path: Path
) -> None:
    _, key = create_key(make_actor(make_organisation(), "admin"), name="curl")
    sync_shipped_models()
    live_stack.start_worker("detect")
    shutil.copy(data_dir / SCENE, tmp_path / "after.tif")

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands(key, live_stack.url)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["ready", "done"]
    found = json.loads((tmp_path / "damage.geojson").read_text())
    assert found["type"] == "FeatureCollection"
    assert found["features"]
    assert "preliminary" in json.dumps(found["metadata"])


def commands(key: str, url: str) -> str:
    """The README's block, with this key and this address."""
    readme = (PROJECT / "README.md").read_text()
    (block,) = re.findall(r"```sh\n(KEY=.*?)```", readme, re.DOTALL)
    own = {"KEY": key, "URL": f"{url}api/v1"}
    for name, value in own.items():
        block, count = re.subn(rf"^{name}=.*$", f"{name}={value}", block, flags=re.MULTILINE)
        assert count == 1
    return str(block)
