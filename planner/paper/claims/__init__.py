"""The 23 checkable findings of the study, each with its check: gains of a split, instance layouts, ratios."""
