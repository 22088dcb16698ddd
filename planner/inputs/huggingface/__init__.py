"""A `config.json` becomes a model."""
