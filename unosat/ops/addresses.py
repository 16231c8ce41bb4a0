"""One address of Redis for two libraries that read it differently."""

from typing import Any

from redis import connection


def for_celery(redis_url: str) -> str:
    """Celery's name for the same Redis: it refuses ``unix://``, redis-py refuses its form."""
    if redis_url.startswith("unix://"):
        return redis_url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=")
    return redis_url


def tls_for_celery(redis_url: str) -> dict[str, Any] | None:
    """What redis-py does by itself for ``rediss://``; Celery, left alone, trusts any certificate.

    What the address says, as "?ssl_ca_certs=/etc/ssl/ours.pem", holds for both.
    """
    if not redis_url.startswith("rediss://"):
        return None
    parsed: dict[str, Any] = connection.parse_url(redis_url)  # type: ignore[no-untyped-call]
    asked = {name: value for name, value in parsed.items() if name.startswith("ssl_")}
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True} | asked
