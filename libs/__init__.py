"""What the services share: their language, and one package for each outside thing they touch."""
