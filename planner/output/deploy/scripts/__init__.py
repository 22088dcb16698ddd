"""Programs that an export carries with it; each runs on its own, without ratematch."""
