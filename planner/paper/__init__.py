"""The study "Beyond the Buzz: A Pragmatic Take on Inference Disaggregation" (arXiv 2506.05508), in the open.

Its figures from this simulator, its findings as checks that can fail, and what it left out: other
systems and models, absolute numbers, the price of a fixed ratio and of a small fleet. To be read in this
order: `settings` (under which assumptions), `scenarios` (what is asked), `sweeps` (the planner's points and
frontiers for both), `readings` (what is measured on those), `figures` and `claims` (what is drawn and
judged), `reproduction` (all of it), `report` and `page` (how it is told).
"""
