"""Whether the shipped kernel constants make sense beside each other: no measurement is needed for it."""
