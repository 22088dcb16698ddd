"""What was asked and what is known: the scenario, and presets of models, systems and engines."""
