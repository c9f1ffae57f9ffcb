"""Proof bundles: an evaluation in one file, whose scoring anybody can replay offline."""
