"""What pip complains about, in one line."""


def reason(complaint: str) -> str:
    """The line of pip's complaint that says why."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    hashes = [line for line in lines if line.startswith(("Expected", "Got"))]
    return " ".join([*errors[:1], *hashes]) or (lines[-1] if lines else "pip gave no reason")
