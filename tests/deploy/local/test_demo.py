"""What the demo tenant is given."""

from deploy.local import demo
from services.audience.contact_file import ContactFile, ContactLine


def test_magic_recipients_become_contacts() -> None:
    text = demo.magic_people(
        "channel,address,client_id,behaviour,outcome,delay_s\nsms,+447700900001,9001,flaky,delivered,2\n"
    )
    contacts = ContactFile(text.splitlines())
    assert contacts.columns == ["fullname", "phone"]
    assert list(contacts) == [ContactLine([9001, "Magic flaky", "+447700900001"])]


def test_the_list_of_magic_recipients_can_be_loaded() -> None:
    (load,) = [load for load in demo.LOADS if load.file.name == "magic.csv"]
    contacts = list(ContactFile(load.given(load.file.read_text(encoding="utf-8")).splitlines()))
    assert contacts
    assert all(isinstance(contact, ContactLine) for contact in contacts)
