"""A plan as words, text, Markdown and data. Pure: a plan in, strings out."""
