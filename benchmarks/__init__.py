"""Measurements of speed, each as a ratio within one run, since machines differ and are noisy."""
