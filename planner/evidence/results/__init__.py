"""Results as benchmark tools write them, as rows of measured runs."""
