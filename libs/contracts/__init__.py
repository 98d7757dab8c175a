"""The language the services share: messages, content, outcomes, ids and the topic table. Nothing here does I/O."""
