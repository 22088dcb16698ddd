"""Token mixing, one module for each kind."""
