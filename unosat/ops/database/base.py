"""PostGIS through a pool that forgets at once what a restarted server left in it.

psycopg's pool tries idle connections one by one and pauses 1, 2, 4, 8 seconds after each that is
broken: after a restart with four of them, a request fails. One that is broken condemns all idle.
"""

from typing import Any

import psycopg
from django.contrib.gis.db.backends.postgis import base
from psycopg_pool import ConnectionPool


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own, but for how a connection is taken from the pool.

    ``CONN_HEALTH_CHECKS`` must be off: the check is made here.
    """

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection:
        """A connection that answered just now; waits for the pool's ``timeout`` at most twice."""
        connection: psycopg.Connection = super().get_new_connection(conn_params)
        pool: ConnectionPool | None = self.pool
        if pool is None or _answers(connection):
            return connection
        pool.drain()
        pool.putconn(connection)  # it is closed: the pool drops it
        fresh: psycopg.Connection = super().get_new_connection(conn_params)
        return fresh


def _answers(connection: psycopg.Connection) -> bool:
    try:
        ConnectionPool.check_connection(connection)
    except psycopg.OperationalError:
        return False
    return True
