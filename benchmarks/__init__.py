"""Benchmarks, mostly as ratios within one run, because machines and their load differ."""
