"""The processes of Carillon. They never import each other: the topics in `libs.contracts.topics` are their interface."""
