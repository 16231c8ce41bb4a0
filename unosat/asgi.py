"""The ASGI application: ``uvicorn unosat.asgi:application``."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "unosat.settings")
django.setup(set_prefix=False)

from unosat.streaming import Handler  # noqa: E402 - needs the settings

application = Handler()
