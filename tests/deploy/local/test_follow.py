"""Logs on the terminal: whole lines, each with its process, nothing twice."""

from pathlib import Path

from deploy.local.follow import Follower


def test_only_new_whole_lines(tmp_path: Path) -> None:
    shown: list[str] = []
    (tmp_path / "tracker.log").write_text("old\n")
    follower = Follower(tmp_path, shown.append)
    with (tmp_path / "tracker.log").open("a") as log:
        log.write("one\ntw")
        log.flush()
        follower.catch_up()
        log.write("o\n")
        log.flush()
        (tmp_path / "gateway-2.log").write_text("hello\n")
        follower.catch_up()
        follower.catch_up()
    assert [line.split() for line in shown] == [
        ["tracker", "|", "one"],
        ["gateway-2", "|", "hello"],
        ["tracker", "|", "two"],
    ]
