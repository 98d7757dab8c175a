"""Telemetry: traces by OTLP, one list of metrics, logs as JSON lines without personal data."""

from libs.telemetry import metrics, tracing
from libs.telemetry.setup import Telemetry, TelemetrySettings, setup

__all__ = ["Telemetry", "TelemetrySettings", "metrics", "setup", "tracing"]
