"""People who do not exist: `python -m deploy.demo.generate 2000 > deploy/demo/people.csv`.

Person n is the same in every file, however many are asked for. Every phone and e-mail is different.

Nobody can be reached by what stands in the file: e-mail domains are those of RFC 2606, phone numbers are from ranges
that numbering authorities keep for fiction (+1 NPA 555-0100 to 0199, France 01 99 00 and others, Germany 030 23125 and
others, Australia 5550 and 7010); when these are used up, after some 140,000 people, other numbers of the North
American exchange 555 follow, which has no subscribers.

`make people N=100000` runs

    python -m deploy.demo.generate 100000 | python -m services.audience.load --tenant demo-people -
"""

import argparse
import csv
import hashlib
import sys
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST = 2_000_000  # people with different phones
COLUMNS = ("client_id", "fullname", "phone", "email", "card", "locale", "timezone", "user_key")


@dataclass(frozen=True, slots=True)
class Country:
    """Where people come from: their language, zones and names. Name parts are shared on purpose, also as parts of
    others (Anna, Annabelle, Johanna; John, Johnson), so that a search by part of a name finds several."""

    locale: str
    timezones: Sequence[str]
    given: Sequence[str]
    family: Sequence[str]


COUNTRIES = (
    Country(
        "en-GB",
        ("Europe/London",),
        ("Anna", "Annabelle", "John", "Jonathan", "Emma", "Olivia", "Harry", "Grace", "Joan", "Johanna"),
        ("Johnson", "Johns", "Smith", "Smithson", "Taylor", "Clarke", "O'Brien", "Evans-Jones", "Wood", "Woodhouse"),
    ),
    Country(
        "en-US",
        ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"),
        ("Mary", "Maryann", "James", "Michael", "Ann", "Joanna", "Robert", "Linda", "John", "Rose"),
        ("Johnson", "Miller", "Millerton", "Davis", "Garcia", "St. John", "Brown", "Browning", "Lee", "Young"),
    ),
    Country(
        "pl-PL",
        ("Europe/Warsaw",),
        ("Anna", "Joanna", "Łukasz", "Małgorzata", "Stanisław", "Zofia", "Jan", "Janina", "Paweł", "Agnieszka"),
        (
            "Kowalska",
            "Nowak",
            "Wiśniewski",
            "Wójcik",
            "Kowalczyk",
            "Zieliński",
            "Szymańska",
            "Dąbrowski",
            "Król",
            "Mazur",
        ),
    ),
    Country(
        "de-DE",
        ("Europe/Berlin",),
        ("Johannes", "Hannah", "Jürgen", "Anneliese", "Björn", "Käthe", "Lukas", "Mia", "Jonas", "Sophie"),
        ("Müller", "Schröder", "Weiß", "Johannsen", "Fischer", "Köhler", "Bauer", "Neubauer", "Wolf", "Großmann"),
    ),
    Country(
        "fr-FR",
        ("Europe/Paris",),
        ("Anne", "Marianne", "Jean", "Jeanne", "François", "Zoé", "Hélène", "Loïc", "Chloé", "Noël"),
        ("Martin", "Martinet", "Lefèvre", "D'Angelo", "Garçon", "Petit", "Dubois", "Bois", "Moreau", "Faure"),
    ),
    Country(
        "ru-RU",
        ("Europe/Moscow", "Asia/Yekaterinburg", "Asia/Vladivostok"),
        ("Анна", "Жанна", "Марианна", "Иван", "Фёдор", "Ольга", "Юрий", "Наталья", "Пётр", "Елена"),
        ("Иванов", "Иванова", "Петров", "Сидоренко", "Щербакова", "Королёв", "Королева", "Ким", "Цой", "Лебедев"),
    ),
    Country(
        "uk-UA",
        ("Europe/Kyiv",),
        ("Ганна", "Олена", "Орися", "Андрій", "Євген", "Соломія", "Тарас", "Марія", "Іван", "Ярина"),
        (
            "Шевченко",
            "Коваленко",
            "Ковальчук",
            "Коваль",
            "Бондаренко",
            "Мельник",
            "Гнатюк",
            "Ґудзь",
            "Лисенко",
            "Кравець",
        ),
    ),
    Country(
        "be-BY",
        ("Europe/Minsk",),
        ("Ганна", "Алесь", "Янка", "Максім", "Уладзімір", "Вольга", "Кацярына", "Юрась", "Зміцер", "Настасся"),
        ("Купала", "Каваль", "Кавалёва", "Навіцкі", "Жук", "Мароз", "Быкаў", "Лось", "Сянкевіч", "Васілеўская"),
    ),
    Country(
        "kk-KZ",
        ("Asia/Almaty",),
        ("Әлия", "Айгүл", "Нұрлан", "Ерлан", "Қанат", "Динара", "Асель", "Тимур", "Жанар", "Анна"),
        ("Әбенов", "Қасымова", "Нұрланов", "Ержанов", "Сейтқали", "Омаров", "Ким", "Ахметова", "Жүнісов", "Төлеген"),
    ),
    Country(
        "tr-TR",
        ("Europe/Istanbul",),
        ("Ayşe", "Çağla", "İbrahim", "Işık", "Gül", "Gülşen", "Ömer", "Şule", "Can", "Canan"),
        ("Yılmaz", "Öztürk", "Çelik", "Şahin", "Kaya", "Demir", "Demirci", "Aydın", "Işıklı", "Güneş"),
    ),
)

# Characters that mean something to LIKE, CSV, SQL, shells or HTML, in names that somebody may type into a search.
AWKWARD_NAMES = (
    "100% Anna",
    "Anna_Maria Nowak",
    "Back\\Slash Johnson",
    'Robert "Bob" Brown, Jr.',
    "Under_score",
    "50%_Off Иванова",
    "* Star *",
    "O'Neil; DROP",
    "<b>Bold</b> Weiß",
    "Anna  Double  Space",
)

