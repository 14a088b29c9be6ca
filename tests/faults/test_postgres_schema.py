"""F26 on PostgreSQL: tables of another version, of another program, and roles that may not make any."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.services.postgres import PostgresServer
from tests.services.stores import edit

from everyitem.adapters.stores import open_store
from everyitem.adapters.stores.migrations import known_migrations
from everyitem.model.errors import StoreError, StoreRefused, StoreTooNew, UsageError

pytestmark = pytest.mark.service


@pytest.fixture
def url(postgres: PostgresServer, store_name: str) -> str:
    return f"{postgres.url}?schema={store_name}"


def test_the_tables_of_a_newer_everyitem_are_refused(url: str) -> None:
    """Neither written nor read."""
    open_store(url).close()
    edit(url, "INSERT INTO schema_migrations VALUES (9999, 'later', 'x', 1.0)")
    for read_only in (False, True):
        with pytest.raises(StoreTooNew, match="newer everyitem"):
            open_store(url, read_only=read_only)


def test_tables_made_by_another_script_are_refused(url: str) -> None:
    """A migration must be the one of this package."""
    open_store(url).close()
    edit(url, "UPDATE schema_migrations SET checksum = 'x'")
    with pytest.raises(StoreError, match="not the one of this everyitem"):
        open_store(url)


def test_the_schema_of_another_program_is_left_alone(
    url: str, store_name: str, postgres: PostgresServer
) -> None:
    """Somebody else's `schema_migrations` is no store, and stays as it is."""
    postgres.sql(f"CREATE SCHEMA {store_name}")
    postgres.sql(f"CREATE TABLE {store_name}.schema_migrations (version TEXT)")
    with pytest.raises(StoreError, match="another program"):
        open_store(url)
    assert postgres.sql(f"SELECT count(*) FROM {store_name}.schema_migrations") == [(0,)]


def test_a_reader_makes_no_tables(url: str, store_name: str, postgres: PostgresServer) -> None:
    """Looking into a store nobody has written to says so."""
    with pytest.raises(UsageError, match="empty"):
        open_store(url, read_only=True)
    assert postgres.sql("SELECT 1 FROM pg_namespace WHERE nspname = %s", store_name) == []


def test_many_that_come_first_make_one_schema(url: str) -> None:
    """Eight processes that start at once: one migrates, the others find it done."""
    with ThreadPoolExecutor(8) as threads:
        for store in threads.map(lambda _: open_store(url), range(8)):
            assert store.executions() == []
            store.close()
    assert edit(url, "SELECT count(*) FROM schema_migrations") == [(len(known_migrations("postgres")),)]


def test_a_role_needs_no_right_to_create_where_the_tables_are_there(
    url: str, store_name: str, postgres: PostgresServer
) -> None:
    """Migrating may be another role's task; without tables such a role is refused at once."""
    postgres.sql(f"CREATE ROLE worker_{store_name} LOGIN")
    url_of_worker = url.replace("tester:secret", f"worker_{store_name}")
    with pytest.raises(StoreRefused, match="permission denied"):
        open_store(url_of_worker)
    open_store(url).close()
    for grant in (
        f"GRANT USAGE ON SCHEMA {store_name} TO worker_{store_name}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {store_name} TO worker_{store_name}",
    ):
        postgres.sql(grant)
    store = open_store(url_of_worker)
    assert store.executions() == []
    store.close()


def test_a_database_in_another_encoding_is_refused(postgres: PostgresServer, store_name: str) -> None:
    """Its texts could not hold what items may hold."""
    postgres.sql(f"CREATE DATABASE {store_name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreError, match="UTF8"):
        open_store(postgres.url.replace("/postgres", f"/{store_name}"))
