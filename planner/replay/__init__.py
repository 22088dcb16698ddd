"""Requests one by one through a deployment, static or changing: what each waits, and what every GPU does."""
