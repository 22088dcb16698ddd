"""Charts as cells. plotext is imported here alone."""
