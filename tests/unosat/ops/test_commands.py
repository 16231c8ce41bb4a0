"""What the application's processes have loaded before their first piece of work."""

import os
import subprocess
import sys

import pytest

from tests.live import PROJECT

HEAVY = ("torch", "torchvision", "detectron2")


@pytest.mark.parametrize("module", ["unosat.asgi", "unosat.celery"])
def test_neither_web_nor_the_parent_of_a_worker_loads_torch(module: str) -> None:
    script = (
        f"import sys, {module}; from {module.replace('asgi', 'celery')} import app;"
        "app.loader.import_default_modules();"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )

    answer = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env=dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "unosat.settings"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout.strip() == "[]"
