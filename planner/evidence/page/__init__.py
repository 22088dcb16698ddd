"""The page docs/accuracy.md, a module for each part of it; `write.py` has their order."""
