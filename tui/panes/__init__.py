"""Panes: the parts of a screen, each drawn from one immutable `tui.state.View`."""
