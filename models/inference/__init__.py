"""Run a bundle: engines, OpenVINO, multi-crop inference, Grad-CAM, self-test.

Imports `bundle`, `networks` and the root of `models`.
"""
