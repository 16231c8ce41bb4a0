"""Settings for tests and type checks: the real ones, given harmless values to read."""

import os

from tests import private_servers

os.environ |= {
    "UNOSAT_SECRET_KEY": "for tests only, never anywhere else",
    "UNOSAT_ALLOWED_HOSTS": "testserver,127.0.0.1,localhost",
    "UNOSAT_DATABASE_URL": private_servers.DATABASE_URL,
    "UNOSAT_REDIS_URL": private_servers.REDIS_URL,
    "UNOSAT_STORE": str(private_servers.STORE),
}

from unosat.settings import *  # noqa: F403

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher",  # fast; tests sign in a lot
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",  # what a live web process understands
]
