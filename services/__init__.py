"""The processes of Carillon. They never import each other: `libs.contracts.topics` is their interface."""
