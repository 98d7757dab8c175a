"""The demo people: committed as generated, and as different from one another as promised."""

import csv
import io
from itertools import islice
from pathlib import Path

import phonenumbers
import pytest

from deploy.demo import generate

COMMITTED = Path(generate.__file__).with_name("people.csv").read_text(encoding="utf-8")
PEOPLE = list(csv.DictReader(io.StringIO(COMMITTED)))


def test_the_committed_file_is_what_is_generated() -> None:
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(generate.COLUMNS)
    writer.writerows(generate.people(2_000))
    assert rows.getvalue() == COMMITTED


def test_person_n_is_the_same_however_many_are_asked_for() -> None:
    assert list(islice(generate.people(100_000), 50)) == list(generate.people(50))


def test_ids_count_from_one() -> None:
    assert [int(person["client_id"]) for person in PEOPLE] == list(range(1, 2_001))


@pytest.mark.parametrize("column", ["phone", "email", "card", "user_key"])
def test_no_two_people_share(column: str) -> None:
    values = [person[column] for person in PEOPLE if person[column]]
    assert len(values) == len(set(values)) > 1_000


def test_a_million_people_have_different_phones() -> None:
    phones = list(islice(generate.phones(), 1_000_000))
    assert len(phones) == len(set(phones)) == 1_000_000


def test_every_phone_can_exist() -> None:
    phones = [person["phone"] for person in PEOPLE if person["phone"]]
    phones += list(islice(generate.phones(), 0, 1_000_000, 2_003))
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(phone)) for phone in phones)


def test_nobody_can_be_reached_by_mail() -> None:
    domains = {person["email"].rpartition("@")[2] for person in PEOPLE if person["email"]}
    assert all(domain.endswith(("example.com", "example.net", "example.org")) for domain in domains)


def test_there_is_something_of_everything_a_first_look_needs() -> None:
    names = " ".join(person["fullname"] for person in PEOPLE)
    assert all(sign in names for sign in "%_\\*\"'<;")
    assert any("а" <= letter <= "я" for letter in names.lower())
    without = [(not person["phone"], not person["email"]) for person in PEOPLE]
    assert {(True, False), (False, True), (True, True), (False, False)} == set(without)
    assert sum(no_phone for no_phone, _ in without) == 100
    assert len({person["locale"] for person in PEOPLE}) == 10
    assert len({person["timezone"] for person in PEOPLE}) > 10
    assert sum("Anna" in person["fullname"] for person in PEOPLE) > 20
