"""Redis for whoever cannot wait: a page, a probe, a worker's own loop."""

import redis
from django.conf import settings

ANSWER_SECONDS = 1.0  # Redis is close by; one that takes longer is away


def asking_redis(url: str = "") -> redis.Redis:
    """A client that gives up within a second or two; of the settings' Redis unless named."""
    return redis.Redis.from_url(
        url or settings.UNOSAT_REDIS_URL,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
    )
