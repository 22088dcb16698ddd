"""The answer: a scenario is resolved, swept, matched and becomes a `Plan`."""
