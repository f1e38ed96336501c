"""Run a bundle: engines, OpenVINO, bfloat16 first pass, multi-crop inference, Grad-CAM, self-test.

Imports `bundle`, `networks` and the root of `models`.
"""
