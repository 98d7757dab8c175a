"""Where things lie under `.run/`, which holds everything a platform keeps and can be deleted when it is down."""

from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Layout:
    """The paths of one platform. `run` is absolute."""

    run: Path

    @property
    def postgres(self) -> Path:
        return self.run / "postgres"

    @property
    def kafka(self) -> Path:
        return self.run / "kafka"

    @property
    def logs(self) -> Path:
        return self.run / "logs"

    @property
    def hold(self) -> Path:
        """A dead process stays down while a file with its name is here."""
        return self.run / "hold"

    @property
    def secrets(self) -> Path:
        return self.run / "secrets"

    @property
    def endpoints(self) -> Path:
        """What is where, for people and tests; there only while the platform is up."""
        return self.run / "endpoints.json"

    @property
    def processes(self) -> Path:
        """Which processes were started and when, so that a later start or stop can tell its own from others."""
        return self.run / "processes.json"

    @property
    def lock(self) -> Path:
        """Locked by the supervisor as long as it lives."""
        return self.run / "supervisor.lock"

    @property
    def demo(self) -> Path:
        """Which demo data this Postgres holds; beside its data, so that both go together."""
        return self.postgres / "demo.json"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def make(self) -> None:
        for folder in (self.run, self.postgres, self.kafka, self.logs, self.hold):
            folder.mkdir(parents=True, exist_ok=True)
