"""Contacts: where a tenant's people can be reached."""

from collections.abc import Iterable, Mapping, Sequence

from libs.contracts.routing import Channel
from libs.storage import Connection

# One statement and one row for a whole page: a row a contact costs the client twice as much.
_PHONES = """
    SELECT array_agg(client_id), array_agg(phone) FROM audience.contact
    WHERE tenant = $1 AND client_id = ANY($2::bigint[])
"""
_NO_ADDRESSES = """
    SELECT array_agg(client_id), array_agg(NULL::text) FROM audience.contact
    WHERE tenant = $1 AND client_id = ANY($2::bigint[])
"""
# Nobody's URL is known: webhooks go to addresses alone.
_ADDRESSES = {Channel.SMS: _PHONES, Channel.VIBER: _PHONES, Channel.WEBHOOK: _NO_ADDRESSES}

# Contacts a statement reads: a batch may hold many pages, and each statement has to end within its timeout.
AT_ONCE = 12_000


class ContactRepository:
    """The table audience.contact."""

    async def addresses(
        self, connection: Connection, tenant: str, channel: Channel, client_ids: Sequence[int]
    ) -> Mapping[int, str | None]:
        """The address on `channel` of those `client_ids` that are known; none for whoever has no such address."""
        found: dict[int, str | None] = {}
        for start in range(0, len(client_ids), AT_ONCE):
            (columns,) = await connection.fetch(_ADDRESSES[channel], tenant, client_ids[start : start + AT_ONCE])
            known, addresses = columns
            found.update(zip(known or (), addresses or (), strict=True))
        return found

    async def stage(self, connection: Connection, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Put `rows` (client_id and `columns`) aside in the transaction of `connection`, for `merge_staged`."""
        # A copy of the table without its keys and checks: those are met once, at the merge.
        await connection.execute(
            "CREATE TEMPORARY TABLE staged_contact ON COMMIT DROP AS SELECT * FROM audience.contact WITH NO DATA"
        )
        await connection.copy_records_to_table(
            "staged_contact", schema_name="pg_temp", columns=["client_id", *columns], records=rows
        )

    async def merge_staged(self, connection: Connection, tenant: str, columns: Sequence[str]) -> int:
        """Write what `stage` put aside as contacts of `tenant`; only `columns` of known ones change. Answers how many
        were new or different."""
        status = await connection.execute(_merge_statement(columns), tenant)
        return int(status.rpartition(" ")[2])


def _merge_statement(columns: Sequence[str]) -> str:
    """`columns` are names of ours, never a file's."""

    def all_of(table: str) -> str:
        return ", ".join(f"{table}.{name}" for name in columns)

    changes = ", ".join(f"{name} = excluded.{name}" for name in columns)
    # What has not changed is left out before the insert: ON CONFLICT would lock, and so write, every one of them.
    return f"""
        INSERT INTO audience.contact (tenant, client_id, {", ".join(columns)})
        SELECT $1, staged.client_id, {all_of("staged")}
        FROM pg_temp.staged_contact AS staged
        LEFT JOIN audience.contact AS known ON known.tenant = $1 AND known.client_id = staged.client_id
        WHERE known.client_id IS NULL OR ({all_of("known")}) IS DISTINCT FROM ({all_of("staged")})
        ORDER BY staged.client_id
        ON CONFLICT (tenant, client_id) DO UPDATE SET {changes}, updated_at = now()
    """  # noqa: S608
