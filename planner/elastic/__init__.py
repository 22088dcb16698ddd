"""Plans over time: instances of a few layouts in each window of a trace, what they cost, their proof."""
