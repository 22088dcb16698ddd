"""The figures of the study from this simulator, and those that it lacks, as panels of series."""
