# ruff: noqa: E501
"""Safeguards: hostile pictures, and decoders that they bring down."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "attempts counted before decoding", "pipeline/worker/classify.py",
        "        self._ledger.begin_decoding([(file.id, sha) for sha, file in files.items()], alone, self._now())\n",
        "        self._ledger.begin_decoding([(file.id, sha) for sha, file in files.items()], False, self._now())\n",
        (54, 55), ("pipeline/worker/test_poison.py::test_poison_that_kills_the_worker_too_is_known_after_restarts",),
    ),
    of(
        "the pixel limit of the header", "pipeline/classifier/file_checks.py",
        "    if header.width * header.height > limits.pixels:  # of an animation, the first frame is decoded\n",
        "    if False:\n",
        (45, 46, 47), ("pipeline/classifier/test_file_checks.py::test_a_png_bomb_is_refused_and_costs_no_memory", "pipeline/classifier/test_file_checks.py::test_a_gif_of_the_largest_size_is_refused_undecoded", "pipeline/classifier/test_file_checks.py::test_headers_that_lie_are_refused",),
    ),
    of(
        "the limit of frames", "pipeline/classifier/file_checks.py",
        "    if header.frames > limits.frames:\n",
        "    if False:\n",
        (46,), ("pipeline/classifier/test_file_checks.py::test_more_frames_than_the_limit_are_refused",),
    ),
    of(
        "the pixel limit of the decode", "models/images/decode.py",
        "    header = header or read_header(data)\n    _check_pixels(header.width, header.height, pixel_limit)\n",
        "    header = header or read_header(data)\n",
        (), ("models/images/test_decode.py::test_pillow_sees_no_bomb_and_only_the_decoder_that_is_meant",),
    ),
    of(
        "check sums of a PNG", "models/images/formats/png.py",
        "        if name[:1].isupper() and not _is_sound(",
        "        if False and not _is_sound(",
        (), ("models/images/test_decode.py::test_a_png_with_a_wrong_check_sum_is_corrupt_though_its_pixels_unpack",),
    ),
    of(
        "no metadata for the JPEG decoder", "models/images/decode.py",
        "        data = jpeg.without_metadata(data, header.segments)\n",
        "        pass\n",
        (), ("models/images/test_decode.py::test_metadata_cannot_spoil_a_good_jpeg",),
    ),
    of(
        "no metadata for the PNG decoder", "models/images/decode.py",
        "        data = png.without_metadata(data)\n",
        "        pass\n",
        (), ("models/images/test_decode.py::test_text_and_profiles_cannot_spoil_a_good_png",),
    ),
    of(
        "all blocks of a JPEG's scan", "models/images/formats/jpeg_decoding.py",
        "        if not decoder.feed(_PADDING) and not decoder.skips(_PROBE):\n",
        "        if False:\n",
        (42,), ("models/images/formats/test_jpeg_decoding.py::test_an_end_marker_does_not_make_half_a_picture_whole",),
    ),
    of(
        "all scans of a JPEG", "models/images/formats/jpeg_decoding.py",
        "    if not found.exact or not decoder.done:\n",
        "    if False:\n",
        (42,), ("models/images/formats/test_jpeg_decoding.py::test_scans_that_never_came_are_noticed",),
    ),
    of(
        "runs of zeros in a JPEG", "models/images/formats/jpeg_decoding.py",
        "    found = [part for part in pieces if data.find(_ZEROS, part.start, part.end) >= 0]\n",
        "    found = list[Scan]()\n",
        (), ("models/images/formats/test_jpeg_decoding.py::test_a_run_of_zeros_is_corrupt",),
    ),
    of(
        "the restart markers of a JPEG", "models/images/formats/jpeg_decoding.py",
        "    if max(restarts_lost(data, scan) for scan in found.scans) > _TOLERATED:\n",
        "    if False:\n",
        (), ("models/images/formats/test_jpeg_decoding.py::test_restart_markers_that_are_missing_or_doubled_are_noticed_when_they_are_many",),
    ),
    of(
        "other bytes within the data of a JPEG", "models/images/formats/jpeg_decoding.py",
        "    if left_over:\n",
        "    if False:\n",
        (), ("models/images/formats/test_jpeg_decoding.py::test_other_bytes_within_the_data_are_mostly_noticed_though_no_marker_is_broken",),
    ),
    of(
        "zeros at the end of arithmetic coding", "models/images/formats/jpeg_decoding.py",
        "    begun = data[:end] +",
        "    begun = data[: last.end] +",
        (), ("models/images/formats/test_arithmetic_jpegs.py::test_half_of_one_is_refused_whatever_fills_its_place",),
    ),
    of(
        "no JPEG far larger than its TIFF is loaded", "models/images/tiff_strips.py",
        "        if width * height > max(_LARGEST_TILE, image.width * image.height):\n", "        if False:\n",
        (), ("models/images/test_tiff_strips.py::test_a_jpeg_far_larger_than_the_tiff_is_not_loaded",),
    ),
    of(
        "parts of an AVIF that overlap are not joined", "models/images/formats/heif.py",
        "    if sum(end - start for start, end in spans if end > start) > len(data):\n", "    if False:\n",
        (), (
            "models/images/formats/test_heif.py::"
            "test_an_avif_whose_parts_overlap_is_not_joined_to_more_than_its_file",
        ),
    ),
    of(
        "JPEG strips as large as their places", "models/images/tiff_strips.py",
        "    if image.tag_v2.get(_PLANAR, 1) == 1 and missing >",
        "    if False and missing >",
        (42,), ("models/images/test_tiff_strips.py::test_jpeg_strips_smaller_than_their_place_are_refused",),
    ),
    of(
        "pixels beyond the rows of a packed BMP", "models/images/formats/bmp.py",
        "        dropped += max(0, x + len(values) - width)\n",
        "        dropped = 0\n",
        (), ("models/images/formats/test_bmp.py::test_other_bytes_whose_runs_are_far_longer_than_their_rows_are_corrupt",),
    ),
    of(
        "frames of a film after an image", "models/images/formats/heif.py",
        "    pictures = [track for track in tracks if track.handler == _PICTURES]\n",
        "    pictures = tracks\n",
        (), ("models/images/formats/test_heif.py::test_video_and_sound_do_not_count_as_frames",),
    ),
    of(
        "the clean aperture of an AVIF", "models/images/decode.py",
        "                image = image.crop(aperture)\n",
        "                pass\n",
        (), ("models/images/formats/test_heif.py::test_only_the_clean_aperture_is_shown",),
    ),
    of(
        "planes left to libtiff", "models/images/formats/tiff_decoder.py",
        "            tags[_COMPRESSION] = _LZW\n",
        "            pass\n",
        (), ("models/images/formats/test_tiff_pixels.py::test_planes_show_what_their_channels_show", "models/images/formats/test_tiff_pixels.py::test_ycbcr_with_fewer_samples_of_colour_shows_its_picture",),
    ),
    of(
        "text that begins like an image", "models/images/formats/sniff.py",
        "    return None if _is_text(data[:512]) else _foreign_bytes(data)\n",
        "    return _foreign_bytes(data)\n",
        (43,), ("models/images/formats/test_sniff.py::test_text_is_not_an_image_whatever_it_begins_with",),
    ),
    of(
        "colour profiles of a PNG decompressed in part", "models/images/formats/png.py",
        "zlib.decompressobj().decompress(rest, _MOST_TEXT)",
        "zlib.decompressobj().decompress(rest)",
        (), ("models/images/formats/test_orientation.py::test_a_profile_that_swells_is_cut_and_only_the_first_is_unpacked",),
    ),
    of(
        "shrinking in bands", "models/images/resize.py",
        "BAND_PIXELS = 1 << 22\n",
        "BAND_PIXELS = 1 << 40\n",
        (), ("models/images/test_resize.py::test_a_large_picture_takes_little_more_memory_than_its_pixels",),
    ),
    of(
        "the deadline of the child", "pipeline/classifier/supervised_child.py",
        "        if self._remaining() <= 0:\n",
        "        if False:\n",
        (52,), ("pipeline/classifier/test_client.py::test_the_clock_of_a_batch_runs_from_when_the_one_before_it_is_finished",),
    ),
    of(
        "a child ends with its parent", "pipeline/processes.py",
        "        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)\n",
        "        pass\n",
        (), ("pipeline/classifier/test_client_start.py::test_the_child_dies_with_its_parent_even_while_it_hangs",),
    ),
    of(
        "the child is killed first when memory runs out", "pipeline/child_process.py",
        "        score.write(\"1000\")\n",
        "        pass\n",
        (53,), ("pipeline/classifier/test_client_start.py::test_the_child_offers_itself_when_memory_runs_out",),
    ),
    of(
        "the check for NaN", "pipeline/classifier/serve.py",
        "    if not np.isfinite(scores).all():\n",
        "    if False:\n",
        (57,), ("pipeline/classifier/test_serve.py::test_only_probabilities_are_taken_for_scores",),
    ),
    of(
        "files that end too early", "models/images/headers.py",
        "        raise truncated(f\"the {kind} ends too early\") from error\n",
        "        raise corrupt(f\"the {kind} ends too early\") from error\n",
        (42,), ("models/images/test_decode.py::test_a_file_cut_at_any_tenth_is_truncated",),
    ),
    of(
        "files that are not images", "models/images/headers.py",
        "    if kind is None:\n        raise _unknown(data)\n",
        "",
        (43,), ("pipeline/classifier/test_file_checks.py::test_a_file_that_is_not_an_image_is_reported_so",),
    ),
    of(
        "answers bound to their files", "pipeline/classifier/serve.py",
        "batch.images if len(readable) == len(batch.results) else batch.images[readable]",
        "batch.images[: len(readable)]",
        (44,), ("pipeline/classifier/test_serve.py::test_an_answer_is_of_the_pixels_of_its_own_file",),
    ),
    of(
        "images thinner than a band", "models/images/resize.py",
        "(max(1, int(side / wanted / _GAP)) for",
        "(int(side / wanted / _GAP) for",
        (48,), ("models/images/test_decode.py::test_extreme_shapes_give_a_square",),
    ),
    of(
        "the orientation of a photo", "models/images/decode.py",
        "    turn = _UPRIGHT.get(_orientation(header, image))\n",
        "    turn = None\n",
        (49,), ("models/images/test_colour_modes.py::test_every_orientation_stands_upright",),
    ),
    of(
        "the end of a child process", "pipeline/classifier/supervised_child.py",
        "            raise ChildFailed(\"decoder_crashed\", self.kill()) from None\n",
        "            raise\n",
        (50, 51), ("pipeline/classifier/test_client.py::test_a_dead_child_gives_up_all_in_flight_once_and_can_be_started_again",),
    ),
    of(
        "any exception of a decoder", "models/images/decode.py",
        "        raise from_decoder(header.format, error) from error\n",
        "        raise\n",
        (56,), ("corpus/test_corpus.py::test_every_case_ends_as_it_should_and_so_do_damaged_ones",),
    ),
    of(
        "a run of zeros in a WebP, HEIF or AVIF", "models/images/decode.py",
        "    if spans := _SPANS.get(header.format):\n",
        "    if (spans := _SPANS.get(header.format)) and False:\n",
        (42,), ("models/images/test_zero_runs.py::test_an_image_with_a_run_of_zeros_is_corrupt",),
    ),
    of(
        "the data of the primary picture of a HEIF that is cut", "models/images/formats/heif.py",
        "    return bool(spans) and max(end for _, end in spans) <= len(data)\n",
        "    return bool(spans)\n",
        (42,), ("models/images/test_decode.py::test_a_file_cut_at_any_tenth_is_truncated",),
    ),
    of(
        "a deflated strip that ends", "models/images/tiff_strips.py",
        "        if not unpacker.eof:  # zeros may mean pixels, but then no end follows\n",
        "        if False:\n",
        (42,), ("models/images/test_tiff_strips.py::test_zeros_that_a_deflated_strip_takes_for_pixels_are_corrupt",),
    ),
    of(
        "descriptions that are not in the TIFF", "models/images/decode.py",
        "        data = without_broken_tags(data)\n",
        "        pass\n",
        (), ("models/images/formats/test_tiff_pixels.py::test_a_description_that_is_not_in_the_file_spoils_no_picture",),
    ),
    of(
        "a short run of zeros spoils all behind it", "models/images/zero_runs.py",
        "    if spoilt > length / _TOLERATED:\n",
        "    if spoilt > length:\n",
        (42,), ("models/images/test_zero_runs.py::test_a_short_run_of_zeros_is_corrupt_since_all_behind_it_is_spoilt",),
    ),
    of(
        "a hole of zeros in planes of a TIFF", "models/images/tiff_strips.py",
        "    bits = sum(tags.get(_BITS, (1,))[:1]) * tags.get(_SAMPLES, 1) // planes\n",
        "    bits = sum(tags.get(_BITS, (1,))[:1]) * tags.get(_SAMPLES, 1)\n",
        (42,), ("models/images/test_zero_rows.py::test_a_hole_in_planes_is_corrupt",),
    ),
    of(
        "a PNG whose data end early", "models/images/decode.py",
        "    unpainted.check_png(image, data)\n",
        "    pass\n",
        (42,), ("models/images/test_unpainted.py::test_only_the_first_frame_counts",),
    ),
    of(
        "rows that no run of a BMP painted", "models/images/formats/bmp.py",
        "    _check_rows(data, header, at, painted.count(0) / height)\n",
        "    pass\n",
        (42,), ("models/images/formats/test_bmp.py::test_runs_that_end_long_before_the_last_row_are_truncated", "models/images/formats/test_bmp.py::test_a_hole_in_runs_is_corrupt",),
    ),
    of(
        "a hole of zeros in a BMP", "models/images/decode.py",
        "        zero_rows.check(data, [rows], \"BMP\")\n",
        "        pass\n",
        (42,), ("models/images/test_zero_rows.py::test_zeros_up_to_the_end_are_corrupt", "models/images/test_zero_rows.py::test_a_hole_within_is_corrupt",),
    ),
    of(
        "missing and damaged strips of a TIFF", "models/images/decode.py",
        "    tiff_strips.check(image, file.getvalue())\n",
        "    pass\n",
        (42,), ("models/images/test_tiff_strips.py::test_half_a_jpeg_strip_is_refused",),
    ),
)  # fmt: skip
