"""Runs Carillon on one machine without containers: real Kafka, real Postgres, every service, a supervisor."""
