"""The background: one thread that answers, and when to ask it."""
