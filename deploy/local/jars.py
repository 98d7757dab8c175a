"""Kafka's jars: fetched once from Maven Central, checked against `jars.lock.json`, kept in the user's cache."""

import hashlib
import json
import os
import shutil
import ssl
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.local.trouble import Trouble

LOCK = Path(__file__).with_name("jars.lock.json")
ATTEMPTS = 3
THREADS = 8


@dataclass(frozen=True)
class Jar:
    """One pinned artifact. `sha256` in lower-case hex."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


Fetch = Callable[[Jar, Path], Path]


def cache_folder() -> Path:
    """Where downloads live, outside any checkout and any `.run`, so that a second start needs no network."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "carillon"


def locked(section: str = "kafka", lock: Path = LOCK) -> list[Jar]:
    rows = json.loads(lock.read_text(encoding="utf-8"))[section]
    return [Jar(row["group"], row["artifact"], row["version"], row["sha256"]) for row in rows]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def present(jar: Jar, folder: Path) -> bool:
    path = folder / jar.name
    return path.is_file() and sha256_of(path) == jar.sha256


def fetch_from_central(jar: Jar, scratch: Path) -> Path:
    """Download one jar with jgo, which knows Maven Central and the user's mirrors."""
    from jgo.maven import MavenContext  # noqa: PLC0415 - half a second that a start with a full cache saves

    _trust_what_the_system_trusts()
    context = MavenContext(repo_cache=scratch, timeout=30)
    return context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()


def _trust_what_the_system_trusts() -> None:
    """A company's proxy signs with a certificate that the system knows and the bundle of `requests` does not."""
    known = ssl.get_default_verify_paths()
    bundle = known.cafile or known.capath
    if bundle and not os.environ.get("CURL_CA_BUNDLE"):
        os.environ.setdefault("REQUESTS_CA_BUNDLE", bundle)


def ensure(
    cache: Path | None = None,
    *,
    jars: Iterable[Jar] | None = None,
    fetch: Fetch = fetch_from_central,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """The folder of the pinned jars, each with its right checksum; downloads what is missing or damaged.

    Raises Trouble naming the jar when it cannot be fetched or its checksum is wrong.
    """
    wanted = list(jars) if jars is not None else locked()
    fingerprint = hashlib.sha256("".join(jar.sha256 for jar in wanted).encode()).hexdigest()[:12]
    folder = (cache or cache_folder()) / f"kafka-{fingerprint}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(THREADS) as pool:
            there = pool.map(lambda jar: present(jar, folder), wanted)
            missing = [jar for jar, is_there in zip(wanted, there, strict=True) if not is_there]
            if missing:
                say(f"downloading Kafka: {len(missing)} jars")
                scratch = folder / f".download-{os.getpid()}"
                try:
                    list(pool.map(lambda jar: _install(jar, folder, scratch, fetch), missing))
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise Trouble(f"cannot keep Kafka's jars under {folder}: {error.strerror or error}") from error
    return folder


def _install(jar: Jar, folder: Path, scratch: Path, fetch: Fetch) -> None:
    downloaded = _download(jar, scratch, fetch)
    found = sha256_of(downloaded)
    if found != jar.sha256:
        raise Trouble(
            f"{jar.name} was downloaded damaged or altered: its sha256 is {found}, "
            f"deploy/local/jars.lock.json says {jar.sha256}; nothing was kept, try again"
        )
    downloaded.replace(folder / jar.name)


def _download(jar: Jar, scratch: Path, fetch: Fetch) -> Path:
    reason: Exception | None = None
    for attempt in range(ATTEMPTS):
        try:
            return fetch(jar, scratch / str(attempt))
        except OSError as error:
            if error.errno is not None and not isinstance(error, ConnectionError | TimeoutError):
                raise  # the disk, not the network
            reason = error
        except Exception as error:  # noqa: BLE001 - jgo promises no class of error; what it was is told below
            reason = error
    raise Trouble(
        f"cannot download {jar.name} ({jar.group}:{jar.artifact}:{jar.version}): {reason}; is there a network?"
    ) from reason
