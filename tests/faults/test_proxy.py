"""The proxy does what the fault tests believe of it."""

import psycopg
import pytest

from .cluster import Cluster
from .proxy import proxied


def test_the_answer_of_a_commit_is_lost_and_the_commit_is_not(cluster: Cluster) -> None:
    with proxied(cluster.url) as proxy, psycopg.connect(proxy.through()) as connection:
        connection.execute("select v7.enqueue(1, 1, 1, '{}')")
        proxy.hit = lambda data: b"COMMIT" in data
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
        assert proxy.hits == 1
    assert cluster.sql("select count(*) from v7.jobs") == [(1,)]


def test_away_and_back(cluster: Cluster) -> None:
    with proxied(cluster.url) as proxy:
        with psycopg.connect(proxy.through(), autocommit=True) as connection:
            connection.execute("select 1")
            with proxy.away():
                with pytest.raises(psycopg.OperationalError):
                    connection.execute("select 1")
                with pytest.raises(psycopg.OperationalError):
                    psycopg.connect(proxy.through())
        psycopg.connect(proxy.through()).close()
