"""The match: design points in, numbers of instances out. Arrays only; knows nothing of models or GPUs."""
