# ruff: noqa: E501
"""Safeguards: models."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "the hash of each file of a bundle", "models/bundle/bundle.py",
        "    if actual != described.sha256:\n",
        "    if False:\n",
        (98,), (
            "models/bundle/test_bundle.py::test_one_flipped_bit_is_refused",
            "models/bundle/test_detector_entry.py::test_one_flipped_bit_is_refused",
        ),
    ),
    of(
        "the size of an unpacked detector", "models/bundle/openvino_archive.py",
        "    if len(data) > limit:\n",
        "    if False:\n",
        (102,), ("models/bundle/test_detector_entry.py::test_an_archive_that_unpacks_to_gigabytes_is_refused",),
    ),
    of(
        "the self-test of the model", "models/inference/engines.py",
        "    if not worst <= test.tolerance:  # also true for NaN\n",
        "    if False:\n",
        (100,), ("models/inference/test_engines.py::test_self_test_catches_weights_of_the_right_shape",),
    ),
    of(
        "arrays of plain numbers only", "models/bundle/weights.py",
        "    if fortran or dtype not in types:\n",
        "    if False:\n",
        (99,), ("models/bundle/test_bundle.py::test_pickles_are_never_loaded",),
    ),
    of(
        "PyTorch's files name nothing but tensors", "models/networks/torch_files.py",
        "        if (module, name) not in self._NAMES:\n            raise TorchFileError(f\"it names {module}.{name}, which a dictionary of tensors does not need\")\n",
        "        if (module, name) not in self._NAMES:\n            return super().find_class(module, name)\n",
        (99,), ("models/networks/test_torch_files.py::test_a_file_that_names_a_function_is_refused_and_the_function_never_called",),
    ),
    of(
        "tensors within their storage", "models/networks/torch_files.py",
        "    if min((tensor.offset, *tensor.strides, *tensor.shape)) < 0 or last >= len(storage):\n",
        "    if False:\n",
        (99,), ("models/networks/test_torch_files.py::test_a_tensor_that_exceeds_its_storage_is_refused",),
    ),
    of(
        "the hash of an installed package's weights", "models/networks/imagenet_weights.py",
        "    if (found := hashlib.sha256(data).hexdigest()) != package.sha256:\n",
        "    if (found := hashlib.sha256(data).hexdigest()) == \"\":\n",
        (98,), ("models/networks/test_imagenet_weights.py::test_an_installed_package_with_another_content_is_refused",),
    ),
    of(
        "one model for the life of a worker", "pipeline/classifier/client.py",
        "            self._refuse_another_model(ready)\n",
        "",
        (101,), ("pipeline/classifier/test_client_start.py::test_a_model_that_was_replaced_is_not_used_under_the_name_of_the_old",),
    ),
    of(
        "no compressed arrays", "models/bundle/weights.py",
        "            if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(data):\n",
        "            if False:\n",
        (102,), ("models/bundle/test_bundle.py::test_compressed_arrays_are_refused_unread",),
    ),
    of(
        "arrays of finite numbers", "models/bundle/weights.py",
        "    if not np.isfinite(array).all():\n",
        "    if False:\n",
        (100,), ("models/bundle/test_bundle.py::test_arrays_that_are_not_finite_are_neither_written_nor_read",),
    ),
    of(
        "the self-test of the int8 network", "models/inference/engines.py",
        "        _self_test(bundle, engine)\n    except BundleError:\n        raise\n",
        "    except BundleError:\n        raise\n",
        (100,), ("models/training/test_int8.py::test_another_network_in_int8_is_refused_by_the_self_test",),
    ),
    of(
        "a detector runs once before it is used", "models/inference/detector.py",
        "        _try(run, size, len(labels))\n",
        "",
        (100,),
        ("models/inference/test_detector.py::test_a_detector_that_fails_when_it_runs_is_refused_at_the_start",),
    ),
    of(
        "no archive of unbounded packing", "models/bundle/openvino_archive.py",
        "if any(member.compress_type not in BOUNDED for",
        "if any(False for",
        (102,),
        (
            "models/bundle/test_openvino_archive.py"
            "::test_packings_of_which_a_little_may_fill_the_memory_are_refused_unread",
        ),
    ),
    of(
        "the size of an unpacked replay", "models/bundle/replay.py",
        "        if len(content) > left:\n",
        "        if False:\n",
        (), ("models/bundle/test_replay.py::test_a_replay_that_unpacks_to_more_than_is_allowed_is_refused",),
    ),
    of(
        "files of the user beside a bundle stay", "models/bundle/write_bundle.py",
        "if _OWN.fullmatch(old.name) and old.name not in files:",
        'if old.name.startswith(("weights-", "int8-", "detector-", "replay-")) and old.name not in files:',
        (),
        (
            "models/bundle/test_bundle.py"
            "::test_replaced_bundle_leaves_one_weights_file_and_keeps_its_neighbours",
        ),
    ),
    of(
        "int8 only where it is as right", "models/training/export.py",
        "    return lost <= MOST_LOST\n",
        "    return True\n",
        (), ("models/training/test_int8.py::test_int8_that_loses_too_much_is_left_out_with_a_warning",),
    ),
    of(
        "large pictures left to Pillow", "models/images/resize.py",
        "    if Resizer is None or box[0] * image.height > _QUICK_PIXELS:\n",
        "    if Resizer is None:\n",
        (), ("models/images/test_resize.py::test_what_needs_much_room_to_be_resized_is_left_to_pillow",),
    ),
    of(
        "one Core of OpenVINO", "models/inference/openvino_engine.py",
        "@cache\ndef _core() -> Any:\n",
        "def _core() -> Any:\n",
        (), ("models/inference/test_engines.py::test_a_signal_is_survived_after_networks_of_openvino_are_gone",),
    ),
    of(
        "a device or pipe is no file to read", "models/regular_files.py",
        "        _refuse_other(os.fstat(descriptor).st_mode, passed, path)\n",
        "        pass\n",
        (), ("models/test_regular_files.py::test_what_is_no_regular_file_of_some_size_is_refused",),
    ),
)  # fmt: skip
