"""Run a bundle: engines, OpenVINO, bfloat16 first pass, multi-crop inference, Grad-CAM, self-test.

May import `networks`, `bundle`, `images` and the root of `models`.
"""
