"""Run a bundle: engines, OpenVINO, multi-crop inference, Grad-CAM, self-test.

Imports `bundle`, `data`, `images`, `networks` and the root of `models`.
"""
