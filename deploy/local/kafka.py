"""One Kafka broker, its own controller (KRaft), for one machine."""

import base64
import shutil
import signal
import socket
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path

from deploy.local.processes import Command, run
from deploy.local.trouble import Trouble

HEAP = ("-Xms256m", "-Xmx512m")
# C1 alone starts a second faster and is not clearly slower under our load.
JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")

LOGGING = """\
<Configuration status="error">
  <Appenders><Console name="console" target="SYSTEM_ERR">
    <PatternLayout pattern="%d{ISO8601} %p %c{1}: %m%n%throwable{short.message}"/>
  </Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""


@dataclass(frozen=True)
class Broker:
    """Where a broker lives and on which loopback ports it listens."""

    directory: Path
    java: Path
    jars: Path
    port: int
    controller_port: int

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def properties(self) -> Path:
        return self.directory / "server.properties"


def server_properties(data: Path, port: int, controller_port: int) -> str:
    """The broker's settings. A killed broker is back in 2 s instead of 11 because its session ends after one."""
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
default.replication.factor=1
min.insync.replicas=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=250
"""


def prepare(broker: Broker) -> None:
    """Write the settings and format the data directory if it is new or was left half formatted.

    Raises Trouble when Kafka refuses to format.
    """
    broker.directory.mkdir(parents=True, exist_ok=True)
    (broker.directory / "log4j2.xml").write_text(LOGGING, encoding="utf-8")
    broker.properties.write_text(server_properties(broker.data, broker.port, broker.controller_port), encoding="utf-8")
    formatted = broker.directory / "formatted"
    if formatted.exists() and broker.data.exists():
        return
    formatted.unlink(missing_ok=True)
    shutil.rmtree(broker.data, ignore_errors=True)
    answer = run(
        [*_java(broker), "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(broker.properties), "-g"],
        environ={"LC_ALL": "C.UTF-8"},
    )
    if answer.returncode:
        lines = (answer.stderr or answer.stdout).strip().splitlines() or ["it gave no reason"]
        raise Trouble(f"Kafka cannot format {broker.data}: {lines[-1]}")
    formatted.touch()


def _cluster_id() -> str:
    """Sixteen bytes in URL-safe base64, never beginning with a dash: that would be taken for an option."""
    first, *others = uuid.uuid4().bytes
    return base64.urlsafe_b64encode(bytes([first & 0x7F, *others])).decode().rstrip("=")


def command(broker: Broker) -> Command:
    argv = [*_java(broker), "kafka.Kafka", str(broker.properties)]
    return Command(argv, environ={"LC_ALL": "C.UTF-8"}, directory=broker.directory, stop_signal=signal.SIGTERM)


def _java(broker: Broker) -> list[str]:
    logging = f"-Dlog4j2.configurationFile={(broker.directory / 'log4j2.xml').as_uri()}"
    return [str(broker.java), *HEAP, *JVM, logging, "-cp", f"{broker.jars}/*"]


def answers(port: int, within: float = 1.0) -> bool:
    """Whether a metadata request names a broker: only then can topics be made and records be sent."""
    client = b"probe"
    body = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)  # Metadata v1, no topics
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=within) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            head = _exactly(connection, 4)
            answer = _exactly(connection, struct.unpack(">i", head)[0])
    except (OSError, EOFError):
        return False
    return len(answer) >= 8 and struct.unpack_from(">i", answer, 4)[0] > 0


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data
