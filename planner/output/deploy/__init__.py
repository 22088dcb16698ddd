"""From a plan to what launches it: one small file for each target, its flags as data in presets/deploy."""
