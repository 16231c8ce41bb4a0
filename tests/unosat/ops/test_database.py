"""What the address of the database asks for is done."""

import json
import os
import subprocess
import sys

from tests.live import PROJECT

SCRIPT = """
import json
import django
django.setup()
from django.db import connection
asked = connection.get_connection_params()
print(json.dumps({name: asked.get(name) for name in ("host", "sslmode", "sslrootcert", "options")}))
"""


def test_an_address_that_asks_for_tls_gets_it() -> None:
    address = "postgis://unosat:p@db.example/unosat?sslmode=verify-full&sslrootcert=system"

    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=PROJECT,
        env=dict(os.environ)
        | {"DJANGO_SETTINGS_MODULE": "unosat.settings", "UNOSAT_DATABASE_URL": address},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(answer.stdout) == {
        "host": "db.example",
        "sslmode": "verify-full",
        "sslrootcert": "system",
        "options": "-c jit=off",
    }
