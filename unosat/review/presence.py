"""Who looks at an assessment just now, and where on the map. Kept in Redis only, gone by itself."""

import json
import logging
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from uuid import UUID

import redis
from django.conf import settings

from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.ops import events
from unosat.ops.quickly import asking_redis

log = logging.getLogger(__name__)

KEY = "unosat:here:"
GONE_AFTER_SECONDS = 15.0  # three heartbeats of a page, so that one that is late does not blink


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where one person looks.

    Attributes:
        user_id: whose.
        user: their name.
        centre: longitude and latitude of what they look at, in degrees.
        bounds: west, south, east, north of their view, in degrees.
        building: uid of the building that they have picked; None for none.
    """

    user_id: int
    user: str
    centre: tuple[float, float]
    bounds: tuple[float, float, float, float]
    building: str | None


def come(actor: Actor, assessment_id: UUID, place: Whereabouts) -> list[Whereabouts]:
    """Note where somebody looks, tell the others, and say who else is here.

    Without Redis nobody is seen, and nothing else suffers.

    Raises:
        Forbidden: a program looks at nothing.
        NotFound: the assessment is not the organisation's.
    """
    actor.must_be_a_person()
    assessment_selectors.must_exist(actor, assessment_id)
    kept = json.dumps([time.time(), asdict(place)])
    try:
        client = _client(settings.UNOSAT_REDIS_URL)
        client.hset(f"{KEY}{assessment_id}", str(place.user_id), kept)
        client.expire(f"{KEY}{assessment_id}", int(2 * GONE_AFTER_SECONDS))
        others = _others(client, assessment_id, place.user_id)
    except redis.RedisError as error:
        log.warning("nobody is seen", extra={"why": str(error)})
        return []
    events.publish(assessment_selectors.topic(assessment_id), "presence", asdict(place))
    return others


def leave(actor: Actor, assessment_id: UUID) -> None:
    """Somebody closed the page.

    Raises:
        Forbidden, NotFound: as for ``come``.
    """
    user_id = actor.must_be_a_person()
    assessment_selectors.must_exist(actor, assessment_id)
    try:
        _client(settings.UNOSAT_REDIS_URL).hdel(f"{KEY}{assessment_id}", str(user_id))
    except redis.RedisError as error:
        log.warning("nobody is seen", extra={"why": str(error)})
        return
    topic = assessment_selectors.topic(assessment_id)
    events.publish(topic, "presence", {"user_id": user_id, "gone": True})


def _others(client: redis.Redis, assessment_id: UUID, user_id: int) -> list[Whereabouts]:
    now = time.time()
    rows = [json.loads(kept) for kept in client.hvals(f"{KEY}{assessment_id}")]
    fresh = [place for at, place in rows if now - at < GONE_AFTER_SECONDS]
    return [
        Whereabouts(**place | {"centre": tuple(place["centre"]), "bounds": tuple(place["bounds"])})
        for place in fresh
        if place["user_id"] != user_id
    ]


@lru_cache(maxsize=1)
def _client(url: str) -> redis.Redis:
    return asking_redis(url)
