"""Run a bundle: engines, OpenVINO, multi-crop inference, Grad-CAM, self-test.

Imports `bundle`, `images`, `networks` and the root of `models`.
"""
