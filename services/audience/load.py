"""Loads contacts from a CSV file: `python -m services.audience.load --tenant demo people.csv`.

The file is loaded as a whole or not at all, and may be loaded again: a client_id that is known is updated in the
columns the file has, nobody is removed. Columns: client_id, fullname, phone, email, card, locale, timezone, user_key.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import TextIO

from pydantic import TypeAdapter, ValidationError

from libs.contracts.envelope import TenantId
from libs.contracts.failures import Unavailable
from libs.settings import SettingsError, load
from libs.storage import Database, MigrationError, migrate
from services.audience.contact_file import BadHeader, BadLine, ContactFile
from services.audience.repository import ContactRepository
from services.audience.settings import AudienceSettings

# A million rows are one statement, of half a minute on a small machine.
COMMAND_TIMEOUT = 3600.0
PROGRESS_EVERY = 100_000
SHOWN_PROBLEMS = 20


class Refused(Exception):  # noqa: N818 - a verdict about the file
    """The file was not loaded; the text says why."""


class Loading:
    """Reads the good lines of a file, counts and reports the bad ones."""

    def __init__(self, contacts: ContactFile, report: TextIO) -> None:
        self._contacts = contacts
        self._report = report
        self.good = 0
        self.bad = 0

    def rows(self) -> Iterator[Sequence[object]]:
        """The good lines, as they are read."""
        for line in self._contacts:
            if isinstance(line, BadLine):
                self._note(line)
                continue
            self.good += 1
            if self.good % PROGRESS_EVERY == 0:
                self._report.write(f"{self.good:,} lines read\n")
            yield line.values

    def _note(self, line: BadLine) -> None:
        self.bad += 1
        if self.bad <= SHOWN_PROBLEMS:
            self._report.write(f"line {line.line}: {line.problem}\n")
        elif self.bad == SHOWN_PROBLEMS + 1:
            self._report.write("more lines are bad; they are counted, not shown\n")


async def load_contacts(
    database: Database, tenant: str, lines: TextIO, report: TextIO, *, region: str | None = None, skip_bad: bool = False
) -> int:
    """Load a file and answer how many contacts were new or different.

    Raises Refused when the file is not CSV with a header, or has a bad line and `skip_bad` is not set; Unavailable.
    """
    try:
        contacts = ContactFile(lines, region=region)
    except BadHeader as error:
        raise Refused(str(error)) from None
    loading, repository = Loading(contacts, report), ContactRepository()
    async with database.transaction() as connection:
        await repository.stage(connection, contacts.columns, loading.rows())
        if loading.bad and not skip_bad:
            raise Refused(f"nothing was loaded: {loading.bad:,} bad lines, {loading.good:,} good ones")
        written = await repository.merge_staged(connection, tenant, contacts.columns)
    skipped = f", {loading.bad:,} bad lines left out" if loading.bad else ""
    report.write(f"{loading.good:,} contacts loaded for {tenant}, {written:,} new or changed{skipped}\n")
    return written


async def _run(options: argparse.Namespace, settings: AudienceSettings, report: TextIO) -> None:
    database = await Database.connect(
        settings.database.get_secret_value(), service="audience-load", max_size=1, command_timeout=COMMAND_TIMEOUT
    )
    try:
        await migrate(database, schema="audience", folder=files("services.audience") / "migrations")
        with ExitStack() as stack:
            lines = stack.enter_context(_opened(options.file))
            await load_contacts(
                database, options.tenant, lines, report, region=options.region, skip_bad=options.skip_bad_lines
            )
    finally:
        await database.close()


def _opened(name: str) -> TextIO:
    # A BOM is no part of the first column's name; what is not UTF-8 becomes a bad line, with its number.
    source: Path | int = sys.stdin.fileno() if name == "-" else Path(name)
    try:
        return open(source, encoding="utf-8-sig", errors="surrogateescape", newline="", closefd=name != "-")
    except OSError as error:
        raise Refused(f"{name}: {error.strerror}") from None


def _tenant(text: str) -> str:
    try:
        return TypeAdapter[str](TenantId).validate_python(text)
    except ValidationError:
        raise argparse.ArgumentTypeError("small letters, digits and - only, 63 at most") from None


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Exit status: 0 loaded, 1 not loaded, 2 called wrongly."""
    parser = argparse.ArgumentParser(prog="python -m services.audience.load", description=__doc__)
    parser.add_argument("--tenant", required=True, type=_tenant)
    parser.add_argument("--region", help="country (PL, DE, ...) of phone numbers written without their country code")
    parser.add_argument("--skip-bad-lines", action="store_true", help="load the good lines and count the others")
    parser.add_argument("file", help="CSV with a header, UTF-8; - reads standard input")
    options = parser.parse_args(argv)
    try:
        asyncio.run(_run(options, load(AudienceSettings), sys.stderr))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (Refused, Unavailable, MigrationError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
