"""The README says what the code says."""

from pathlib import Path

from libs.contracts.table import markdown

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_topic_table_is_the_code_s() -> None:
    shown = README.split("<!-- topics: python -m libs.contracts.table -->\n")[1].split("<!-- /topics -->")[0]
    assert shown == markdown()
