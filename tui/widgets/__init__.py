"""Widgets: parts that know nothing of the screen they are on."""