_AREA_CODES = (
    "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231 234 239 240 248 251 252 "
    "253 254 256 260 262 267 269 270 276 281 301 302 303 304 305 307 308 309 310 312 313 314 315 316 317 318 319 320 "
    "321 323 325 330 334 336 337 339 351 352 360 361 386 401 402 404 405 406 407 408 409 410 412 413 414 415 417 419 "
    "423 424 425 432 434 435 440 443 469 478 479 480 484 501 502 503 504 505 507 508 509 510 512 513 515 516 517 518 "
    "520 530 540 541 551 559 561 562 563 567 570 571 573 574 580 585 586 601 602 603 605 606 607 608 609 610 612 614 "
    "615 616 617 618 619 620 623 626 630 631 636 641 646 650 651 660 661 662 678 682 701 702 703 704 706 707 708 712 "
    "713 714 715 716 717 718 719 720 724 727 731 732 734 740 754 757 760 763 765 770 772 773 774 775 781 785 786 801 "
    "802 803 804 805 806 808 810 812 813 814 815 816 817 818 828 830 831 832 843 845 847 850 856 857 858 859 860 862 "
    "863 864 865 870 901 903 904 906 907 908 909 910 912 913 914 915 916 917 918 919 920 925 928 931 936 937 940 941 "
    "947 949 951 952 954 956 970 971 972 973 978 979 980 985 989"
)
AREA_CODES = _AREA_CODES.split()


def north_american() -> Iterator[str]:
    """555-0100 to 555-0199 of every area code."""
    return (f"+1{area}5550{line:03}" for line in range(100, 200) for area in AREA_CODES)


def french() -> Iterator[str]:
    """Six digits before the last four of ranges that Arcep keeps for audiovisual works."""
    ranges = ("19900", "26191", "35301", "46571", "53649")
    return (f"+33{prefix}{line:04}" for line in range(10_000) for prefix in ranges)


def german() -> Iterator[str]:
    """Ranges that the Bundesnetzagentur keeps for media."""
    ranges = ("3023125", "6990009", "4066969", "2214710", "8999998")
    return (f"+49{prefix}{line:03}" for line in range(1_000) for prefix in ranges)


def australian() -> Iterator[str]:
    """Ranges that ACMA keeps for radio, film and television."""
    ranges = ("25550", "27010", "35550", "37010", "75550", "77010", "85550", "87010")
    return (f"+61{prefix}{line:04}" for line in range(10_000) for prefix in ranges)


def exchange_555() -> Iterator[str]:
    """The other numbers of the exchange 555, services such as directory enquiries (1212) left out."""
    lines = (line for line in range(2_000, 10_000) if line != 4_334)
    return (f"+1{area}555{line:04}" for line in lines for area in AREA_CODES)


def phones() -> Iterator[str]:
    """Phone numbers in E.164, each once: the fictitious ranges by turns, then exchange 555."""
    turns = [north_american(), french(), german(), australian()]
    while turns:
        for numbers in list(turns):
            number = next(numbers, None)
            if number is None:
                turns.remove(numbers)
            else:
                yield number
    yield from exchange_555()


def people(count: int) -> Iterator[Sequence[str | int]]:
    """`count` people, a row of `COLUMNS` each, with client_id 1, 2, ..."""
    numbers = phones()
    for client_id in range(1, count + 1):
        # One in twenty has no phone, one in fifteen no e-mail, a few have neither.
        yield _person(client_id, "" if client_id % 20 == 7 else next(numbers))


def _person(client_id: int, phone: str) -> Sequence[str | int]:
    dice = zlib.crc32(f"carillon {client_id}".encode())
    dice, index = divmod(dice, len(COUNTRIES))
    country = COUNTRIES[index]
    dice, index = divmod(dice, len(country.given))
    given = country.given[index]
    dice, index = divmod(dice, len(country.family))
    family = country.family[index]
    dice, index = divmod(dice, len(country.timezones))
    fullname = AWKWARD_NAMES[client_id // 50 % len(AWKWARD_NAMES)] if client_id % 50 == 0 else f"{given} {family}"
    return (
        client_id,
        fullname,
        phone,
        "" if client_id % 15 == 2 else _email(client_id, given, family),
        f"{dice % 10_000:04}{'abcdefghijkmnpqrstuvwxyz'[client_id % 24]}{client_id:06}" if client_id % 5 else "",
        country.locale,
        country.timezones[index],
        hashlib.blake2b(f"carillon {client_id}".encode(), digest_size=16).hexdigest(),
    )


def _email(client_id: int, given: str, family: str) -> str:
    if client_id % 97 == 0:
        return f"test@{client_id}.example.org"
    names = [_plain(name) for name in (given, family)]
    local = ".".join(name for name in names if name) or "client"
    return f"{local}.{client_id}@example.{('com', 'net', 'org')[client_id % 3]}"


def _plain(name: str) -> str:
    """Small Latin letters of a name, without their marks; empty for another script."""
    decomposed = unicodedata.normalize("NFKD", name.lower().replace("ł", "l").replace("ı", "i").replace("ß", "ss"))
    return "".join(letter for letter in decomposed if letter.isascii() and letter.isalpha())


def main(argv: Sequence[str] | None = None) -> None:
    """Write people as CSV to standard output."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.demo.generate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("count", nargs="?", type=int, default=2_000, help="how many people (2,000 unless given)")
    options = parser.parse_args(argv)
    if not 1 <= options.count <= MOST:
        parser.error(f"from 1 to {MOST:,} people")
    sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(people(options.count))


if __name__ == "__main__":
    main()
